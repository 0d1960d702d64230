"""Locks: the content of a suite by SHA-256, what of it is not pinned yet, and what differs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from benchmark.datasets.annotations import annotation_file
from benchmark.datasets.base import ImageSet, Sample
from benchmark.errors import IntegrityError
from benchmark.files.canonical import canonical_json
from benchmark.files.pixels import to_pixels, to_tensor
from benchmark.metrics.perceptual import ALEXNET_SHA256, HEADS_SHA256
from benchmark.metrics.spec import get_metric
from benchmark.perturbations import perturb
from benchmark.suites.audit import audit_images, find_withheld
from benchmark.suites.lock import Lock
from benchmark.suites.rights import LICENSES, Rights
from benchmark.suites.spec import CocoData, FrozenData, HubData, Source, Suite
from benchmark.targets import TIMM_FAMILIES
from benchmark.targets.config import CONFIG
from benchmark.targets.files import INDEX, PREPROCESSOR, PROCESSOR, WEIGHTS

__all__ = [
    "check_pins", "drop_unnamed", "find_audit_rights", "find_gaps", "fix_gap", "hash_image", "hash_images",
    "hash_perturbed", "image_sizes", "perceptual_pins",
]  # fmt: skip


def image_sizes(suite: Suite) -> tuple[tuple[int, int], ...]:
    """Return the input sizes of the targets, each once, in their order."""
    return tuple(dict.fromkeys(target.input_size for target in suite.targets))


def perceptual_pins(suite: Suite) -> dict[str, str]:
    """Return the SHA-256 of the perceptual network's tensors, if a metric of the suite asks it."""
    asking = any("perceptual" in get_metric(metric).needs for metric in suite.metrics)
    return {"lpips/alexnet": ALEXNET_SHA256, "lpips/heads": HEADS_SHA256} if asking else {}


def hash_image(sample: Sample) -> str:
    """Return the SHA-256 of an image's pixels (uint8 RGB, rows first), its focal mask and what is known of it."""
    known = [sample.group, sample.canonical, sample.category, [round(hue, 3) for hue in sample.prototypes_deg]]
    labels = [sample.focal_category, list(sample.classes), [list(box) for box in sample.boxes]]
    facts = canonical_json(known + labels).encode()
    return hashlib.sha256(sample.image.tobytes() + sample.focal_mask.tobytes() + facts).hexdigest()


def hash_images(suite: Suite, images: ImageSet, *, bar: bool = False) -> dict[str, str]:
    """Return `hash_image` of every image at every input size of the suite, by the name that locks give it.

    Args:
        bar: whether to show progress.
    """
    loads = [(index, size) for size in image_sizes(suite) for index in range(len(images.ids))]
    return {
        images.name(images.ids[index], size): hash_image(images.load(index, size))
        for index, size in tqdm(loads, unit="image", desc="hash images", disable=not bar)
    }


def find_audit_rights(suite: Suite, images: ImageSet) -> tuple[Rights, ...]:
    """Return the rights to the audit images of a suite that asks for licenses.

    Of those that the suite names, or of all, the first so many in their order whose license allows derivatives.
    """
    if suite.dataset.pictures != "licensed":
        return ()
    named = suite.audit_images
    possible = (images.rights(i) for i, image in enumerate(images.ids) if isinstance(named, int) or image in named)
    allowed = (rights for rights in possible if rights and LICENSES[rights.license].derivatives)
    return tuple(islice(allowed, _count_audit(suite)))


def _count_audit(suite: Suite) -> int:
    return suite.audit_images if isinstance(suite.audit_images, int) else len(suite.audit_images)


def hash_perturbed(suite: Suite, images: ImageSet, lock: Lock) -> dict[str, str]:
    """Return the SHA-256 of the 8-bit perturbed pixels of the audit images, by `image/perturbation`."""
    hashes = {}
    for size in image_sizes(suite):
        for image_id in audit_images(suite, lock, images.ids):
            sample = images.load(images.ids.index(image_id), size)
            image = to_tensor(sample.image[None])
            mask = torch.from_numpy(sample.focal_mask)[None]
            for name in suite.perturbations:
                pixels = to_pixels(perturb(name, image, mask)).tobytes()
                hashes[f"{images.name(image_id, size)}/{name}"] = hashlib.sha256(pixels).hexdigest()
    return hashes


def check_pins(
    kind: str,
    pinned: Mapping[str, str],
    actual: Mapping[str, str],
    *,
    draft: bool,
    where: Path,
    cure: str | None = None,
) -> None:
    """Compare actual hashes with those pinned; a draft may hold more than is pinned.

    Args:
        kind: what the hashes are of, for the message.
        pinned: of everything that `actual` must hold.

    Raises:
        IntegrityError: names the first item that differs, is missing or is not pinned.
    """
    for name in sorted(pinned.keys() | actual.keys()):
        if name not in pinned and draft:
            continue
        if pinned.get(name) != actual.get(name):
            state = "missing" if name not in actual else "not pinned" if name not in pinned else "different"
            raise IntegrityError(f"{kind} '{name}' is {state}", where=str(where), cure=cure)


