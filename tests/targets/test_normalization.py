"""Mean and std of a network: from either file of transformers, or from timm's configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.errors import SpecError
from benchmark.targets.normalization import load_normalization

MEAN, STD = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
PLAIN = {"image_mean": MEAN, "image_std": STD, "do_normalize": True, "do_rescale": True, "rescale_factor": 1 / 255}
SOURCES: dict[str, dict[str, Any]] = {
    "preprocessor_config.json": PLAIN,
    "processor_config.json": {"image_processor": PLAIN, "processor_class": "CLIPProcessor"},
    "config.json": {"architecture": "vit", "pretrained_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic"}},
}
OTHER = {"image_mean": [0.9] * 3, "image_std": [0.9] * 3}


def write(folder: Path, name: str, content: object) -> None:
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize("name", SOURCES)
def test_mean_and_std_are_read_wherever_they_stand(tmp_path: Path, cpu: torch.device, name: str) -> None:
    write(tmp_path, "config.json", {})
    write(tmp_path, name, SOURCES[name])
    images = torch.rand(2, 3, 5, 4)
    expected = (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    assert torch.equal(load_normalization(tmp_path, cpu)(images), expected)


def test_the_first_file_counts(tmp_path: Path, cpu: torch.device) -> None:
    write(tmp_path, "config.json", {"pretrained_cfg": {"mean": [0.7] * 3, "std": [0.7] * 3}})
    write(tmp_path, "processor_config.json", {"image_processor": OTHER})
    assert load_normalization(tmp_path, cpu).mean.unique().tolist() == pytest.approx([0.9])
    write(tmp_path, "preprocessor_config.json", PLAIN)
    assert load_normalization(tmp_path, cpu).mean.flatten().tolist() == pytest.approx(MEAN)
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").unlink()
    assert load_normalization(tmp_path, cpu).mean.unique().tolist() == pytest.approx([0.7])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("processor_config.json", {"processor_class": "X"}, r"processor_config\.json: no 'image_processor'"),
        ("processor_config.json", {"image_processor": 3}, r"processor_config\.json: no 'image_processor'"),
        ("processor_config.json", {"image_processor": PLAIN | {"do_rescale": False}}, "asks for another preprocessing"),
        (
            "processor_config.json",
            {"image_processor": {}},
            r"processor_config\.json: 'image_mean' is not three numbers",
        ),
        ("config.json", {"pretrained_cfg": {"mean": MEAN}}, r"/config\.json: 'image_std' is not three numbers"),
        (
            "config.json",
            {"pretrained_cfg": {"mean": MEAN, "std": [0, 1, 1]}},
            r"/config\.json: 'image_std' is not posi",
        ),
        ("config.json", {"pretrained_cfg": [1]}, r"preprocessor_config\.json: absent .*processor_config\.json.*timm"),
        ("config.json", {}, r"preprocessor_config\.json: absent .*processor_config\.json.*timm"),
    ],
)
def test_what_is_wrong_is_told_by_its_file(
    tmp_path: Path, cpu: torch.device, name: str, content: object, message: str
) -> None:
    write(tmp_path, "config.json", {})
    write(tmp_path, name, content)
    with pytest.raises(SpecError, match=message):
        load_normalization(tmp_path, cpu)
