"""Making locks: everything that a suite refers to is fetched, hashed and measured."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch

from benchmark.content import hub
from benchmark.content.content import Content, empty_lock
from benchmark.content.pins import (
    check_pins,
    drop_unnamed,
    find_audit_rights,
    find_gaps,
    hash_images,
    hash_perturbed,
    perceptual_pins,
)
from benchmark.engine.chunks import ChunkStore
from benchmark.engine.yardsticks import measure_suite_yardsticks
from benchmark.errors import IntegrityError, UserError
from benchmark.files.declarations import read_json
from benchmark.files.storing import write_text
from benchmark.suites.lock import MAX_LOCK_BYTES, Lock
from benchmark.suites.spec import HubData, Suite

__all__ = ["draft_lock", "find_revisions", "known_pins", "make_lock", "write_lock"]


def known_pins(suite: Suite) -> Lock:
    """The existing pins: the draft lock beside the suite; an empty one where there is none, or a whole one.

    A whole lock is made anew from scratch; a draft is completed, and what it pins must hold. A draft lock of
    another text of the suite keeps the files and revisions of what the suite still names. Every lock keeps its hues.

    Raises:
        SpecError: what lies beside the suite is not a lock.
    """
    if not suite.lock_path.is_file():
        return empty_lock(suite)
    lock = read_json(suite.lock_path, Lock, MAX_LOCK_BYTES)
    if not lock.draft:
        return empty_lock(suite).model_copy(update={"hues": lock.hues})
    if lock.suite_digest != suite.digest:
        changed = {"suite_digest": suite.digest, "images": {}, "perturbed": {}}
        changed |= {"groups": {}, "wear": {}, "yardsticks": {}, "answers": {}, "rights": ()}
        lock = lock.model_copy(update=changed)
    return drop_unnamed(suite, lock)


def draft_lock(suite: Suite) -> Lock:
    """The lock as known without fetching or measuring anything: the existing pins, and the gaps."""
    known = known_pins(suite)
    known = known.model_copy(update={"files": known.files | perceptual_pins(suite)})
    return known.model_copy(update={"gaps": find_gaps(suite, known)})


def _revision_store(suite: Suite) -> ChunkStore:
    return ChunkStore({"revisions": suite.digest, "hub": hub.endpoint()})


def find_revisions(suite: Suite, known: Lock) -> Lock:
    """Return a lock with the commits of the repositories that the suite names without one.

    Those known, or else those that an unfinished lock of the suite found, or else the newest, which are kept in the
    cache until the lock is written.

    Raises:
        UserError: the Hub cannot be asked; names the field in which a commit can be stated.
    """
    sources: list[tuple[str, hub.RepoType]] = [
        (source.repo_id, "model") for source in suite.networks if source.repo_id and not source.revision
    ]
    data = suite.dataset
    if isinstance(data, HubData) and not data.revision:
        sources.append((data.repo_id, "dataset"))
    if all(repo_id in known.revisions for repo_id, _ in sources):
        return known
    store = _revision_store(suite)
    kept = {name: str(commit) for name, commit in (store.load("found") or {}).items()}
    found = kept | known.revisions
    for repo_id, kind in sources:
        if repo_id in found:
            continue
        try:
            found[repo_id] = hub.find_commit(repo_id, repo_type=kind)
        except UserError as error:
            beside = " and ".join(f'repo_id = "{name}"' for name, _ in sources if name not in found)
            state = f"state 'revision' beside {beside} in {suite.file or suite.id}"
            cure = f"{error.cure}; or {state}" if error.cure else state
            raise type(error)(error.message, where=error.where, cure=cure) from None
        store.save("found", {name: np.array(commit) for name, commit in found.items()})
    return known.model_copy(update={"revisions": found})


def make_lock(content: Content, device: torch.device) -> tuple[Lock, tuple[ChunkStore, ...]]:
    """Return the lock of a suite: hashes of its files, images and perturbed images, rights, and measured yardsticks.

    What the lock of `content` pins already must hold, and it names the commits of all repositories; see
    `find_revisions`. What was measured is kept in the cache: see `write_lock`, which takes what is returned.

    Raises:
        SpecError: something is absent or cannot be fetched.
        IntegrityError: something is not what is pinned already.
    """
    suite = content.suite
    images = content.images
    stale = f"if {suite.id} names another commit or other data now, take the old pin out of {suite.lock_path}"
    try:
        files = content.hash_files(images)
    except IntegrityError as error:
        cure = f"{error.cure}; or, {stale}" if error.cure else stale
        raise IntegrityError(error.message, where=error.where, cure=cure) from None
    check_pins("file", content.lock.files, files, draft=True, where=suite.lock_path, cure=stale)
    hashed = hash_images(suite, images, bar=True)
    known = content.lock.model_copy(update={"rights": find_audit_rights(suite, images)})
    hashes = {"files": files, "images": hashed, "perturbed": hash_perturbed(suite, images, known)}
    lock, stores = measure_suite_yardsticks(content.with_lock(known.model_copy(update=hashes)), device)
    return lock.model_copy(update={"gaps": find_gaps(suite, lock)}), stores


def write_lock(suite: Suite, lock: Lock, stores: Sequence[ChunkStore] = ()) -> None:
    """Write a lock beside its suite; then what was kept in the cache until now is removed.

    Raises:
        UserError: it cannot be written; says why. The same command then measures nothing again.
    """
    write_text(suite.lock_path, json.dumps(lock.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    for store in (*stores, _revision_store(suite)) if stores else ():
        store.clear()
