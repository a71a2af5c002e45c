//! Two hosts with a cable between them: network namespaces joined by veth, where ports can be blocked, the
//! link cut, slowed down and made narrow, without touching the network of the machine.
//!
//! Invariants: the names say which process made them (its number and start time), so that of a run that was
//! killed the next one removes what is left, and never what belongs to a living one. Nothing of it is seen
//! in the machine's own network namespace.
//!
//! Netem is not everywhere ([`Network::spoil`]): what is sent is delayed by [`delay`], and by [`relay`] without that TCP notices. Non-goals: name service.

pub mod delay;
pub mod relay;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use crate::area::require_root;
use crate::error::{Context, Error, Result};

/// Where `ip netns` keeps the names.
const NAMES: &str = "/run/netns";

/// What all our names begin with.
const PREFIX: &str = "blit-net";

/// The interface at either end.
const INTERFACE: &str = "eth0";

/// Patience with a new link.
const LINK_PATIENCE: Duration = Duration::from_secs(20);

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Where the listener usually is.
    Near,
    /// Where the dialler usually is.
    Far,
}

/// Which addresses the hosts have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6; what is not asked for more precisely is IPv4.
    Both,
    /// IPv6 alone: IPv4 goes nowhere, not even to the host itself.
    V6Only,
}

/// Two hosts and a cable; dropping it removes them.
#[derive(Debug)]
pub struct Network {
    near: String,
    far: String,
    number: u8,
    family: Family,
}

static MADE: AtomicU32 = AtomicU32::new(0);

impl Network {
    /// Joins two new hosts that have addresses of both families.
    pub fn new() -> Result<Self> {
        Self::with(Family::Both)
    }

