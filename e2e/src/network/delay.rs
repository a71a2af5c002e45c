//! A long path between the two hosts: whatever arrives at either is held for a while by the kernel's packet queue, so that
//! TCP sees it as it sees any path. IPv4 only.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Host, INTERFACE, Network};
use crate::error::{Context, Error, Result};

/// What delays; the benchmarks have it too. It ends with its input.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/delay.py");

/// A path that is long for as long as this is kept.
#[derive(Debug)]
pub struct Delay([Holding; 2]);

#[derive(Debug)]
struct Holding(Child);

impl Network {
    /// Has everything take so long from one host to the other; the round trip takes twice as long.
    pub fn delay(&self, delay: Duration) -> Result<Delay> {
        let held = |host| {
            let mut command = Command::new("python3");
            command.args(["-B", PROGRAM, INTERFACE]);
            command.arg(delay.as_millis().to_string());
            let mut command = self.on(host, &command);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            let program = Path::new(PROGRAM);
            let mut holding = Holding(command.spawn().context("start", program)?);
            let mut line = String::new();
            if let Some(output) = &mut holding.0.stdout {
                // It says that it is ready, or ends.
                let read = BufReader::new(output).read_line(&mut line);
                read.context("read from", program)?;
            }
            if line != "ready\n" {
                return Err(Error::Machine(format!(
                    "{PROGRAM} does not hold packets; it needs iptables, and NFQUEUE in the kernel"
                )));
            }
            Ok(holding)
        };
        Ok(Delay([held(Host::Near)?, held(Host::Far)?]))
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        for Holding(child) in &mut self.0 {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}
