"""Neighbors against distant taps: the contrast, and how often chance alone decides."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest

from benchmark.records.record import StageLayers
from leaderboard.data.claims.findings import combine
from leaderboard.data.claims.layers import contrast, find_layers
from leaderboard.data.claims.reading import Evidence

Give = Callable[..., Evidence]


def test_the_contrast_is_that_of_the_means_both_ways() -> None:
    matrix = np.array([[1.0, 0.8, 0.1], [0.6, 1.0, 0.7], [0.3, 0.9, 1.0]])
    assert contrast(matrix) == pytest.approx((0.8 + 0.6 + 0.7 + 0.9) / 4 - (0.1 + 0.3) / 2)
    matrix[0, 2] = np.nan
    assert contrast(matrix) == pytest.approx(0.75 - 0.3)
    assert np.isnan(contrast(matrix[:2, :2]))
    assert np.isnan(contrast(np.full((4, 4), np.nan)))


def stage_of(matrix: np.ndarray) -> StageLayers:
    rows = tuple(tuple(None if np.isnan(v) else round(float(v), 6) for v in row) for row in matrix)
    taps = tuple(f"encoder.{index}" for index in range(len(matrix)))
    return StageLayers(stage="encoder", taps=taps, images=8, transfer=rows, normalized=rows, neighbors=None,
                       half_distance=None, asymmetry=None, cka=rows)  # fmt: skip


def test_the_p_value_is_the_share_of_orders(give: Give) -> None:
    matrix = np.random.default_rng(2).random((5, 5))
    own = contrast(matrix)
    orders = [contrast(matrix[np.ix_(order, order)]) for order in permutations(range(5))]
    expected = np.mean(np.array(orders) >= own - 1e-9)
    findings = find_layers(give(modular_per_tap={"layers": {"mini-vit": (stage_of(matrix),)}}), "modular_per_tap")
    found = next(f for f in findings if f.target == "mini-vit")
    assert found.value == pytest.approx(own, abs=1e-5)
    assert found.p_value == pytest.approx(float(expected), abs=0.02)
    assert found.low is found.high is None and "instead of an interval" in found.reason
    without = [f for f in findings if f.target == "mini-swin"]
    assert {f.reason for f in without} == {"the record of modular_per_tap compares no layers of mini-swin"}


@pytest.mark.slow
def test_taps_without_an_order_seldom_decide(give: Give) -> None:
    evidence, generator, decided = give(modular_per_tap={}), np.random.default_rng(4), 0
    entry = evidence.entries["modular_per_tap"]
    for _ in range(40):
        layers = {"mini-vit": (stage_of(generator.random((6, 6))),)}
        entry.record.layers.clear()
        entry.record.layers.update(layers)
        decided += combine(find_layers(evidence, "modular_per_tap"))[0] != "undetermined"
    assert decided <= 5


def test_an_unscored_column_is_left_out_and_an_unscored_stage_absent(give: Give) -> None:
    matrix = np.array([[1 - 0.1 * abs(i - j) for j in range(6)] for i in range(6)])
    matrix[:, 2] = np.nan
    nothing = np.full((6, 6), np.nan)
    layers = {"mini-vit": (stage_of(matrix),), "mini-detr": (stage_of(nothing),)}
    findings = find_layers(give(modular_per_tap={"layers": layers}), "modular_per_tap")
    by_target = {f.target: f for f in findings if f.part.startswith("linear")}
    assert by_target["mini-vit"].value == pytest.approx(contrast(matrix), abs=1e-5)
    assert by_target["mini-detr"].value is None and "no stage of mini-detr" in by_target["mini-detr"].reason
    assert None not in by_target
    deciding = [f for f in findings if f.decides and f.part.startswith("linear")]
    assert [f.target for f in deciding] == ["mini-vit"], "the only one that is left"
    assert deciding[0].value == pytest.approx(contrast(matrix), abs=1e-5)


def test_a_record_that_is_complete_on_one_target_decides_nothing(give: Give) -> None:
    evidence = give(modular_per_tap={"only": ["mini-vit"]})
    findings = find_layers(evidence, "modular_per_tap")
    assert {f.verdict for f in findings if f.target == "mini-vit"} == {"holds"}
    deciding = [f for f in findings if f.decides]
    assert [(f.target, f.value, f.reason) for f in deciding] == [(None, None, "not measured on every target")] * 2
    assert combine(findings) == ("undetermined", "not measured on every target")
    missing = {f.reason for f in findings if f.target == "mini-detr"}
    assert missing == {"the record of modular_per_tap is not complete on mini-detr"}
