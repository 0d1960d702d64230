"""Locks: pin the content of a suite, and check that nothing differs from what was pinned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmark.datasets.frozen import Sample
from benchmark.errors import IntegrityError
from benchmark.perturbations import perturb
from benchmark.spec import PACKAGE, Anchor, Lock, Suite, sha256_file

__all__ = ["check_lock", "hash_files", "hash_images", "hash_perturbed", "make_lock"]


def _sha256(pixels: Tensor) -> str:
    return hashlib.sha256(torch.round(pixels * 255).to(torch.uint8).contiguous().numpy().tobytes()).hexdigest()


def hash_files(suite: Suite) -> dict[str, str]:
    """Return the SHA-256 of every embedded file that the suite refers to, by path inside the package."""
    folders = [target.source.directory() for target in suite.targets]
    if suite.judge:
        folders.append(suite.judge.directory())
    paths = [PACKAGE / suite.dataset.path]
    for folder in folders:
        paths += sorted(path for path in folder.glob("*") if path.suffix in {".json", ".safetensors"})
    return {path.relative_to(PACKAGE).as_posix(): sha256_file(path) for path in paths}


def hash_images(samples: Sequence[Sample]) -> dict[str, str]:
    """Return the SHA-256 of each image's decoded pixels (uint8 RGB, rows first) followed by its focal mask."""
    return {
        sample.id: hashlib.sha256(sample.image.tobytes() + sample.focal_mask.tobytes()).hexdigest()
        for sample in samples
    }


def hash_perturbed(suite: Suite, samples: Sequence[Sample]) -> dict[str, str]:
    """Return the SHA-256 of the 8-bit perturbed pixels of the audit images, by `image/perturbation`."""
    hashes = {}
    for sample in samples:
        if sample.id not in suite.audit_images:
            continue
        image = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float() / 255
        mask = torch.from_numpy(sample.focal_mask)[None]
        for name in suite.perturbations:
            hashes[f"{sample.id}/{name}"] = _sha256(perturb(name, image, mask)[0].permute(1, 2, 0))
    return hashes


def make_lock(suite: Suite, samples: Sequence[Sample], anchors: Mapping[str, Mapping[str, Anchor]]) -> Lock:
    """Return the lock of a suite from its files, images and measured anchors."""
    return Lock(
        suite=suite.id,
        suite_digest=suite.digest,
        files=hash_files(suite),
        images=hash_images(samples),
        perturbed=hash_perturbed(suite, samples),
        anchors={target: dict(values) for target, values in anchors.items()},
    )


def check_lock(suite: Suite, lock: Lock, samples: Sequence[Sample], *, where: Path) -> None:
    """Compare files, images and perturbed images with the lock.

    Raises:
        IntegrityError: names the first item that differs, is missing or is not pinned.
    """
    checks: tuple[tuple[str, dict[str, str], Callable[[], dict[str, str]]], ...] = (
        ("file", lock.files, lambda: hash_files(suite)),
        ("image", lock.images, lambda: hash_images(samples)),
        ("perturbed image", lock.perturbed, lambda: hash_perturbed(suite, samples)),
    )
    for kind, pinned, measure in checks:
        found = measure()
        for name in sorted(pinned.keys() | found.keys()):
            if pinned.get(name) != found.get(name):
                state = "missing" if name not in found else "not pinned" if name not in pinned else "different"
                raise IntegrityError(f"{kind} '{name}' is {state}", where=str(where), cure="install the package again")
