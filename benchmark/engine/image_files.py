"""Scoring of image files: originals and recons as they lie on disk, with every metric that applies to them.

Needs no suite and no target. Which metrics apply follows from their declarations and from what is given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from benchmark.content.lpips import perceptual_path
from benchmark.datasets.decoding import orientation_of, read_image, read_mask
from benchmark.datasets.files import pair_files
from benchmark.engine.precision import float32
from benchmark.engine.score_report import Inputs, Report
from benchmark.engine.scorer import fits, load_metric
from benchmark.errors import SpecError, UserError
from benchmark.files.pixels import to_tensor
from benchmark.metrics.case import Case, FocalMask, Networks, View
from benchmark.metrics.perceptual import load_perceptual
from benchmark.metrics.spec import METRICS, Metric, get_metric

__all__ = ["choose_metrics", "score"]

FILES = ("seen", "mask", "baseline")
MIN_SIDE_PX = 8
STRIP = "save the pixels as they are stored, without the tag"
MAX_BATCH_PX = 2**22
NOT_INSTALLED = "the perceptual network is not installed (run: invbench data lpips)"
SEEN_GRAY, SEEN_COLORED = "the seen image is gray", "the seen image is not gray"


@dataclass(frozen=True)
class _Item:
    """An image: its name, its files by role, its size, and the EXIF orientation of each file, 1 to 8."""

    name: str
    files: dict[str, Path]
    size: tuple[int, int]
    orientations: dict[str, int]


def _why_not(metric: Metric, given: Collection[str]) -> str | None:
    """Return why a metric does not apply to what is given; None if it does."""
    if not set(metric.needs) <= {*FILES, "perceptual"}:
        return "needs what only a suite has: its judge, or what colors are usual"
    if metric.perturbations == "identity" and "seen" in given:
        return "for the recon of the unperturbed image: without --seen"
    needs = {*metric.needs, *(["seen"] if metric.recolored or metric.perturbations == "gray" else [])}
    missing = [f"--{role}" for role in FILES if role in needs and role not in given]
    return f"needs {' and '.join(missing)}" if missing else None


def choose_metrics(
    given: Collection[str], names: Sequence[str] | None = None
) -> tuple[tuple[Metric, ...], dict[str, str]]:
    """Return the metrics that apply to the roles `given`, and why the others do not, by id.

    Args:
        names: only these.

    Raises:
        NotFoundError: an unknown name.
        SpecError: one of `names` does not apply.
    """
    chosen = [get_metric(name) for name in dict.fromkeys(names)] if names is not None else list(METRICS.values())
    whys = {metric.id: why for metric in chosen if (why := _why_not(metric, given))}
    if names is not None and whys:
        name, why = next(iter(whys.items()))
        raise SpecError(f"'{name}' does not apply here: {why}", where="--metrics")
    return tuple(metric for metric in chosen if metric.id not in whys), whys


def _measure_sizes(name: str, files: dict[str, Path]) -> _Item:
    """Read all files of an image, so that mistakes show before anything is computed, and compare their sizes."""
    shapes = {role: _reader(role)(path, upright=True).shape for role, path in files.items()}
    turned = {role: orientation_of(path) for role, path in files.items()}
    height, width = shapes["original"][:2]
    for role, shape in shapes.items():
        if shape[:2] != (height, width):
            message = f"is {shape[1]}x{shape[0]}, but {files['original']} is {width}x{height} (width x height)"
            cure = "bring them to one size; nothing is resized here"
            if turned[role] != turned["original"]:
                cure = f"EXIF orientation turned one of them: {STRIP}"
            raise SpecError(message, where=str(files[role]), cure=cure)
    if min(height, width) < MIN_SIDE_PX:
        raise SpecError(f"is {width}x{height}; both sides must be at least {MIN_SIDE_PX}", where=str(files["original"]))
    return _Item(name, files, (height, width), turned)


def _reader(role: str) -> Callable[..., npt.NDArray[Any]]:
    return read_mask if role == "mask" else read_image


def _note_turned(items: Sequence[_Item]) -> tuple[str, ...]:
    """Say which images have files of different EXIF orientation: turned upright, these may not match any more."""
    mixed = [item for item in items if len(set(item.orientations.values())) > 1]
    if not mixed:
        return ()
    count = f"{len(mixed)} of {len(items)} images were" if len(items) > 1 else "the files were"
    files = ", ".join(f"{mixed[0].files[role]}: {code}" for role, code in mixed[0].orientations.items())
    return (f"{count} turned by different EXIF orientations ({files}). If they do not match now, {STRIP}.",)


def _iter_batches(items: Sequence[_Item], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of items that are scored together: of one size, and of bounded memory."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, item in enumerate(items):
        groups.setdefault(item.size, []).append(index)
    for (height, width), group in groups.items():
        count = max(1, min(batch_size, MAX_BATCH_PX // (height * width)))
        yield from (group[start : start + count] for start in range(0, len(group), count))


def _load_case(items: Sequence[_Item], networks: Networks, device: torch.device) -> Case:
    def view(role: str) -> View:
        pixels = np.stack([read_image(item.files[role], upright=True) for item in items])
        return View(to_tensor(pixels, device).contiguous())

    original, roles = view("original"), items[0].files
    if "mask" in roles:
        pixels = torch.from_numpy(np.stack([read_mask(item.files["mask"], upright=True) for item in items]))
    else:
        pixels = torch.ones(len(items), *items[0].size, dtype=torch.bool)
    return Case(
        original=original,
        seen=view("seen") if "seen" in roles else original,
        recon=view("recon"),
        mask=FocalMask(pixels.to(device)),
        networks=networks,
        baseline=view("baseline") if "baseline" in roles else None,
    )


def _reason(metric: Metric, value: float, gray: bool, networks: Networks, size: tuple[int, int]) -> str | None:
    """Return why a score must not stand; None if it may."""
    if metric.recolored and gray:
        return SEEN_GRAY
    if metric.perturbations == "gray" and not gray:
        return SEEN_COLORED
    if "perceptual" in metric.needs and networks.perceptual is None:
        return NOT_INSTALLED
    if np.isfinite(value):
        return None
    return metric.unscored if fits(metric.id, *size) else metric.too_small


def _is_gray(images: Tensor) -> list[bool]:
    gray: list[bool] = (images == images[:, :1]).flatten(1).all(1).tolist()
    return gray


@contextmanager
def _within_memory(device: torch.device) -> Iterator[None]:
    """Turn running out of memory into a user error."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError):
        message, cure = f"out of memory on '{device}'", "lower it, or use another --device"
        raise UserError(message, where="--batch-size", cure=cure) from None


