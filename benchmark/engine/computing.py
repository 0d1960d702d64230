"""Computes the chunks of a job that are not known yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from tqdm import tqdm

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.jobs import Chunk, Job, Options
from benchmark.engine.pipeline import Pipeline
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.stopwatch import Stopwatch
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
        return [reader.submit(images.load, chunk.first + place, size) for place in range(chunk.images)]

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


def _find_missing(job: Job, store: ChunkStore, options: Options, target_id: str, bar: tqdm) -> list[Chunk]:
    """Chunks of this process's share that are not known, or not what was written."""
    missing = []
    for chunk in job.shared(options.share):
        if store.load(chunk.name) is not None:
            bar.update(chunk.images)
            continue
        if store.has(chunk.name):
            bar.write(f"a stored chunk of {target_id} was damaged; it is computed again", file=sys.stderr)
        missing.append(chunk)
    return missing


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
    suite, images, computed = content.suite, content.images, set()
    audited, judged = suite.audit_ids(images.ids), frozenset(images.ids[: suite.judged_images])
    own = sum(chunk.images for chunk in job.shared(options.share))
    total = own * len(job.loaded)
    with tqdm(total=total, unit="image", desc=title, mininterval=0.5, disable=quiet) as bar:
        for target_id, store in job.stores.items():
            mark, began = time.perf_counter(), time.time()
            missing = _find_missing(job, store, options, target_id, bar)
            if not missing:
                continue
            spec, watch = suite.target(target_id), Stopwatch(options.device)
            target = load_target(spec, content.target(spec), options.device)
            pipeline = Pipeline(suite, target, job.loaded[target_id][0], job.networks, watch)
            for chunk, samples in _iter_samples(images, spec.input_size, missing, watch, options.device):
                tiles = iter_tiles(samples, options.device, audit=audited, judged=judged, first=chunk.first)
                scored = [pipeline.run(tile) for tile in tiles]
                arrays = {field: np.concatenate([tile[field] for tile in scored]) for field in scored[0]}
                arrays["times"] = np.array([[began, time.perf_counter() - mark, *watch.take().values()]])
                store.save(chunk.name, arrays)
                computed.add(str(store.path(chunk.name)))
                bar.update(chunk.images)
                mark, began = time.perf_counter(), time.time()
    return frozenset(computed)
