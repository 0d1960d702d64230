"""What locking a suite takes: what is fetched from where, how many bytes, how long fetching and measuring last."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.content import hub
from benchmark.content.content import Content
from benchmark.content.hub_errors import absent
from benchmark.content.lpips import perceptual_path
from benchmark.content.networks import choose_files, is_network_cached
from benchmark.content.pins import image_sizes
from benchmark.engine.yardsticks import count_answers
from benchmark.errors import UserError
from benchmark.files.paths import key_of
from benchmark.metrics.spec import get_metric
from benchmark.suites.spec import HubData, Source, Suite
from benchmark.targets.config import CONFIG
from benchmark.targets.files import INDEX, WEIGHTS

__all__ = ["LockPlan", "PlanPart", "check_plan", "describe_plan", "plan_lock"]

MB = 10**6
BYTES_PER_S = 10 * MB
"""Rate of downloads that a plan takes for granted."""
# One CPU core, solved from eight photographs at 224x224 and at 480x640 with the metrics of coco@1 that need no network.
# The last is for the judge, a ConvNeXt-B, and LPIPS, of each answer to an unchanged image that the judge looks at.
CPU_S_PER_ANSWER, CPU_S_PER_MEGAPIXEL, CPU_S_PER_LOOK = 0.002, 0.25, 0.45


@dataclass(frozen=True)
class PlanPart:
    """Something that a suite refers to.

    Attributes:
        where: its address on the Hub, or where it lies.
        files: how many files are still to be fetched; None: not known.
        bytes: how large these are; None: not known.
        problem: why it cannot be had, and what to do about it.
    """

    name: str
    where: str
    files: int | None = 0
    bytes: int | None = 0
    problem: UserError | None = None


@dataclass(frozen=True)
class LockPlan:
    """What locking a suite takes.

    Attributes:
        images: how many images are hashed and measured, at `sizes` (height, width) each.
        measure_s: about how many seconds measuring takes on one CPU core, if nothing was measured before.
        unscored: metrics whose network is not installed, so that answers will lack them.
    """

    suite: str
    parts: tuple[PlanPart, ...]
    images: int
    sizes: tuple[tuple[int, int], ...]
    measure_s: float
    unscored: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes to be fetched, as far as they are known."""
        return sum(part.bytes or 0 for part in self.parts)

    @property
    def fetch_s(self) -> float:
        """About how many seconds that takes."""
        return self.bytes / BYTES_PER_S

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        parts = [
            {"name": part.name, "where": part.where, "files": part.files, "bytes": part.bytes}
            | ({"problem": str(part.problem)} if part.problem else {})
            for part in self.parts
        ]
        return {
            "suite": self.suite,
            "parts": parts,
            "fetch_bytes": self.bytes,
            "fetch_s": round(self.fetch_s, 1),
            "bytes_per_s": BYTES_PER_S,
            "images": self.images,
            "sizes": [list(size) for size in self.sizes],
            "measure_s": round(self.measure_s, 1),
            "unscored": list(self.unscored),
        }


def _missing(repo_id: str, commit: str, names: Iterable[str], kind: hub.RepoType) -> list[str]:
    return [name for name in names if not hub.is_cached(repo_id, commit, name, kind)]


def _on_hub(name: str, repo_id: str, commit: str, files: Iterable[str] | None, megabytes: int | None) -> PlanPart:
    """What is to be fetched of a repository: of a network if `files` is None, else those of a dataset."""
    kind: hub.RepoType = "model" if files is None else "dataset"
    where = f"{hub.endpoint()}/{hub.prefix(kind)}{repo_id}@{commit[:12]}"
    if is_network_cached(repo_id, commit) if files is None else not _missing(repo_id, commit, files, kind):
        return PlanPart(name, where)
    try:
        sizes = hub.list_sizes(repo_id, commit, kind)
        wanted = choose_files(sizes) if files is None else tuple(files)
        needed = wanted if files is not None else (CONFIG, WEIGHTS) if INDEX not in wanted else (CONFIG,)
        for file in needed:
            if file not in sizes:
                raise absent(f"{where}/{file}")
        missing = _missing(repo_id, commit, wanted, kind)
        for file in missing[:1]:  # a gated repository lists its files, and does not give them
            hub.get_size(repo_id, commit, file, kind)
    except UserError as error:
        return PlanPart(name, where, None, megabytes and megabytes * MB, error)
    return PlanPart(name, where, len(missing), sum(sizes[file] for file in missing))