def _load_networks(metrics: Sequence[Metric], device: torch.device) -> Networks:
    path = perceptual_path()
    wanted = any("perceptual" in metric.needs for metric in metrics) and path.is_file()
    return Networks(perceptual=load_perceptual(path, device) if wanted else None)


def _iter_scores(
    items: Sequence[_Item], metrics: Sequence[Metric], device: torch.device, batch_size: int
) -> Iterator[tuple[int, npt.NDArray[np.float32], tuple[str | None, ...]]]:
    """Yield the index of an item, its scores (metrics,), NaN where not scored, and why not."""
    networks = _load_networks(metrics, device)
    functions = [load_metric(metric.id) for metric in metrics]
    for batch in _iter_batches(items, batch_size):
        with _within_memory(device), torch.inference_mode(), float32():
            case = _load_case([items[index] for index in batch], networks, device)
            measured = torch.stack([function(case) for function in functions], dim=1).cpu().numpy()
            grays = _is_gray(case.seen.rgb)
        for index, gray, row in zip(batch, grays, measured, strict=True):
            whys = tuple(
                _reason(m, value, gray, networks, items[index].size) for m, value in zip(metrics, row, strict=True)
            )
            yield index, np.where([why is None for why in whys], row, np.float32(np.nan)), whys


def _drop_foreign(report: Report) -> Report:
    """Leave out the metrics that no seen image calls for: those of hue if all are gray, those of gray if none is."""
    foreign = {
        metric.id: ("every " if reason == SEEN_GRAY else "no ") + "seen image is gray"
        for column, metric in enumerate(report.metrics)
        for reason in (SEEN_GRAY, SEEN_COLORED)
        if report.unscored(column) == {reason: len(report.names)}
    }
    kept = [column for column, metric in enumerate(report.metrics) if metric.id not in foreign]
    return Report(
        **vars(report)
        | {
            "metrics": tuple(report.metrics[column] for column in kept),
            "values": report.values[:, kept],
            "reasons": tuple(tuple(row[column] for column in kept) for row in report.reasons),
            "not_applicable": report.not_applicable | foreign,
        }
    )


def score(
    inputs: Inputs,
    device: torch.device,
    *,
    metrics: Sequence[str] | None = None,
    batch_size: int = 8,
    progress: bool = False,
) -> Report:
    """Score recons against originals with every metric that applies, or with `metrics`.

    Without a mask the whole frame is the mask of the color metrics. Images may differ in size from one another;
    `batch_size` images of one size are scored together, fewer if they are large.

    Raises:
        UserError: a mistake in the files or names; all files are read once before anything is computed.
    """
    chosen, not_applicable = choose_metrics(inputs.given, metrics)
    pairs = pair_files(inputs.given)
    bar = {"unit": "image", "mininterval": 0.5, "disable": not progress}
    with tqdm(pairs.items(), desc="read", **bar) as reading:
        items = [_measure_sizes(name, files) for name, files in reading]
    values = np.full((len(items), len(chosen)), np.nan, np.float32)
    reasons: list[tuple[str | None, ...]] = [()] * len(items)
    with tqdm(total=len(items), desc="score", **bar) as done:
        for index, row, whys in _iter_scores(items, chosen, device, batch_size):
            values[index], reasons[index] = row, whys
            done.update()
    report = Report(
        inputs,
        tuple(item.name for item in items),
        tuple(item.size for item in items),
        chosen,
        values,
        tuple(reasons),
        not_applicable,
        str(device),
        _note_turned(items),
    )
    return _drop_foreign(report) if metrics is None else report
