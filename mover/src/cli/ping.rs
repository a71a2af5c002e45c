//! `blit ping`: is there a daemon, which one, and what may I do there?

use std::ffi::OsString;
use std::process;

use blit_crds::outcome::ExitCode;
use blit_engine::entry::Escaped;
use blit_transport::client::Pong;
use clap::Args;
use serde::Serialize;

use super::remote::{AccessArgs, RemoteUrl};
use crate::cli::remote_error::RemoteError;
use crate::report::record::EntryPath;
use crate::report::terminal::say;

/// `blit ping`.
#[derive(Args, Clone, Debug)]
pub struct PingArgs {
    /// The daemon, blit://HOST[:PORT]
    #[arg(value_name = "REMOTE")]
    pub remote: OsString,
    /// Print one object as JSON (schema blit.ping/v1)
    #[arg(long)]
    pub json: bool,
    /// By what this side gets in.
    #[command(flatten)]
    pub access: AccessArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: &'static str,
    address: String,
    program: String,
    protocol: [u32; 2],
    features: Vec<String>,
    connect_seconds: f64,
    round_trip_seconds: f64,
    scopes: Vec<String>,
    prefix: EntryPath,
    read_only: bool,
    sessions: u32,
}

impl PingArgs {
    /// Asks, prints the answer, and returns how that ended.
    pub fn run(self) -> process::ExitCode {
        match self.ask() {
            Ok(answer) => {
                let line = match self.json {
                    true => serde_json::to_string(&answer).unwrap_or_default(),
                    false => answer.text(),
                };
                super::print(&line);
                ExitCode::Complete.into()
            }
            Err(error) => {
                say(&format!("error: {error}"));
                error.exit_code().into()
            }
        }
    }

    fn ask(&self) -> Result<Answer, RemoteError> {
        let url = RemoteUrl::parse(&self.remote)?;
        let pong = url.remote(self.access.access()?).ping()?;
        Ok(Answer::new(url.address(), pong))
    }
}

impl Answer {
    fn new(address: String, pong: Pong) -> Self {
        let daemon = pong.daemon.unwrap_or_default();
        let plain = |text: String| Escaped(text.as_bytes()).to_string();
        Self {
            schema: "blit.ping/v1",
            address,
            program: plain(pong.hello.program),
            protocol: [pong.hello.min, pong.hello.max],
            features: pong.hello.features.into_iter().map(plain).collect(),
            connect_seconds: pong.connect.as_secs_f64(),
            round_trip_seconds: pong.round_trip.as_secs_f64(),
            scopes: daemon.scopes.into_iter().map(plain).collect(),
            prefix: EntryPath::new(&[b"/".as_slice(), &daemon.prefix].concat()),
            read_only: daemon.read_only,
            sessions: daemon.sessions,
        }
    }

    fn text(&self) -> String {
        let prefix = self.prefix.bytes().unwrap_or_default();
        let read_only = if self.read_only { " (read-only)" } else { "" };
        format!(
            "{}: {}{read_only}, protocol {} to {}, features {}\nround trip {:.2} ms, connected in {:.2} ms\nyou may {} below {}",
            self.address,
            self.program,
            self.protocol[0],
            self.protocol[1],
            self.features.join(" "),
            self.round_trip_seconds * 1e3,
            self.connect_seconds * 1e3,
            self.scopes.join(", "),
            Escaped(&prefix)
        )
    }
}
