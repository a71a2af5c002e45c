//! System calls that a command is refused, as the filter of a sandbox does.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

// linux/bpf_common.h.
const LOAD: u16 = 0x20;
const UNLESS_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// Where the number of a call is in what a filter sees (`struct seccomp_data` of linux/seccomp.h).
const CALL: u32 = 0;

/// A system call that is refused with EPERM.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// Its number.
    pub call: u32,
    /// Only where these arguments, counted from 0, have these values (their low halves are compared).
    pub arguments: &'a [(u32, u32)],
}

/// Has a command, and what it starts, be refused calls. Needs root.
#[expect(unsafe_code, reason = "a filter must be set between fork and exec")]
pub fn refuse(command: &mut Command, calls: &[Refused<'_>]) {
    let mut filter = filter(calls);
    let set = move || {
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: `program` and the filter it points to outlive the call, which copies them.
        let set = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        match set {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure only makes one system call, and allocates nothing.
    unsafe { command.pre_exec(set) };
}

fn filter(calls: &[Refused<'_>]) -> Vec<libc::sock_filter> {
    let mut filter = Vec::new();
    for refused in calls {
        let arguments = refused.arguments.iter();
        let arguments = arguments.map(|(number, value)| (argument(*number), *value));
        let compared: Vec<_> = [(CALL, refused.call)]
            .into_iter()
            .chain(arguments)
            .collect();
        for (nth, (from, value)) in compared.iter().enumerate() {
            // Over the other comparisons, of two statements each, and the refusal.
            let rest = 2 * (compared.len() - nth - 1) + 1;
            filter.push(statement(LOAD, *from, 0));
            filter.push(statement(UNLESS_EQUAL, *value, rest as u8));
        }
        let eperm = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
        filter.push(statement(RETURN, eperm, 0));
    }
    filter.push(statement(RETURN, libc::SECCOMP_RET_ALLOW, 0));
    filter
}

/// Where the low half of an argument is.
fn argument(number: u32) -> u32 {
    16 + 8 * number
}

/// A statement that goes on, or over so many where the comparison fails.
fn statement(code: u16, k: u32, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code,
        jt: 0,
        jf: otherwise,
        k,
    }
}
