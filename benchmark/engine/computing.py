"""Computes the chunks of a job that are not known yet."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.heap import keep_freed_memory
from benchmark.engine.jobs import Chunk, Job, Options
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stage, Stopwatch
from benchmark.engine.warning import Warner
from benchmark.engine.watching import Tracer, log_line
from benchmark.engine.worker import launching, opened
from benchmark.suites.audit import audit_images
from benchmark.targets import load_target

__all__ = ["compute"]

READERS = 8


def _iter_samples(
    images: ImageSet, size: tuple[int, int], chunks: Sequence[Chunk], watch: Stopwatch, device: torch.device
) -> Iterator[tuple[Chunk, list[Sample]]]:
    """Yield chunks with their samples, which are read one chunk ahead.

    Decoders leave other threads alone, so that several of them keep a GPU busy; on a CPU the cores are the networks'.
    """

    def read(chunk: Chunk) -> list[Future[Sample]]:
        return [reader.submit(images.load, place, size) for place in chunk.places]

    with ThreadPoolExecutor(1 if device.type == "cpu" else READERS, thread_name_prefix="images") as reader:
        ahead = read(chunks[0])
        try:
            for chunk, following in pairwise((*chunks, None)):
                assert chunk is not None
                with watch.stage("read"):
                    samples = [sample.result() for sample in ahead]
                if following is not None:
                    ahead = read(following)
                yield chunk, samples
        finally:
            reader.shutdown(cancel_futures=True)


def _find_missing(job: Job, options: Options) -> dict[str, list[Chunk]]:
    """By target, the chunks of this process's share that are not known, or not what was written."""
    missing: dict[str, list[Chunk]] = {}
    for target_id, store in job.stores.items():
        missing[target_id] = [chunk for chunk in job.shared(options.share) if store.load(chunk.name) is None]
        for chunk in missing[target_id]:
            if store.has(chunk.name):
                damaged = f"a stored chunk of {target_id} was damaged; it is computed again"
                tqdm.write(damaged, file=sys.stderr)
    return missing


def _fitting(store: ChunkStore, job: Job, options: Options) -> int:
    """How many images the networks can see at once, as far as is known from chunks that are there."""
    known = [store.load(chunk.name) for chunk in job.chunks if store.has(chunk.name)]
    found = [int(arrays["micro_batch"].min()) for arrays in known if arrays is not None]
    return min([options.arithmetic.micro_batch, *found])


def _tell_halved(target_id: str, micro_batch: int) -> None:
    images = "1 image" if micro_batch == 1 else f"{micro_batch} images"
    said = f"memory ran out: the networks see {images} of {target_id} at once now, which changes last digits at most"
    tqdm.write(said, file=sys.stderr)


def _describe(images: int, stages: Mapping[Stage, float]) -> str:
    """Images a second, and the stages that take most of the time."""
    total = sum(stages.values())
    most = sorted(stages, key=lambda stage: -stages[stage])[:2]
    shares = ", ".join(f"{stage} {stages[stage] / total:.0%}" for stage in most)
    return f"{images / total:.1f} images/s, {shares}"


class _Progress:
    """Tells how far a process is, with a bar and in the log; work is counted in taps of images."""

    def __init__(self, options: Options, title: str, done: int, wanted: int, *, quiet: bool) -> None:
        self._log, self._about = options.log, {"what": title, "share": str(options.share)}
        self._start, self._finished, self._wanted = time.perf_counter(), 0, wanted
        self._images, self._spent = 0, Counter[Stage]()
        self.bar = tqdm(
            total=done + wanted, initial=done, unit="tap", desc=title, smoothing=0, mininterval=0.5, disable=quiet
        )  # fmt: skip
        if wanted:
            log_line(self._log, **self._about, taps=0, of=wanted)

    def add(self, target: str, chunk: Chunk, taps: int, seconds: float, stages: Mapping[Stage, float]) -> None:
        """Count a chunk, which took `seconds`, by stage `stages`."""
        self._finished += len(chunk.places) * taps
        self._images += len(chunk.places)
        self._spent.update(stages)
        left = (time.perf_counter() - self._start) / self._finished * (self._wanted - self._finished)
        self.bar.set_postfix_str(_describe(self._images, self._spent), refresh=False)
        self.bar.update(len(chunk.places) * taps)
        log_line(
            self._log, **self._about, target=target, first=chunk.places[0], images=len(chunk.places),
            seconds=round(seconds, 3),
            stages_s={stage: round(spent, 3) for stage, spent in stages.items()}, taps=self._finished, of=self._wanted,
            left_s=round(left, 1),
        )  # fmt: skip


