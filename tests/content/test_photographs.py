"""Getting the data: downloads from a real server that may fail in every way, unpacking, adopted folders."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.content.photographs import COCO, Archive, Release, adopt, fetch_coco, find_state, locate_photographs
from benchmark.datasets import open_images
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.suites.spec import CocoData, ImagenetData

PHOTOGRAPHS = 12
SPEC = CocoData(
    source="coco", images=3, description="x", resize="pillow-bilinear", split="val2017", salt="coco@1:",
    share=(0.05, 0.6),
)  # fmt: skip


@dataclass
class Fault:
    """How the server answers the next `times` requests of a path."""

    times: int = 1
    status: int | None = None
    cut: int | None = None
    reset: bool = False
    body: bytes | None = None
    pause: bool = False
    no_range: bool = False
    no_length: bool = False


@dataclass
class Site:
    """Files by path, faults by path, and what was asked for: (path, range)."""

    files: dict[str, bytes]
    url: str = ""
    faults: dict[str, Fault] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


def make_handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append((self.path, wanted))
            fault = site.faults.get(self.path, Fault(times=0))
            fault = fault if fault.times > 0 else Fault()
            if self.path in site.faults:
                site.faults[self.path].times -= 1
            if fault.status or self.path not in site.files:
                self.send_error(fault.status or 404)
                return
            content = site.files[self.path] if fault.body is None else fault.body
            found = None if fault.no_range else re.fullmatch(r"bytes=(\d+)-", wanted or "")
            start = int(found[1]) if found else 0
            self.send_response(206 if found else 200)
            if found:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if not fault.no_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content) if fault.cut is None else start + fault.cut
            self.wfile.write(content[start:end])
            if fault.pause:
                site.go_on.wait(60)
            if fault.reset:
                time.sleep(0.3)  # A reset swallows what has not been read yet.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.connection.detach())

    return Handler


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(value).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


ANNOTATIONS = json.dumps(
    {
        "images": [
            {"id": i, "file_name": f"{i:012d}.jpg", "height": 120, "width": 160} for i in range(1, PHOTOGRAPHS + 1)
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": [[5, 5, 65, 5, 65, 65, 5, 65]]}
            for i in range(1, PHOTOGRAPHS + 1)
        ],
    }
).encode()
MEMBERS = {f"val2017/{i:012d}.jpg": jpeg(i) for i in range(1, PHOTOGRAPHS + 1)}


def make_zip(members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def make_release(archives: Mapping[str, bytes], url: str) -> Release:
    """A release in the layout of COCO's own, of these archives."""
    own = {archive.path: archive for archive in COCO.archives}
    described = tuple(
        replace(own[path], bytes=len(body), sha256=hashlib.sha256(body).hexdigest(), unpacked_bytes=1_000_000)
        for path, body in archives.items()
    )
    return Release(url, described, "val2017", hashlib.sha256(ANNOTATIONS).hexdigest(), PHOTOGRAPHS)


VAL, LABELS = (archive.path for archive in COCO.archives)
OTHERS = {"val2017/": b"", "val2017/notes.txt": b"x", "annotations/captions_val2017.json": b"{}"}
ARCHIVES = {
    VAL: make_zip(MEMBERS | OTHERS),
    LABELS: make_zip({"annotations/instances_val2017.json": ANNOTATIONS} | OTHERS, zipfile.ZIP_DEFLATED),
}


