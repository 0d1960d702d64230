"""Photographs of the suites: fetched from COCO's official archives, or found in a folder that you have.

Below the cache: `downloads/` holds archives and parts of them, `data/coco` what was unpacked, each split of COCO beside
the other, and `data/NAME.json` names a folder that was adopted; train2017 has a name of its own, `coco-train2017`.
Archives are compared with their SHA-256 before they are opened. Import-light.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmark.content.archives import Archive, download_archive, downloads_folder, unpack
from benchmark.errors import IntegrityError, SpecError, UserError
from benchmark.files.cache import cache_root, coco_folder
from benchmark.files.canonical import sha256_file
from benchmark.files.json_slices import iter_slices
from benchmark.files.storing import ANOTHER_CACHE, storing, write_text
from benchmark.suites.spec import CocoData, ImagenetData

__all__ = [
    "COCO", "COCO_TRAIN", "RELEASES", "Archive", "DataState", "Release", "adopt", "fetch_coco", "find_state",
    "locate_photographs",
]  # fmt: skip

OWN = "a data set of your own goes with a suite file of your own and --data-dir"
Name = Literal["coco", "imagenet"]
Split = Literal["val2017", "train2017"]
CURES = {
    "coco-train2017": "invbench data fetch coco --split train2017; --coco-dir DIR takes the COCO 2017 that you have",
    "coco": "invbench data fetch coco; or, if you have COCO 2017: invbench data fetch coco --coco-dir DIR",
    "imagenet": "ImageNet cannot be downloaded freely; if you have it: invbench data fetch imagenet --imagenet-dir DIR",
}


@dataclass(frozen=True)
class Release:
    """A published data set in COCO's layout: where its archives lie, and what is known of their content.

    `annotations_sha256` is of the annotation file (hex), `images` the number of photographs.
    """

    base_url: str
    archives: tuple[Archive, ...]
    split: Split
    annotations_sha256: str
    images: int

    @property
    def annotations(self) -> str:
        """The path of the annotation file."""
        return f"annotations/instances_{self.split}.json"


# The host that COCO names, http://images.cocodataset.org, has no certificate of its own; this is the same store. Where
# it cannot be reached, the other may serve as `base_url`: the SHA-256 decides, not the way.
COCO = Release(
    "https://s3.amazonaws.com/images.cocodataset.org",
    (
        Archive(
            "zips/val2017.zip",
            815_585_330,
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
            r"val2017/\d{12}\.jpg",
            900_000_000,
        ),
        Archive(
            "annotations/annotations_trainval2017.zip",
            252_907_541,
            "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
            r"annotations/instances_val2017\.json",
            19_987_840,
        ),
    ),
    "val2017",
    "e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f",
    5_000,
)
COCO_TRAIN = Release(
    COCO.base_url,
    (
        Archive(
            "zips/train2017.zip",
            19_336_861_798,
            "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
            r"train2017/\d{12}\.jpg",
            21_000_000_000,
        ),
        replace(COCO.archives[1], members=r"annotations/instances_train2017\.json", unpacked_bytes=469_785_474),
    ),
    "train2017",
    "610fce4944abdeb15354cc765333805529359d12d88f2f711393ca586901d01d",
    118_287,
)
RELEASES: dict[str, Release] = {release.split: release for release in (COCO, COCO_TRAIN)}


@dataclass(frozen=True)
class DataState:
    """Where photographs lie, or what getting them takes.

    Attributes:
        folder: where they lie; None if they are not present.
        download_bytes: what is still to be downloaded; 0 if they are present or cannot be downloaded.
        disk_bytes: the free space that fetching takes at its peak; 0 likewise.
        note: one line: where they lie, or how to get them.
    """

    present: bool
    folder: Path | None
    download_bytes: int
    disk_bytes: int
    note: str


def _key(name: Name, split: str) -> str:
    return name if name == "imagenet" or split == COCO.split else f"{name}-{split}"


def _record(key: str) -> Path:
    return cache_root() / "data" / f"{key}.json"


@contextmanager
def _alone() -> Iterator[None]:
    """Keep two processes from writing the same files; the system frees the lock however a process ends."""
    path = downloads_folder() / "lock"
    with storing(path, ANOTHER_CACHE):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another process is fetching", where=str(path), cure="wait until it has ended") from None
        except (ImportError, OSError):
            pass  # Some systems have no such locks. Mixed-up parts would not have the right SHA-256.
        yield


def _check(folder: Path, release: Release) -> None:
    """Compare a folder with a release.

    Raises:
        SpecError: the annotation file or a photograph that it lists is absent or empty, or their number differs.
        IntegrityError: the annotation file is another one.
    """
    path = folder / release.annotations
    if not path.is_file():
        raise SpecError("no such file", where=str(path), cure=f"the folder must hold {release.split}/ and annotations/")
    if (digest := sha256_file(path)) != release.annotations_sha256:
        message = f"its SHA-256 is {digest[:12]}, that of COCO's own file is {release.annotations_sha256[:12]}"
        raise IntegrityError(message, where=str(path), cure=f"take it from annotations_trainval2017.zip again; {OWN}")
    images = (image for part in iter_slices(path) if part.key == "images" for image in part.value)
    names = [image["file_name"] for image in images]
    if len(names) != release.images:
        raise IntegrityError(f"lists {len(names):,} photographs, not {release.images:,}", where=str(path))
    for name in names:
        image = folder / release.split / name
        if not image.is_file() or image.stat().st_size == 0:
            state = "is empty" if image.is_file() else "is absent"
            raise SpecError(f"photograph {state}", where=str(image), cure=f"take it from {release.split}.zip again")


def _ready(release: Release) -> bool:
    try:
        _check(coco_folder(), release)
    except UserError:
        return False
    return True


def _missing(release: Release) -> tuple[int, int]:
    """Return how many bytes are still to be downloaded, and how much free space that and unpacking takes."""
    download = 0
    for archive in release.archives:
        path = downloads_folder() / archive.name
        part = path.with_name(f"{archive.name}.part")
        have = archive.bytes if path.exists() else part.stat().st_size if part.exists() else 0
        download += max(archive.bytes - have, 0)
    return download, download + sum(archive.unpacked_bytes for archive in release.archives)


def _check_space(needed: int) -> None:
    root = cache_root()
    nearest = next(path for path in (root, *root.absolute().parents) if path.exists())
    if (free := shutil.disk_usage(nearest).free) < needed:
        raise UserError(
            f"{free / 1e9:.1f} GB are free, {needed / 1e9:.1f} GB are needed to download and unpack",
            where=str(root),
            cure="free some space, or set INVBENCH_CACHE to another folder",
        )


def _put(unfinished: Path, folder: Path, release: Release) -> None:
    """Move a split to where it belongs; its annotation file, without which it counts as absent, goes first and last."""
    (folder / release.annotations).unlink(missing_ok=True)
    (folder / release.annotations).parent.mkdir(parents=True, exist_ok=True)
    if (folder / release.split).exists():
        shutil.rmtree(folder / release.split)
    for name in (release.split, release.annotations):
        (unfinished / name).replace(folder / name)
    shutil.rmtree(unfinished)


def fetch_coco(*, base_url: str | None = None, release: Release = COCO, keep: bool = False) -> Path:
    """Return the folder of COCO's photographs and annotations; they are downloaded unless they lie there whole.

    Both splits have this folder. May be interrupted at any moment: the same call goes on where it stood. From then on
    `locate_photographs` gives this folder, even if another one was adopted before.

    Args:
        base_url: where the archives lie, instead of the release's own address.
        release: what is fetched.
        keep: whether the archives stay in the cache.

    Raises:
        UserError: no room, another process is fetching, or the server cannot be reached; tells which and what to do.
        IntegrityError: an archive is not the official one; it is removed, so that the next call fetches it anew.
    """
    url = (base_url or release.base_url).rstrip("/")
    if not url.startswith(("https://", "http://")):
        raise SpecError("not an address of the web", where=url, cure="it must start with https:// or http://")
    folder = coco_folder()
    with _alone():
        if not _ready(release):
            unfinished = folder.with_name(f"{folder.name}.part")
            with storing(unfinished, ANOTHER_CACHE):
                shutil.rmtree(unfinished, ignore_errors=True)
                _check_space(_missing(release)[1])
            paths = [download_archive(f"{url}/{archive.path}", archive) for archive in release.archives]
            for archive, path in zip(release.archives, paths, strict=True):
                unpack(archive, path, unfinished)
            _check(unfinished, release)
            with storing(folder, ANOTHER_CACHE):
                _put(unfinished, folder, release)
        with storing(folder, ANOTHER_CACHE):
            for archive in release.archives if not keep else ():
                (downloads_folder() / archive.name).unlink(missing_ok=True)
            _record(_key("coco", release.split)).unlink(missing_ok=True)
    return folder


def adopt(name: Name, folder: Path, spec: CocoData | ImagenetData, *, release: Release | None = None) -> Path:
    """Check a folder of photographs that you have, remember it for `locate_photographs`, and return its full path.

    Args:
        release: what a folder of COCO is compared with, if not with the published split that `spec` names.

    Raises:
        SpecError: something is absent, or the folder is not laid out as `spec` says.
        IntegrityError: the annotation file is not COCO's own.
    """
    folder = folder.expanduser().resolve()
    if isinstance(spec, ImagenetData):
        from benchmark.datasets.imagenet import open_imagenet

        open_imagenet(spec, folder)
        key = _key(name, "")
    else:
        _check(folder, release or RELEASES[spec.split])
        key = _key(name, spec.split)
    record = _record(key)
    write_text(record, json.dumps({"folder": str(folder)}), ANOTHER_CACHE)
    return folder


def locate_photographs(name: Name, split: str = COCO.split) -> Path:
    """Return the folder of photographs that was adopted, or else fetched; of COCO the one that holds `split`.

    Raises:
        SpecError: there is none, or the adopted one is gone; tells how to get one.
    """
    key = _key(name, split)
    record = _record(key)
    if record.exists():
        try:
            folder = Path(json.loads(record.read_text(encoding="utf-8"))["folder"])
        except (OSError, ValueError, KeyError, TypeError):
            raise SpecError("cannot be read", where=str(record), cure=CURES[key]) from None
        if not folder.is_dir():
            raise SpecError(f"the folder of {key} is gone", where=str(folder), cure=CURES[key])
        return folder
    if name == "coco" and (coco_folder() / RELEASES[split].annotations).is_file():
        return coco_folder()
    raise SpecError(f"the photographs of {key} are not here", cure=CURES[key])


def find_state(name: Name, *, release: Release = COCO) -> DataState:
    """Return where photographs lie, or what getting them takes. Nothing is fetched, and nothing is hashed."""
    try:
        folder = locate_photographs(name, release.split)
    except SpecError as error:
        download, disk = _missing(release) if name == "coco" else (0, 0)
        return DataState(False, None, download, disk, str(error))
    return DataState(True, folder, 0, 0, str(folder))