def _network(name: str, source: Source, content: Content) -> PlanPart:
    if source.repo_id is None:
        return PlanPart(name, key_of(source.directory()))
    commit = content.revision(source.repo_id, source.revision)
    return _on_hub(name, source.repo_id, commit, None, source.megabytes)


def _images(content: Content) -> PlanPart:
    data = content.suite.dataset
    if isinstance(data, HubData):
        return _on_hub("images", data.repo_id, content.revision(data.repo_id, data.revision), data.files, None)
    try:
        images = content.images
    except UserError as error:
        return PlanPart("images", data.source, None, None, error)
    source = images.source(0)
    return PlanPart("images", str(source.parent if source else next(iter(images.files().values()))))


def _parts(content: Content) -> Iterator[PlanPart]:
    yield _images(content)
    seen: set[Source] = set()
    named = [(target.id, target.source) for target in content.suite.targets]
    for name, source in [*named, *([("judge", content.suite.judge)] if content.suite.judge else [])]:
        if source not in seen:
            yield _network(name, source, content)
        seen.add(source)


def _measure_s(suite: Suite) -> float:
    """About how many seconds the yardsticks take on one CPU core."""
    count = suite.dataset.images * len(suite.perturbations)
    looks = min(suite.judged_images, suite.dataset.images) if suite.judge else 0
    return sum(
        count_answers(height)
        * (count * (CPU_S_PER_ANSWER + height * width / MB * CPU_S_PER_MEGAPIXEL) + looks * CPU_S_PER_LOOK)
        for height, width in image_sizes(suite)
    )


def plan_lock(content: Content) -> LockPlan:
    """Return what locking the suite of `content` takes, whose lock names all commits; only sizes are asked of the Hub.

    Raises:
        UserError: see `Content.revision`.
    """
    suite = content.suite
    asking = [metric for metric in suite.metrics if "perceptual" in get_metric(metric).needs]
    unscored = () if perceptual_path().is_file() else tuple(asking)
    parts = tuple(_parts(content))
    return LockPlan(suite.id, parts, suite.dataset.images, image_sizes(suite), _measure_s(suite), unscored)


def check_plan(plan: LockPlan) -> None:
    """Refuse a plan that cannot be carried out, before anything is fetched.

    Raises:
        UserError: the first thing that cannot be had; or there is no room for what is fetched.
    """
    for part in plan.parts:
        if part.problem:
            raise part.problem
    if not plan.bytes:
        return
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE)
    nearest = next(path for path in (cache, *cache.absolute().parents) if path.exists())
    if (free := shutil.disk_usage(nearest).free) < plan.bytes:
        raise UserError(
            f"{_size(free)} are free, {_size(plan.bytes)} are to be fetched",
            where=str(cache),
            cure="free some space, or set HF_HOME to another folder",
        )


def _size(count: float | None) -> str:
    if count is None:
        return "of unknown size"
    return (
        f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count:.0f} bytes"
    )


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {max(1, round(seconds))} s"


def describe_plan(plan: LockPlan) -> list[str]:
    """Return a plan as lines of text."""
    from tabulate import tabulate

    rows = []
    for part in plan.parts:
        state = "present" if part.files == 0 else f"{part.files or '?'} files, {_size(part.bytes)}"
        rows.append((part.name, "cannot be had" if part.problem else state, part.where))
    sizes = " and ".join(f"{height}x{width}" for height, width in plan.sizes)
    lines = tabulate(rows, headers=("part", "to fetch", "from"), tablefmt="simple").splitlines()
    if any(part.files != 0 for part in plan.parts):
        more = " and more" if any(part.bytes is None for part in plan.parts) else ""
        time = f"{_duration(plan.fetch_s)} at {BYTES_PER_S // MB} MB/s"
        lines.append(f"to fetch: {_size(plan.bytes)}{more}; {time}")
    lines.append(
        f"to measure: {plan.images:,} images at {sizes}; {_duration(plan.measure_s)} on one CPU core, "
        "less what an interrupted run has measured"
    )
    if plan.unscored:
        lines.append(f"left out: {', '.join(plan.unscored)}, whose network is not installed; run: invbench data lpips")
    return lines + [f"problem: {part.name}: {part.problem}" for part in plan.parts if part.problem]
