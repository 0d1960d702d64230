"""Fields take what is in their range and shows up as what it is; what else there is gets one line."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from benchmark.files.fields import Cost, Line, Moment, Paragraph, Text, Training, shown_as

UNSEEN = (
    "\u2800\u2800", "\u3164", "a\u3164b", "\uffa0", "\u115f", "a\ufe0f", "a\u180eb", "\u034f", "e" + "\u0301" * 110,
    "\u202ea", "a\u0000", "a\x1b[2Jb", "a\nb", "\u2066x", "a\u00adb",
)  # fmt: skip


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
@pytest.mark.parametrize("kind", [Line, Paragraph, Text], ids=["line", "paragraph", "text"])
def test_text_that_does_not_show_up_as_what_it_is_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match=r"invisible|combining"):
        TypeAdapter(kind).validate_python(text)


@pytest.mark.parametrize(
    "text",
    ["Ridge", "\u00e9t\u00e9", unicodedata.normalize("NFD", "Việt Nguyễn"), "שָׁלוֹם", "ที่นี่", "逆伝播", "x² ≤ 1 %"],
    ids=ascii,
)
def test_text_of_any_script_is_taken(text: str) -> None:
    assert TypeAdapter(Line).validate_python(text) == text


@pytest.mark.parametrize("text", [*UNSEEN, " a ", "x" * 300, "Ridge (a\ufe0f)", ""], ids=ascii)
def test_a_text_from_outside_is_shown_as_a_line_or_nothing(text: str) -> None:
    shown = shown_as(text)
    assert not shown or TypeAdapter(Line).validate_python(shown) == shown


@pytest.mark.parametrize("cost", [0, 0.0001, 3, 1e9])
def test_a_cost_is_taken(cost: float) -> None:
    assert TypeAdapter(Cost).validate_python(cost) == cost


@pytest.mark.parametrize("cost", [-3, 1e-320, 1e308, 10**400, float("nan"), float("inf"), "much"])
def test_a_cost_that_nothing_can_be_compared_with_is_refused(cost: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Cost).validate_python(cost)


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "2026-01-01T23:59:59-12:00"])
def test_a_moment_is_taken(moment: str) -> None:
    assert TypeAdapter(Moment).validate_python(moment) == moment


@pytest.mark.parametrize(
    "moment",
    ["", "yesterday", "2026-01-01", "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", "9999-12-31T23:59:59-14:00"],
)
def test_what_is_no_moment_is_refused(moment: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Moment).validate_python(moment)


@pytest.mark.parametrize(
    "training",
    [
        {"device_hours": 10**400}, {"device_hours": 1e308}, {"device_hours": -5}, {"device_hours": "many"},
        {"device_hours": 1e-320}, {"device_hours": float("nan")}, {"samples": -1}, {"samples": 0.5},
        {"samples": "many"}, {"steps": 10**13}, {"loss": float("inf")},
        {"device": "\u202eGPU"}, {"data": "x" * 3000}, {"\x1b[2J": 1}, {"k" * 200: 1}, {f"k{i}": 1 for i in range(65)},
    ],
    ids=lambda t: ascii(t)[:30],
)  # fmt: skip
def test_how_an_inverse_was_trained_is_bounded(training: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Training).validate_python(training)
    good = {"data": "scenes", "device": "GPU", "device_hours": 0.0014, "samples": 2048, "seed": -3, "rate": 1e-9}
    assert TypeAdapter(Training).validate_python(good) == good
