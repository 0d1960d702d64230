"""Licenses of photographs: which allow pictures, what has to be said beside them, and what is no address."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from benchmark.suites.rights import LICENSES, Rights, find_license

# COCO's own list: number, address, whether pictures made from a photograph may be published, words of the notice.
COCO = (
    (1, "http://creativecommons.org/licenses/by-nc-sa/2.0/", True, ("non-commercial", "same license")),
    (2, "http://creativecommons.org/licenses/by-nc/2.0/", True, ("non-commercial",)),
    (3, "http://creativecommons.org/licenses/by-nc-nd/2.0/", False, ()),
    (4, "http://creativecommons.org/licenses/by/2.0/", True, ()),
    (5, "http://creativecommons.org/licenses/by-sa/2.0/", True, ("same license",)),
    (6, "http://creativecommons.org/licenses/by-nd/2.0/", False, ()),
    (7, "http://flickr.com/commons/usage/", True, ()),
    (8, "http://www.usa.gov/copyright.shtml", True, ()),
)


@pytest.mark.parametrize(("number", "url", "allowed", "words"), COCO)
def test_every_license_of_coco_is_known(number: int, url: str, allowed: bool, words: tuple[str, ...]) -> None:
    known = find_license(url)
    assert known is not None
    assert (known.number, known.url, known.derivatives) == (number, url, allowed)
    assert bool(known.notice) == bool(words) and all(word in known.notice for word in words)
    assert ("non-commercial" in known.notice) == (number in (1, 2))
    assert LICENSES[known.id] is known
    assert find_license(url.replace("http:", "https:").rstrip("/")) is known


def test_no_other_license_is_known() -> None:
    assert sorted(known.number for known in LICENSES.values()) == [number for number, *_ in COCO]
    by = "creativecommons.org/licenses/by"
    others = (None, "", 4, [by], f"http://{by}/2.0/x", f"http://{by}/4.0/", f"https://example.org/?{by}/2.0/")
    for url in others:
        assert find_license(url) is None, url


@pytest.mark.parametrize(
    "page",
    ["javascript:alert(1)", "data:text/html,x", "//example.org/x", "ftp://example.org/x", "https://", "https:///x",
     'https://example.org/"onclick="x', "https://example.org/<b>", "https://example.org/a b", "https://example.org/\n",
     "https://exämple.org/", "https://example.org/" + "x" * 400, ""],
)  # fmt: skip
def test_only_addresses_of_the_web_are_linked(page: str) -> None:
    with pytest.raises(ValidationError, match="page"):
        Rights(image="1", license="cc-by-2.0", credit="somebody", page=page)
    Rights(image="1", license="cc-by-2.0", credit="somebody", page="https://www.flickr.com/photo.gne?id=1&x=2#a")
