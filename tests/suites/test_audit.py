"""Which images are audited and stored follows from the suite and the lock, and from nothing else."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from benchmark.suites.audit import audit_images, find_withheld, stored_images
from benchmark.suites.catalog import load_suite
from benchmark.suites.lock import Lock, load_lock
from benchmark.suites.rights import LICENSES, Rights
from benchmark.suites.spec import Suite

IDS = tuple(f"{number:012d}" for number in range(20))


def rights_to(number: int, license: str = "cc-by-2.0") -> Rights:
    return Rights(image=IDS[number], license=license, credit="somebody", page="https://example.org/x")


def locked(suite: Suite, *rights: Rights) -> Lock:
    return Lock(suite=suite.id, suite_digest=suite.digest, files={}, images={}, perturbed={}, rights=rights)


@pytest.fixture(scope="module")
def coco() -> Suite:
    return load_suite("coco@1")


def test_pictures_of_the_projects_own_images_are_all_stored(mini: Suite) -> None:
    lock = load_lock(mini)
    ids = [name.split("@")[0] for name in lock.images]
    assert stored_images(mini, lock, ids) == audit_images(mini, lock, ids) == tuple(mini.audit_images)  # type: ignore[arg-type]


@pytest.mark.parametrize("license", [*LICENSES, "cc-by-9.9"])
def test_a_photograph_is_stored_only_if_its_license_allows_it(coco: Suite, license: str) -> None:
    allowed = license in LICENSES and LICENSES[license].derivatives
    lock = locked(coco, rights_to(3, license), rights_to(5))
    assert stored_images(coco, lock, IDS) == ((IDS[3], IDS[5]) if allowed else (IDS[5],))
    why = find_withheld(coco, lock, IDS[3])
    assert (why is None) == allowed
    assert allowed or str(why).endswith(("allows no derivatives", "is not known"))


def test_a_photograph_that_the_lock_does_not_name_is_not_stored(coco: Suite) -> None:
    assert stored_images(coco, locked(coco), IDS) == ()
    assert find_withheld(coco, locked(coco, rights_to(1)), IDS[0]) == "the lock of coco@1 states no license for it"
    # verify inverts images again, whatever may be stored of them.
    assert audit_images(coco, locked(coco), IDS) == IDS[:8]


def test_a_suite_that_publishes_nothing_stores_nothing() -> None:
    imagenet = load_suite("imagenet@1")
    lock = locked(imagenet, rights_to(0))
    assert stored_images(imagenet, lock, IDS) == ()
    assert audit_images(imagenet, lock, IDS) == IDS[:4]
    assert find_withheld(imagenet, lock, IDS[0]) == "imagenet@1 publishes no pictures of its images"


def test_the_first_audit_image_is_the_locks_whatever_the_order_of_a_record(coco: Suite) -> None:
    lock = locked(coco, rights_to(7), rights_to(2), rights_to(9))
    detr = coco.target("detr-resnet-50")
    assert stored_images(coco, lock, IDS[::-1]) == stored_images(coco, lock, IDS) == (IDS[7], IDS[2], IDS[9])
    assert audit_images(coco, lock, IDS, detr) == (IDS[7],)
    assert stored_images(coco, lock, IDS[:5]) == (IDS[2],)


BAD_CELLS = (
    ({"taps": ["encoder.9"]}, "names the tap 'encoder.9' of 'detr-resnet-50', which the suite does not have"),
    ({"targets": ["detr"]}, "names the tap 'input' of 'detr', which the suite does not have"),
    ({"taps": ["encoder.0"], "perturbations": ["gray"]}, "without the perturbation 'identity'"),
    ({"taps": ["encoder.5"], "perturbations": ["gray"], "images": 2}, "without the perturbation 'identity'"),
    ({"images": 0}, "greater than 0"),
    ({"targets": []}, "at least 1 item"),
)


@pytest.mark.parametrize(("change", "message"), BAD_CELLS, ids=[str(change) for change, _ in BAD_CELLS])
def test_cells_that_could_not_be_scored_are_refused(coco: Suite, change: dict[str, object], message: str) -> None:
    text = coco.model_dump(mode="json")
    text["audit_cells"].append(text["audit_cells"][0] | change)
    with pytest.raises(ValidationError, match=message):
        Suite.model_validate(text)


def test_a_perturbation_that_the_suite_lacks_is_refused(coco: Suite) -> None:
    text = coco.model_dump(mode="json") | {"perturbations": ["identity", "gray"]}
    with pytest.raises(ValidationError, match="names the perturbation 'hue_set_0', which the suite does not have"):
        Suite.model_validate(text)


def test_what_is_new_changes_no_digest_of_a_suite_without_it(mini: Suite) -> None:
    assert mini.digest == "39aa3a9030dde51f3756a7cf43105dea92dfb9888ade9cb5ce37ff4f0eda06d8"
    assert load_lock(mini).digest == "7766515f08055c2f1018005db188fe7c370d819476b3c33755f9991ba4d5b426"
