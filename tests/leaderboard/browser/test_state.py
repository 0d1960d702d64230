"""What a reader has set lies in the address, and nonsense there does nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from browsing import Reader
from rankingtable import SORTED, choose, order

pytestmark = pytest.mark.slow  # starts a browser

Open = Callable[..., Reader]
Site = Any


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
    reader.page.wait_for_url("**/target-mini-vit.html*")
    reader.settle()
    assert reader.text("h1") == "mini-vit"
    assert settings(reader) == {"kind": "gray", "family": "ridge", "trust": "rescored"}, "stages and taps are its own"
    assert reader.page.evaluate(SORTED) == {"detail": "ascending"}
    choose(reader, kind="", family="", trust="")
    reader.page.locator("nav.targets").get_by_role("link", name="All targets").click()
    reader.page.wait_for_url("**/index.html*")
    reader.settle()
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
