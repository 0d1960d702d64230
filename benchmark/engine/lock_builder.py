"""Making locks: everything that a suite refers to is fetched, hashed and measured."""

from __future__ import annotations

import torch

from benchmark.content import hub
from benchmark.content.content import Content, empty_lock, perceptual_pins
from benchmark.content.pins import check_pins, find_gaps, hash_images, hash_perturbed
from benchmark.engine.yardsticks import measure_suite_yardsticks
from benchmark.errors import UserError
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.spec import HubData, Suite

__all__ = ["draft_lock", "known_pins", "make_lock"]


def known_pins(suite: Suite) -> Lock:
    """The existing pins: the draft lock beside the suite; an empty one where there is none, or a whole one.

    A whole lock is made anew from scratch; a draft is completed, and what it pins must hold. A draft lock of another
    text of the suite keeps its files and revisions. Every lock keeps its hues.
    """
    try:
        lock = load_lock(suite)
    except UserError:
        if not suite.lock_path.is_file():
            return empty_lock(suite)
        lock = Lock.model_validate_json(suite.lock_path.read_text(encoding="utf-8"))
        changed = {"suite_digest": suite.digest, "images": {}, "perturbed": {}}
        changed |= {"groups": {}, "wear": {}, "yardsticks": {}, "answers": {}}
        lock = lock.model_copy(update=changed) if lock.draft else lock
    return lock if lock.draft else empty_lock(suite).model_copy(update={"hues": lock.hues})


def draft_lock(suite: Suite) -> Lock:
    """The lock as known without fetching or measuring anything: the existing pins, and the gaps."""
    known = known_pins(suite)
    known = known.model_copy(update={"files": known.files | perceptual_pins(suite)})
    return known.model_copy(update={"gaps": find_gaps(suite, known)})


def _find_revisions(suite: Suite, known: Lock) -> dict[str, str]:
    """Return the commits of the repositories that the suite names without one: those known, else the newest."""
    revisions = dict(known.revisions)
    for source in suite.networks:
        if source.repo_id and not source.revision and source.repo_id not in revisions:
            revisions[source.repo_id] = hub.find_commit(source.repo_id)
    data = suite.dataset
    if isinstance(data, HubData) and not data.revision and data.repo_id not in revisions:
        revisions[data.repo_id] = hub.find_commit(data.repo_id, repo_type="dataset")
    return revisions


def make_lock(content: Content, device: torch.device) -> Lock:
    """Return the lock of a suite: hashes of its files, images and perturbed images, and the measured yardsticks.

    What the lock of `content` pins already must hold.

    Raises:
        SpecError: something is absent or cannot be fetched.
        IntegrityError: something is not what is pinned already.
    """
    suite = content.suite
    content = content.with_lock(content.lock.model_copy(update={"revisions": _find_revisions(suite, content.lock)}))
    images = content.images
    files = content.hash_files(images)
    check_pins("file", content.lock.files, files, draft=True, where=suite.lock_path)
    hashes = {"files": files, "images": hash_images(suite, images), "perturbed": hash_perturbed(suite, images)}
    lock = measure_suite_yardsticks(content.with_lock(content.lock.model_copy(update=hashes)), device)
    return lock.model_copy(update={"gaps": find_gaps(suite, lock)})
