"""The scripts of the workflows: what they take and confine, really executed."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from workflows import GITHUB


def collect(out: Path, destination: Path, limit: int = 1000) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(GITHUB / "scripts" / "collect"), str(out), "mine", "mini@1", str(destination), str(limit)],
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """What submitted code may leave: a record, and a board that nobody asked for."""
    record = tmp_path / "out" / "mine" / "records" / "mini@1"
    record.mkdir(parents=True)
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        (record / name).write_text(name)
    (tmp_path / "out" / "board").mkdir()
    (tmp_path / "out" / "board" / "index.html").write_text("<script>")
    return tmp_path / "out"


def test_of_a_result_only_the_three_files_of_the_record_are_taken(tmp_path: Path, result: Path) -> None:
    (result / "mine" / "records" / "mini@1" / "record.json").chmod(0o4777)
    done = collect(result, tmp_path / "rerun")
    assert done.returncode == 0, done.stderr
    taken = sorted(path for path in (tmp_path / "rerun").rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path / "rerun").as_posix() for path in taken] == [
        f"mine/records/mini@1/{name}" for name in ("audit.parquet", "record.json", "scores.parquet")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in taken} == {0o644}


def spoil(result: Path, how: str) -> None:
    record = result / "mine" / "records" / "mini@1"
    if how == "link":
        (result / "board" / "x").symlink_to("/etc/passwd")
    elif how == "link for a file":
        (record / "record.json").unlink()
        (record / "record.json").symlink_to("/etc/passwd")
    elif how == "link for a folder":
        shutil.move(result / "mine", result / "other")
        (result / "mine").symlink_to("other")
    elif how == "link for everything":
        shutil.move(result, result.parent / "elsewhere")
        result.symlink_to("elsewhere")
    elif how == "hard link":
        (result / "x").hardlink_to(record / "record.json")
    elif how == "pipe":
        os.mkfifo(result / "pipe")
    elif how == "sparse":
        os.truncate(record / "scores.parquet", 2_000)
    elif how == "absent":
        (record / "audit.parquet").unlink()
    elif how == "folder":
        (record / "audit.parquet").unlink()
        (record / "audit.parquet").mkdir()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("link", "a link"),
        ("link for a file", "a link"),
        ("link for a folder", "a link"),
        ("link for everything", "no folder"),
        ("hard link", "second name"),
        ("pipe", "special file"),
        ("sparse", "more than 1000 bytes"),
        ("absent", "no audit.parquet"),
        ("folder", "no audit.parquet"),
    ],
)
def test_a_result_that_could_mislead_the_upload_is_refused(tmp_path: Path, result: Path, how: str, why: str) -> None:
    """T10."""
    spoil(result, how)
    done = collect(result, tmp_path / "rerun")
    assert done.returncode == 1 and why in done.stderr
    assert not (tmp_path / "rerun").exists()


@pytest.fixture
def room() -> Iterator[Path]:
    """A home for the user that submitted code runs as, outside of what is hidden from it."""
    can = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "x", "/tmp"]
    tools = all(shutil.which(name) for name in ("unshare", "setpriv", "prlimit", "timeout"))
    if not tools or os.geteuid() or subprocess.run(can, capture_output=True).returncode:
        pytest.skip("namespaces need root, and tools of util-linux")
    folder = Path(tempfile.mkdtemp(dir="/opt"))
    folder.chmod(0o755)
    (folder / "home").mkdir(mode=0o700)
    shutil.chown(folder / "home", "nobody")
    yield folder
    shutil.rmtree(folder)


def confine(room: Path, text: str, seconds: int = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    given = [f"{name}={value}" for name, value in ({"PATH": "/usr/bin:/bin"} | variables).items()]
    command = [str(GITHUB / "scripts" / "confine"), "nobody", str(room / "home"), str(seconds), *given]
    return subprocess.run(
        [*command, "bash", "-c", text],
        capture_output=True, text=True, env=os.environ | {"GITHUB_TOKEN": "secret"}, timeout=3000,
    )  # fmt: skip


def test_confined_code_is_somebody_else_without_rights_or_variables(room: Path) -> None:
    done = confine(
        room, "id -un; pwd; tr '\\0' '\\n' < /proc/$$/environ; grep -E '^(Cap|NoNewPrivs)' /proc/self/status", HOME="/h"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == ["nobody", str(room / "home"), "PATH=/usr/bin:/bin", "HOME=/h"]
    assert re.findall(r"^(\w+)=", done.stdout, re.MULTILINE) == ["PATH", "HOME"]
    assert re.findall(r"(Cap\w+):\t(\w+)", done.stdout) == [
        (name, "0" * 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ]
    assert "NoNewPrivs:\t1" in done.stdout


def test_confined_code_reaches_no_network_no_process_and_no_socket(room: Path) -> None:
    """T8."""
    hidden = "find /run /home /tmp /var/tmp /dev/shm -mindepth 1 ! -type d"
    done = confine(room, f"tail -n +3 /proc/net/dev | cut -d: -f1; {hidden}; ls -d /proc/[0-9]* | wc -l")
    assert done.returncode == 0, done.stderr
    device, processes = done.stdout.split()
    assert device == "lo" and int(processes) <= 6
    for address in ("127.0.0.1/22", "1.1.1.1/53"):
        assert "unreachable" in confine(room, f"exec 3<> /dev/tcp/{address}").stderr


def test_confined_code_finds_only_devices_that_every_program_may_use(room: Path) -> None:
    """T8: no tun, no fuse, no vsock, no disk, no terminal; those that are there work."""
    done = confine(room, "find /dev -mindepth 1 ! -type l | sort; echo x > /dev/null; head -c 2 /dev/zero | wc -c")
    assert done.returncode == 0, done.stderr
    devices = [f"/dev/{name}" for name in ("full", "null", "random", "shm", "urandom", "zero")]
    assert done.stdout.split() == [*devices, "2"]
    assert "Permission denied" in confine(room, "touch /dev/x").stderr


def test_confined_code_writes_only_to_its_home(room: Path) -> None:
    (room / "open").mkdir()
    (room / "open").chmod(0o777)
    text = f"echo 1 > {room}/home/kept; echo 2 > /tmp/lost; echo 3 > {room}/open/x; touch /var/tmp/lost /dev/shm/lost"
    done = confine(room, f"set -x; {text}; cat /tmp/lost")
    assert done.stdout == "2\n" and "Read-only file system" in done.stderr
    assert (room / "home" / "kept").read_text() == "1\n"
    assert not (room / "open" / "x").exists()
    assert not any(Path(folder, "lost").exists() for folder in ("/tmp", "/var/tmp", "/dev/shm"))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_confined_code_leaves_no_process_behind(room: Path) -> None:
    """T8: neither a session of its own nor a signal that it ignores outlives the time limit."""
    mark = f"9{os.getpid()}"
    done = confine(room, f"setsid sleep {mark} & (trap '' TERM; exec -a x sleep {mark}) & exit 5")
    assert done.returncode == 5
    late = confine(room, f"trap '' TERM HUP; setsid sleep {mark} & sleep {mark}", seconds=1)
    assert late.returncode == 137
    # The kernel ends the rest as soon as the first process inside is gone.
    for _ in range(600):
        alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in read(path)]
        if not alive:
            break
        threading.Event().wait(0.1)
    assert alive == []


def test_confined_code_cannot_fill_the_disk_with_one_file(room: Path) -> None:
    done = confine(room, "trap '' XFSZ; truncate -s 600M big; truncate -s 100M small; ls")
    assert "File too large" in done.stderr and done.stdout.split()[-1] == "small"
