"""Confining the process itself, for good: what it may open, and what it may ask of the kernel.

Linux alone offers it, without root and without packages: Landlock (kernel 5.13 and later) for files, seccomp for system
calls. Whatever the process starts with stays open to it: file descriptors, and modules that it has imported.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = [
    "CLONE", "DENIED", "FILES", "OF_DEVICES", "OF_FILES", "OF_ITSELF", "ON_ITSELF", "PROTECTIONS", "SYSTEM_CALLS",
    "available", "confine", "die_with_parent", "hide_memory", "make_filter",
]  # fmt: skip

FILES: Final = "files"
"""The protection by Landlock: nothing but what was listed can be opened, and no other process can be traced."""
SYSTEM_CALLS: Final = "system calls"
"""The protection by seccomp: no new process or program, no network, no signal, no other process's memory."""

PROTECTIONS: Final = (FILES, SYSTEM_CALLS)
MAX_FILE_BYTES = 2**28
_SIZES = {"x86_64": 0, "aarch64": 1}

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SIGKILL = 9

# linux/landlock.h
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH, _RULESET_VERSION = 1, 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS = 1 << 1 | _READ_FILE  # write and read: those that a file itself can have
_ALL_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS, _SCOPES = 0b11, 0b11  # TCP bind and connect; abstract sockets and signals of others

# linux/seccomp.h, linux/bpf_common.h, linux/audit.h
_MODE_FILTER = 2
_LOAD, _AND, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x54, 0x15, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_CLONE_THREAD = 0x10000

DENIED: Final = {
    "fork": (57, -1), "vfork": (58, -1), "execve": (59, 221), "execveat": (322, 281),
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272), "move_pages": (279, 239),
    "migrate_pages": (256, 238), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "setpgid": (109, 154), "sched_setscheduler": (144, 119),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "shmget": (29, 194), "shmat": (30, 196), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225),
    "acct": (163, 89), "quotactl": (179, 60), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "personality": (135, 92),
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, -1), "utimes": (235, -1),
    "futimesat": (261, -1), "utimensat": (280, 88), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "fspick": (433, 433), "quotactl_fd": (443, 443),
    "vhangup": (153, 58), "modify_ldt": (154, -1), "iopl": (172, -1), "ioperm": (173, -1), "memfd_secret": (447, 447),
    "mknod": (133, -1), "mknodat": (259, 33), "truncate": (76, 45), "file_setattr": (469, 469),
    "inotify_init": (253, -1), "inotify_init1": (294, 26), "mq_unlink": (241, 181),
    "shmctl": (31, 195), "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192), "msgctl": (71, 187),
    "msgsnd": (69, 189), "msgrcv": (70, 188),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149), "setfsuid": (122, 151), "setfsgid": (123, 152), "setgroups": (116, 159),
    "capset": (126, 91),
}  # fmt: skip
"""System calls that a worker may not make: their numbers on x86-64 and on 64-bit ARM; -1: not there."""
ON_ITSELF: Final = {
    "tgkill": (234, 131), "prlimit64": (302, 261), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "get_robust_list": (274, 100),
}  # fmt: skip
"""Those that it may make about itself: their first argument is its process, or 0."""
OF_FILES: Final = {"fcntl": ((72, 25), (8, 10, 15, 1024, 1026, 1031, 1036, 1038))}
"""Those that it may not ask of a file: its numbers, and second arguments that send signals to whom it names, hold up
others that open the file, or leave a mark on it."""
OF_DEVICES: Final = {"ioctl": ((16, 29), (0x00, ord("F"), ord("T")))}
"""Those that it may ask of a file by a request of these kinds alone, its second byte: streams, terminals and GPUs.

Those of file systems change a file that was opened to be read: its flags, its version, its project."""
OF_ITSELF: Final = {"prctl": ((157, 167), (1,))}
"""Those that it may not ask of itself: their numbers, and first arguments; 1: to live on when its parent ends."""
CLONE: Final = {"clone": (56, 220), "clone3": (435, 435)}
"""Those that start threads and processes."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(name: str, result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def _landlock_version() -> int:
    """Return the version of Landlock's interface here; 0: there is none."""
    if sys.platform != "linux" or platform.machine() not in _SIZES:
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _RULESET_VERSION)))


def _has_seccomp() -> bool:
    with suppress(OSError):
        return platform.machine() in _SIZES and "Seccomp_filters:" in Path("/proc/self/status").read_text("ascii")
    return False


def available() -> tuple[str, ...]:
    """Return the protections that this machine offers, of FILES and SYSTEM_CALLS."""
    return ((FILES,) if _landlock_version() else ()) + ((SYSTEM_CALLS,) if _has_seccomp() else ())


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Allow `rights` beneath a path; one that is not there needs none."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = rights if path.is_dir() else rights & _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, handle)
        _call("landlock_add_rule", _libc().syscall(_ADD_RULE, ruleset, _RULE_PATH, rule, 0))
    finally:
        os.close(handle)


