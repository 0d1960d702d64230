"""Weights of the reader's own, in a real browser: the order that they give, and its doubts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from browsing import Reader
from rankingtable import SORTED, order, set_weights

from leaderboard.data.board import Board

pytestmark = pytest.mark.slow  # starts a browser

Open = Callable[..., Reader]
Site = Any


def test_weights_give_an_order_of_the_readers_own(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    reader.open("mini-1/index.html")
    before = order(reader)[0]
    rows = {row.entry.submission.id: row for row in board.tables[None].ranked}
    orders = set()
    for weights in ((100, 0, 0), (0, 100, 0), (0, 0, 100), (10, 85, 5)):
        set_weights(reader, *weights)
        means = {}
        for name, row in rows.items():
            scores = [round(cell.score.value, 3) for cell in row.cells]  # type: ignore[union-attr]
            means[name] = sum(w * score for w, score in zip(weights, scores, strict=True)) / sum(weights)
        expected = sorted(means, key=lambda name: -means[name])
        assert order(reader)[0] == expected, weights
        for place, name in enumerate(expected):
            shown = re.fullmatch(r"by your weights (\d+)\. \((.*)\)", reader.text(f"tr[data-id='{name}'] .mine"))
            assert shown and int(shown[1]) == place + 1
            assert float(shown[2]) == pytest.approx(means[name], abs=0.0005 + 1e-9)
        assert reader.state == "w=" + "%2C".join(map(str, weights))
        assert reader.texts("#weights output") == list(map(str, weights))
        assert reader.text("#status").endswith("Ordered by your weights.")
        orders.add(tuple(expected))
    assert len(orders) > 1
    reader.page.reload()
    assert order(reader)[0] == expected and reader.texts("#weights output") == ["10", "85", "5"]
    for name, row in rows.items():
        assert reader.text(f"tr[data-id='{name}'] .place > .value") == row.place_label, "places stay the board's"
    reader.page.get_by_role("button", name="Clear weights").click()
    assert (reader.state, order(reader)[0]) == ("", before)
    assert reader.page.locator(".mine").count() == 0 and reader.text("#stability") == ""
    assert not reader.page.locator("#stability.warning").count()


def test_sliders_follow_the_keyboard(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/index.html")
    reader.page.locator("#weights summary").focus()
    reader.page.keyboard.press("Enter")
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("ArrowRight")
    assert reader.state == "w=55%2C50%2C50"
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Home")
    assert reader.state == "w=55%2C0%2C50"
    assert reader.texts("#weights output") == ["55", "0", "50"]


def swaps(board: Board, target: str | None, weights: tuple[int, ...]) -> bool:
    """Return whether neighbors change places when a weight moves by 5 points of 100, the rest in proportion."""
    rows = [[round(cell.score.value, 3) for cell in row.cells] for row in board.tables[target].ranked]  # type: ignore[union-attr]
    share = [weight / sum(weights) for weight in weights]
    orders = set()
    for axis, step in [(0, 0.0), *itertools.product(range(len(share)), (0.05, -0.05))]:
        moved = min(1.0, max(0.0, share[axis] + step))
        rest = sum(share) - share[axis]
        other = [w * (1 - moved) / rest if rest else (1 - moved) / (len(share) - 1) for w in share]
        other[axis] = moved
        means = [sum(w * score for w, score in zip(other, row, strict=True)) for row in rows]
        orders.add(tuple(sorted(range(len(means)), key=lambda place: -means[place])))
    return len(orders) > 1


def test_readers_are_warned_of_an_order_that_hangs_on_a_small_change(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    said = set()
    for weights in itertools.product((5, 45, 100), (0, 30, 100), (0, 20)):
        reader.open(f"mini-1/index.html#w={','.join(map(str, weights))}")
        text = reader.text("#stability")
        warned = swaps(board, None, weights)
        assert text.startswith("Not stable: ") == warned, (weights, text)
        assert bool(reader.page.locator("#stability.warning").count()) == (not text.startswith("Stable: ")), text
        said.add(text.split(":")[0])
    assert said >= {"Not stable", "Within the intervals"}
    stable = 0
    for target, weights in itertools.product(board.suite.targets, [(50, 50, 50), (0, 0, 50), (0, 50, 0), (50, 0, 0)]):
        reader.open(f"mini-1/target-{target.id}.html#w={','.join(map(str, weights))}")
        if reader.text("#stability").startswith("Stable: the order stays"):
            stable += 1
            assert not swaps(board, target.id, weights)
    assert stable


def test_no_weight_at_all_is_no_order(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/target-mini-vit.html")
    before = order(reader)
    set_weights(reader, 0, 0, 0)
    assert reader.text("#stability") == "Give at least one axis a weight."
    assert reader.texts("#weights output") == ["0", "0", "0"], "the sliders stay where they were put"
    assert (order(reader), reader.page.locator(".mine").count()) == (before, 0)
    assert reader.state == "w=0%2C0%2C0"
    reader.page.reload()
    assert reader.text("#stability") == "Give at least one axis a weight."


def test_what_is_not_ranked_gets_no_place_by_weights(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/target-mini-detr.html#w=50,50,50")
    marked = reader.page.evaluate("[...document.querySelectorAll('.mine')].map((one) => one.closest('tr').dataset.id)")
    assert marked == ["partial", "twin", "modular", "hostile", "ridge"]
    assert reader.text("#stability") == "Within the intervals: twin and modular."


def test_weights_that_order_nothing_say_so(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/index.html#kind=gray&w=50,50,50")
    assert reader.text("#stability") == "No ranked submission shown here has scores on every weighted axis."
    assert reader.page.locator("#stability.warning").count() == 1
    assert "Ordered by your weights" not in reader.text("#status")
    assert reader.page.locator("th[aria-sort=ascending]").count() == 1, "the order is that of the places"
    set_weights(reader, 50, 0, 0)
    assert reader.text("#status").endswith("Ordered by your weights.")
    assert reader.page.locator(".mine").count() == len(order(reader)[0])


def test_equal_weighted_scores_share_a_place(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/target-mini-detr.html#w=50,50,50")
    places = {name: reader.text(f"tr[data-id='{name}'] .mine").split()[-2:] for name in ("modular", "twin", "ridge")}
    assert places["modular"] == places["twin"] and places["modular"][0] == "2."
    assert places["ridge"][0] == "5."


def test_a_score_that_is_missing_is_not_weighed_as_nothing(rich: Site, visit: Open) -> None:
    """Under gray no color is scored: who weighs it gets no order, who does not gets one."""
    reader = visit(rich)
    reader.open("mini-1/target-mini-detr.html#kind=gray&w=50,0,50")
    assert reader.page.locator(".mine").count() == 0
    reader.open("mini-1/target-mini-detr.html#kind=gray&w=50,0,0")
    assert reader.page.locator(".mine").count() == 4
    assert "hostile" not in reader.text("#stability")


def test_a_column_can_be_sorted_while_weights_are_set(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/index.html#w=100,0,0")

    def two() -> list[str]:
        return [name for name in order(reader)[0] if name in ("ridge", "modular_per_tap")]

    assert two() == ["ridge", "modular_per_tap"] and reader.page.evaluate(SORTED) == {}
    for key, direction, first in (("shape", "descending", "modular_per_tap"), ("detail", "descending", "ridge")):
        reader.page.locator(f"#ranking th[data-sort={key}] button").click()
        assert reader.page.evaluate(SORTED) == {key: direction}
        assert two()[0] == first
        assert reader.page.locator(".mine").count() == len(order(reader)[0]), "the weighted means stay"
    set_weights(reader, 0, 100, 0)
    assert two() == ["modular_per_tap", "ridge"] and reader.page.evaluate(SORTED) == {}