    /// Joins two new hosts.
    pub fn with(family: Family) -> Result<Self> {
        require_root()?;
        remove_what_dead_runs_left()?;
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let stem = format!("{PREFIX}.{}.{made}", Owner::me()?.text());
        let network = Self {
            near: format!("{stem}.near"),
            far: format!("{stem}.far"),
            // Only for people who read logs: the namespaces keep equal addresses apart.
            number: (std::process::id().wrapping_add(made) % 255) as u8,
            family,
        };
        let (near, far) = (network.near.as_str(), network.far.as_str());
        for name in [near, far] {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "-n", near, "link", "add", INTERFACE, "type", "veth", "peer", "name", INTERFACE,
            "netns", far,
        ])?;
        for host in [Host::Near, Host::Far] {
            network.address_host(host)?;
        }
        network.wait_for_link()?;
        Ok(network)
    }

    /// Waits until one host reaches the other: the kernel takes up to a second to see that a link is up, and
    /// until then IPv6 goes nowhere.
    fn wait_for_link(&self) -> Result<()> {
        let here = self.socket(Host::Near, 0);
        let listener = self.inside(Host::Near, || TcpListener::bind(here))?;
        let place = Path::new(&self.near);
        let listener = listener.context("listen in", place)?;
        let there = listener.local_addr().context("listen in", place)?;
        let deadline = Instant::now() + LINK_PATIENCE;
        loop {
            let dial = || TcpStream::connect_timeout(&there, Duration::from_millis(100));
            match self.inside(Host::Far, dial)? {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("reach", place);
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn address_host(&self, host: Host) -> Result<()> {
        let name = self.name(host);
        if self.family == Family::Both {
            let v4 = format!("{}/24", self.v4(host));
            ip(&["-n", name, "address", "add", &v4, "dev", INTERFACE])?;
        } else {
            ip(&["-n", name, "-4", "address", "flush", "dev", "lo"])?;
        }
        // Without the second in which the kernel asks whether somebody else has the address.
        let v6 = format!("{}/64", self.v6(host));
        ip(&["-n", name, "address", "add", &v6, "dev", INTERFACE, "nodad"])?;
        ip(&["-n", name, "link", "set", INTERFACE, "up"])
    }

    /// Returns the address of a host, of the family that both have.
    pub fn address(&self, host: Host) -> IpAddr {
        match self.family {
            Family::Both => self.v4(host).into(),
            Family::V6Only => self.v6(host).into(),
        }
    }

    /// Returns the address of a port of a host.
    pub fn socket(&self, host: Host, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(host), port)
    }

    fn v4(&self, host: Host) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.number, host.number())
    }

    fn v6(&self, host: Host) -> Ipv6Addr {
        let number = u16::from(self.number);
        Ipv6Addr::new(0xfdb1, 0x1700, number, 0, 0, 0, 0, u16::from(host.number()))
    }

    fn name(&self, host: Host) -> &str {
        match host {
            Host::Near => &self.near,
            Host::Far => &self.far,
        }
    }

    /// Returns the same command on a host. It replaces the program that enters it, so that signals reach it.
    pub fn on(&self, host: Host, command: &Command) -> Command {
        let mut entering = Command::new("nsenter");
        entering
            .arg(format!("--net={NAMES}/{}", self.name(host)))
            .arg("--")
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(name, value),
                None => entering.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            entering.current_dir(directory);
        }
        entering
    }

    /// Does work on a thread of its own on a host: sockets that it makes, and threads that it starts, are
    /// there.
    pub fn inside<T: Send>(&self, host: Host, work: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = self.namespace(host)?;
        let path = Path::new(self.name(host));
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(&namespace, CloneFlags::CLONE_NEWNET).context("enter", path)?;
                Ok(work())
            });
            match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Opens the namespace of a host.
    pub fn namespace(&self, host: Host) -> Result<File> {
        let path = Path::new(NAMES).join(self.name(host));
        File::open(&path).context("open", &path)
    }

    /// Swallows what comes to a TCP port of the near host, of connections that exist too.
    pub fn block(&self, port: u16) -> Result<()> {
        self.filter(&format!("tcp dport {port} drop"))
    }

    /// Answers what comes to a TCP port of the near host as if nobody listened there.
    pub fn refuse(&self, port: u16) -> Result<()> {
        self.filter(&format!("tcp dport {port} reject with tcp reset"))
    }

    /// Resets what goes to the near host in a segment that begins so, and lets all else pass: the handshake of the
    /// same connection, too. For the port of somebody who has not said it yet.
    pub fn refuse_beginning(&self, bytes: [u8; 8]) -> Result<()> {
        let bytes = u64::from_be_bytes(bytes);
        // Behind a header of 32 bytes, which every segment but the first two has: it has timestamps.
        self.filter(&format!(
            "tcp doff 8 @th,256,64 {bytes:#018x} reject with tcp reset"
        ))
    }

    /// Swallows everything in both directions: both ends keep their link, and hear nothing.
    pub fn cut(&self) -> Result<()> {
        self.filter("iifname != lo drop")?;
        self.nft("add chain inet blit out { type filter hook output priority 0; }")?;
        self.nft("add rule inet blit out oifname != lo drop")
    }

    /// Ends every block, refusal and cut.
    pub fn unblock(&self) -> Result<()> {
        self.nft("delete table inet blit")
    }

    fn filter(&self, rule: &str) -> Result<()> {
        self.nft("add table inet blit")?;
        self.nft("add chain inet blit in { type filter hook input priority 0; }")?;
        self.nft(&format!("add rule inet blit in {rule}"))
    }

    fn nft(&self, rule: &str) -> Result<()> {
        let mut nft = Command::new("nft");
        nft.arg(rule);
        tool(&self.on(Host::Near, &nft), "nftables")
    }

    /// Resets every connection to a port of the near host: both ends get an error at once.
    pub fn reset(&self, port: u16) -> Result<()> {
        let mut ss = Command::new("ss");
        ss.args(["--kill", "--tcp", "--numeric", "--no-header"]);
        ss.arg(format!("sport = :{port}"));
        tool(&self.on(Host::Near, &ss), "iproute2")
    }

    /// Counts connections to a port of the near host that are established.
    pub fn connections(&self, port: u16) -> Result<usize> {
        let mut ss = Command::new("ss");
        ss.args(["--tcp", "--numeric", "--no-header", "state", "established"]);
        ss.arg(format!("sport = :{port}"));
        let listed = output(&mut self.on(Host::Near, &ss), "iproute2")?;
        Ok(listed.lines().count())
    }

    /// Returns how many bytes went over the cable, in either direction, headers included.
    pub fn carried(&self) -> Result<u64> {
        let table = Path::new("/proc/thread-self/net/dev");
        let text = self.inside(Host::Near, || std::fs::read_to_string(table))?;
        let text = text.context("read", table)?;
        let row = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(INTERFACE)?.strip_prefix(':'));
        // Eight figures of what was received, and as many of what was sent; the first of each are bytes.
        let figures = row.unwrap_or_default().split_whitespace().step_by(8);
        let bytes: Vec<u64> = figures.flat_map(str::parse).collect();
        match bytes[..] {
            [received, sent] => Ok(received + sent),
            _ => Err(Error::Machine(format!("cannot understand {text}"))),
        }
    }

    /// Takes the link down, or up again. Addresses stay.
    pub fn set_link(&self, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        ip(&["-n", &self.near, "link", "set", INTERFACE, state])?;
        if up {
            // The kernel takes the address of IPv6 away with the link.
            let v6 = format!("{}/64", self.v6(Host::Near));
            let near = self.near.as_str();
            ip(&[
                "-n", near, "address", "replace", &v6, "dev", INTERFACE, "nodad",
            ])?;
        }
        Ok(())
    }

    /// Sets the largest packet, in bytes, at both ends.
    pub fn set_mtu(&self, bytes: u32) -> Result<()> {
        for name in [&self.near, &self.far] {
            ip(&[
                "-n",
                name,
                "link",
                "set",
                INTERFACE,
                "mtu",
                &bytes.to_string(),
            ])?;
        }
        Ok(())
    }

    /// Does to whatever leaves either host what netem is told, such as `delay 5ms loss 1%`. The kernel must have it: that of the
    /// virtual machine does.
    pub fn spoil(&self, how: &str) -> Result<()> {
        for name in [&self.near, &self.far] {
            let mut tc = Command::new("tc");
            tc.args([
                "-n", name, "qdisc", "replace", "dev", INTERFACE, "root", "netem",
            ]);
            tool(tc.args(how.split(' ')), "iproute2")?;
        }
        Ok(())
    }

    /// Limits what leaves either host, in megabits a second.
    pub fn limit(&self, megabits: u32) -> Result<()> {
        limit(&self.near, INTERFACE, megabits)?;
        limit(&self.far, INTERFACE, megabits)
    }

    /// Limits what the near host says to itself, in megabits a second.
    pub fn limit_loopback(&self, megabits: u32) -> Result<()> {
        limit(&self.near, "lo", megabits)
    }
}

