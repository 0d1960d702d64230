"""What a process that confined itself may still do, and what no longer."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.engine.confinement import (
    CLONE,
    DENIED,
    FILES,
    OF_DEVICES,
    OF_FILES,
    OF_ITSELF,
    ON_ITSELF,
    PROTECTIONS,
    SYSTEM_CALLS,
    available,
    make_filter,
)

CONFINED = """
import ctypes, errno, fcntl, os, resource, socket, stat, sys, threading
from pathlib import Path
from benchmark.engine.confinement import confine
readable, listed, writable, other = map(Path, sys.argv[1:])
assert confine([readable], [listed], [writable]) == ("files", "system calls")

def refused(call):
    try:
        call()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES, errno.EXDEV)
    return False

assert (readable / "file").read_text() == "here"
assert refused(lambda: (readable / "file").write_text("there"))
assert refused(lambda: (readable / "new").touch())
assert [path.name for path in listed.iterdir()] == ["file"]
assert refused(lambda: (listed / "file").read_text())
(writable / "new").write_text("new")
(writable / "new").unlink()
assert refused(lambda: list(other.iterdir()))
assert refused(lambda: (other / "file").read_text())
(writable / "link").symlink_to(other / "file")
assert refused(lambda: (writable / "link").read_text())
assert refused(lambda: os.link(other / "file", writable / "hard"))
assert refused(lambda: os.rename(writable / "link", other / "link"))
assert refused(os.fork)
assert refused(lambda: os.mkfifo(writable / "pipe"))
assert refused(lambda: os.mknod(writable / "device", stat.S_IFCHR | 0o600, os.makedev(1, 7)))
assert refused(lambda: os.truncate(writable / "file", 1))
assert refused(lambda: os.setuid(os.getuid()))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(1, 0, 0, 0, 0) == -1 and libc.inotify_init() == -1
with (readable / "file").open("rb") as file:
    for request in (0x80086601, 0x40086602, 0x40086604, 0x401C5820, 0x8901, 0xC0045877):  # of file systems, of owners
        assert refused(lambda: fcntl.ioctl(file, request, bytes(28)))
    for request in (fcntl.F_SETLEASE, 1036):
        assert refused(lambda: fcntl.fcntl(file, request, bytes(8)))
ours, theirs = socket.socketpair()
theirs.send(b"four")
assert fcntl.ioctl(ours, 0x541B, bytes(4))[0] == 4
ours.setblocking(False)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
thread = threading.Thread(target=lambda: results.append(refused(lambda: (other / "file").read_text())))
results = []
thread.start()
thread.join()
assert results == [True]
resource.prlimit(0, resource.RLIMIT_NOFILE)
resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE)
print("confined")
os.abort()
"""


def test_a_confined_process_has_what_it_was_given_and_no_more(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("readable", "listed", "writable", "other")]
    for folder in folders:
        folder.mkdir()
        (folder / "file").write_text("here")
    done = subprocess.run([sys.executable, "-c", CONFINED, *map(str, folders)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("confined\n", -6), done.stderr
    assert {path.name for path in folders[2].iterdir()} == {"file", "link"}


def test_rules_outlive_the_way_to_a_file(tmp_path: Path) -> None:
    """A link inside of what is readable leads no further than the rules for where it leads."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "readable").mkdir()
    (tmp_path / "readable" / "link").symlink_to(tmp_path / "secret")
    code = (
        "import sys; from pathlib import Path; from benchmark.engine.confinement import confine;"
        "confine([Path(sys.argv[1])], [], []); print((Path(sys.argv[1]) / 'link').read_text())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "readable")], capture_output=True, text=True)
    assert "PermissionError" in done.stderr and "secret\n" not in done.stdout


def test_this_machine_offers_every_protection() -> None:
    if sys.platform != "linux":
        pytest.skip("Landlock and seccomp are Linux's")
    assert available() == PROTECTIONS == (FILES, SYSTEM_CALLS)


def test_another_system_offers_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert available() == ()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_jumps_of_the_filter_stay_inside_of_it_and_every_way_ends(machine: str) -> None:
    program = make_filter(machine, 4711)
    statements = [(program[i] | program[i + 1] << 8, program[i + 2], program[i + 3]) for i in range(0, len(program), 8)]
    returns = {0x06}
    for place, (code, yes, no) in enumerate(statements):
        if code in {0x15, 0x45}:
            assert place + 1 + max(yes, no) < len(statements)
    assert statements[-1][0] in returns
    assert len(statements) < 4096


@pytest.mark.parametrize(("column", "pattern"), [(0, "**/asm/unistd_64.h"), (1, "asm-generic/unistd.h")])
def test_numbers_of_system_calls_are_those_of_the_headers_of_this_machine(column: int, pattern: str) -> None:
    header = next(Path("/usr/include").glob(pattern), None)
    if header is None or (column == 0 and platform.machine() != "x86_64"):
        pytest.skip("no headers of Linux here")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in found}
    choosy = OF_FILES | OF_DEVICES | OF_ITSELF
    stated = DENIED | ON_ITSELF | CLONE | {name: numbers for name, (numbers, _) in choosy.items()}
    both = stated.keys() & known.keys()
    assert {name: stated[name][column] for name in both} == {name: known[name] for name in both}
    assert len(both) > 60
