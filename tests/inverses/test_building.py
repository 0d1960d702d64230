"""What the constructor of a submission computes is there when its inverse is loaded, whatever it asks of tensors."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from owncode import Own, make_config, make_features
from owncode import own as own
from torch import nn

from benchmark.errors import SpecError
from benchmark.inverses.base import (
    build_inverse,
    count_bytes,
    load_inverse,
    read_config,
    rebuild_inverse,
    save_inverse,
)
from benchmark.inverses.building import build_bounded, build_outline, state_of, unstored_of
from benchmark.inverses.faults import blame

CPU = torch.device("cpu")
MEAN = "torch.tensor([0.485, 0.456, 0.406]).repeat_interleave(16)"
CONSTRUCTORS = {
    "a buffer that is not stored": f"del self.offset\nself.register_buffer('offset', {MEAN}, persistent=False)",
    "a plain attribute": f"self.offset = {MEAN}",
    "numbers out of tensors": "self.offset = [rate.item() for rate in torch.linspace(0, 0.1, 4)][2]",
    "a list": "self.offset = sum(torch.linspace(0, 0.1, 4).tolist())",
    "a float": "self.offset = float(torch.arange(3).sum())",
    "an array": "self.offset = float(np.asarray(torch.linspace(1, 2, 3)).sum())",
    "from an array": "self.offset = torch.from_numpy(np.linspace(0, 1, 48)).float()",
    "a decision": "self.offset = 0.5 if torch.eye(2).trace() > 1.5 else 0.0",
    "a table of positions": "p = torch.arange(48)[:, None] / 9\nself.offset = torch.cat([p.sin(), p.cos()], 1).mean(1)",
    "chosen places": "self.offset = torch.arange(6)[torch.arange(6) > 3].float().mean()",
    "a shape out of a tensor": "self.extra = nn.Linear(int(torch.tensor([2, 3]).prod()), 1)",
    "a pass through the network": "self.offset = self.decoders['embeddings'](torch.ones(6)).shape[0] / 99",
    "a large table": "self.offset = torch.arange(10**5)[torch.arange(10**5) > 10].float().mean()",
}


@pytest.mark.parametrize("kind", CONSTRUCTORS)
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_what_a_constructor_computes_is_there_again(own: Own, tmp_path: Path, kind: str, storage: str) -> None:
    inverse: Any = own(CONSTRUCTORS[kind], storage=storage)
    save_inverse(inverse, tmp_path / "stored")
    again: Any = load_inverse(tmp_path / "stored", CPU)
    torch.testing.assert_close(torch.as_tensor(again.offset), torch.as_tensor(inverse.offset), rtol=0, atol=0)
    features = make_features(inverse.config)
    for tap, recon in inverse.invert(features).items():
        torch.testing.assert_close(again.invert(features)[tap], recon, rtol=0, atol=0 if storage == "float32" else 5e-3)
    assert not any(tensor.is_meta for tensor in (state_of(again) | unstored_of(again)).values())


LARGE = "nn.Parameter(torch.ones(side).repeat(side, 1))"


@pytest.mark.parametrize(
    ("large", "more"),
    [("nn.Linear(side, side)", more) for more in ("", "torch.ones(1).item()", "self.large.weight[0, 0].item()")]
    + [("nn.Sequential(*[nn.Linear(10_000, 10_000) for _ in range(side // 999)])", "np.asarray(torch.ones(1))")]
    + [("nn.Parameter(torch.randn(side, side))", "self.large[0, 0].item()"), (LARGE, "torch.ones(1).item()")],
)
def test_absurd_sizes_are_refused_before_allocation(own: Own, tmp_path: Path, more: str, large: str) -> None:
    constructor = f"side = config.architecture['side']\nself.large = {large}\n{more}"
    inverse = own(constructor, architecture={"side": 2})
    save_inverse(inverse, tmp_path / "stored")
    path = tmp_path / "stored" / "config.json"
    path.write_text(make_config(architecture={"side": 100_000}).model_dump_json())
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    for ask in (lambda: count_bytes(read_config(path)), lambda: load_inverse(path.parent, CPU)):
        with pytest.raises(SpecError, match=r"config\.json: describes .* GB .*allowed"):
            ask()
    assert time.perf_counter() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # KiB


@pytest.mark.parametrize(
    "line", ["raise OSError('no such thing')", "nn.Linear(3, config.architecture['width'])", "1 / 0"]
)
def test_a_constructor_that_fails_is_named_by_file_and_line(own: Own, tmp_path: Path, line: str) -> None:
    own("")
    path = tmp_path / "own" / "inverse.py"
    text = path.read_text()
    path.write_text(text.replace("self.scale, self.offset", f"{line}\n        self.scale, self.offset"))
    number = 1 + path.read_text()[: path.read_text().index(line)].count("\n")
    from benchmark.inverses.code import load_code
    from benchmark.inverses.spec import TRUSTED

    del TRUSTED["own"]
    load_code(path, trained=True)
    for build in (count_bytes, rebuild_inverse):
        with pytest.raises(SpecError, match=rf"^{path}: line {number}: \w+Error: .+ \(fix it\)$"):
            build(make_config())


def test_a_configuration_of_the_package_that_does_not_fit_is_the_configurations_fault() -> None:
    config = make_config(method="modular_per_tap")
    with pytest.raises(SpecError, match=r"config\.json: describes no 'modular_per_tap' inverse: '\w+' is missing"):
        rebuild_inverse(config)


def test_loading_draws_nothing_and_what_constructors_draw_is_the_same_everywhere(own: Own, tmp_path: Path) -> None:
    inverse = own("self.offset = torch.randn(48) if not self.decoders else 0.0\nself.noise = torch.zeros(0)")
    save_inverse(inverse, tmp_path / "stored")
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    load_inverse(tmp_path / "stored", CPU)
    count_bytes(inverse.config)
    assert torch.equal(torch.rand(3), wanted)
    own("self.offset = torch.randn(48)")
    first, second = (rebuild_inverse(make_config()) for _ in range(2))
    assert torch.equal(first.offset, second.offset)  # type: ignore[arg-type]
    assert not torch.equal(build_inverse(make_config()).offset, first.offset)  # type: ignore[arg-type]


def test_outlines_take_no_memory_and_only_foreign_code_is_built_for_them() -> None:
    class Asking(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, int(torch.arange(10**5)[3]))

    outline = build_outline(lambda: nn.Linear(10**6, 10**6), 100, foreign=True)
    assert outline.weight.is_meta and outline.weight.shape == (10**6, 10**6)
    with pytest.raises(RuntimeError, match="meta"):
        build_outline(Asking, 10**6, foreign=False)
    assert build_outline(Asking, 10**6, foreign=True).weight.shape == (3, 2)
    with pytest.raises(SpecError, match="allowed"):
        build_outline(Asking, 10**5, foreign=True)
    assert build_bounded(lambda: nn.Linear(5, 4), 96).weight.shape == (4, 5)
    with pytest.raises(SpecError, match="allowed"):
        build_bounded(lambda: nn.Linear(5, 4), 95)


def test_code_that_nobody_submitted_is_not_blamed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), blame(tmp_path / "inverse.py"):
        1 / 0  # noqa: B018
    with pytest.raises(SpecError, match=r"test_building\.py: line \d+: ZeroDivisionError"), blame(Path(__file__)):
        1 / 0  # noqa: B018
