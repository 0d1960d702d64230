"""What a suite needs before it can be evaluated: what is there, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.content import hub, photographs
from benchmark.content.lpips import describe_perceptual, perceptual_path
from benchmark.content.networks import is_network_cached
from benchmark.metrics.spec import get_metric
from benchmark.suites.lock import Lock
from benchmark.suites.spec import HubData, Source, Suite

__all__ = ["Need", "find_needs"]

MB = 10**6


@dataclass(frozen=True)
class Need:
    """One thing that a suite needs.

    Attributes:
        present: whether it lies here already.
        megabytes: what has to be downloaded (10**6 bytes) if it is not present; None: not known.
        note: where it lies, or how to get it.
        unpacked_mb: disk that it takes for a time beside the download (10**6 bytes).
    """

    name: str
    present: bool
    megabytes: int | None
    note: str
    unpacked_mb: int = 0


def _network(name: str, source: Source, lock: Lock) -> Need:
    if source.repo_id is None:
        folder = source.directory()
        return Need(name, folder.is_dir(), 0, "embedded" if folder.is_dir() else f"{folder} is absent")
    revision = source.revision or lock.revisions.get(source.repo_id)
    if revision is None:
        return Need(name, False, source.megabytes, f"the revision of {source.repo_id} is not known yet")
    present = is_network_cached(source.repo_id, revision)
    state = "in the cache of the Hub's client" if present else "fetched from the Hub when it is needed"
    return Need(name, present, source.megabytes, f"{source.repo_id}: {state}")


def _data(suite: Suite, lock: Lock) -> Need:
    data = suite.dataset
    if data.source == "frozen":
        return Need("images", True, 0, "embedded")
    if isinstance(data, HubData):
        revision = data.revision or lock.revisions.get(data.repo_id)
        present = revision is not None and all(
            hub.is_cached(data.repo_id, revision, file, repo_type="dataset") for file in data.files
        )
        return Need("images", present, None, f"{data.repo_id} on the Hub")
    release = photographs.RELEASES[data.split] if data.source == "coco" else photographs.COCO
    state = photographs.find_state(data.source, release=release)
    unpacked = -(-(state.disk_bytes - state.download_bytes) // MB)
    return Need("images", state.present, -(-state.download_bytes // MB) or None, state.note, unpacked)


def find_needs(suite: Suite, lock: Lock) -> Iterator[Need]:
    """Yield everything that a suite needs: images, targets, judge, perceptual network. Nothing is fetched."""
    yield _data(suite, lock)
    for target in suite.targets:
        yield _network(target.id, target.source, lock)
    if suite.judge:
        yield _network("judge", suite.judge, lock)
    if any("perceptual" in get_metric(metric).needs for metric in suite.metrics):
        yield Need("perceptual network", perceptual_path().is_file(), 244, describe_perceptual())
