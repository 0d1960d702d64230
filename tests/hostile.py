"""An inverse that tries to reach what is none of its business, and paints what it reached: one pixel an attack.

The seeds of its features tell it where to look: a process, an address in its memory, and a file descriptor there.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import inspect
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from benchmark.files.paths import resource, submissions_root
from benchmark.inverses.base import Inverse
from benchmark.targets.taps import Features

SECRET = b"secret-of-the-evaluation"
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
F_SETSIG, F_SET_RW_HINT, FIOSETOWN = 10, 1036, 0x8901
PR_SET_PDEATHSIG = 1
PIDFD_OPEN, PIDFD_GETFD = 434, 438


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Told:
    """Where to look."""

    def __init__(self, seeds: tuple[int, ...]) -> None:
        self.pid, self.address, self.fd = seeds[:3]


def stack_frames(told: Told) -> bool:
    return any(SECRET in frame.frame.f_locals.values() for frame in inspect.stack())


def garbage_collector(told: Told) -> bool:
    return any(type(found).__name__ == "Precious" for found in gc.get_objects())


def modules(told: Told) -> bool:
    return "benchmark.engine.evaluation" in sys.modules or "benchmark.engine.scorer" in sys.modules


def memory_by_proc(told: Told) -> bool:
    with Path(f"/proc/{told.pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(told.address)
        return memory.read(len(SECRET)) == SECRET


def memory_by_call(told: Told) -> bool:
    found = ctypes.create_string_buffer(len(SECRET))
    here = Vector(ctypes.cast(found, ctypes.c_void_p), len(SECRET))
    there = Vector(told.address, len(SECRET))
    LIBC.process_vm_readv(told.pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return found.raw == SECRET


def memory_by_tracing(told: Told) -> bool:
    return int(LIBC.ptrace(PTRACE_SEIZE, told.pid, None, None)) == 0


def descriptor(told: Told) -> bool:
    pidfd = LIBC.syscall(PIDFD_OPEN, told.pid, 0)
    return pidfd >= 0 and int(LIBC.syscall(PIDFD_GETFD, pidfd, told.fd, 0)) >= 0


def environment(told: Told) -> bool:
    return bool(Path(f"/proc/{told.pid}/environ").read_bytes())


def command_line(told: Told) -> bool:
    return bool(Path(f"/proc/{told.pid}/cmdline").read_bytes())


def open_files(told: Told) -> bool:
    return bool(list(Path(f"/proc/{told.pid}/fd").iterdir()))


def test_images(told: Told) -> bool:
    return resource("assets/mini/test.parquet").read_bytes()[:4] == b"PAR1"


def other_weights(told: Told) -> bool:
    return bool((resource("assets/mini/inverses/mean/mini-vit") / "model.safetensors").read_bytes())


def records(told: Told) -> bool:
    return bool(next(submissions_root().glob("*/records/*/record.json")).read_bytes())


def own_folder(told: Told) -> bool:
    return bool((Path(__file__).parent / "prepared.txt").read_bytes())


def user_files(told: Told) -> bool:
    return bool(Path("/etc/passwd").read_bytes())


def devices(told: Told) -> bool:
    with Path("/dev/full").open("rb", buffering=0) as device:
        return device.read(1) == bytes(1)


def write_beside(told: Told) -> bool:
    path = Path(__file__).parent / "written.txt"
    path.write_text("here")
    return path.exists()


def network_tcp(told: Told) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        return opened.fileno() >= 0


def network_udp(told: Told) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        return opened.fileno() >= 0


def unix_sockets(told: Told) -> bool:
    with socket.socket(socket.AF_UNIX) as opened:
        return opened.fileno() >= 0


def virtual_machines(told: Told) -> bool:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as opened:
        return opened.fileno() >= 0


def fork(told: Told) -> bool:
    if (child := os.fork()) == 0:
        os._exit(0)
    return os.waitpid(child, 0)[0] == child


def programs(told: Told) -> bool:
    return subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0


def signals(told: Told) -> bool:
    os.kill(told.pid, 0)
    return True


def thread_signals(told: Told) -> bool:
    return int(LIBC.tgkill(told.pid, told.pid, 0)) == 0


def signals_by_files(told: Told) -> bool:
    ends = socket.socketpair()
    with ends[0], ends[1]:
        fcntl.fcntl(ends[0], F_SETSIG, signal.SIGCONT)
        return fcntl.fcntl(ends[0], fcntl.F_SETOWN, told.pid) == 0


def signals_by_sockets(told: Told) -> bool:
    ends = socket.socketpair()
    with ends[0], ends[1]:
        return fcntl.ioctl(ends[0], FIOSETOWN, told.pid.to_bytes(4, "little")) is not None


def modes(told: Told) -> bool:
    (Path(__file__).parent / "prepared.txt").chmod(0o644)
    return True


def owners(told: Told) -> bool:
    os.chown(Path(__file__).parent / "prepared.txt", -1, -1)
    return True


def times(told: Told) -> bool:
    os.utime(Path(__file__).parent / "prepared.txt")
    return True


def truncation(told: Told) -> bool:
    os.truncate(Path(__file__).parent / "prepared.txt", 3)
    return True


def limits(told: Told) -> bool:
    import resource as limits_of

    return bool(limits_of.prlimit(told.pid, limits_of.RLIMIT_NOFILE))


def priority(told: Told) -> bool:
    os.setpriority(os.PRIO_PROCESS, told.pid, os.getpriority(os.PRIO_PROCESS, told.pid))
    return True


def shared_memory(told: Told) -> bool:
    return int(LIBC.shmget(0, 4096, 0o1600)) >= 0


def namespaces(told: Told) -> bool:
    return int(LIBC.unshare(0x10000000)) == 0


def watching(told: Told) -> bool:
    return int(LIBC.inotify_add_watch(LIBC.inotify_init(), str(Path(__file__).parent).encode(), 0xFFF)) >= 0


def pipes(told: Told) -> bool:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"pipe-{os.getpid()}"
    os.mkfifo(path)
    path.unlink()
    return True


def another_user(told: Told) -> bool:
    os.setuid(os.getuid())
    return True


def outliving_the_parent(told: Told) -> bool:
    return int(LIBC.prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0)) == 0


def leases(told: Told) -> bool:
    with Path(__file__).open("rb") as file:
        return fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK) == 0


def marks_on_files(told: Told) -> bool:
    with Path(__file__).open("rb") as file:
        return bool(fcntl.fcntl(file, F_SET_RW_HINT, (3).to_bytes(8, "little")))


ATTACKS: tuple[Callable[[Told], bool], ...] = (
    stack_frames, garbage_collector, modules, memory_by_proc, memory_by_call, memory_by_tracing, descriptor,
    environment, command_line, open_files, test_images, other_weights, records, own_folder, user_files, devices,
    write_beside, network_tcp, network_udp, unix_sockets, virtual_machines, fork, programs, signals, thread_signals,
    signals_by_files, signals_by_sockets, modes, owners, times, truncation, limits, priority,
    shared_memory, watching, pipes, another_user, outliving_the_parent, leases, marks_on_files, namespaces,
)  # fmt: skip


def try_all(told: Told) -> list[float]:
    """1 for every attack that succeeds, 0 for the others."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    found = []
    for attack in ATTACKS:
        try:
            found.append(float(attack(told)))
        except Exception:
            found.append(0.0)
    return found


class HostileInverse(Inverse):
    """Reaches for everything."""

    method = "hostile"

    def invert(self, features: Mapping[str, Features]) -> dict[str, Tensor]:
        """See Inverse."""
        return {tap: self._paint(item) for tap, item in features.items()}

    def _paint(self, item: Features) -> Tensor:
        image = torch.zeros(len(item.tensor), 3, *self.config.input_size)
        found = torch.tensor(try_all(Told(item.seeds)))
        image[0, 0, 0, : len(found)] = found
        return image
