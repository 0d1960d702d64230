"""What evaluating and training an inverse costs, counted in operations and bytes, so that hours can be computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from benchmark.datasets.base import ImageSet, Sample
from benchmark.diagnostics.full_size import make_inverse, make_target
from benchmark.engine.layer_transfer import find_groups
from benchmark.engine.reading import with_seeds
from benchmark.engine.scorer import Scorer, iter_tiles
from benchmark.inverses.base import Inverse
from benchmark.inverses.recipes import load_recipe
from benchmark.metrics.case import Networks
from benchmark.suites.spec import Suite
from benchmark.targets.base import Target

__all__ = ["Traffic", "count_costs", "count_tera", "measure_costs"]

Row = dict[str, str | float]


def count_tera(compute: Callable[[], object]) -> float:
    """Return how many floating-point operations a computation takes, in 10^12; multiplying and adding are two."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        compute()
    return counter.get_total_flops() / 1e12


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; those that only look at a tensor otherwise move none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moved = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if not func.is_view:
            self.moved += sum(tensor.numel() * tensor.element_size() for tensor in read + written)
        return result


@torch.no_grad()
def count_costs(suite: Suite, target: Target, inverse: Inverse, sample: Sample) -> Row:
    """Return what an image costs.

    `target`, `inverse`: 10^12 operations of a forward pass, the inverse's at all taps. `evaluation`: those of an image
    of the suite, under all perturbations, with the share of layers compared. `scored`: 10^9 bytes that its scoring
    reads and writes, without networks that metrics ask. `training`: operations of a training image, forward and
    backward through every network of the inverse once, twice as many backward.

    Args:
        sample: at the target's input size.
    """
    (tile,) = iter_tiles([sample], target.device)
    images, names = tile.images[:1], target.spec.tap_names
    features = {tap: with_seeds(item, tap, ("0",)) for tap, item in target.features(images).items()}
    seen, inverting = count_tera(lambda: target.features(images)), count_tera(lambda: inverse.invert(features))
    by_tap = {tap: count_tera(lambda tap=tap: inverse.invert({tap: features[tap]})) for tap in names}  # type: ignore[misc]
    groups = find_groups(target.spec, inverse.config.taps)
    ways = {(i, inverse.route(j)): by_tap[j] for _, taps in groups for i in taps for j in taps if i != j}
    layers = (seen + sum(ways.values())) * min(1.0, suite.layer_images / suite.dataset.images)
    recon = dict.fromkeys(names, tile.images.flip(0).roll(3, dims=3))
    scorer = Scorer(suite, names, lambda shown: recon, Networks())
    with Traffic() as traffic:
        scorer.run(tile)
    return {
        "target": target.spec.id,
        "weights_M": sum(p.numel() for p in inverse.parameters()) / 1e6,
        "target_TFLOP": seen,
        "inverse_TFLOP": inverting,
        "evaluation_TFLOP": (seen + inverting) * len(suite.perturbations) + layers,
        "scored_GB": traffic.moved / len(tile.images) / 1e9,
        "training_TFLOP": seen + 3 * by_tap[names[-1]],
    }


def measure_costs(
    suite: Suite, names: Sequence[str], images: ImageSet, gpus: Sequence[int], teraflops: float, gigabytes: float
) -> list[Row]:
    """Return the rows of `count_costs` for `modular` inverses of published size, with hours computed from them.

    `evaluation_h_N`: hours that N devices take for the suite's images; `training_h_N`: for the steps of the recipe.

    Args:
        images: at the targets' input sizes.
        gpus: the numbers N.
        teraflops: 10^12 operations a second of one device.
        gigabytes: 10^9 bytes a second of its memory.

    Raises:
        NotFoundError: a target's network cannot be made here.
    """
    rows, device = [], torch.device("cpu")
    for name in names:
        spec = suite.target(name)
        with TemporaryDirectory() as folder:
            target = make_target(spec, Path(folder), device)
        row = count_costs(suite, target, make_inverse(target), images.load(0, spec.input_size))
        recipe = load_recipe("modular", spec)
        evaluating = float(row["evaluation_TFLOP"]) / teraflops + float(row["scored_GB"]) / gigabytes
        training = float(row["training_TFLOP"]) / teraflops * recipe.steps * recipe.batch_size
        row |= {f"evaluation_h_{n}": evaluating * suite.dataset.images / 3600 / n for n in gpus}
        rows.append(row | {f"training_h_{n}": training / 3600 / n for n in gpus})
    return rows
