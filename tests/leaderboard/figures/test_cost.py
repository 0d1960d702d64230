"""The chart of cost and score: its front, its labels, its axis."""

from __future__ import annotations

import itertools

import numpy as np
from figures import said, texts

from leaderboard.data.rankings import MINUS
from leaderboard.figures import (
    CostPoint,
    cost_chart,
)
from leaderboard.figures.cost import front
from leaderboard.figures.labels import place_labels


def test_labels_of_points_cover_neither_each_other_nor_points() -> None:
    rng = np.random.default_rng(5)
    points = [(float(x), float(y)) for x, y in rng.uniform((40, 40), (320, 220), (14, 2))]
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    boxes = place_labels(points, [(60.0, 13.0)] * 14, taken, (0, 0, 360, 260))
    for a, b in itertools.combinations([*boxes, *taken], 2):
        if a in boxes or b in boxes:
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    assert all(min(left, top) >= 0 and right <= 360 and bottom <= 260 for left, top, right, bottom in boxes)


def test_the_front_holds_what_nothing_beats_on_cost_and_score() -> None:
    rng = np.random.default_rng(6)
    for _ in range(50):
        points = [
            CostPoint(str(i), i, float(c), float(v), None, None)
            for i, (c, v) in enumerate(zip(rng.integers(1, 6, 12), rng.integers(0, 6, 12), strict=True))
        ]
        expected = {
            p.name
            for p in points
            if not any(
                q.cost <= p.cost and q.value >= p.value and (q.cost, q.value) != (p.cost, p.value) for q in points
            )
        }
        assert {p.name for p in front(points)} == expected
    chart = cost_chart(
        "t",
        "ms",
        [
            CostPoint("fast", 0, 1.0, 0.4, 0.3, 0.5),
            CostPoint("good", 1, 90.0, 0.8, 0.7, 0.9),
            CostPoint("beaten", 2, 95.0, 0.7, None, None),
            CostPoint("untimed", 3, None, 0.9, None, None),
            CostPoint("copy", None, 0.0, 1.0, 1.0, 1.0),
        ],
    )
    assert {row[0]: row[-1] for row in chart.rows if row[-1] == "yes"} == {"fast": "yes", "good": "yes"}
    assert "fast 0.40 at 1; good 0.80 at 90" in chart.alt and "beaten" not in chart.alt.split("front")[1]
    assert {"fast", "good", "beaten", "copy"} <= set(said(chart)) and "untimed" not in said(chart)
    assert ("untimed", None, 0.9, None, None, "no") in chart.rows


def test_the_cost_axis_is_logarithmic_only_where_costs_span_more_than_tenfold() -> None:
    def marks(*costs: float) -> list[str]:
        chart = cost_chart("t", "ms", [CostPoint(f"m{i}", i, cost, 0.5, None, None) for i, cost in enumerate(costs)])
        return [text for x, _, anchor, text in texts(chart) if anchor == "middle" and not text.startswith("m")]

    assert marks(10, 90)[0] == "0"
    assert {"1", "10", "100", "1,000"} <= set(marks(1, 1000))
    assert "0" not in marks(1, 1000) and marks(0, 1, 1000)[0] == "0"


def test_scores_below_0_have_room_on_the_axis_of_scores() -> None:
    def marks(low: float, high: float) -> list[float]:
        points = [CostPoint("a", 0, 1.0, low, None, None), CostPoint("b", 1, 2.0, high, None, None)]
        found = [text for _, _, anchor, text in texts(cost_chart("t", "ms", points)) if anchor == "end"]
        return [float(text.replace(MINUS, "-")) for text in found if text not in ("a", "b", "ms")]

    assert (min(marks(0.1, 0.9)), max(marks(0.1, 0.9))) == (0, 1)
    low = cost_chart("t", "ms", [CostPoint("a", 0, 1.0, -0.03, -0.08, 0.02), CostPoint("b", 1, 2.0, 0.9, None, None)])
    heights = {text: y for _, y, anchor, text in texts(low) if anchor == "end"}
    bottom = max(y for _, y, anchor, _ in texts(low) if anchor == "middle") - 20
    assert heights["0"] < bottom, "0 is not the bottom"
    assert min(marks(-0.03, -0.01)) <= -0.03, "scores that lie close together have an axis of their own"
