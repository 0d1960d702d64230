"""Weights in a submission's own folder: taken where they are named, whole and of its method, refused otherwise."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from forge import edit_json, edit_toml, errors, only_error, put, write_submission
from safetensors import serialize

from benchmark.errors import SpecError
from benchmark.files.paths import resource
from benchmark.submissions import stored_weights
from benchmark.submissions.submission import Weights, load_submission_folder

TARGETS = ("mini-detr", "mini-vit", "mini-swin")
VIT = Path("weights/mini-vit")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A submission that brings the package's own means, the smallest weights, as its weights."""
    named = ", ".join(f'{target} = {{ path = "./weights/{target}" }}' for target in TARGETS)
    folder = write_submission(tmp_path / "mine", weights=f"{{ {named} }}")
    for target in TARGETS:
        shutil.copytree(resource(f"assets/mini/inverses/mean/{target}"), folder / "weights" / target)
        edit_json(folder / "weights" / target / "config.json", put("method", "modular_per_tap"))
    return folder


def test_weights_may_lie_in_the_folder(folder: Path) -> None:
    assert errors(folder) == []
    where = load_submission_folder(folder).weights["mini-vit"].directory(folder)
    assert (where / "model.safetensors").is_file()


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": [1.0]}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def padded(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"#!/bin/sh\n")


def claiming(path: Path) -> None:
    """A header that claims more than the file holds."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)


def empty(path: Path) -> None:
    path.write_bytes(serialize({}, None))


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pickle": (pickled, "not a safetensors file"),
    "an end that is missing": (cut, "not a safetensors file"),
    "something behind the tensors": (padded, "not a safetensors file"),
    "a header that claims more": (claiming, "not a safetensors file"),
    "no tensors": (empty, "holds no tensors"),
    "a pointer": (pointer, "is a pointer of Git LFS"),
    "no file": (Path.unlink, "no such file"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_no_file_of_tensors_is_refused(folder: Path, kind: str) -> None:
    make, message = FAULTS[kind]
    make(folder / VIT / "model.safetensors")
    finding = only_error(folder)
    assert message in finding.message
    assert finding.where == str(folder / VIT / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("method", "ridge"), "is for method 'ridge' on 'mini-vit', not 'modular_per_tap' on 'mini-vit'"),
        (put("target", "mini-swin"), "is for method 'modular_per_tap' on 'mini-swin'"),
        (put("storage", "pickle"), "field 'storage'"),
        (put("auto_map", {"AutoModel": "x.py"}), "field 'auto_map'"),
    ],
)
def test_a_configuration_is_of_the_method_and_target(folder: Path, change: Callable[..., None], message: str) -> None:
    edit_json(folder / VIT / "config.json", change)
    finding = only_error(folder)
    assert message in finding.message
    assert finding.where == str(folder / VIT / "config.json")


def test_weights_that_are_not_named_are_refused(folder: Path) -> None:
    edit_toml(folder, '"./weights/mini-vit"', '"assets/mini/inverses/modular_per_tap/mini-vit"')
    finding = only_error(folder)
    assert (finding.message, finding.where) == ("is not named in submission.toml", str(folder / VIT / "config.json"))


@pytest.mark.parametrize("path", ["./weights/mini-swin", "./weights/mini-vit/", "./mini-vit", "./.", "./weights"])
def test_a_target_has_a_folder_of_its_name(folder: Path, path: str) -> None:
    edit_toml(folder, '"./weights/mini-vit"', json.dumps(path))
    assert only_error(folder).message == f"field 'weights.mini-vit.path': is '{path}', not './weights/mini-vit'"


def test_weights_are_bounded_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_weights, "MAX_STORED_TOTAL", 300_000)
    finding = only_error(folder)
    assert "more than the 300,000 allowed" in finding.message
    assert finding.cure == "put the larger ones on the Hub: invbench publish"


def test_a_wheel_says_that_it_leaves_them_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.submissions.submission.is_bundled", lambda path: True)
    with pytest.raises(SpecError, match=r"left out of installed packages .*in a checkout"):
        Weights(path="./weights/mini-vit").directory(tmp_path)
