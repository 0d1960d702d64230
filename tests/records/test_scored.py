"""Whether an image is scored depends on the original alone: no tap, target or record may differ in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forge import IMAGES, World, make_world

from benchmark.errors import IntegrityError
from benchmark.records.scored import check_alike, find_scored
from benchmark.records.scores import NOT_APPLICABLE, ScoreArrays, find_status, get_reason_names


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def unscored(world: World, metric: str, images: Any, taps: Any, reason: str | None = None) -> list[ScoreArrays]:
    """Return the scores without those of a metric, for a reason that the suite knows."""
    (item,) = world.scores
    names, index = get_reason_names(world.suite), world.suite.metrics.index(metric)
    code = 1 + next(i for i, name in enumerate(names) if name.startswith(reason or f"{metric}:"))
    item = replace(item, values=item.values.copy(), reasons=item.reasons.copy())
    codes = item.reasons[images, taps, :, index]
    item.reasons[images, taps, :, index] = np.where(codes == NOT_APPLICABLE, NOT_APPLICABLE, code)
    item.values[images, taps, :, index] = np.nan
    return [item]


def test_a_score_left_out_at_one_tap_names_metric_image_and_tap(world: World) -> None:
    with pytest.raises(IntegrityError, match=rf"'frc' of image '{IMAGES[3]}' under identity .* tap 'encoder.1' of"):
        find_scored(world.suite, unscored(world, "frc", slice(3, 4), slice(1, 2)))


@pytest.mark.parametrize("metric", ["frc", "contour_f", "color_transfer"])
def test_an_image_left_out_at_every_tap_names_the_record_that_has_it(world: World, metric: str) -> None:
    honest = find_scored(world.suite, world.scores)
    own = find_scored(world.suite, unscored(world, metric, slice(3, 4), slice(None)))
    check_alike(world.suite, honest, honest, "ridge", "scores.parquet")
    with pytest.raises(IntegrityError, match=rf"'{metric}' of image '{IMAGES[3]}' .* no tap.* 'ridge'"):
        check_alike(world.suite, own, honest, "ridge", "scores.parquet")
    with pytest.raises(IntegrityError, match="at every tap"):
        check_alike(world.suite, honest, own, "ridge", "scores.parquet")


def test_of_recons_that_are_not_finite_nothing_is_known(world: World) -> None:
    honest = find_scored(world.suite, world.scores)
    for taps in (slice(0, 1), slice(None)):
        own = find_scored(world.suite, unscored(world, "frc", slice(3, 4), taps, "recon is not finite"))
        check_alike(world.suite, own, honest, "ridge", "scores.parquet")


def test_fewer_images_are_compared_as_far_as_they_go(world: World) -> None:
    honest = find_scored(world.suite, world.scores)
    (item,) = unscored(world, "frc", slice(3, 4), slice(None))
    for images, differs in ((slice(0, 3), False), (slice(2, 5), True)):
        part = replace(item, images=item.images[images], values=item.values[images], reasons=item.reasons[images])
        own = find_scored(world.suite, [part])
        if differs:
            with pytest.raises(IntegrityError, match="at no tap"):
                check_alike(world.suite, own, honest, "ridge", "scores.parquet")
        else:
            check_alike(world.suite, own, honest, "ridge", "scores.parquet")


def test_without_any_score_of_an_axis_nothing_is_complete(world: World) -> None:
    whole = world.suite.dataset.model_copy(update={"images": len(IMAGES)})
    suite = world.suite.model_copy(update={"dataset": whole})
    assert find_status(suite, world.scores) == "complete"
    assert find_status(suite, unscored(world, "frc", slice(None), slice(None))) == "partial"
    assert find_status(suite, unscored(world, "frc", slice(None), slice(0, 1))) == "partial"
    assert find_status(suite, unscored(world, "contour_f", slice(None), slice(None))) == "complete"
