"""The files of a network in Hub layout that are read, and how they are found. Import-light."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import SpecError
from benchmark.files.canonical import digest_of, sha256_file
from benchmark.targets.config import CONFIG, read_json_object

__all__ = [
    "INDEX",
    "PREPROCESSOR",
    "PROCESSOR",
    "WEIGHTS",
    "digest_weights",
    "find_files",
    "find_weights",
    "hash_weights",
    "read_index",
]

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Which tensor lies in which file, where weights are split into several (shards)."""
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
"""Where mean and standard deviation stand; the first that is there counts."""
SHARD = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)
MOST_SHARDS = 1000


def read_index(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of the tensors in each shard, by the name of its file, as an index states them.

    Raises:
        SpecError: absent or malformed; or a shard is not the plain name of a safetensors file.
    """
    mapping = read_json_object(path).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise SpecError("'weight_map' is not an object with the file of each tensor", where=str(path))
    shards: dict[str, list[str]] = {}
    for tensor, name in mapping.items():
        if not isinstance(name, str) or not SHARD.fullmatch(name):
            raise SpecError(f"tensor {tensor!r:.80} is in {name!r:.80}, not in a safetensors file", where=str(path))
        shards.setdefault(name, []).append(tensor)
    if len(shards) > MOST_SHARDS:
        raise SpecError(f"names more than {MOST_SHARDS:,} files", where=str(path))
    return {name: tuple(shards[name]) for name in sorted(shards)}


def find_weights(folder: Path) -> dict[Path, tuple[str, ...] | None]:
    """Return the files of a network's weights, each with the names of its tensors where an index states them.

    One file `model.safetensors` goes before an index and its shards.

    Raises:
        SpecError: neither is there, the index is malformed, or a shard is absent.
    """
    if (folder / WEIGHTS).is_file():
        return {folder / WEIGHTS: None}
    if not (folder / INDEX).is_file():
        raise SpecError(f"no {WEIGHTS}, nor {INDEX}", where=str(folder), cure="pickled weights are never read")
    shards = {folder / name: tensors for name, tensors in read_index(folder / INDEX).items()}
    for path in shards:
        if not path.is_file():
            raise SpecError(f"absent, but {INDEX} names it", where=str(path), cure="fetch all files of the network")
    return dict(shards)


def find_files(folder: Path) -> tuple[Path, ...]:
    """Return every file of a network that is read: configuration, weights, and where normalization stands.

    Raises:
        SpecError: as `find_weights`.
    """
    weights = list(find_weights(folder))
    index = [] if weights == [folder / WEIGHTS] else [folder / INDEX]
    normalization = [path for name in (PREPROCESSOR, PROCESSOR) if (path := folder / name).is_file()][:1]
    return (folder / CONFIG, *index, *weights, *normalization)


def digest_weights(hashes: Mapping[str, str]) -> str:
    """Return what identifies the weights of a network, from the SHA-256 of its files by name.

    That of `model.safetensors`, or else the SHA-256 of the canonical JSON of those of the shards by name.
    """
    if WEIGHTS in hashes:
        return hashes[WEIGHTS]
    return digest_of({name: digest for name, digest in hashes.items() if SHARD.fullmatch(name)})


def hash_weights(folder: Path) -> str:
    """Return `digest_weights` of the network in a folder; raises SpecError as `find_weights`."""
    return digest_weights({path.name: sha256_file(path) for path in find_weights(folder)})