@pytest.fixture
def site() -> Iterator[Site]:
    """A server of the two archives."""
    site = Site({f"/{path}": body for path, body in ARCHIVES.items()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(site))
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield site
    site.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def release(site: Site) -> Release:
    return make_release(ARCHIVES, site.url)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the data that a user has."""
    folder = tmp_path / "own"
    for name, content in (MEMBERS | {"annotations/instances_val2017.json": ANNOTATIONS}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


WHOLE = MEMBERS | {"annotations/instances_val2017.json": ANNOTATIONS}


def test_the_official_archives_are_pinned() -> None:
    assert [(a.path, a.bytes, a.sha256[:8]) for a in COCO.archives] == [
        ("zips/val2017.zip", 815_585_330, "4f7e2ccb"),
        ("annotations/annotations_trainval2017.zip", 252_907_541, "113a836d"),
    ]
    assert COCO.base_url == "https://s3.amazonaws.com/images.cocodataset.org"
    assert (COCO.annotations_sha256[:8], COCO.images) == ("e8c7f790", 5000)


def test_only_what_is_needed_is_unpacked_and_archives_go(site: Site, release: Release, cache: Path) -> None:
    folder = fetch_coco(release=release)
    assert folder == cache / "data" / "coco" == locate_photographs("coco")
    assert contents(folder) == WHOLE
    assert [path.name for path in (cache / "downloads").iterdir()] == ["lock"]
    assert [path.name for path in (cache / "data").iterdir()] == ["coco"]
    assert len(open_images(SPEC, folder).ids) == 3


def test_what_lies_there_whole_is_not_asked_for_again(site: Site, release: Release) -> None:
    fetch_coco(release=release)
    site.asked.clear()
    fetch_coco(release=release)
    assert site.asked == []


@pytest.mark.parametrize("damage", ["absent", "empty", "annotations"])
def test_what_was_damaged_since_is_fetched_again(site: Site, release: Release, damage: str) -> None:
    folder = fetch_coco(release=release)
    photograph = folder / "val2017" / "000000000003.jpg"
    if damage == "absent":
        photograph.unlink()
    elif damage == "empty":
        photograph.write_bytes(b"")
    else:
        (folder / "annotations/instances_val2017.json").write_text("{}")
    assert contents(fetch_coco(release=release)) == WHOLE


def test_archives_stay_if_wanted_and_are_used_again(site: Site, release: Release, cache: Path) -> None:
    folder = fetch_coco(release=release, keep=True)
    assert {path.name for path in (cache / "downloads").iterdir()} == {
        "lock", "val2017.zip", "annotations_trainval2017.zip",
    }  # fmt: skip
    shutil.rmtree(folder)
    site.asked.clear()
    assert contents(fetch_coco(release=release)) == WHOLE
    assert site.asked == []


def test_another_address_may_be_given(site: Site, release: Release) -> None:
    elsewhere = replace(release, base_url="http://127.0.0.1:1")
    assert contents(fetch_coco(base_url=f"{site.url}/", release=elsewhere)) == WHOLE
    with pytest.raises(SpecError, match="file:///etc: not an address of the web"):
        fetch_coco(base_url="file:///etc", release=release)


@pytest.mark.parametrize("reset", [False, True])
def test_a_download_that_breaks_off_goes_on_where_it_stood(site: Site, release: Release, reset: bool) -> None:
    site.faults[f"/{VAL}"] = Fault(times=2, cut=60_000, reset=reset)
    assert contents(fetch_coco(release=release)) == WHOLE
    ranges = [wanted for path, wanted in site.asked if path == f"/{VAL}"]
    assert ranges[0] is None and len(ranges) == 3
    assert ranges[1:] == ["bytes=60000-", "bytes=120000-"]


def test_a_later_call_goes_on_where_an_earlier_one_failed(site: Site, release: Release, cache: Path) -> None:
    site.faults[f"/{VAL}"] = Fault(times=1, cut=60_000)
    site.files.pop(f"/{LABELS}")
    with pytest.raises(UserError, match="404"):
        fetch_coco(release=release)
    part = cache / "downloads" / "val2017.zip"
    part.rename(part.with_suffix(".zip.part"))
    os.truncate(part.with_suffix(".zip.part"), 70_000)
    site.files[f"/{LABELS}"] = ARCHIVES[LABELS]
    site.asked.clear()
    assert contents(fetch_coco(release=release)) == WHOLE
    assert site.asked == [(f"/{VAL}", "bytes=70000-"), (f"/{LABELS}", None)]


def test_a_server_without_ranges_sends_all_again(site: Site, release: Release, cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "val2017.zip.part").write_bytes(ARCHIVES[VAL][:70_000])
    site.faults[f"/{VAL}"] = Fault(times=9, no_range=True)
    assert contents(fetch_coco(release=release)) == WHOLE
    assert site.asked[0] == (f"/{VAL}", "bytes=70000-")


def test_a_server_without_lengths_will_do(site: Site, release: Release) -> None:
    site.faults[f"/{VAL}"] = Fault(times=1, no_length=True)
    assert contents(fetch_coco(release=release)) == WHOLE


def test_a_server_that_always_breaks_off_at_once_is_one_line(site: Site, release: Release) -> None:
    site.faults[f"/{VAL}"] = Fault(times=99, cut=0)
    with pytest.raises(UserError, match=rf"{site.url}/{VAL}: the connection broke off.*run the same command again"):
        fetch_coco(release=release)
    assert len(site.asked) == 1


def test_a_damaged_download_is_removed_and_fetched_anew(site: Site, release: Release, cache: Path) -> None:
    body = bytearray(ARCHIVES[VAL])
    body[1000] ^= 1
    site.faults[f"/{VAL}"] = Fault(body=bytes(body))
    with pytest.raises(IntegrityError, match=r"its SHA-256 is .* the file was removed"):
        fetch_coco(release=release)
    assert not list((cache / "downloads").glob("val2017*"))
    assert not (cache / "data").exists()
    assert contents(fetch_coco(release=release)) == WHOLE


def test_a_damaged_part_is_removed_too(site: Site, release: Release, cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "val2017.zip.part").write_bytes(b"x" * 70_000)
    with pytest.raises(IntegrityError, match="SHA-256"):
        fetch_coco(release=release)
    assert contents(fetch_coco(release=release)) == WHOLE


def test_a_part_longer_than_the_archive_is_thrown_away(site: Site, release: Release, cache: Path) -> None:
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "val2017.zip.part").write_bytes(b"x" * (len(ARCHIVES[VAL]) + 1))
    assert contents(fetch_coco(release=release)) == WHOLE


@pytest.mark.parametrize("body", [b"<html>Log in</html>", ARCHIVES[VAL] + b"x"])
def test_another_file_is_refused_before_it_is_downloaded(site: Site, release: Release, body: bytes) -> None:
    site.faults[f"/{VAL}"] = Fault(body=body)
    with pytest.raises(IntegrityError, match=rf"the server offers {len(body):,} bytes, the archive has"):
        fetch_coco(release=release)


@pytest.mark.parametrize(
    ("status", "message"), [(404, "error 404: Not Found .*--coco-dir"), (503, "error 503: .*try again later")]
)
def test_refusals_of_the_server_are_one_line(site: Site, release: Release, status: int, message: str) -> None:
    site.faults[f"/{VAL}"] = Fault(status=status)
    with pytest.raises(UserError, match=f"{site.url}/{VAL}: the server answered with {message}") as caught:
        fetch_coco(release=release)
    assert "\n" not in str(caught.value)
    assert contents(fetch_coco(release=release)) == WHOLE


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "https://127.0.0.1:1"])
def test_unreachable_servers_are_one_line(release: Release, url: str) -> None:
    with pytest.raises(UserError, match=rf"{url}/{VAL}: cannot be reached: \S.*check the network") as caught:
        fetch_coco(base_url=url, release=release)
    assert "\n" not in str(caught.value)


def test_space_is_looked_for_first(site: Site, release: Release, cache: Path) -> None:
    large = replace(release, archives=(replace(release.archives[0], bytes=10**18), release.archives[1]))
    with pytest.raises(UserError, match=r"GB are free, 1000000000\.0 GB are needed .*INVBENCH_CACHE"):
        fetch_coco(release=large)
    assert site.asked == []


SCRIPT = """
import json, sys
from benchmark.errors import UserError
from benchmark.content.photographs import Archive, Release, fetch_coco

url, archives, sha256, images, limit = json.loads(sys.argv[1])
if limit:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
release = Release(url, tuple(Archive(*archive) for archive in archives), "val2017", sha256, images)
try:
    print(fetch_coco(release=release))
except UserError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def start(release: Release, limit: int = 0) -> subprocess.Popen[str]:
    archives = [[a.path, a.bytes, a.sha256, a.members, a.unpacked_bytes] for a in release.archives]
    argument = json.dumps([release.base_url, archives, release.annotations_sha256, release.images, limit])
    command = [sys.executable, "-c", SCRIPT, argument]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_after_it_was_stopped(
    site: Site, release: Release, cache: Path, number: signal.Signals
) -> None:
    site.faults[f"/{VAL}"] = Fault(times=1, cut=100_000, pause=True)
    part = cache / "downloads" / "val2017.zip.part"
    with start(release) as process:
        wait_for(lambda: part.exists() and part.stat().st_size == 100_000)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    site.go_on.set()
    site.asked.clear()
    assert contents(fetch_coco(release=release)) == WHOLE
    assert site.asked[0] == (f"/{VAL}", "bytes=100000-")


def test_two_processes_do_not_mix(site: Site, release: Release) -> None:
    site.faults[f"/{VAL}"] = Fault(times=1, cut=100_000, pause=True)
    with start(release) as process:
        wait_for(lambda: len(site.asked) == 1)
        with pytest.raises(UserError, match="another process is fetching"):
            fetch_coco(release=release)
        site.go_on.set()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0, out
    assert contents(Path(out.strip())) == WHOLE


def test_a_full_disk_is_one_line_and_the_download_goes_on_later(site: Site, release: Release, cache: Path) -> None:
    with start(release, limit=50_000) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert re.fullmatch(r"\S+val2017\.zip\.part: cannot be stored: File too large \(free some space.*\)\n", out)
    assert contents(fetch_coco(release=release)) == WHOLE


def fetch_archives(site: Site, archives: dict[str, bytes], **changes: Any) -> Path:
    shutil.rmtree(os.environ["INVBENCH_CACHE"], ignore_errors=True)
    site.files = {f"/{path}": body for path, body in archives.items()}
    release = make_release(archives, site.url)
    return fetch_coco(release=replace(release, **changes))


@pytest.mark.parametrize(
    "name", ["../000000000001.jpg", "val2017/../../000000000001.jpg", "/val2017/000000000001.jpg", "val2017\\..\\x.jpg"]
)
def test_members_never_leave_the_folder(site: Site, cache: Path, tmp_path: Path, name: str) -> None:
    folder = fetch_archives(site, ARCHIVES | {VAL: make_zip(MEMBERS | {name: b"evil"})})
    assert contents(folder) == WHOLE
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]


