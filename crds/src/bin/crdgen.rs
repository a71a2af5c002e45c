//! Writes the files that are made from the types: `crdgen`, or only compares them: `crdgen --check`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use blit_crds::generated;

#[expect(
    clippy::print_stdout,
    reason = "this is a program, and its report goes to stdout"
)]
fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [option] if option == "--check" => true,
        _ => {
            println!("usage: {} [-- --check]", generated::COMMAND);
            return Ok(ExitCode::from(2));
        }
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut stale = false;
    for file in generated::files()? {
        let path = root.join(file.path);
        if fs::read_to_string(&path).is_ok_and(|content| content == file.content) {
            continue;
        }
        if check {
            println!("{} is out of date; run `{}`", file.path, generated::COMMAND);
            stale = true;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, &file.content)?;
        println!("wrote {}", file.path);
    }
    Ok(if stale {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
