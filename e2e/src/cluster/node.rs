//! The two nodes: namespaces of this machine, with a kubelet and a containerd each.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Cluster;
use super::env::{Env, repository};
use super::error::{Error, Result};

/// A node of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The first.
    A,
    /// The second.
    B,
}

/// Packets that a node drops or slows down, until this is dropped.
#[derive(Debug)]
pub struct Rules {
    namespace: String,
    table: String,
}

impl Node {
    /// Both nodes.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// Returns its name in the cluster.
    pub fn name(self, env: &Env) -> Result<&str> {
        env.get(self.key("NODE"))
    }

    /// Returns the folder of its volumes.
    pub fn data(self, env: &Env) -> Result<PathBuf> {
        Ok(PathBuf::from(env.get(self.key("DATA"))?))
    }

    /// Returns where a path of the node, as its pods' host paths mean it, can be seen from here.
    pub fn view(self, env: &Env, path: &Path) -> Result<PathBuf> {
        let process = env.number(self.key("MNT"))?;
        let below = path.strip_prefix("/").unwrap_or(path);
        Ok(PathBuf::from(format!("/proc/{process}/root")).join(below))
    }

    /// Starts or stops a part of the node: `kubelet`, `containerd`, `containers`.
    pub fn control(self, cluster: &Cluster, action: &str, part: &str) -> Result<()> {
        let mut command = Command::new(repository().join("e2e/cluster/node"));
        command.arg(self.name(&cluster.env)?).args([action, part]);
        command.env("BLIT_CLUSTER", cluster.env.folder());
        run(command).map(drop)
    }

    /// Runs a program in the mount namespace of the node.
    pub fn in_mounts(self, env: &Env, program: &[&str]) -> Result<String> {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(env.get(self.key("MNT"))?);
        command.arg("--mount").args(program);
        run(command)
    }

    /// Adds rules to what the node forwards, in the words of nft, for example `ip daddr 10.0.0.1 drop`.
    pub fn forward(self, env: &Env, rules: &[String]) -> Result<Rules> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let guard = Rules {
            namespace: format!("--net={}", netns(env, self)?),
            table: format!("blit_e2e_{}_{number}", std::process::id()),
        };
        let rules: String = rules.iter().map(|rule| format!("    {rule}\n")).collect();
        let text = format!(
            "table inet {} {{\n  chain forward {{\n    type filter hook forward priority -10;\n{rules}  }}\n}}\n",
            guard.table
        );
        let mut command = Command::new("nsenter");
        command.arg(&guard.namespace).args(["nft", &text]);
        run(command)?;
        Ok(guard)
    }

    fn key(self, name: &str) -> &'static str {
        match (name, self) {
            ("NODE", Self::A) => "NODE_A",
            ("NODE", Self::B) => "NODE_B",
            ("DATA", Self::A) => "DATA_A",
            ("DATA", Self::B) => "DATA_B",
            ("MNT", Self::A) => "MNT_A",
            ("MNT", Self::B) => "MNT_B",
            (_, Self::A) => "NETNS_A",
            (_, Self::B) => "NETNS_B",
        }
    }
}

impl Rules {
    /// Takes the rules away.
    pub fn lift(self) {
        drop(self);
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        let mut command = Command::new("nsenter");
        command
            .arg(&self.namespace)
            .args(["nft", "delete", "table", "inet", &self.table]);
        let _ = command.output();
    }
}

/// Runs a program that must succeed and returns what it printed.
pub(super) fn run(mut command: Command) -> Result<String> {
    let line = format!("{command:?}");
    let output = command.output().map_err(Error::io(line.clone()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(Error::Command {
        line,
        status: output.status.to_string(),
        output: said + &String::from_utf8_lossy(&output.stderr),
    })
}

/// Returns the file of a node's network namespace.
fn netns(env: &Env, node: Node) -> Result<String> {
    let name = env.get(node.key("NETNS"))?;
    Ok(if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/var/run/netns/{name}")
    })
}
