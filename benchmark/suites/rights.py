"""Under which license a photograph may be shown, and whom its pictures are attributed to. Import-light.

A recon of a shallow layer is a near-copy, so that a license has to allow derivatives. What is known here are the
licenses of COCO's annotation files, by their addresses; no picture of an image under any other license is shown.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from benchmark.files.declarations import Frozen
from benchmark.files.fields import Id, Line

__all__ = ["LICENSES", "License", "Rights", "WebAddress", "find_license"]

WebAddress = Annotated[
    str, Field(pattern=r"^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?(/[!#-;=?-_a-z~]*)?$", max_length=400)
]
"""An address of the web in ASCII, without spaces, quotes and angle brackets."""
NON_COMMERCIAL = "non-commercial use only"
SHARE_ALIKE = "pictures made from it are under the same license"


class License(Frozen):
    """A license of photographs: whether it allows derivatives, and what has to be said beside them."""

    id: Id
    number: int
    """the id in COCO's annotation files."""
    name: Line
    url: WebAddress
    derivatives: bool
    notice: str = ""


_CC = "http://creativecommons.org/licenses"
_ALL = (
    License(
        id="cc-by-nc-sa-2.0", number=1, name="CC BY-NC-SA 2.0", url=f"{_CC}/by-nc-sa/2.0/", derivatives=True,
        notice=f"{NON_COMMERCIAL}; {SHARE_ALIKE}",
    ),
    License(
        id="cc-by-nc-2.0", number=2, name="CC BY-NC 2.0", url=f"{_CC}/by-nc/2.0/", derivatives=True,
        notice=NON_COMMERCIAL,
    ),
    License(id="cc-by-nc-nd-2.0", number=3, name="CC BY-NC-ND 2.0", url=f"{_CC}/by-nc-nd/2.0/", derivatives=False),
    License(id="cc-by-2.0", number=4, name="CC BY 2.0", url=f"{_CC}/by/2.0/", derivatives=True),
    License(
        id="cc-by-sa-2.0", number=5, name="CC BY-SA 2.0", url=f"{_CC}/by-sa/2.0/", derivatives=True,
        notice=SHARE_ALIKE,
    ),
    License(id="cc-by-nd-2.0", number=6, name="CC BY-ND 2.0", url=f"{_CC}/by-nd/2.0/", derivatives=False),
    License(
        id="flickr-commons", number=7, name="No known copyright restrictions", url="http://flickr.com/commons/usage/",
        derivatives=True,
    ),
    License(
        id="us-government", number=8, name="United States Government Work",
        url="http://www.usa.gov/copyright.shtml", derivatives=True,
    ),
)  # fmt: skip
LICENSES: dict[str, License] = {license.id: license for license in _ALL}
"""By id, the licenses that are known."""


class Rights(Frozen):
    """What allows to show pictures of a photograph."""

    image: Line
    """its id."""
    license: Id
    """an id of `LICENSES`; of any other no picture is shown."""
    credit: Line
    """whom or what the photograph is attributed to."""
    page: WebAddress
    """where the photograph comes from."""


def find_license(url: object) -> License | None:
    """Return the license of an address; http and https, and a slash at the end, make no difference."""
    return _BY_URL.get(_bare(url)) if isinstance(url, str) else None


def _bare(url: str) -> str:
    return url.strip().lower().removeprefix("https://").removeprefix("http://").rstrip("/")


_BY_URL = {_bare(license.url): license for license in _ALL}