impl Host {
    fn number(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = ip(&["netns", "delete", name]);
        }
    }
}

/// Who made a namespace. The start time tells a process from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    process: u32,
    started: u64,
}

impl Owner {
    fn me() -> Result<Self> {
        let process = std::process::id();
        let started = started(process);
        let started = started.ok_or_else(|| Error::Machine("cannot read /proc/self".into()))?;
        Ok(Self { process, started })
    }

    fn text(self) -> String {
        format!("{}.{}", self.process, self.started)
    }

    /// Reads the owner from a name; `None` if it is not one of ours.
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
        Some(Self {
            process: parts.next()?.parse().ok()?,
            started: parts.next()?.parse().ok()?,
        })
    }

    fn lives(self) -> bool {
        started(self.process) == Some(self.started)
    }
}

/// Returns when a process was started, in ticks since the boot.
fn started(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold spaces and brackets; field 22 of all.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

fn remove_what_dead_runs_left() -> Result<()> {
    let names = match std::fs::read_dir(NAMES) {
        Ok(names) => names,
        // Nobody has ever made one.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("list", Path::new(NAMES)),
    };
    for name in names {
        let name: PathBuf = name.context("list", Path::new(NAMES))?.file_name().into();
        let Some(name) = name.to_str() else { continue };
        if Owner::of(name).is_some_and(|owner| !owner.lives()) {
            // Another run may be removing it at the same time.
            let _ = ip(&["netns", "delete", name]);
        }
    }
    Ok(())
}

fn limit(namespace: &str, interface: &str, megabits: u32) -> Result<()> {
    let rate = format!("{megabits}mbit");
    let mut tc = Command::new("tc");
    tc.args([
        "-n", namespace, "qdisc", "replace", "dev", interface, "root", "tbf",
    ]);
    tc.args(["rate", &rate, "burst", "256k", "latency", "50ms"]);
    tool(&tc, "iproute2")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(arguments);
    tool(&command, "iproute2")
}

fn tool(command: &Command, package: &'static str) -> Result<()> {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    output(&mut again, package).map(drop)
}

fn output(command: &mut Command, package: &'static str) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Start {
        program,
        package,
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Tool {
        program: format!("{command:?}"),
        status: output.status.to_string(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests;
