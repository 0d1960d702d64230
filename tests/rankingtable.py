"""The ranked table as a reader works it."""

from __future__ import annotations

from browsing import Reader

BODIES = "[...document.getElementById('ranking').tBodies].map((body) => [...body.querySelectorAll('tr[data-id]')]"
ORDER = f"{BODIES}.filter((row) => !row.hidden).map((row) => row.dataset.id))"
HEADS = "[...document.querySelectorAll('[aria-sort]')]"
SORTED = f"Object.fromEntries({HEADS}.map((one) => [one.dataset.sort, one.ariaSort]))"


def order(reader: Reader) -> list[list[str]]:
    """Return the submissions that are shown, by the parts of the table."""
    return reader.page.evaluate(ORDER)


def shown(reader: Reader, name: str) -> list[str]:
    """Return the axis scores of a row as they are shown."""
    cell = f"#ranking tr[data-id='{name}'] td.axis:not([data-axis=score])"
    return reader.texts(f"{cell} .value, {cell} .missing")


def choose(reader: Reader, **choices: str) -> None:
    for name, value in choices.items():
        reader.page.locator(f"#controls select[name={name}]").select_option(value)


def set_weights(reader: Reader, *weights: int) -> None:
    if not reader.page.locator("#weights").evaluate("(one) => one.open"):
        reader.page.locator("#weights summary").click()
    for slider, weight in zip(reader.page.locator("#weights input").all(), weights, strict=True):
        slider.fill(str(weight))
