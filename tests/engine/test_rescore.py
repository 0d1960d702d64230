"""A rerun finds scores that were moved where it pays, however little each of them was moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from forge import World, make_world

from benchmark.engine.rescore import compare_reruns
from benchmark.metrics.spec import get_metric
from benchmark.records.receipts import Difference

RANKED = ("frc", "contour_f", "fg_transfer", "color_transfer")
Values = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def moved(world: World, metric: str, change: Callable[[Values, float], None]) -> Difference:
    """Return what a rerun says of a metric whose values (images, taps, conditions) were changed, of its tolerance."""
    (honest,) = world.scores
    values = honest.values.copy()
    change(values[..., world.suite.metrics.index(metric)], 0.999 * get_metric(metric).tolerance)
    found = compare_reruns(world.suite, [replace(honest, values=values)], [honest])
    assert all(difference.agrees for name, difference in found.items() if name != metric)
    return found[metric]


def up(values: Values, step: float) -> None:
    values += step


def up_where_it_is_ranked(values: Values, step: float) -> None:
    values[:, :, 0] += step
    values[:, :, 1:] -= step / (values.shape[2] - 1)


def up_at_one_tap(values: Values, step: float) -> None:
    values[:, 0] += step
    values[:, 1] -= step


def up_a_little(values: Values, step: float) -> None:
    values += step / 5


def there_and_back(values: Values, step: float) -> None:
    for tap in range(values.shape[1]):
        for condition in range(values.shape[2]):
            column = values[:, tap, condition]
            scored = np.flatnonzero(~np.isnan(column))
            pairs = scored[: len(scored) // 2 * 2]
            column[pairs[::2]] += step
            column[pairs[1::2]] -= step


@pytest.mark.parametrize("metric", RANKED)
@pytest.mark.parametrize("change", [up, up_a_little, up_at_one_tap])
def test_moving_every_image_within_its_tolerance_is_found(
    world: World, metric: str, change: Callable[[Values, float], None]
) -> None:
    found = moved(world, metric, change)
    assert found.beyond == 0 and found.biased == 1 and not found.agrees
    assert found.bias > get_metric(metric).mean_tolerance


@pytest.mark.parametrize("metric", ["frc", "contour_f", "fg_transfer"])
def test_one_perturbation_cannot_hide_behind_the_others(world: World, metric: str) -> None:
    found = moved(world, metric, up_where_it_is_ranked)
    assert found.beyond == 0 and found.biased == 1
    assert found.bias == pytest.approx(0.999 * get_metric(metric).tolerance, rel=0.02)


@pytest.mark.parametrize("metric", RANKED)
def test_errors_that_cancel_in_the_mean_are_no_fault(world: World, metric: str) -> None:
    found = moved(world, metric, there_and_back)
    assert found.agrees and found.largest > get_metric(metric).mean_tolerance


def test_bounds_are_those_of_the_metrics_page() -> None:
    bounds = {name: (get_metric(name).tolerance, get_metric(name).mean_tolerance) for name in RANKED}
    assert bounds == {
        "frc": (5e-4, 5e-5), "contour_f": (0.03, 0.003), "fg_transfer": (0.03, 0.003), "color_transfer": (0.005, 5e-4),
    }  # fmt: skip
