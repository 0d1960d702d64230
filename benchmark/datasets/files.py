"""Image files of your own, paired by name."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from benchmark.datasets.decoding import EXTENSIONS
from benchmark.errors import SpecError, first_line

__all__ = ["find_file", "list_images", "pair_files"]

NAMED = 3


def find_file(folder: Path, name: str) -> Path:
    """Return the path of a file of a folder, whichever Unicode form of its name is there; `name` itself if none is."""
    forms = (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name))
    return next((folder / form for form in forms if (folder / form).exists()), folder / name)


def list_images(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by name without extension, ascending; hidden files and subfolders do not count.

    Names are in Unicode's composed form (NFC), as most systems write them; archives made on a Mac hold decomposed ones.

    Raises:
        SpecError: there are none, or two of one name.
    """
    images: dict[str, Path] = {}
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise SpecError(f"cannot be listed: {first_line(error)}", where=str(folder)) from None
    for path in paths:
        if path.name.startswith(".") or path.suffix[1:].lower() not in EXTENSIONS or not path.is_file():
            continue
        name = unicodedata.normalize("NFC", path.stem)
        if name in images:
            message = f"both {images[name].name} and {path.name} are named '{name}'"
            raise SpecError(message, where=str(folder), cure="keep one of them")
        images[name] = path
    if not images:
        raise SpecError("holds no images", where=str(folder), cure=f"known extensions: {', '.join(EXTENSIONS)}")
    return dict(sorted(images.items()))


def _refuse_unpaired(first: Path, second: Path, names: set[str], partners: set[str]) -> None:
    if missing := sorted(names - partners):
        shown = ", ".join(missing[:NAMED]) + (", ..." if len(missing) > NAMED else "")
        message = f"no partner for {len(missing)} of the {len(names)} images of {first}: {shown}"
        raise SpecError(message, where=str(second), cure="files pair by their name without extension")


def pair_files(sources: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Return files by image name and role: of one file a role, or of one folder a role, paired by name.

    Args:
        sources: a file or a folder by role; the first one names the images.

    Raises:
        SpecError: one is absent, files and folders are mixed, a folder holds no images, or a file has no partner.
    """
    first, *others = sources
    for path in sources.values():
        if not path.exists():
            raise SpecError("no such file or folder", where=str(path))
        if path.is_dir() != sources[first].is_dir():
            kinds = ("a folder", "a file") if path.is_dir() else ("a file", "a folder")
            message = f"is {kinds[0]}, but {sources[first]} is {kinds[1]}"
            raise SpecError(message, where=str(path), cure="give files, or give folders")
        if not path.is_dir() and not path.is_file():
            raise SpecError("neither a file nor a folder", where=str(path))
    if not sources[first].is_dir():
        return {sources[first].stem: dict(sources)}
    listed = {role: list_images(path) for role, path in sources.items()}
    for role in others:
        names, partners = set(listed[first]), set(listed[role])
        _refuse_unpaired(sources[first], sources[role], names, partners)
        _refuse_unpaired(sources[role], sources[first], partners, names)
    return {name: {role: listed[role][name] for role in sources} for name in listed[first]}