def _source_gaps(source: Source, lock: Lock, *, timm: bool) -> list[str]:
    """Parts of a network that a lock does not pin; one file of weights stands for an index with all its shards."""
    if source.repo_id is None:
        return []
    gaps = [] if source.revision or source.repo_id in lock.revisions else [f"revision of {source.repo_id}"]
    prefix = f"{source.repo_id}/"
    pinned = {name.removeprefix(prefix) for name in lock.files if name.startswith(prefix)}
    sharded = INDEX in pinned and any(name.endswith(".safetensors") for name in pinned)
    if CONFIG not in pinned:
        gaps.append(f"file {prefix}{CONFIG}")
    if WEIGHTS not in pinned and not sharded:
        gaps.append(f"file {prefix}{WEIGHTS}")
    if not timm and not {PREPROCESSOR, PROCESSOR} & pinned:
        gaps.append(f"file {prefix}{PREPROCESSOR}")
    return gaps


def find_gaps(suite: Suite, lock: Lock) -> tuple[str, ...]:
    """Parts of a suite that its lock does not pin: revisions, files, images, rights, perturbed images and yardsticks.

    The files of embedded networks and data are not looked for: whoever makes a lock has them at hand.
    """
    timm = {target.source for target in suite.targets if target.family in TIMM_FAMILIES}
    gaps = [gap for source in suite.networks for gap in _source_gaps(source, lock, timm=source in timm)]
    data = suite.dataset
    if isinstance(data, HubData):
        if not (data.revision or data.repo_id in lock.revisions):
            gaps.append(f"revision of {data.repo_id}")
        gaps += [f"file {name}" for file in data.files if (name := f"{data.repo_id}/{file}") not in lock.files]
    sizes = 1 if data.source == "frozen" else len(image_sizes(suite))
    audit = _count_audit(suite)
    if len(lock.images) != data.images * sizes:
        gaps.append("images")
    if data.pictures == "licensed":
        held = sum(find_withheld(suite, lock, rights.image) is None for rights in lock.rights)
        gaps += [f"rights to {audit - held} of {audit} audit images"] if held < audit else []
        audit = held or audit
    if len(lock.perturbed) != audit * sizes * len(suite.perturbations):
        gaps.append("perturbed images")
    gaps += [
        f"yardsticks at {name}"
        for height, width in image_sizes(suite)
        if (name := f"{height}x{width}") not in lock.yardsticks
    ]
    return tuple(gaps)


def fix_gap(suite: Suite, gap: str, *, locked: bool) -> str:
    """Return what to do about a gap that `find_gaps` names.

    Args:
        locked: whether everything that the suite refers to was fetched, so that to lock it again changes nothing.
    """
    file = suite.file or suite.id
    again = f"run: invbench suite lock {suite.argument}"
    kind, _, name = gap.partition(" ")
    if kind == "revision":
        repo_id = name.removeprefix("of ")
        return f"{again}; or state 'revision' beside repo_id = \"{repo_id}\" in {file}, 40 hex digits of its history"
    if not locked:
        return again
    if kind == "file":
        return f"that commit has no such file; state another 'revision' in {file}"
    if kind == "rights":
        return (
            "too few licenses allow derivatives: let the suite take more images, or fewer 'audit_images', or state "
            f'pictures = "none" under [dataset] in {file}, so that records store no pictures'
        )
    return f"the data has another number of images than 'images' in {file} says"


def drop_unnamed(suite: Suite, lock: Lock) -> Lock:
    """Return a lock without the files and revisions of what its suite does not name, or not any longer."""
    data = suite.dataset
    unpinned = {source.repo_id for source in suite.networks if not source.revision}
    folders = [source.repo_id or source.path for source in suite.networks]
    if isinstance(data, HubData):
        folders.append(data.repo_id)
        unpinned |= set() if data.revision else {data.repo_id}
    whole = {*perceptual_pins(suite), *([data.path] if isinstance(data, FrozenData) else [])}
    whole |= {annotation_file(data.split)} if isinstance(data, CocoData) else set()
    return lock.model_copy(
        update={
            "files": {
                name: digest
                for name, digest in lock.files.items()
                if name in whole or name.startswith(tuple(f"{folder}/" for folder in folders))
            },
            "revisions": {name: commit for name, commit in lock.revisions.items() if name in unpinned},
        }
    )