def test_bombs_are_refused_before_they_are_unpacked(site: Site, cache: Path) -> None:
    bomb = make_zip(MEMBERS | {"val2017/000000000099.jpg": bytes(2_000_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(IntegrityError, match=r"would unpack to [\d,]+ bytes, at most 1,000,000 are expected"):
        fetch_archives(site, ARCHIVES | {VAL: bomb})
    assert not (cache / "data" / "coco").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_do_not_hold_what_they_should_are_one_line(site: Site, cache: Path) -> None:
    few = dict(list(MEMBERS.items())[1:])
    with pytest.raises(SpecError, match=r"000000000001\.jpg: photograph is absent"):
        fetch_archives(site, ARCHIVES | {VAL: make_zip(few)})
    with pytest.raises(IntegrityError, match="lists 12 photographs, not 13"):
        fetch_archives(site, ARCHIVES, images=13)
    other = make_zip({"annotations/instances_val2017.json": b"{}"})
    with pytest.raises(IntegrityError, match=r"its SHA-256 is .* that of COCO's own file"):
        fetch_archives(site, ARCHIVES | {LABELS: other})
    with pytest.raises(IntegrityError, match="cannot be unpacked: File is not a zip file"):
        fetch_archives(site, ARCHIVES | {VAL: b"not a zip" * 9})
    twice = io.BytesIO(ARCHIVES[VAL])
    with zipfile.ZipFile(twice, "a") as file:
        file.writestr("val2017/000000000001.jpg", b"x")
    with pytest.raises(IntegrityError, match="holds two members of one name"):
        fetch_archives(site, ARCHIVES | {VAL: twice.getvalue()})
    broken = bytearray(ARCHIVES[LABELS])
    broken[120] ^= 255
    with pytest.raises(IntegrityError, match="cannot be unpacked"):
        fetch_archives(site, ARCHIVES | {LABELS: bytes(broken)})
    assert not (cache / "data" / "coco").exists()


def test_a_folder_that_you_have_is_remembered(own: Path, release: Release, cache: Path, tmp_path: Path) -> None:
    before = contents(own)
    assert adopt("coco", own / ".." / "own", SPEC, release=release) == own
    assert locate_photographs("coco") == own
    assert json.loads((cache / "data" / "coco.json").read_text()) == {"folder": str(own)}
    assert contents(own) == before
    assert not (cache / "downloads").exists()


def test_the_last_word_counts(own: Path, release: Release, site: Site, cache: Path) -> None:
    adopt("coco", own, SPEC, release=release)
    assert fetch_coco(release=release) == locate_photographs("coco") == cache / "data" / "coco"
    adopt("coco", own, SPEC, release=release)
    assert locate_photographs("coco") == own
    assert contents(own) == WHOLE


def test_folders_that_are_not_coco_are_refused_by_name(own: Path, release: Release) -> None:
    photograph = own / "val2017" / "000000000005.jpg"
    with pytest.raises(SpecError, match=r"no such file .*must hold val2017/ and annotations/"):
        adopt("coco", own / "val2017", SPEC, release=release)
    with pytest.raises(IntegrityError, match=r"instances_val2017\.json: its SHA-256 is .*COCO's own"):
        adopt("coco", own, SPEC)
    with pytest.raises(SpecError, match="of train2017 is not known"):
        adopt("coco", own, SPEC.model_copy(update={"split": "train2017"}), release=release)
    photograph.write_bytes(b"")
    with pytest.raises(SpecError, match=r"000000000005\.jpg: photograph is empty"):
        adopt("coco", own, SPEC, release=release)
    photograph.unlink()
    with pytest.raises(SpecError, match=r"000000000005\.jpg: photograph is absent"):
        adopt("coco", own, SPEC, release=release)
    with pytest.raises(SpecError, match="not here"):
        locate_photographs("coco")


def test_imagenet_is_adopted_if_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "val"
    for label in range(2):
        (folder / f"n{label:08d}").mkdir(parents=True)
        (folder / f"n{label:08d}" / f"{label}.JPEG").write_bytes(jpeg(label))
    spec = ImagenetData(
        source="imagenet", images=2, description="x", resize="pillow-bilinear", salt="imagenet@1:", pool=2
    )
    with pytest.raises(SpecError, match="holds 2 photographs"):
        adopt("imagenet", folder, spec.model_copy(update={"pool": 3}))
    with pytest.raises(SpecError, match=r"imagenet are not here \(ImageNet cannot be .*--imagenet-dir"):
        locate_photographs("imagenet")
    assert adopt("imagenet", folder, spec) == locate_photographs("imagenet") == folder
    assert find_state("imagenet").present


def test_absent_and_vanished_data_are_told_with_the_cure(own: Path, release: Release, cache: Path) -> None:
    with pytest.raises(SpecError, match=r"coco are not here \(invbench data fetch coco; or.*--coco-dir DIR"):
        locate_photographs("coco")
    adopt("coco", own, SPEC, release=release)
    shutil.rmtree(own)
    with pytest.raises(SpecError, match=r"own: the folder of coco is gone \(invbench data fetch coco"):
        locate_photographs("coco")
    (cache / "data" / "coco.json").write_text("[]")
    with pytest.raises(SpecError, match=r"coco\.json: cannot be read"):
        locate_photographs("coco")


def test_a_doctor_is_told_what_is_there_and_what_is_missing(site: Site, release: Release, cache: Path) -> None:
    total = sum(map(len, ARCHIVES.values()))
    state = find_state("coco", release=release)
    assert (state.present, state.folder, state.download_bytes) == (False, None, total)
    assert state.disk_bytes == total + 2_000_000
    assert "invbench data fetch coco" in state.note
    (cache / "downloads").mkdir(parents=True)
    (cache / "downloads" / "val2017.zip.part").write_bytes(ARCHIVES[VAL][:70_000])
    assert find_state("coco", release=release).download_bytes == total - 70_000
    folder = fetch_coco(release=release)
    state = find_state("coco", release=release)
    assert (state.present, state.folder, state.download_bytes, state.disk_bytes) == (True, folder, 0, 0)
    assert state.note == str(folder)
    state = find_state("imagenet")
    assert (state.present, state.download_bytes, state.disk_bytes) == (False, 0, 0)
    assert find_state("coco", release=Release("x", (Archive("a", 1, "0", "a", 1),), "val2017", "0", 1)).present
