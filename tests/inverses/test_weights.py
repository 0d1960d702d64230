"""What `save_inverse` writes `load_inverse` reads, or nothing is written and a line says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from owncode import Own, make_features
from owncode import own as own
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from benchmark.errors import IntegrityError, SpecError
from benchmark.inverses.base import Inverse, count_bytes, load_inverse, save_inverse
from benchmark.inverses.weights import fill

CPU = torch.device("cpu")
PARTS = "first, *others = self.decoders.values()\n"
CLOSED = {
    "tied weights": PARTS + "for other in others: other.weight = first.weight",
    "one of them tied": PARTS + "others[1].weight = first.weight",
    "shared modules": PARTS + "for tap in list(self.decoders): self.decoders[tap] = first",
    "one module under two names": PARTS + "self.again = first",
    "modules in a plain list": PARTS + "self.kept = [first, *others]\nself.table = {'w': first.weight}",
    "a transposed view": "self.a, self.b = nn.Linear(3, 5), nn.Linear(5, 3)\n"
    "self.b.weight = nn.Parameter(self.a.weight.T)",
    "another parameter on the same memory": PARTS + "others[0].weight = nn.Parameter(first.weight.data)",
    "a slice": "self.register_buffer('all', torch.arange(9.0))\nself.register_buffer('some', self.all[2:5])",
    "an expanded buffer": "self.register_buffer('many', torch.ones(1, 4).expand(3, 4))",
    "a tied buffer": "self.register_buffer('one', torch.arange(4.0))\nself.register_buffer('two', self.one)",
    "a buffer and a parameter": PARTS + "self.register_buffer('w', first.weight.data)",
    "compiled in the constructor": PARTS + "self.decoders['embeddings'] = torch.compile(first, backend='eager')",
    "half precision": "self.half()",
    "bfloat16": "self.bfloat16()",
    "mixed precision": PARTS + "first.half()\nothers[0].double()",
    "numbers of all kinds": "for t in ('bool', 'uint8', 'int16', 'int64', 'float64', 'complex64'):\n"
    "    self.register_buffer(t, torch.ones(3, dtype=getattr(torch, t)))",
    "nothing in a tensor": "self.register_buffer('empty', torch.zeros(0, 4))\nself.register_buffer('none', None)",
    "a number": "self.gain = nn.Parameter(torch.tensor(2.5))",
    "channels last": "self.c = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)",
    "weight norm": "self.c = nn.utils.parametrizations.weight_norm(nn.Linear(3, 4))",
    "lists of parameters": "self.l = nn.ParameterList([torch.ones(2), torch.zeros(3)])",
}  # fmt: skip


def assert_same(one: Inverse, other: Inverse, atol: float = 0.0) -> None:
    features = make_features(one.config)
    given = one.invert(features)
    for tap, recon in other.invert(features).items():
        torch.testing.assert_close(recon, given[tap], rtol=0, atol=atol)


def draw(inverse: Inverse) -> None:
    """Give an inverse other weights than its constructor draws, in place."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for tensor in inverse.parameters():
            tensor.copy_(torch.rand(tensor.shape, generator=generator))


@pytest.mark.parametrize("kind", CLOSED)
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_the_round_trip_is_closed(own: Own, tmp_path: Path, kind: str, storage: str) -> None:
    inverse = own(CLOSED[kind], storage=storage)
    draw(inverse)
    save_inverse(inverse, tmp_path / "stored")
    again = load_inverse(tmp_path / "stored", CPU)
    assert {name: (t.shape, t.dtype) for name, t in again.state_dict().items()} == {
        name: (t.shape, t.dtype) for name, t in inverse.state_dict().items()
    }
    wanted = inverse.state_dict()
    for name, tensor in again.state_dict().items():
        atol = 1e-3 if storage == "float16" and tensor.is_floating_point() else 0
        torch.testing.assert_close(tensor, wanted[name], rtol=0, atol=atol)
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in inverse.parameters())
    assert_same(inverse, again, 0 if storage == "float32" else 2e-2)
    held = load_file(tmp_path / "stored/model.safetensors")
    assert sum(tensor.nbytes for tensor in held.values()) <= count_bytes(inverse.config)
    save_inverse(again, tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "stored" / name).read_bytes()


