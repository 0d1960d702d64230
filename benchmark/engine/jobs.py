"""What an evaluation is made of before it runs: inverses, networks, chunks, and the keys that chunks are kept under."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.content.content import Content
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.confinement import available
from benchmark.engine.devices import get_device_name
from benchmark.engine.networks import load_metric_networks
from benchmark.engine.precision import OFFICIAL, Arithmetic
from benchmark.engine.scorer import TILE
from benchmark.engine.worker import open_inverse
from benchmark.errors import SpecError
from benchmark.files.canonical import sha256_file
from benchmark.files.import_graph import code_digest, library_versions
from benchmark.inverses.base import Inverter
from benchmark.inverses.spec import get_method
from benchmark.metrics.case import Networks
from benchmark.records.record import InverseInfo
from benchmark.submissions.candidates import Candidate, describe_candidate
from benchmark.suites.audit import audit_images
from benchmark.suites.spec import Source
from benchmark.targets.files import digest_weights

__all__ = ["WHOLE", "Chunk", "Job", "Options", "Share", "open_job"]


ENGINE = "benchmark.engine.evaluation"
"""The module that reaches all that computes a score."""


@dataclass(frozen=True)
class Share:
    """Every `count`-th chunk, from the one at `index` on: what one of several processes computes."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"


WHOLE = Share(0, 1)


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        batch_size: images kept and checkpointed together.
        limit: only the first so many images.
        audited: with `limit`, the audit images beyond it as well.
        targets: only these targets.
        share: what of it this process computes.
        arithmetic: of the networks.
        log: where a line of JSON goes for every chunk that is done.
        trace: where a trace of one tile goes.
    """

    device: torch.device
    batch_size: int = 16
    limit: int | None = None
    targets: tuple[str, ...] | None = None
    share: Share = WHOLE
    arithmetic: Arithmetic = OFFICIAL
    log: Path | None = None
    trace: Path | None = None
    audited: bool = False


class Chunk(NamedTuple):
    """Images that are kept together: their places in the suite, in order."""

    places: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of its file, which tells its images: where runs of them begin, and how long they are."""
        begins = [at for at, place in enumerate(self.places) if at == 0 or place != self.places[at - 1] + 1]
        runs = pairwise([*begins, len(self.places)])
        return "+".join(f"{self.places[begin]:06d}-{end - begin:04d}" for begin, end in runs)


@dataclass(frozen=True, eq=False)
class Job:
    """An evaluation before it runs.

    Attributes:
        ids: of the images.
        chunks: how they are kept.
        loaded: by target, the inverse and where it came from.
        circumstances: by target, all that could change its chunks, as JSON values.
    """

    ids: tuple[str, ...]
    chunks: tuple[Chunk, ...]
    networks: Networks
    loaded: dict[str, tuple[Inverter, InverseInfo]]
    circumstances: dict[str, dict[str, Any]]

    def shared(self, share: Share) -> tuple[Chunk, ...]:
        """Chunks of a share, the same for every target."""
        return self.chunks[share.index :: share.count]

    @cached_property
    def stores(self) -> dict[str, ChunkStore]:
        """Where the chunks of each target are kept."""
        return {target: ChunkStore(known) for target, known in self.circumstances.items()}


def _hash_network(content: Content, source: Source) -> dict[str, str]:
    """SHA-256 by name of the files of a network, which are compared with the lock before."""
    content.network(source)
    return {path.name: sha256_file(path) for path in content.network_files(source).values()}


def _circumstances(content: Content, candidate: Candidate, networks: Networks, options: Options) -> dict[str, Any]:
    """What chunks are keyed by beside their target and inverse: all that could change them, as JSON values.

    Code is what the engine can reach, and what the candidate's own can. A draft lock pins neither the judge nor the
    images, so that they are looked at themselves.
    """
    suite, lock, device = content.suite, content.lock, options.device
    return {
        "suite": suite.digest,
        "lock": lock.digest,
        "images": content.images.fingerprint() if lock.draft else None,
        "judge": _hash_network(content, suite.judge) if suite.judge else None,
        "perceptual": networks.perceptual is not None,
        "method": candidate.method,
        "code": code_digest(ENGINE, *([candidate.code] if candidate.code else [])),
        "libraries": library_versions(),
        "device": [device.type, get_device_name(device)],
        "threads": torch.get_num_threads(),
        **({"isolated": available()} if candidate.isolated else {}),
        **asdict(options.arithmetic),
    }


def _choose(content: Content, options: Options) -> tuple[int, ...]:
    """The places, in the suite, of the images that are evaluated."""
    ids = content.images.ids
    audited = audit_images(content.suite, content.lock, ids) if options.audited else ()
    beyond = len(ids) if options.limit is None else options.limit
    return tuple(place for place, image in enumerate(ids) if place < beyond or image in audited)


def _split(places: Sequence[int], batch_size: int) -> Iterator[Chunk]:
    size = max(1, -(-batch_size // TILE)) * TILE
    for first in range(0, len(places), size):
        yield Chunk(tuple(places[first : first + size]))


def open_job(content: Content, candidate: Candidate, options: Options) -> Job:
    """Load what an evaluation of a candidate needs, but the targets.

    Raises:
        UserError: it cannot be evaluated; says why.
    """
    suite = content.suite
    chosen = [suite.target(name) for name in options.targets or [target.id for target in suite.targets]]
    if get_method(candidate.method).trained:
        chosen = [target for target in chosen if target.id in candidate.inverses]
        if not chosen:
            raise SpecError(f"has no inverse of {', '.join(options.targets or ())}", where=candidate.id)
    content.check_perturbed()
    networks = load_metric_networks(content, options.device)
    hashes = {target.id: _hash_network(content, target.source) for target in chosen}
    loaded = {}
    for target in chosen:
        config, info = describe_candidate(candidate, target, digest_weights(hashes[target.id]))
        loaded[target.id] = open_inverse(content, candidate, config, options.device, options.arithmetic), info
    shared = _circumstances(content, candidate, networks, options)
    circumstances = {
        name: shared | {"target": name, "network": hashes[name], "inverse": info.model_dump(mode="json")}
        for name, (_, info) in loaded.items()
    }
    places = _choose(content, options)
    ids = tuple(content.images.ids[place] for place in places)
    return Job(ids, tuple(_split(places, options.batch_size)), networks, loaded, circumstances)
