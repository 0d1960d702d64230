"""Whom the pictures of photographs are attributed to, and why some are not shown: from the lock of the suite alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmark.suites.audit import find_withheld
from benchmark.suites.lock import Lock
from benchmark.suites.rights import LICENSES, License
from benchmark.suites.spec import Suite

__all__ = ["Credit", "credits_of", "withheld_of"]


@dataclass(frozen=True)
class Credit:
    """What has to stand beside pictures of an image: whom they are attributed to, where it is from, and its license."""

    image: str
    credit: str
    page: str
    license: License


def credits_of(suite: Suite, lock: Lock, images: Collection[str]) -> tuple[Credit, ...]:
    """Return the credits of those of `images` whose pictures are shown; none for images of the project's own."""
    if suite.dataset.pictures != "licensed":
        return ()
    return tuple(
        Credit(rights.image, rights.credit, rights.page, LICENSES[rights.license])
        for rights in lock.rights
        if rights.image in images and find_withheld(suite, lock, rights.image) is None
    )


def withheld_of(suite: Suite, lock: Lock, images: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the images of which no picture may be shown, each with the reason."""
    found = ((image, find_withheld(suite, lock, image)) for image in dict.fromkeys(images))
    return tuple((image, why) for image, why in found if why is not None)
