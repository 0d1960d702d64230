"""Yardsticks: thumbnails of the image, and answers that invert nothing, as the lock of mini@1 states them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab
from torch.nn import functional as F

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.engine.scorer import iter_tiles
from benchmark.engine.yardsticks import (
    blend_with_prototype,
    load_training_mean,
    measure_yardsticks,
    thumbnail,
    thumbnail_rows,
)
from benchmark.metrics.case import Networks
from benchmark.suites.lock import load_lock
from benchmark.suites.spec import Suite


@pytest.mark.parametrize(
    ("height", "rows"),
    [
        (96, (2, 3, 4, 6, 8, 12, 16, 24, 32, 48)),
        (224, (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)),
        (480, (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)),
    ],
)
def test_thumbnails_go_up_to_half_the_height(height: int, rows: tuple[int, ...]) -> None:
    assert thumbnail_rows(height) == rows


def test_a_thumbnail_is_an_average_enlarged() -> None:
    images = torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    small = images.reshape(2, 3, 6, 8, 8, 8).mean((3, 5))
    expected = F.interpolate(small, size=(48, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(thumbnail(images, 6), expected)


def test_the_blend_moves_the_hue_of_the_object_alone(samples: list[Sample], cpu: torch.device) -> None:
    tile = next(iter_tiles(samples[:8], cpu))
    drawn = blend_with_prototype(tile.images, tile)
    outside = ~tile.masks[:, None].expand_as(drawn)
    torch.testing.assert_close(drawn[outside], tile.images[outside], rtol=0, atol=2e-3)
    for image, sample, blended in zip(tile.images, samples[:8], drawn, strict=True):
        before, after = (rgb2lab(x.permute(1, 2, 0).double().numpy())[sample.focal_mask] for x in (image, blended))
        usual = np.deg2rad(sample.prototypes_deg[sample.category])
        towards = np.array([np.cos(usual), np.sin(usual)]) * np.linalg.norm(before[:, 1:], axis=1)[:, None]
        wanted = 0.7 * before[:, 1:] + 0.3 * towards
        # Colors that leave the gamut are clipped.
        assert np.median(np.abs(after[:, 1:] - wanted)) < 1


@pytest.mark.nightly
def test_the_lock_states_what_is_measured(mini: Suite, content: Content, samples: list[Sample]) -> None:
    cpu, lock = torch.device("cpu"), load_lock(mini)
    mean = load_training_mean(mini, (96, 96), content.images, cpu)
    measured = measure_yardsticks(mini, samples, (96, 96), mean, Networks(), cpu)
    for axis, rows in lock.yardsticks["96x96"].items():
        assert measured.yardstick[axis] == pytest.approx(rows, abs=2e-3)
    stated = lock.answers["96x96"]
    assert measured.answers.keys() == stated.keys() == {"thumbnail_8", "training_mean", "red", "prototype_30"}
    for name, answer in measured.answers.items():
        assert answer.pull == pytest.approx(stated[name].pull, abs=2e-3)
        assert answer.metrics["psnr"] == pytest.approx(stated[name].metrics["psnr"], abs=1e-2)


def test_more_rows_score_more(mini: Suite) -> None:
    for rows in load_lock(mini).yardsticks["96x96"].values():
        scores = [rows[count] for count in sorted(rows)]
        assert scores == sorted(scores)
        assert scores[0] > 0.02


def test_only_the_prototype_pulls(mini: Suite) -> None:
    """Answers that know nothing of a category lie near 0 on the scale on which a blend by 30 % is about .2."""
    answers = load_lock(mini).answers["96x96"]
    for wear in ("canonical", "recolored"):
        blend = answers["prototype_30"].pull[wear]
        assert blend > 0.15
        assert all(abs(answers[name].pull[wear]) < 0.2 * blend for name in ("thumbnail_8", "training_mean", "red"))
