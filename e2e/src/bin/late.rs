//! Serves a copy of a tree from memory, each call answered late and many at once, as over a network. For benchmarks.
//!
//! usage: late SOURCE MOUNT MILLISECONDS
//!
//! Says `ready` on a line when the copy is there and late, and ends with its standard input. Needs root.

use std::error::Error;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use blit_e2e::faulty::{Faulty, Nature};

/// Calls that are answered at once: about as many as a server of files has threads.
const AT_ONCE: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [source, mount, milliseconds] = arguments.as_slice() else {
        return Err("usage: late SOURCE MOUNT MILLISECONDS".into());
    };
    let milliseconds = milliseconds.to_str().unwrap_or_default().parse()?;
    let nature = Nature {
        at_once: AT_ONCE,
        ..Nature::default()
    };
    let place = Faulty::mount_at(&PathBuf::from(mount), nature)?;
    let content = PathBuf::from(source).join(".");
    let copied = Command::new("cp")
        .arg("-a")
        .arg(content)
        .arg(mount)
        .status()?;
    if !copied.success() {
        return Err(format!("cannot fill `{}`: {copied}", mount.display()).into());
    }
    place.delay(Duration::from_millis(milliseconds));
    writeln!(std::io::stdout(), "ready")?;
    // Whoever started it is done with it, or gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
