//! `blit serve`: from arguments to a daemon, and to tokens and certificates for its clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use blit_crds::outcome::ExitCode;
use blit_engine::run::{MaxDelete, new_run_id};
use blit_transport::auth::grant::{Grant, Scopes};
use blit_transport::path::{InvalidPath, RelPath};
use clap::Args;

use super::options::{Output, Preview};
use crate::report::terminal::Screen;
use crate::serve::identity::{DaemonIdentity, IdentityFolderError};
use crate::serve::{self, DATA_PORT, Settings};

/// `blit serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// The directory that clients use; they see nothing above it
    #[arg(long, value_name = "DIR", required_unless_present = "issue")]
    pub root: Option<PathBuf>,

    /// Address and port of the control plane [default: [::]:9031, without --identity 127.0.0.1:9031]
    ///
    /// Port 0 is chosen by the kernel, and printed.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Port of the data plane, at the same address; 0 is chosen by the kernel
    #[arg(long, value_name = "PORT", default_value_t = DATA_PORT)]
    pub data_port: u16,

    /// Folder with what the daemon is known by: authority, certificate, key of its tokens
    ///
    /// It is made on first use, and used again later. Without it everything is made for this run, a token is
    /// printed to stderr, and only this host is listened to.
    #[arg(long, value_name = "DIR")]
    pub identity: Option<PathBuf>,

    /// Refuse everything that would write or delete
    #[arg(long)]
    pub read_only: bool,

    /// Refuse pushes that would delete more than N entries, or N% of what is there, whatever they ask for
    #[arg(long, value_name = "N|N%")]
    pub max_delete: Option<MaxDelete>,

    /// Write no device, no set-user-id or set-group-id bit and no file capability that a client sends
    ///
    /// What is left out is counted as not kept.
    #[arg(long)]
    pub no_special_files: bool,

    /// End a push or a pull in which nothing moves for this long: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = time)]
    pub progress_deadline: Duration,

    /// What is said, and where.
    // Before what has a heading, under which it would be listed.
    #[command(flatten)]
    pub output: Output,

    /// What is made for a client instead of serving.
    #[command(flatten)]
    pub issue: IssueArgs,
}

/// What is made for a client.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Access for clients")]
pub struct IssueArgs {
    /// Print a token for a client, and end
    ///
    /// Whoever has it can do what it allows until it expires: hand it over in private. It needs no
    /// daemon that runs, only the identity.
    #[arg(long, group = "issue", requires = "identity", conflicts_with = "root")]
    pub issue_token: bool,

    /// Write a certificate for a client into a new folder, and end: ca.crt, tls.crt and tls.key
    #[arg(
        long,
        group = "issue",
        value_name = "DIR",
        requires = "identity",
        conflicts_with = "root"
    )]
    pub issue_certificate: Option<PathBuf>,

    /// What is allowed: read (list, pull), write (push), delete (mirror, purge)
    #[arg(
        long,
        value_name = "SCOPES",
        default_value = "read,write,delete",
        requires = "issue"
    )]
    pub scope: Scopes,

    /// Where it is allowed: this path below the root and all that is below it
    #[arg(long, value_name = "PATH", default_value = "/", requires = "issue", value_parser = prefix)]
    pub prefix: RelPath,

    /// For how long: a number with s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", requires = "issue", value_parser = time)]
    pub expires: Duration,
}

impl ServeArgs {
    /// Serves until a signal comes, or makes what was asked for; returns how that ended.
    pub fn run(self) -> process::ExitCode {
        let screen = self.output.screen();
        let issue = &self.issue;
        if let (Some(folder), true) = (
            &self.identity,
            issue.issue_token || issue.issue_certificate.is_some(),
        ) {
            return match issue.run(folder, &screen) {
                Ok(()) => ExitCode::Complete.into(),
                Err(error) => {
                    screen.line(&format!("error: {error}"));
                    ExitCode::OtherError.into()
                }
            };
        }
        let outputs = self
            .output
            .outputs(&screen, &new_run_id(), &Preview::default());
        let settings = Settings {
            root: self.root.unwrap_or_default(),
            listen: self.listen,
            data_port: self.data_port,
            identity: self.identity,
            read_only: self.read_only,
            max_delete: self.max_delete,
            without_special_files: self.no_special_files,
            progress_deadline: self.progress_deadline,
        };
        serve::run(&settings, &screen, &outputs).into()
    }
}

impl IssueArgs {
    fn run(&self, identity: &Path, screen: &Screen) -> Result<(), IdentityFolderError> {
        let now = SystemTime::now();
        let identity = DaemonIdentity::open_or_make(identity, now)?;
        let grant = Grant {
            scopes: self.scope,
            prefix: self.prefix.clone(),
        };
        if self.issue_token {
            let token = identity.issue(&grant, self.expires, now)?;
            // A reader that went away has what it wanted.
            let _ = screen.stdout(format!("{}\n", token.0).as_bytes());
        }
        if let Some(folder) = &self.issue_certificate {
            identity.certify_into(folder, &grant, self.expires, now)?;
        }
        Ok(())
    }
}

fn prefix(text: &str) -> Result<RelPath, InvalidPath> {
    RelPath::new(text.as_bytes())
}

/// Longest time that is taken: as long as the authority is valid.
const LONGEST_DAYS: u64 = 3650;

fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write a number with s, m, h or d, such as 24h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = count.checked_mul(seconds).ok_or_else(wrong)?;
    match seconds {
        0 => Err("a time of 0 is over before it begins".to_owned()),
        seconds if seconds > LONGEST_DAYS * 24 * 3600 => {
            Err(format!("the longest time is {LONGEST_DAYS}d"))
        }
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(time(text).unwrap().as_secs(), seconds);
        }
        for wrong in [
            "",
            "24",
            "h",
            "-1h",
            "0s",
            "99999d",
            "1.5h",
            "18446744073709551615d",
            "1ä",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
