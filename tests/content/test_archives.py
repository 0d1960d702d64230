"""Archives are downloaded, checked and unpacked, whatever the server, the disk or the archive does. (T16, T17)"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cocosite import ARCHIVES, LABELS, MEMBERS, SPEC, VAL, WHOLE, Fault, Site, contents, make_release, make_zip

from benchmark.content.photographs import Release, fetch_coco, locate_photographs
from benchmark.datasets import open_images
from benchmark.errors import IntegrityError, SpecError, UserError

pytestmark = pytest.mark.usefixtures("cache")


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
    with pytest.raises(UserError, match=rf"{site.url}/{VAL}: the connection broke off.*rerun the command to resume"):
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
    deadline = time.monotonic() + 300
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
        process.communicate(timeout=300)
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
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    assert contents(Path(out.strip())) == WHOLE


def test_a_full_disk_is_one_line_and_the_download_goes_on_later(site: Site, release: Release, cache: Path) -> None:
    with start(release, limit=50_000) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 2, err
    assert re.fullmatch(r"\S+val2017\.zip\.part: cannot be written: File too large \(free some space.*\)\n", out)
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
