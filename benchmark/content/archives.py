"""Published archives: downloaded with resume, compared with their SHA-256, and unpacked name by name.

Below the cache `downloads/` holds archives and parts of them. Import-light.

No library does the downloading, because none keeps all of it: pooch starts again from the beginning, and the Hub
client's `http_get` writes ten megabytes at a time, of which a killed process loses what has come, learns that the size
is wrong only at the end, and takes any range for the one it asked for.
"""

from __future__ import annotations

import http.client
import re
import shutil
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmark.errors import IntegrityError, UserError, first_line
from benchmark.files.cache import cache_root
from benchmark.files.canonical import sha256_file
from benchmark.files.storing import ANOTHER_CACHE, storing

__all__ = ["Archive", "download_archive", "downloads_folder", "unpack"]

CHUNK = 1 << 20
TIMEOUT_S = 60
ATTEMPTS = 8
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)", re.ASCII)
AGAIN = "rerun the command to resume"


@dataclass(frozen=True)
class Archive:
    """A zip file of a release.

    Attributes:
        path: below the release's address.
        bytes: its size.
        sha256: of its content (hex).
        members: regular expression of the members that are unpacked.
        unpacked_bytes: the most that these may take together.
    """

    path: str
    bytes: int
    sha256: str
    members: str
    unpacked_bytes: int

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def downloads_folder() -> Path:
    """Return where archives and parts of them lie."""
    return cache_root() / "downloads"


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn a failure of the network into one line."""
    message, cure = "", "check the network and HTTPS_PROXY; then run the same command again"
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        message, cure = f"the server answered with error {error.code}: {first_line(error.reason)}", "try again later"
        if error.code in (403, 404, 410):
            cure = "if you have the files, name their folder with --coco-dir"
    except urllib.error.URLError as error:
        message = f"cannot be reached: {first_line(error.reason)}"
    except TimeoutError:
        message = f"no answer within {TIMEOUT_S} s"
    except (OSError, http.client.HTTPException) as error:
        message = f"the connection broke off: {first_line(error)}"
    if message:
        raise UserError(message, where=url, cure=cure)


def _start_offset(answer: Any, asked: int, archive: Archive, url: str) -> int:
    """Return at which byte an answer starts.

    Raises:
        IntegrityError: it is not of the archive's size.
    """
    start, length = 0, answer.headers.get("Content-Length")
    size = int(length) if length and length.isdecimal() else archive.bytes
    if answer.status == 206:
        content_range = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        start, size = (int(content_range[1]), int(content_range[2])) if content_range else (-1, 0)
    if size != archive.bytes or start not in (0, asked):
        message = f"the server offers {size:,} bytes, the archive has {archive.bytes:,}"
        raise IntegrityError(message, where=url, cure="something between here and there may answer instead")
    return start


def _read_on(url: str, part: Path, archive: Archive) -> None:
    """Add to a part what one answer of the server brings.

    Raises:
        UserError: nothing came, or it could not be stored.
        IntegrityError: the server has another file.
    """
    asked = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "invbench", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers | ({"Range": f"bytes={asked}-"} if asked else {}))
    with _reaching(url):
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    with answer:
        start = _start_offset(answer, asked, archive, url)
        with storing(part, ANOTHER_CACHE):
            file = part.open("ab")
        show: dict[str, Any] = {"unit": "B", "unit_scale": True, "desc": archive.name, "mininterval": 0.5}
        with file, tqdm(total=archive.bytes, initial=start, **show) as bar:
            with storing(part, ANOTHER_CACHE):
                file.truncate(start)
            left = archive.bytes - start
            while left:
                with _reaching(url):
                    body = answer.read1(min(CHUNK, left))  # what has come, so that little is lost
                if not body:
                    raise UserError(f"the connection broke off, {left:,} bytes before the end", where=url, cure=AGAIN)
                with storing(part, ANOTHER_CACHE):
                    file.write(body)
                    file.flush()
                left -= len(body)
                bar.update(len(body))


def download_archive(url: str, archive: Archive) -> Path:
    """Return the archive in the folder of downloads; what is there of it is not downloaded again."""
    path = downloads_folder() / archive.name
    part = path.with_name(f"{archive.name}.part")
    if not path.exists():
        if part.exists() and part.stat().st_size > archive.bytes:
            part.unlink()
        for attempt in range(1, ATTEMPTS + 1):
            before = part.stat().st_size if part.exists() else 0
            if before == archive.bytes:
                break
            try:
                _read_on(url, part, archive)
            except IntegrityError:
                raise
            except UserError:
                # Large downloads break off now and then: try again as long as that gets further.
                if attempt == ATTEMPTS or not part.exists() or part.stat().st_size <= before:
                    raise
        part.replace(path)
    if (digest := sha256_file(path)) != archive.sha256:
        path.unlink()
        message = f"its SHA-256 is {digest[:12]}, must be {archive.sha256[:12]}; the file was removed"
        raise IntegrityError(message, where=url, cure="run the same command again; it fetches the file anew")
    return path


def _list_members(archive: Archive, file: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    members = [member for member in file.infolist() if re.fullmatch(archive.members, member.filename, re.ASCII)]
    if len({member.filename for member in members}) != len(members):
        raise IntegrityError("holds two members of one name", where=str(path))
    if (total := sum(member.file_size for member in members)) > archive.unpacked_bytes:
        message = f"would unpack to {total:,} bytes, at most {archive.unpacked_bytes:,} are expected"
        raise IntegrityError(message, where=str(path))
    return members


def unpack(archive: Archive, path: Path, folder: Path) -> None:
    """Unpack the wanted members of an archive; no other name is ever used for a file."""
    try:
        with zipfile.ZipFile(path) as file:
            for member in tqdm(_list_members(archive, file, path), desc=f"unpack {archive.name}", unit="file"):
                target = folder / member.filename
                with storing(target, ANOTHER_CACHE):
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file.open(member) as source, target.open("wb") as out:
                        shutil.copyfileobj(source, out, CHUNK)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise IntegrityError(f"cannot be unpacked: {first_line(error)}", where=str(path)) from None
