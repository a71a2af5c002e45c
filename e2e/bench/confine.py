"""What a sandbox leaves of the system calls.

That of a mover's pod: its capabilities, and the system calls that the profile RuntimeDefault of its container runtime leaves.

The profile is containerd's of release 2.0, put together from the list that it publishes and the changes since, as a filter of our own
making: whatever Linux 6.7 has is allowed but what is named here, which fails with EPERM; and what came later fails with ENOSYS, which runc
adds to every profile. (Later releases allow more, the calls for extended attributes of Linux 6.13 among them.) The capabilities are those of a destination as root, which the operator asks for.

And one that refuses some calls and nothing else, to measure what they are worth.

Non-goals: other things that make a container, such as namespaces and cgroups; programs of other architectures.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Sequence
from pathlib import Path

# linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP.
CAPABILITIES = (0, 1, 3, 4, 27, 31)

# Allowed only with a capability that a mover does not have.
FOR_OTHERS = """
    acct bpf chroot clock_settime delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_mempolicy init_module ioperm
    iopl kcmp lookup_dcookie mbind mount mount_setattr move_mount name_to_handle_at open_by_handle_at open_tree perf_event_open pidfd_getfd
    process_madvise process_vm_readv process_vm_writev quotactl quotactl_fd reboot set_mempolicy set_mempolicy_home_node setdomainname
    sethostname setns settimeofday syslog umount2 unshare vhangup
"""
# Allowed to nobody.
FOR_NOBODY = """
    _sysctl add_key afs_syscall create_module get_kernel_syms getpmsg io_uring_enter io_uring_register io_uring_setup kexec_file_load
    kexec_load keyctl migrate_pages move_pages nfsservctl pivot_root putpmsg query_module request_key security swapoff swapon sysfs tuxcall
    uselib userfaultfd ustat vserver
"""
REFUSED = (FOR_OTHERS + FOR_NOBODY).split()
# futex_requeue, of Linux 6.7. From 424 on the numbers are the same everywhere.
LAST = 456
# Of Linux 6.13, which libseccomp may not know.
NEWER = {"listxattrat": 465}
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
NEW_NAMESPACES = 0x7E020000
# What `personality` may be asked for: Linux, 32 bits, Linux of the age of 2.6, both, and which it is.
PERSONALITIES = (0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
AF_VSOCK = 40

# linux/audit.h
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# linux/bpf_common.h and linux/seccomp.h
LOAD, AND, JUMP, IF_EQUAL, IF_GREATER, RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
# Offsets in what a filter is shown: the call, its architecture, the low half of its first argument on a little-endian machine.
CALL, ARCHITECTURE, ARGUMENT = 0, 4, 16
# linux/prctl.h
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38


class Rights:
    """What a process can be left with. It is made before the process, which must not do much between fork and exec."""

    def __init__(self) -> None:
        self.kernel = ctypes.CDLL(None, use_errno=True)
        self.superfluous = [number for number in range(last_capability() + 1) if number not in CAPABILITIES]
        statements = program(numbers(), ARCHITECTURES[platform.machine()])
        self.statements = ctypes.create_string_buffer(b"".join(statements))
        self.filter = Program(len(statements), ctypes.addressof(self.statements))

    def with_filter(self) -> None:
        self.without_filter()
        prctl(self.kernel, PR_SET_SECCOMP, 2, ctypes.addressof(self.filter))

    def without_filter(self) -> None:
        for number in self.superfluous:
            prctl(self.kernel, PR_CAPBSET_DROP, number)
        prctl(self.kernel, PR_SET_NO_NEW_PRIVS, 1)


class Refusal:
    """Some calls fail with ENOSYS, as if the kernel did not have them. Made before the process, as the rights are."""

    def __init__(self, calls: Sequence[str]) -> None:
        self.kernel = ctypes.CDLL(None, use_errno=True)
        known = [number_of(name) for name in calls]
        statements = refusing([number for number in known if number is not None], ARCHITECTURES[platform.machine()])
        self.statements = ctypes.create_string_buffer(b"".join(statements))
        self.filter = Program(len(statements), ctypes.addressof(self.statements))

    def __call__(self) -> None:
        prctl(self.kernel, PR_SET_NO_NEW_PRIVS, 1)
        prctl(self.kernel, PR_SET_SECCOMP, 2, ctypes.addressof(self.filter))


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = [("length", ctypes.c_ushort), ("statements", ctypes.c_void_p)]


def prctl(kernel: ctypes.CDLL, option: int, value: int, more: int = 0) -> None:
    if kernel.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(more), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def last_capability() -> int:
    return int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def numbers() -> dict[str, int]:
    """The numbers of calls on this machine; those that its architecture does not have are left out."""
    found = {name: number_of(name) for name in (*REFUSED, "clone", "clone3", "personality", "socket")}
    return {name: number for name, number in found.items() if number is not None}


def number_of(name: str) -> int | None:
    """The number of a call; `None` where this architecture does not have it."""
    if name in NEWER:
        return NEWER[name]
    number = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        raise SystemExit(f"bench: libseccomp knows no system call {name!r}; 2.5.4 and later do")
    return number if number >= 0 else None


def program(number: dict[str, int], architecture: int) -> list[bytes]:
    """The statements of the filter (pure)."""
    refused = {number[name] for name in REFUSED if name in number}
    careful = {number[name] for name in ("clone", "clone3", "personality", "socket")}
    eperm, enosys = FAIL | errno.EPERM, FAIL | errno.ENOSYS
    made = [
        statement(LOAD, ARCHITECTURE),
        statement(IF_EQUAL, architecture, 1, 0),
        statement(RETURN, eperm),
        statement(LOAD, CALL),
        statement(IF_GREATER, LAST, 0, 1),
        statement(RETURN, enosys),
    ]
    # An allow-list of single comparisons, as libseccomp makes it.
    for allowed in sorted(set(range(LAST + 1)) - refused - careful):
        made += when(allowed, [statement(RETURN, ALLOW)])
    made += when(number["clone3"], [statement(RETURN, enosys)])
    argument = statement(LOAD, ARGUMENT)
    made += when(number["clone"], [argument, statement(AND, NEW_NAMESPACES), *one_of([0]), statement(RETURN, eperm)])
    made += when(number["personality"], [argument, *one_of(PERSONALITIES), statement(RETURN, eperm)])
    made += when(number["socket"], [
        argument, statement(IF_EQUAL, AF_VSOCK, 0, 1), statement(RETURN, eperm), statement(RETURN, ALLOW)])
    return [*made, statement(RETURN, eperm)]


def refusing(calls: Sequence[int], architecture: int) -> list[bytes]:
    """The statements of a filter that refuses these calls and allows all others (pure)."""
    refused = [each for call in calls for each in when(call, [statement(RETURN, FAIL | errno.ENOSYS)])]
    foreign = [statement(LOAD, ARCHITECTURE), statement(IF_EQUAL, architecture, 1, 0), statement(RETURN, ALLOW)]
    return [*foreign, statement(LOAD, CALL), *refused, statement(RETURN, ALLOW)]


def when(call: int, then: list[bytes]) -> list[bytes]:
    return [statement(IF_EQUAL, call, 0, len(then)), *then]


def one_of(values) -> list[bytes]:
    return [each for value in values for each in when(value, [statement(RETURN, ALLOW)])]


def statement(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """`struct sock_filter`."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