def test_of_tied_weights_one_is_stored_and_all_refer_to_it(own: Own, tmp_path: Path) -> None:
    inverse = own(CLOSED["tied weights"] + "\nself.table = [first.weight]")
    draw(inverse)
    save_inverse(inverse, tmp_path / "stored")
    held = load_file(tmp_path / "stored/model.safetensors")
    assert [name for name in held if name.endswith("weight")] == ["decoders.embeddings.weight"]
    again: Any = load_inverse(tmp_path / "stored", CPU)
    weights = [decoder.weight for decoder in again.decoders.values()]
    assert all(weight is weights[0] for weight in weights) and again.table[0] is weights[0]


@pytest.mark.parametrize("kind", ["tied weights", "one of them tied", "shared modules", "a tied buffer"])
def test_files_that_safetensors_wrote_are_read_whichever_name_it_kept(own: Own, tmp_path: Path, kind: str) -> None:
    inverse = own(CLOSED[kind])
    draw(inverse)
    save_inverse(inverse, tmp_path)
    path = tmp_path / "model.safetensors"
    save_model(inverse, str(path))
    assert_same(inverse, load_inverse(tmp_path, CPU))
    save_file({name: tensor.clone() for name, tensor in inverse.state_dict().items()}, path)
    assert_same(inverse, load_inverse(tmp_path, CPU))


def test_tied_tensors_that_differ_in_a_file_are_refused(own: Own, tmp_path: Path) -> None:
    inverse = own(CLOSED["tied weights"])
    save_inverse(inverse, tmp_path)
    tensors = {name: tensor.clone() for name, tensor in inverse.state_dict().items()}
    tensors["decoders.encoder_0.weight"] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"tensor 'decoders\.encoder_0\.weight' differs from one"):
        load_inverse(tmp_path, CPU)


def test_compiled_inverses_are_stored_as_if_they_were_not(own: Own, tmp_path: Path) -> None:
    inverse: Any = own()
    save_inverse(inverse, tmp_path / "plain")
    whole: Any = torch.compile(inverse, backend="eager")
    save_inverse(whole, tmp_path / "whole")
    inverse.decoders["encoder_0"] = torch.compile(inverse.decoders["encoder_0"], backend="eager")
    inverse.decoders["encoder_1"].compile(backend="eager")
    save_inverse(inverse, tmp_path / "part")
    for name in ("whole", "part"):
        assert (tmp_path / name / "model.safetensors").read_bytes() == (
            tmp_path / "plain/model.safetensors"
        ).read_bytes()
        assert_same(inverse, load_inverse(tmp_path / name, CPU))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_module_of_another_precision_is_stored_as_its_constructor_makes_it(
    own: Own, tmp_path: Path, kind: torch.dtype
) -> None:
    inverse = own("self.register_buffer('table', torch.linspace(0, 1, 7), persistent=False)").to(kind)
    save_inverse(inverse, tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in held.values()} == {torch.float32}
    assert_same(inverse, load_inverse(tmp_path, CPU), 0.05)
    for name, tensor in inverse.state_dict().items():
        assert torch.equal(held[name], tensor.float())