def compute(content: Content, job: Job, options: Options, title: str, *, quiet: bool = False) -> frozenset[str]:
    """Compute and store all chunks of this process's share that are not known yet.

    Args:
        title: of the progress bar.
        quiet: shows no progress.

    Returns:
        The paths of the chunks that were computed.

    Raises:
        UserError: an image differs from what is pinned, a network cannot be loaded, or a chunk cannot be stored.
    """
    if options.device.type == "cpu":
        keep_freed_memory()
    suite, images, computed = content.suite, content.images, set()
    judged = frozenset(images.ids[: suite.judged_images])
    missing = _find_missing(job, options)
    # What an image takes depends on its target mostly by the number of taps.
    taps = {target_id: len(suite.target(target_id).taps) for target_id in missing}
    total = sum(len(chunk.places) for chunk in job.shared(options.share)) * sum(taps.values())
    wanted = sum(len(chunk.places) * taps[target_id] for target_id, chunks in missing.items() for chunk in chunks)
    trace = Tracer(options.trace, options.device)
    with ExitStack() as stack:
        stack.enter_context(launching(job.loaded[target_id][0] for target_id, chunks in missing.items() if chunks))
        progress = _Progress(options, title, total - wanted, wanted, quiet=quiet)
        stack.enter_context(progress.bar)
        for target_id, chunks in missing.items():
            if not chunks:
                continue
            mark, began = time.perf_counter(), time.time()
            spec, watch = suite.target(target_id), Stopwatch(options.device)
            target = load_target(spec, content.target(spec), options.device)
            how = replace(options.arithmetic, micro_batch=_fitting(job.stores[target_id], job, options))
            audited = audit_images(suite, content.lock, images.ids, spec)
            with opened(job.loaded[target_id][0]) as inverse:
                pipeline = Pipeline(suite, target, inverse, job.networks, watch, how)
                warner = Warner(suite, inverse.config.method, target_id, spec.tap_names)
                for chunk, samples in _iter_samples(images, spec.input_size, chunks, watch, options.device):
                    tiles = iter_tiles(samples, options.device, audit=audited, judged=judged, first=chunk.places[0])
                    scored = []
                    for tile in tiles:
                        scored.append(trace(pipeline.run, tile))
                        warner.look(scored[-1], tile.ids)
                    arrays = {field: np.concatenate([tile[field] for tile in scored]) for field in scored[0]}
                    stages = watch.take()
                    seconds = time.perf_counter() - mark
                    arrays["times"] = np.array([[began, seconds, *stages.values()]])
                    if pipeline.micro_batch < how.micro_batch:
                        _tell_halved(target_id, pipeline.micro_batch)
                        how = replace(how, micro_batch=pipeline.micro_batch)
                    arrays["micro_batch"] = np.array([[pipeline.micro_batch]])
                    store = job.stores[target_id]
                    store.save(chunk.name, arrays)
                    computed.add(str(store.path(chunk.name)))
                    progress.add(target_id, chunk, taps[target_id], seconds, stages)
                    mark, began = time.perf_counter(), time.time()
    if trace.waiting:
        tqdm.write("no trace: it is written of the second tile of images, and there was none", file=sys.stderr)
    return frozenset(computed)
