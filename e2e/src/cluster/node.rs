//! The two nodes: namespaces of this machine, with a kubelet and a containerd each.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

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

    /// Returns a path of the node as this machine sees it.
    pub fn seen(self, env: &Env, path: &Path) -> Result<PathBuf> {
        let root = Path::new(env.get(self.key("ROOT"))?);
        Ok(root.join(path.strip_prefix("/").unwrap_or(path)))
    }

    /// Does something to a part of the node, in the words of `e2e/cluster/node`: `stop kubelet`.
    pub fn control(self, env: &Env, action: &str, part: &str) -> Result<()> {
        let name = self.name(env)?;
        script(env, "node", &[name, action, part])
    }

    /// Runs a program on the node.
    pub fn exec(self, env: &Env, program: &[&str]) -> Result<()> {
        let name = self.name(env)?;
        script(env, "node", &[&[name, "exec"], program].concat())
    }

    /// Adds rules to what the node forwards, in the words of nft, for example `ip daddr 10.0.0.1 drop`.
    pub fn forward(self, env: &Env, rules: &[String]) -> Result<Rules> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let guard = Rules {
            namespace: format!("--net={}", self.network(env)?),
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

    /// Returns the path of its network namespace.
    pub(super) fn network(self, env: &Env) -> Result<&str> {
        env.get(self.key("NETNS"))
    }

    fn key(self, name: &str) -> &'static str {
        match (name, self) {
            ("NODE", Self::A) => "NODE_A",
            ("NODE", Self::B) => "NODE_B",
            ("ROOT", Self::A) => "ROOT_A",
            ("ROOT", Self::B) => "ROOT_B",
            (_, Self::A) => "NETNS_A",
            (_, Self::B) => "NETNS_B",
        }
    }
}

impl Rules {
    /// Returns how many bytes the rules with a `counter` have counted.
    pub fn counted(&self) -> Result<u64> {
        let mut command = Command::new("nsenter");
        command.arg(&self.namespace);
        command.args(["nft", "--json", "list", "table", "inet", &self.table]);
        let table: Value = serde_json::from_str(&run(command)?)
            .map_err(|error| Error::Setup(format!("nft: {error}")))?;
        let entries = table["nftables"].as_array().into_iter().flatten();
        let expressions = entries.filter_map(|entry| entry.pointer("/rule/expr")?.as_array());
        let counters = expressions
            .flatten()
            .map(|expression| &expression["counter"]["bytes"]);
        Ok(counters.filter_map(Value::as_u64).sum())
    }

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

/// Does something to a program of the control plane, in the words of `e2e/cluster/control`:
/// `restart apiserver`.
pub fn control_plane(env: &Env, action: &str, program: &str) -> Result<()> {
    script(env, "control", &[action, program])
}

fn script(env: &Env, name: &str, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(repository().join("e2e/cluster").join(name));
    command.args(arguments).env("BLIT_CLUSTER", env.folder());
    run(command).map(drop)
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
