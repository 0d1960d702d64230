"""What an annotation file says of licenses: to which photographs there are rights, and whom they are attributed to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmark.datasets.annotations import ListedImage
from benchmark.datasets.coco import find_rights, open_coco
from benchmark.suites.spec import CocoData

LICENSES = [
    {"id": 1, "url": "http://creativecommons.org/licenses/by-nc-sa/2.0/", "name": "x"},
    {"id": 3, "url": "http://creativecommons.org/licenses/by-nc-nd/2.0/", "name": "x"},
    {"id": 4, "url": "http://creativecommons.org/licenses/by/2.0/", "name": "x"},
]
PHOTO = "http://farm3.staticflickr.com/2318/2068039201_b967c69504_z.jpg"


def listed(license: Any = 4, flickr_url: Any = PHOTO) -> ListedImage:
    return ListedImage(id=6818, file_name="x.jpg", height=4, width=4, license=license, flickr_url=flickr_url)


def test_a_photograph_is_attributed_to_its_page() -> None:
    rights = find_rights(listed(), LICENSES)
    assert rights is not None
    assert (rights.image, rights.license) == ("000000006818", "cc-by-2.0")
    assert rights.page == "https://www.flickr.com/photo.gne?id=2068039201"
    assert rights.credit == "photo 2068039201 on Flickr"
    for number, name in ((1, "cc-by-nc-sa-2.0"), (3, "cc-by-nc-nd-2.0")):
        found = find_rights(listed(number), LICENSES)
        assert found is not None and found.license == name


@pytest.mark.parametrize("license", [None, 5, 0, -1, "4", 4.0, True, [4], {"id": 4}, float("nan")], ids=repr)
def test_a_license_that_is_not_listed_gives_no_rights(license: Any) -> None:
    assert find_rights(listed(license), LICENSES) is None


def test_a_license_is_what_the_file_says_it_is_not_its_number() -> None:
    own = [{"id": 4, "url": "https://example.org/all-rights-reserved"}]
    assert find_rights(listed(), own) is None
    assert find_rights(listed(), [{"id": 4}]) is None
    assert find_rights(listed(), [*own, *LICENSES]) is None, "two licenses of one number"
    assert find_rights(listed(), ["4", None, 4]) is None
    assert find_rights(listed(), []) is None


@pytest.mark.parametrize(
    "url",
    [None, 5, "", "javascript:alert(1)", "https://example.org/2318/2068039201_b967c69504_z.jpg",
     "http://farm3.staticflickr.com.example.org/2318/2068039201_b967c69504_z.jpg",
     "http://farm3.staticflickr.com/2318/2068039201_b967c69504_z.jpg?\"><script>"],
)  # fmt: skip
def test_a_photograph_without_an_address_on_flickr_cannot_be_attributed(url: Any) -> None:
    assert find_rights(listed(flickr_url=url), LICENSES) is None


def test_what_a_file_says_of_licenses_never_keeps_it_from_being_read(tmp_path: Path) -> None:
    polygon = [[0, 0, 10, 0, 10, 5, 0, 5]]
    raw: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "x.jpg", "height": 10, "width": 20}],
        "categories": [{"id": 7, "name": "cat"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "segmentation": polygon}],
    }
    spec = CocoData(
        source="coco", images=1, description="x", resize="pillow-bilinear", split="val2017", salt="x", share=(0, 1)
    )
    path = tmp_path / "annotations" / "instances_val2017.json"
    path.parent.mkdir()
    for more in ({}, {"licenses": []}, {"licenses": "none"}, {"licenses": [{"id": "x"}, 3, None]}):
        path.write_text(json.dumps(raw | more))
        assert open_coco(spec, tmp_path).rights(0) is None
    raw["images"][0] |= {"license": 4, "flickr_url": PHOTO}
    path.write_text(json.dumps(raw | {"licenses": LICENSES}))
    rights = open_coco(spec, tmp_path).rights(0)
    assert rights is not None and rights.image == "000000000001"
