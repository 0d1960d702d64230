"""Which images of a suite are audited, and of which of them records store pictures. Import-light.

Both follow from the suite and its lock; nothing that a record or a submission says has a part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.suites.lock import Lock
from benchmark.suites.rights import LICENSES
from benchmark.suites.spec import Suite, TargetSpec

__all__ = ["audit_images", "find_withheld", "stored_images"]


def audit_images(
    suite: Suite, lock: Lock, image_ids: Sequence[str], target: TargetSpec | None = None
) -> tuple[str, ...]:
    """Return the audit images among `image_ids`: `verify` inverts them again.

    Those that the suite names, or else those that its lock chose, of these the ones whose pictures may be published;
    where there is none, those named or the first so many.

    Args:
        target: only those that are audited on this target.
    """
    listed = suite.audit_ids(image_ids)
    if lock.rights and isinstance(suite.audit_images, int):
        known = frozenset(image_ids)
        listed = suite.audit_ids([rights.image for rights in lock.rights if rights.image in known])
    allowed = tuple(image for image in listed if find_withheld(suite, lock, image) is None)
    chosen = allowed or suite.audit_ids(image_ids)
    return chosen[: suite.audit_depth(target)] if target else chosen


def stored_images(suite: Suite, lock: Lock, image_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the audit images among `image_ids` of which records store pictures."""
    return tuple(image for image in audit_images(suite, lock, image_ids) if find_withheld(suite, lock, image) is None)


def find_withheld(suite: Suite, lock: Lock, image: str) -> str | None:
    """Return why no picture of an image may be published, in words; None if it may."""
    pictures = suite.dataset.pictures
    if pictures == "all":
        return None
    if pictures == "none":
        return f"{suite.id} publishes no pictures of its images"
    stated = [rights.license for rights in lock.rights if rights.image == image]
    if not stated:
        return f"the lock of {suite.id} states no license for it"
    if (known := LICENSES.get(stated[0])) is None:
        return f"its license '{stated[0]}' is not known"
    return None if known.derivatives else f"{known.name} allows no derivatives"
