"""The ranked table in a real browser: sorted, filtered, seen in parts and weighed, with its state in the address."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from browsing import Reader

from benchmark.records.receipts import Difference, Environment, Receipt, load_receipts, write_receipt
from leaderboard.data.board import Board
from leaderboard.data.rankings import Row
from leaderboard.data.views import kinds_of, scopes_of

Open = Callable[..., Reader]
Site = Any
BODIES = "[...document.getElementById('ranking').tBodies].map((body) => [...body.querySelectorAll('tr[data-id]')]"
ORDER = f"{BODIES}.filter((row) => !row.hidden).map((row) => row.dataset.id))"
HEADS = "[...document.querySelectorAll('[aria-sort]')]"
SORTED = f"Object.fromEntries({HEADS}.map((one) => [one.dataset.sort, one.ariaSort]))"
ASCENDING = {"place", "name", "parameters", "training", "ms"}


def order(reader: Reader) -> list[list[str]]:
    """Return the submissions that are shown, by the parts of the table."""
    return reader.page.evaluate(ORDER)


def shown(reader: Reader, name: str) -> list[str]:
    """Return the axis scores of a row as they are shown."""
    return reader.texts(f"#ranking tr[data-id='{name}'] td.axis .value, #ranking tr[data-id='{name}'] td.axis .missing")


def choose(reader: Reader, **choices: str) -> None:
    for name, value in choices.items():
        reader.page.locator(f"#controls select[name={name}]").select_option(value)


def set_weights(reader: Reader, *weights: int) -> None:
    if not reader.page.locator("#weights").evaluate("(one) => one.open"):
        reader.page.locator("#weights summary").click()
    for slider, weight in zip(reader.page.locator("#weights input").all(), weights, strict=True):
        slider.fill(str(weight))


def value_of(row: Row, key: str) -> float | str | None:
    scores = {cell.axis: cell.score.value if cell.score else None for cell in row.cells}
    scores = {axis: None if value is None else round(value, 3) for axis, value in scores.items()}
    costs = {"parameters": row.cost.parameters, "training": row.cost.device_hours, "ms": row.cost.ms_per_recon}
    return ({"place": row.place, "name": row.entry.submission.id} | scores | costs)[key]  # type: ignore[operator]


def arranged(rows: Sequence[Row], key: str, direction: str) -> list[str]:
    """Return the order of rows by a column: what has no value comes last, equal ones stay in their order."""
    there = [row for row in rows if value_of(row, key) is not None]
    there = sorted(there, key=lambda row: value_of(row, key), reverse=False)  # type: ignore[arg-type,return-value]
    if direction == "descending":
        groups = [list(group) for _, group in itertools.groupby(there, key=lambda row: value_of(row, key))]
        there = [row for group in reversed(groups) for row in group]
    absent = [row for row in rows if value_of(row, key) is None]
    return [row.entry.submission.id for row in [*there, *absent]]


@pytest.mark.parametrize("target", [None, "mini-detr"])
def test_every_column_sorts_both_ways_with_what_is_missing_last(target: str | None, rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open(f"mini-1/{f'target-{target}' if target else 'index'}.html")
    table = rich.boards[0].tables[target]
    assert reader.page.evaluate(SORTED) == {"place": "ascending"}
    for head in reader.page.locator("#ranking th[data-sort]").all():
        key = str(head.get_attribute("data-sort"))
        first, other = ("ascending", "descending") if key in ASCENDING else ("descending", "ascending")
        for direction in (other, first) if key == "place" else (first, other):
            head.get_by_role("button").click()
            assert reader.page.evaluate(SORTED) == {key: direction}
            parts = (table.ranked, table.unranked, table.references)
            assert order(reader) == [arranged(rows, key, direction) for rows in parts], (key, direction)


def test_the_keyboard_sorts_too(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/index.html")
    reader.page.locator("#controls button").focus()
    reader.page.keyboard.press("Tab")  # the table itself, to be scrolled
    for _ in range(2):
        reader.page.keyboard.press("Tab")
    assert reader.page.evaluate("document.activeElement.parentElement.dataset.sort") == "name"
    reader.page.keyboard.press("Enter")
    assert reader.page.evaluate(SORTED) == {"name": "ascending"}
    assert order(reader)[0] == ["hostile", "modular", "ridge", "twin"]
    reader.page.keyboard.press("Space")
    assert reader.page.evaluate(SORTED) == {"name": "descending"}
    assert order(reader)[0] == ["twin", "ridge", "modular", "hostile"]
    assert reader.page.evaluate("document.activeElement.parentElement.dataset.sort") == "name", "the focus stays"


@pytest.fixture(scope="module")
def mixed(
    tiny_board: Callable[..., Board], build: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """A site whose submissions are trusted differently."""
    board = tiny_board(("copy", 1.0), ("fresh", 0.4), ("rerun", 0.6), ("again", 0.8))

    kinds, entries = {"rerun": "rescored", "again": "reproduced"}, []
    same = Difference(compared=9, equal=9, largest=0, beyond=0, unmatched=0)
    for entry in board.loaded:
        record, kind = entry.record, kinds.get(entry.submission.id)
        if kind:
            receipt = Receipt(
                kind=kind, submission=entry.submission.id, suite=record.suite, suite_digest=record.suite_digest,
                lock_digest=record.lock_digest, record_digest=record.digest, rerun_digest="1" * 64, by="Somebody Else",
                date=datetime.date(2026, 1, 31), images=record.images,
                differences={cell.metric: same for cell in record.cells},
                environment=Environment(device="cpu", device_name="A CPU", python="3.11", packages={}),
            )  # fmt: skip
            write_receipt(entry.folder, receipt)
        entries.append(replace(entry, receipts=tuple(load_receipts(entry.folder, record))))
    assert {entry.submission.id: entry.trust for entry in entries if entry.submission.id in kinds} == kinds
    return build([replace(board, loaded=entries)], tmp_path_factory.mktemp("mixed"))


def test_filters_leave_what_they_name_and_the_reference_points(mixed: Site, visit: Open) -> None:
    reader = visit(mixed)
    reader.open("tiny-1/target-tiny-vit.html")
    assert order(reader) == [["again", "rerun", "fresh"], ["copy"]]
    for choices, left in (
        ({"trust": "reproduced"}, ["again"]),
        ({"trust": "rescored"}, ["rerun"]),
        ({"trust": "self-reported"}, ["fresh"]),
        ({"trust": "", "family": "again"}, ["again"]),
        ({"trust": "rescored", "family": "again"}, []),
        ({"trust": "", "family": ""}, ["again", "rerun", "fresh"]),
    ):
        choose(reader, **choices)
        assert order(reader) == [left, ["copy"]]
        assert reader.text("#status") == f"{len(left)} of 3 submissions."
    choose(reader, family="fresh", trust="self-reported")
    assert reader.state == "family=fresh&trust=self-reported"
    reader.page.get_by_role("button", name="Reset").click()
    assert (reader.state, order(reader)) == ("", [["again", "rerun", "fresh"], ["copy"]])


def test_a_heading_goes_with_the_rows_below_it(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/index.html#family=ridge")
    assert order(reader) == [["ridge"], [], ["copy", "mean"]]
    assert reader.texts("#ranking tr.group") == ["Reference points, not ranked"]


PARTS = (
    ({"tap": "decoder.2"}, "decoder.2", "axes"),
    ({"stage": "encoder"}, "stage:encoder", "axes"),
    ({"stage": "backbone"}, "backbone", "axes"),
    ({"kind": "hue_set_120"}, "*", "hue_set_120"),
    ({"stage": "encoder", "tap": "encoder.1", "kind": "gray"}, "encoder.1", "gray"),
)


def test_a_part_shows_its_own_scores_without_ranks(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    target = board.suite.targets[0]
    reader.open(f"mini-1/target-{target.id}.html")
    whole = {entry.submission.id: shown(reader, entry.submission.id) for entry in board.entries}
    for state, scope, kind in PARTS:
        choose(reader, **state)
        s, k = list(scopes_of(target)).index(scope), kinds_of(board.suite).index(kind)
        missing = 0
        for entry in board.entries:
            name, found = entry.submission.id, entry.shown[target.id][s, k].astype(float)
            expected = ["–" if value != value else f"{value:.3f}" for value in found[:, 0]]
            assert shown(reader, name) == expected
            cells = reader.page.locator(f"#ranking tr[data-id='{name}'] td.axis .range").all_inner_texts()
            ranges = [f"{low:.3f} to {high:.3f}" for value, low, high in found if value == value]
            assert [" ".join(cell.split()).removeprefix("95 % interval ") for cell in cells] == ranges
            missing += expected.count("–")
        assert missing == len(board.entries) * {"axes": 0, "hue_set_120": 1, "gray": 2}[kind]
        assert reader.page.locator("#ranking .rank").count() == 0
        place = scope.replace(":", " ") if scope.startswith("stage:") else f"tap {scope}"
        named = [word for word in (place, kind) if word not in ("tap *", "axes")]
        assert f"scores of {', '.join(named)} alone" in reader.text("#status")
        reader.page.get_by_role("button", name="Reset").click()
        assert {name: shown(reader, name) for name in whole} == whole
        assert reader.page.locator("#ranking .rank").count() == 2 * len(board.suite.axes)


def test_a_part_is_sorted_by_what_it_shows(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    target = board.suite.targets[1]
    reader.open(f"mini-1/target-{target.id}.html")
    reader.page.locator("#ranking th[data-sort=detail] button").click()
    orders = set()
    views = {entry.submission.id: entry.views.targets[target.id] for entry in board.entries}
    for tap in target.tap_names:
        choose(reader, tap=tap)
        detail = {
            name: float(views[name][list(scopes_of(target)).index(tap), 0, 0, 0]) for name in ("modular", "ridge")
        }
        expected = sorted(detail, key=lambda name: -detail[name])
        assert order(reader)[0] == expected, tap
        orders.add(tuple(expected))
    assert len(orders) == 2, "both come first somewhere"


def test_a_stage_offers_its_own_taps(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/target-mini-detr.html#tap=decoder.0")
    choose(reader, stage="encoder")
    assert reader.state == "stage=encoder", "a tap of another stage is given up"
    offered = reader.page.locator("#controls select[name=tap] option:not([hidden])").all_inner_texts()
    assert offered == ["all", "encoder.0", "encoder.1", "encoder.2"]
    assert reader.page.locator("#controls select[name=tap]").input_value() == ""


STATE = "stage=encoder&tap=encoder.1&kind=gray&family=ridge&trust=rescored&sort=detail&dir=ascending&w=50%2C10%2C0"


def settings(reader: Reader) -> dict[str, str]:
    """Return what the controls say."""
    form = "Object.fromEntries(new FormData(document.getElementById('controls')))"
    return {name: value for name, value in reader.page.evaluate(form).items() if value}


def test_an_address_gives_the_view_that_it_names_again(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open(f"mini-1/target-mini-detr.html#{STATE}")

    def check() -> None:
        assert settings(reader) == {
            "stage": "encoder", "tap": "encoder.1", "kind": "gray", "family": "ridge", "trust": "rescored",
        }  # fmt: skip
        assert order(reader) == [["ridge"], ["mean", "copy"]]
        assert reader.page.evaluate(SORTED) == {"detail": "ascending"}
        assert reader.page.locator("#weights input").evaluate_all("(all) => all.map((one) => one.value)") == [
            "50",
            "10",
            "0",
        ]
        assert reader.state == STATE

    check()
    reader.page.reload()
    check()
    reader.open("mini-1/target-mini-detr.html#trust=reproduced")  # as typed into the address: no new page
    assert (settings(reader), order(reader)[0]) == ({"trust": "reproduced"}, [])
    reader.page.go_back()
    check()
    reader.page.go_forward()
    assert settings(reader) == {"trust": "reproduced"}
    reader.page.locator("nav.site").get_by_role("link", name="Compare").click()
    reader.settle()
    reader.page.go_back()
    assert settings(reader) == {"trust": "reproduced"}


GARBAGE = (
    "stage=nowhere&tap=x&kind=y&family=z&trust=%00&sort=__proto__&dir=up&w=1,2",
    "__proto__=1&constructor=2&toString=3&sort=constructor&kind=toString",
    "w=NaN,Infinity,-5&sort=detail%22%5D",
    "w=1e999,0,0",
    "%E0%A4%A=%ZZ&=&&==&kind",
    "kind=<img src=x onerror=window.ran=1>&family=<script>window.ran=1</script>&tap=javascript:window.ran=1",
    "javascript:window.ran=1",
    "trust=reproduced'%22%3E%3Csvg%20onload=window.ran=1%3E&w=<svg onload=window.ran=1>,1,1",
    "a=" + "b" * 20_000,
)


@pytest.mark.parametrize("page", ["target-mini-detr", "gallery-mini-detr", "compare"])
def test_nonsense_in_the_address_does_nothing(page: str, real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open(f"mini-1/{page}.html")
    usual = reader.page.locator("main").inner_html()
    for state in GARBAGE:
        reader.open(f"mini-1/{page}.html#{state}")  # while the page is open
        assert reader.page.evaluate("window.ran") is None
        assert reader.text("#status").endswith(".")
    for state in (GARBAGE[5],):
        reader.open("metrics.html")
        reader.open(f"mini-1/{page}.html#{state}")  # as the page opens
        assert reader.page.evaluate("window.ran") is None
        kept = re.compile(r'href="[^"]*"')
        assert kept.sub("", reader.page.locator("main").inner_html()) == kept.sub("", usual), state


def test_links_to_other_targets_keep_the_state(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open(f"mini-1/target-mini-detr.html#{STATE}")
    link = reader.page.locator("nav.targets").get_by_role("link", name="mini-vit", exact=True)
    link.click()
    assert reader.text("h1") == "mini-vit"
    assert settings(reader) == {"kind": "gray", "family": "ridge", "trust": "rescored"}, "stages and taps are its own"
    assert reader.page.evaluate(SORTED) == {"detail": "ascending"}
    choose(reader, kind="", family="", trust="")
    reader.page.locator("nav.targets").get_by_role("link", name="All targets").click()
    assert reader.state == "sort=detail&dir=ascending&w=50%2C10%2C0"
    reader.open("mini-1/index.html")
    assert not [one for one in reader.page.locator("nav.targets a").all() if "#" in str(one.get_attribute("href"))]


def test_a_jump_within_the_page_does_not_lose_the_state(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/target-mini-detr.html#kind=gray")
    reader.page.keyboard.press("Tab")
    reader.page.keyboard.press("Enter")
    assert reader.page.evaluate("document.activeElement.id") == "main"
    assert (reader.state, settings(reader)) == ("kind=gray", {"kind": "gray"})
    reader.page.evaluate("location.hash = 'depth'")
    assert (reader.state, settings(reader)) == ("depth", {"kind": "gray"})
    choose(reader, family="ridge")
    assert (reader.state, settings(reader)) == ("kind=gray&family=ridge", {"kind": "gray", "family": "ridge"})


# --- Weights


def test_weights_give_an_order_of_the_readers_own(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    reader.open("mini-1/target-mini-vit.html")
    before = order(reader)[0]
    rows = {row.entry.submission.id: row for row in board.tables["mini-vit"].ranked}
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
            assert reader.text(f"tr[data-id='{name}'] .mine").endswith(f"{place + 1}. ({means[name]:.3f})")
        assert reader.state == "w=" + "%2C".join(map(str, weights))
        assert reader.texts("#weights output") == list(map(str, weights))
        assert reader.text("#status").endswith("Ordered by your weights.")
        orders.add(tuple(expected))
    assert len(orders) == 2
    reader.page.reload()
    assert order(reader)[0] == expected and reader.texts("#weights output") == ["10", "85", "5"]
    for name, row in rows.items():
        assert reader.text(f"tr[data-id='{name}'] .place > .value") == str(row.place), "places stay the board's"
    reader.page.get_by_role("button", name="No weights").click()
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
    """Return whether the first two change places when a weight moves by 5 points of 100, the rest in proportion."""
    rows = [[round(cell.score.value, 3) for cell in row.cells] for row in board.tables[target].ranked]  # type: ignore[union-attr]
    share = [weight / sum(weights) for weight in weights]
    signs = set()
    for axis, step in [(0, 0.0), *itertools.product(range(len(share)), (0.05, -0.05))]:
        moved = min(1.0, max(0.0, share[axis] + step))
        rest = sum(share) - share[axis]
        other = [w * (1 - moved) / rest if rest else (1 - moved) / (len(share) - 1) for w in share]
        other[axis] = moved
        first, second = (sum(w * score for w, score in zip(other, row, strict=True)) for row in rows)
        signs.add(first > second)
    return len(signs) == 2


def test_readers_are_warned_of_an_order_that_hangs_on_a_small_change(real: Site, visit: Open) -> None:
    reader, board = visit(real), real.boards[0]
    reader.open("mini-1/target-mini-vit.html")
    said = set()
    for weights in itertools.product((5, 45, 100), (0, 55, 100), (0, 20)):
        reader.open(f"mini-1/target-mini-vit.html#w={','.join(map(str, weights))}")
        text = reader.text("#stability")
        warned = swaps(board, "mini-vit", weights)
        assert text.startswith("Not stable: ") == warned, (weights, text)
        assert bool(reader.page.locator("#stability.warning").count()) == (not text.startswith("Stable: ")), text
        said.add(text.split(":")[0])
    assert said >= {"Not stable", "Within the intervals"}
    reader.open("mini-1/target-mini-swin.html#w=50,50,50")
    assert reader.text("#stability").startswith("Stable: the order stays")
    assert not swaps(board, "mini-swin", (50, 50, 50))


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
    assert marked == ["modular", "twin", "hostile", "ridge"]
    assert reader.text("#stability") == "Within the intervals: modular and twin."


def test_weights_that_order_nothing_say_so(real: Site, visit: Open) -> None:
    reader = visit(real)
    reader.open("mini-1/index.html#kind=gray&w=50,50,50")
    assert reader.text("#stability") == "No ranked submission shown here has scores on every weighted axis."
    assert reader.page.locator("#stability.warning").count() == 1
    assert "Ordered by your weights" not in reader.text("#status")
    assert reader.page.locator("th[aria-sort=ascending]").count() == 1, "the order is that of the places"
    set_weights(reader, 50, 0, 0)
    assert reader.text("#status").endswith("Ordered by your weights.")
    assert reader.page.locator(".mine").count() == 2


def test_equal_weighted_scores_share_a_place(rich: Site, visit: Open) -> None:
    reader = visit(rich)
    reader.open("mini-1/target-mini-detr.html#w=50,50,50")
    places = {name: reader.text(f"tr[data-id='{name}'] .mine").split()[-2:] for name in ("modular", "twin", "ridge")}
    assert places["modular"] == places["twin"] and places["modular"][0] == "1."
    assert places["ridge"][0] == "4."


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
    reader.open("mini-1/target-mini-vit.html#w=100,0,0")
    assert order(reader)[0] == ["ridge", "modular"] and reader.page.evaluate(SORTED) == {}
    for key, direction, first in (("shape", "descending", "modular"), ("place", "ascending", "ridge")):
        reader.page.locator(f"#ranking th[data-sort={key}] button").click()
        assert reader.page.evaluate(SORTED) == {key: direction}
        assert order(reader)[0][0] == first
        assert reader.page.locator(".mine").count() == 2, "the weighted means stay"
    set_weights(reader, 0, 100, 0)
    assert order(reader)[0] == ["modular", "ridge"] and reader.page.evaluate(SORTED) == {}
