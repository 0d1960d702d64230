"""What is kept under a perturbation: the same metrics on the same images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from claiming import plain

from benchmark.suites.spec import Suite
from leaderboard.data.claims.reading import Evidence
from leaderboard.data.claims.survival import find_survival

Give = Callable[..., Evidence]


def half(target: str, axis: str, depth: float, kind: str) -> float:
    return plain(target, axis, depth, kind) * (0.5 if kind == "gray" else 1)


def test_images_that_are_scored_on_one_side_alone_do_not_count(few: Suite, give: Give) -> None:
    """Images that score more than the others, and are not scored under gray, would lower the share."""
    metric, gray = few.metrics.index("contour_f"), few.conditions.index("gray")

    def edit(scores: list[Any]) -> None:
        for one in scores:
            one.values[:10, :, :, metric] += 0.1 * (one.reasons[:10, :, :, metric] == 0)
            one.values[:10, :, gray, metric] = float("nan")
            one.reasons[:10, :, gray, metric] = 2 + metric

    findings = find_survival(give(modular={"level": half, "noise": 0.0, "edit": edit}), "modular")
    shares = {f.target: f.value for f in findings if f.part == "SHAPE kept under gray"}
    assert set(shares) == {None, "mini-detr", "mini-vit", "mini-swin"}
    assert list(shares.values()) == pytest.approx([0.5] * 4, abs=1e-5)


def test_every_perturbation_decides(few: Suite, give: Give) -> None:
    findings = find_survival(give(modular={}), "modular")
    deciding = [f for f in findings if f.decides]
    assert len(deciding) == 2 * (len(few.perturbations) - 1) * len(few.targets)
    assert all(f.value == pytest.approx(1, abs=0.02) for f in findings)


def test_an_axis_whose_metric_is_not_computed_under_a_perturbation_is_absent(few: Suite, give: Give) -> None:
    evidence = give(modular={})
    reading = evidence.reading("modular")
    axes = few.axes | {"detail": ("frc", "color_transfer")}
    odd = few.model_copy(update={"axes": axes})
    object.__setattr__(evidence, "suite", odd)
    object.__setattr__(reading, "suite", odd)
    reasons = {f.reason for f in find_survival(evidence, "modular")}
    assert reasons == {"color_transfer is not computed under hue_set_0"}