def change(inverse: Any, what: str) -> Any:
    first, second, _ = inverse.decoders.values()
    match what:
        case "a number":
            first.weight.data[0, 0] = torch.nan
        case "a number too large":
            inverse.double()
            first.weight.data[0, 0] = 1e300
        case "another tensor":
            inverse.more = nn.Linear(2, 2)
        case "no tensor":
            del inverse.decoders["embeddings"]
        case "another shape":
            inverse.decoders["embeddings"] = nn.Linear(6, 47)
        case "untied":
            second.weight = nn.Parameter(second.weight.detach() + 1)
        case "a fitted buffer":
            inverse.table.add_(0.1)
        case "a fitted attribute":
            inverse.offset = inverse.offset + 0.1
        case "wrapped":
            return nn.Sequential(inverse)
        case "averaged":
            return torch.optim.swa_utils.AveragedModel(inverse)
    return inverse


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a number", r"tensor 'decoders\.embeddings\.weight' is not finite$"),
        ("a number too large", r"tensor 'decoders\.embeddings\.weight' does not fit float32$"),
        ("another tensor", r"tensor 'more\.bias' is \(2,\), but absent in an inverse that is built .*\(let the"),
        ("no tensor", r"tensor 'decoders\.embeddings\.bias' is absent, but \(48,\) in an inverse"),
        ("another shape", r"tensor 'decoders\.embeddings\.bias' is \(47,\), but \(48,\) in an inverse"),
        ("untied", r"tensors 'decoders\.embeddings\.weight' and 'decoders\.encoder_0\.weight' differ, but are one"),
        ("a fitted buffer", r"'table' is not stored, and the constructor gives it another .*persistent buffer\)"),
        ("a fitted attribute", r"'offset' is not stored, and the constructor gives it another value"),
        ("wrapped", r"a Sequential is no inverse \(save the module that it wraps\)"),
        ("averaged", r"a AveragedModel is no inverse"),
    ],
)
def test_what_would_not_be_read_again_is_not_written(own: Own, tmp_path: Path, what: str, message: str) -> None:
    inverse = own(
        CLOSED["tied weights"] + "\nself.register_buffer('table', torch.linspace(0, 1, 7), persistent=False)\n"
        "self.offset = torch.linspace(0, 1, 48)"
    )
    with pytest.raises(SpecError, match=rf"^{tmp_path}/stored: {message}"):
        save_inverse(change(inverse, what), tmp_path / "stored")
    assert not (tmp_path / "stored").exists()


def test_values_that_the_constructor_draws_are_not_lost_in_silence(own: Own, tmp_path: Path) -> None:
    inverse = own("self.register_buffer('projection', torch.randn(6, 6), persistent=False)")
    with pytest.raises(SpecError, match="'projection' is not stored, and the constructor gives it another value"):
        save_inverse(inverse, tmp_path)
    save_inverse(own("self.register_buffer('projection', torch.randn(6, 6))"), tmp_path)


def test_caches_may_be_lost(own: Own, tmp_path: Path) -> None:
    inverse: Any = own("self.register_buffer('grid', torch.zeros(0), persistent=False)\nself.table = None")
    inverse.grid, inverse.table = torch.ones(3), torch.ones(4)
    save_inverse(inverse, tmp_path)
    assert_same(inverse, load_inverse(tmp_path, CPU))


@pytest.mark.parametrize(
    ("constructor", "message"),
    [
        ("self.lazy = nn.LazyLinear(3)", r"tensor 'lazy\.(weight|bias)' has no shape yet"),
        ("type(self).get_extra_state = lambda self: {'a': 1}", "'_extra_state' is no"),
    ],
)
def test_state_that_is_no_tensor_is_refused(own: Own, tmp_path: Path, constructor: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        save_inverse(own(constructor), tmp_path)


def test_a_pointer_of_git_lfs_is_named(own: Own, tmp_path: Path) -> None:
    save_inverse(own(), tmp_path)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a1' * 32}\nsize 295536\n"
    (tmp_path / "model.safetensors").write_text(pointer)
    message = (
        r"model\.safetensors: is a pointer of Git LFS, not the file itself \(fetch it: git lfs pull; or, .*hf down"
    )
    with pytest.raises(SpecError, match=message):
        load_inverse(tmp_path, CPU)
    save_inverse(own(), tmp_path)
    (tmp_path / "config.json").write_text(pointer)
    with pytest.raises(SpecError, match=r"config\.json: is a pointer of Git LFS"):
        load_inverse(tmp_path, CPU)


def test_an_inverse_that_is_another_one_by_now_is_not_filled(own: Own) -> None:
    inverse = own()
    tensors = dict(inverse.state_dict())
    fill(inverse, tensors)
    with pytest.raises(SpecError, match=r"Own: cannot be filled with its weights: .*Missing key"):
        fill(inverse, dict(list(tensors.items())[1:]))


def test_compiled_names_in_a_file_are_read(own: Own, tmp_path: Path) -> None:
    inverse = own(CLOSED["compiled in the constructor"])
    save_inverse(inverse, tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    assert not any("_orig_mod" in name for name in names)
    save_file({name: tensor.clone() for name, tensor in inverse.state_dict().items()}, tmp_path / "model.safetensors")
    assert_same(inverse, load_inverse(tmp_path, CPU))
    assert json.loads((tmp_path / "config.json").read_text())["method"] == "own"
