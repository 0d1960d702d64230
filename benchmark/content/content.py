"""The content of a suite: where its networks and images lie, compared with the lock before they are used."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from benchmark.content import hub, photographs
from benchmark.content.networks import fetch_network
from benchmark.content.pins import (
    check_pins,
    find_audit_rights,
    find_gaps,
    hash_image,
    hash_images,
    hash_perturbed,
    image_sizes,
    perceptual_pins,
)
from benchmark.datasets import open_images
from benchmark.datasets.base import ImageSet, Sample
from benchmark.errors import SpecError
from benchmark.files.canonical import digest_of, sha256_file
from benchmark.files.paths import PACKAGE, key_of
from benchmark.suites.lock import Lock
from benchmark.suites.rights import Rights
from benchmark.suites.spec import CocoData, FrozenData, HubData, Source, Suite, TargetSpec
from benchmark.targets.files import find_files

__all__ = ["Content", "empty_lock"]

PACKAGE_CURE = "install the package again"


def empty_lock(suite: Suite) -> Lock:
    """Return a lock that pins nothing yet."""
    lock = Lock(suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={})
    return lock.model_copy(update={"gaps": find_gaps(suite, lock)})


class _Checked(ImageSet):
    """Images that are compared with the lock as they are read."""

    def __init__(self, images: ImageSet, lock: Lock, where: Path) -> None:
        self._images, self._lock, self._where = images, lock, where
        self.ids, self.resized = images.ids, images.resized

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        sample = self._images.load(index, size)
        name = self.name(sample.id, size)
        pinned = {name: self._lock.images[name]} if name in self._lock.images else {}
        check_pins(
            "image", pinned, {name: hash_image(sample)}, draft=self._lock.draft, where=self._where,
            cure="another photograph, or another decoder or resizer, than the suite was locked with",
        )  # fmt: skip
        return sample

    def files(self) -> dict[str, Path]:
        return self._images.files()

    def source(self, index: int) -> Path | None:
        return self._images.source(index)

    def fingerprint(self) -> str:
        return self._images.fingerprint()

    def rights(self, index: int) -> Rights | None:
        return self._images.rights(index)

    def unused(self) -> ImageSet:
        return self._images.unused()

    def fresh(self, seed: str, count: int) -> ImageSet:
        return self._images.fresh(seed, count)


class Content:
    """Finds or fetches what a suite refers to.

    Args:
        data_folder: where photographs lie; None: where `invbench data fetch` left or found them.
    """

    def __init__(self, suite: Suite, lock: Lock, data_folder: Path | None = None) -> None:
        self.suite, self.lock, self._data_folder = suite, lock, data_folder
        self._networks: dict[Source, Path] = {}

    def _check_files(self, files: dict[str, Path], cure: str, needed: Collection[str] = ()) -> None:
        """Compare files by the name that locks give them; those `needed` must be among them."""
        hashes = {name: sha256_file(path) for name, path in files.items()}
        pinned = {name: digest for name, digest in self.lock.files.items() if name in hashes or name in needed}
        check_pins("file", pinned, hashes, draft=self.lock.draft, where=self.suite.lock_path, cure=cure)

    def with_lock(self, lock: Lock) -> Content:
        """The same content under another lock."""
        return Content(self.suite, lock, self._data_folder)

    def revision(self, repo_id: str, revision: str | None) -> str:
        """Return the commit of a repository: the suite's, or else the lock's.

        Raises:
            SpecError: neither names one.
        """
        commit = revision or self.lock.revisions.get(repo_id)
        if commit is None:
            again = f"where the Hub can be reached, run: invbench suite lock {self.suite.argument}"
            raise SpecError(
                f"the revision of {repo_id} is not known yet",
                where=self.suite.id,
                cure=f"{again}; or leave its target out",
            )
        return commit

    def _pinned(self, repo_id: str) -> dict[str, str]:
        """Return the SHA-256 of the files of a repository that the lock pins, by their names there."""
        prefix = f"{repo_id}/"
        return {name.removeprefix(prefix): v for name, v in self.lock.files.items() if name.startswith(prefix)}

    def network_files(self, source: Source) -> dict[str, Path]:
        """Return the files of a network by the name that locks give them; those on the Hub are fetched.

        Raises:
            SpecError: absent, or the Hub cannot be reached; says why.
            IntegrityError: a fetched file is not the pinned one.
        """
        if source.repo_id is None:
            folder = source.directory()
            paths = sorted(path for path in folder.glob("*") if path.suffix in {".json", ".safetensors"})
            if not paths:
                raise SpecError("no such network", where=str(folder), cure=PACKAGE_CURE)
            return {key_of(path): path for path in paths}
        commit = self.revision(source.repo_id, source.revision)
        folder = fetch_network(source.repo_id, commit, self._pinned(source.repo_id))
        return {f"{source.repo_id}/{path.name}": path for path in find_files(folder)}

    def network(self, source: Source) -> Path:
        """Return the folder of a network in Hub layout, its files compared with the lock.

        Raises:
            SpecError, IntegrityError: see `network_files`; or a file is not the pinned one.
        """
        if source not in self._networks:
            files = self.network_files(source)
            pinned = {f"{source.repo_id}/{name}" for name in self._pinned(source.repo_id)} if source.repo_id else ()
            self._check_files(files, PACKAGE_CURE if source.path else "the lock pins another file", pinned)
            self._networks[source] = next(iter(files.values())).parent
        return self._networks[source]

    def target(self, spec: TargetSpec) -> Path:
        """Return the folder of a target's network; see `network`."""
        return self.network(spec.source)

    def _folder(self) -> Path:
        data = self.suite.dataset
        if isinstance(data, FrozenData):
            return PACKAGE
        if isinstance(data, HubData):
            commit = self.revision(data.repo_id, data.revision)
            pinned = self._pinned(data.repo_id)
            return hub.fetch_files(data.repo_id, commit, data.files, repo_type="dataset", sha256=pinned)
        if isinstance(data, CocoData):
            return self._data_folder or photographs.locate_photographs("coco", data.split)
        return self._data_folder or photographs.locate_photographs("imagenet")

    @cached_property
    def images(self) -> ImageSet:
        """The evaluation images; their files and names are compared with the lock, each image as it is loaded.

        Raises:
            SpecError: absent.
            IntegrityError: other files, or other images than the lock names.
        """
        data, folder = self.suite.dataset, self._folder()
        if not isinstance(data, FrozenData | HubData):
            # Before they are read: what is chosen from another annotation file would only confuse.
            there = {name: folder / name for name in self.lock.files if (folder / name).is_file()}
            self._check_files(there, "take the data of this suite; see invbench doctor")
        images = open_images(data, folder)
        if isinstance(data, FrozenData):
            self._check_files(images.files(), PACKAGE_CURE)
        names = {images.name(image_id, size): "" for size in image_sizes(self.suite) for image_id in images.ids}
        pinned = dict.fromkeys(self.lock.images, "")
        check_pins("image", pinned, names, draft=self.lock.draft, where=self.suite.lock_path)
        return _Checked(images, self.lock, self.suite.lock_path)

    def check_perturbed(self) -> None:
        """Compare the perturbed audit images with the lock.

        Raises:
            IntegrityError: names the first that differs.
        """
        hashes = hash_perturbed(self.suite, self.images, self.lock)
        check_pins("perturbed image", self.lock.perturbed, hashes, draft=self.lock.draft, where=self.suite.lock_path)

    def hash_files(self, images: ImageSet) -> dict[str, str]:
        """Return the SHA-256 of every file that the suite refers to, by the name that locks give it.

        The perceptual network's are of its tensors, whatever file they came from.
        """
        files = images.files()
        for source in self.suite.networks:
            files |= self.network_files(source)
        return {name: sha256_file(path) for name, path in files.items()} | perceptual_pins(self.suite)

    def check(self) -> None:
        """Compare everything that the suite refers to with the lock.

        Raises:
            SpecError: something is absent.
            IntegrityError: names the first item that differs, is missing or is not pinned.
        """
        draft, where = self.lock.draft, self.suite.lock_path
        images = self.images
        files = self.hash_files(images)
        check_pins("file", self.lock.files, files, draft=draft, where=where, cure=PACKAGE_CURE)
        check_pins("image", self.lock.images, hash_images(self.suite, images), draft=draft, where=where)
        perturbed = hash_perturbed(self.suite, images, self.lock)
        check_pins("perturbed image", self.lock.perturbed, perturbed, draft=draft, where=where)
        pinned, found = (
            {rights.image: digest_of([place, rights.model_dump(mode="json")]) for place, rights in enumerate(held)}
            for held in (self.lock.rights, find_audit_rights(self.suite, images))
        )
        check_pins("rights to image", pinned, found, draft=draft, where=where)