def _restrict_files(readable: Iterable[Path], listable: Iterable[Path], writable: Iterable[Path]) -> None:
    version = _landlock_version()
    rights = _ALL_RIGHTS.get(version, _ALL_RIGHTS[5])
    attributes = struct.pack("=QQQ", rights, _NET_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    length = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call("landlock", _libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(length), 0))
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in listable:
            _allow(ruleset, path, _READ_DIR)
        for path in writable:
            _allow(ruleset, path, rights)
        _call("landlock_restrict_self", _libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _statement(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _refuse(number: int, error: int) -> list[bytes]:
    """Statements that refuse a system call, when its number has been loaded."""
    return [_statement(_JUMP_EQUAL, number, 0, 1), _statement(_RETURN, _ERRNO | error)]


def _allow_on_itself(number: int, pid: int) -> list[bytes]:
    return [
        _statement(_JUMP_EQUAL, number, 0, 5),
        _statement(_LOAD, _FIRST_ARGUMENT),
        _statement(_JUMP_EQUAL, pid, 1, 0),
        _statement(_JUMP_EQUAL, 0, 0, 1),
        _statement(_RETURN, _ALLOW),
        _statement(_RETURN, _ERRNO | errno.EPERM),
    ]


def _refuse_requests(number: int, argument: int, requests: Sequence[int]) -> list[bytes]:
    """Statements that refuse a system call whose argument at that place is one of `requests`."""
    count = len(requests)
    return [
        _statement(_JUMP_EQUAL, number, 0, count + 3),
        _statement(_LOAD, argument),
        *(_statement(_JUMP_EQUAL, request, count - place, 0) for place, request in enumerate(requests)),
        _statement(_RETURN, _ALLOW),
        _statement(_RETURN, _ERRNO | errno.EPERM),
    ]


def _allow_kinds(number: int, kinds: Sequence[int]) -> list[bytes]:
    """Statements that refuse a system call unless the second byte of its second argument is one of `kinds`."""
    count = len(kinds)
    return [
        _statement(_JUMP_EQUAL, number, 0, count + 4),
        _statement(_LOAD, _SECOND_ARGUMENT),
        _statement(_AND, 0xFF00),
        *(_statement(_JUMP_EQUAL, kind << 8, count - place, 0) for place, kind in enumerate(kinds)),
        _statement(_RETURN, _ERRNO | errno.EPERM),
        _statement(_RETURN, _ALLOW),
    ]


def _allow_threads(number: int) -> list[bytes]:
    return [
        _statement(_JUMP_EQUAL, number, 0, 4),
        _statement(_LOAD, _FIRST_ARGUMENT),
        _statement(_JUMP_SET, _CLONE_THREAD, 0, 1),
        _statement(_RETURN, _ALLOW),
        _statement(_RETURN, _ERRNO | errno.EPERM),
    ]


def make_filter(machine: str, pid: int) -> bytes:
    """Return the program that the kernel asks before every system call of a process (struct sock_filter)."""
    column = _SIZES[machine]
    program = [
        _statement(_LOAD, _ARCHITECTURE),
        _statement(_JUMP_EQUAL, _ARCHITECTURES[machine], 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        program += [_statement(_JUMP_SET, _X32, 0, 1), _statement(_RETURN, _KILL)]
    for numbers in DENIED.values():
        if numbers[column] >= 0:
            program += _refuse(numbers[column], errno.EPERM)
    # The flags of clone3 lie in memory, which no filter sees; without it the C library asks for clone.
    program += _refuse(CLONE["clone3"][column], errno.ENOSYS)
    program += _allow_threads(CLONE["clone"][column])
    for numbers in ON_ITSELF.values():
        program += _allow_on_itself(numbers[column], pid)
    for numbers, requests in OF_FILES.values():
        program += _refuse_requests(numbers[column], _SECOND_ARGUMENT, requests)
    for numbers, options in OF_ITSELF.values():
        program += _refuse_requests(numbers[column], _FIRST_ARGUMENT, options)
    for numbers, kinds in OF_DEVICES.values():
        program += _allow_kinds(numbers[column], kinds)
    return b"".join([*program, _statement(_RETURN, _ALLOW)])


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _restrict_system_calls() -> None:
    code = make_filter(platform.machine(), os.getpid())
    program = _Program(len(code) // 8, code)
    _call("seccomp", _libc().prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0))


def confine(readable: Sequence[Path], listable: Sequence[Path], writable: Sequence[Path]) -> tuple[str, ...]:
    """Give up, for good, all that a process does not need which maps features to images.

    Threads can be started, processes cannot. Of files, links count where they lead.

    Args:
        readable: files beneath these can be read.
        listable: folders beneath these can be listed, their files not be read.
        writable: files beneath these can be read, written, made and removed.

    Returns:
        The protections that hold now, of FILES and SYSTEM_CALLS: those that `available` names.

    Raises:
        OSError: the kernel offers a protection and refuses it.
    """
    held = available()
    for limit, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, MAX_FILE_BYTES)):
        _, hard = resource.getrlimit(limit)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (most, most))
    if held:
        _call("no_new_privs", _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if FILES in held:
        _restrict_files(readable, listable, writable)
    if SYSTEM_CALLS in held:
        _restrict_system_calls()
    return held


def hide_memory() -> None:
    """Keep other processes of the user, unless they are root's, from reading the memory of this one; Linux alone."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, and before all others where memory runs out."""
    if sys.platform == "linux":
        _libc().prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")
