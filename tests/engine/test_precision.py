"""Whatever computes a score does so in float32, whatever its caller has set, and leaves the caller's settings alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.diagnostics.batteries_scores import score_answers
from benchmark.diagnostics.metric_times import measure_metrics
from benchmark.diagnostics.target_quality import label_map
from benchmark.engine.evaluation import evaluate
from benchmark.engine.image_files import score
from benchmark.engine.jobs import Options
from benchmark.engine.layer_transfer import LayerScorer
from benchmark.engine.precision import float32
from benchmark.engine.rescore import rescore
from benchmark.engine.score_report import Inputs
from benchmark.engine.scorer import Scorer, iter_tiles
from benchmark.engine.yardsticks import measure_yardsticks
from benchmark.files.paths import submissions_root
from benchmark.metrics import spectrum
from benchmark.metrics.case import Case, Networks
from benchmark.records.consistency import check_record
from benchmark.submissions.candidates import open_submission
from benchmark.suites.spec import Suite

BACKENDS = torch.backends
OPERATIONS = {
    "cuda.matmul": BACKENDS.cuda.matmul,
    "cudnn.conv": getattr(BACKENDS.cudnn, "conv", None),
    "cudnn.rnn": getattr(BACKENDS.cudnn, "rnn", None),
    "mkldnn.matmul": getattr(BACKENDS.mkldnn, "matmul", None),
}
NEW = hasattr(BACKENDS, "fp32_precision")
OFF = {"allow_tf32": (False, False), "matmul": "highest", "kernels": (False, True)}
if NEW:
    OFF |= dict.fromkeys(OPERATIONS, "ieee")


def ask(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RuntimeError:
        return "contradictory"


def settings() -> dict[str, Any]:
    """All switches, as PyTorch names them before and since it has one for each operation."""
    cudnn = BACKENDS.cudnn
    found = {
        "allow_tf32": (ask(lambda: BACKENDS.cuda.matmul.allow_tf32), ask(lambda: cudnn.allow_tf32)),
        "matmul": ask(torch.get_float32_matmul_precision),
        "kernels": (cudnn.benchmark, cudnn.deterministic),
    }
    return found | ({name: item.fp32_precision for name, item in OPERATIONS.items()} if NEW else {})


def set_old() -> None:
    BACKENDS.cuda.matmul.allow_tf32 = BACKENDS.cudnn.allow_tf32 = True


def set_matmul() -> None:
    torch.set_float32_matmul_precision("medium")


def set_new() -> None:
    BACKENDS.fp32_precision = "tf32"


def set_one_operation() -> None:
    torch.set_float32_matmul_precision("high")
    BACKENDS.cudnn.conv.fp32_precision = "ieee"


WAYS = (set_old, set_matmul, set_new, set_one_operation) if NEW else (set_old, set_matmul)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Leave PyTorch as it starts."""
    cudnn = BACKENDS.cudnn
    kernels = cudnn.benchmark, cudnn.deterministic
    yield
    if NEW:
        BACKENDS.fp32_precision = "none"
        for item in OPERATIONS.values():
            item.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32 = True
    cudnn.benchmark, cudnn.deterministic = kernels


@pytest.fixture
def loose() -> dict[str, Any]:
    """Everything that official scores must not have, switched on."""
    set_old()
    BACKENDS.cudnn.benchmark, BACKENDS.cudnn.deterministic = True, False
    return settings()


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings that the metric `frc` found at each of its calls."""
    found: list[dict[str, Any]] = []
    frc = spectrum.frc

    def spy(case: Case) -> Tensor:
        found.append(settings())
        return frc(case)

    monkeypatch.setattr(spectrum, "frc", spy)
    return found


def exact(found: list[dict[str, Any]], before: dict[str, Any]) -> bool:
    """Whether scores were computed, all of them in float32, and the caller's settings are back."""
    return bool(found) and all(item == OFF for item in found) and settings() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_as_before_afterwards(way: Callable[[], None], fails: bool) -> None:
    way()
    BACKENDS.cudnn.benchmark = True
    before = settings()
    try:
        with float32():
            assert settings() == OFF
            with float32():
                assert settings() == OFF
            assert settings() == OFF
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert settings() == before


def test_the_scorer(mini: Suite, samples: list[Sample], cpu: torch.device, inside: list, loose: dict[str, Any]) -> None:
    tiles = iter_tiles(samples[:8], cpu)

    def invert(seen: Tensor) -> dict[str, Tensor]:
        inside.append(settings())
        return {"tap": seen}

    def fail(seen: Tensor) -> dict[str, Tensor]:
        inside.append(settings())
        raise KeyboardInterrupt

    tile = next(tiles)
    Scorer(mini, ("tap",), invert, Networks()).run(tile)
    assert exact(inside, loose)
    with pytest.raises(KeyboardInterrupt):
        Scorer(mini, ("tap",), fail, Networks()).run(tile)
    assert exact(inside, loose)


@pytest.mark.slow
def test_an_evaluation_and_its_rescoring(
    content: Content,
    cpu: torch.device,
    inside: list,
    loose: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    layers, run = [], LayerScorer.run
    monkeypatch.setattr(LayerScorer, "run", lambda self, tile: layers.append(len(inside)) or run(self, tile))
    suite = content.suite
    candidate = open_submission(submissions_root() / "ridge", [suite.target("mini-swin")], trust_code=False)
    # As many images as it takes to have one to audit.
    evaluation = evaluate(content, candidate, Options(cpu, limit=32, targets=("mini-swin",)))
    assert exact(inside, loose)
    assert layers and layers[0] < len(inside), "the layer comparison was not looked at"
    inside.clear()
    folder = tmp_path / "record"
    checked = check_record(suite, content.lock, "ridge", folder, evaluation.write(folder))
    assert all(difference.agrees for difference in rescore(content, checked, cpu).values())
    assert exact(inside, loose)


def test_the_yardsticks_of_a_lock(
    mini: Suite, samples: list[Sample], cpu: torch.device, inside: list, loose: dict[str, Any]
) -> None:
    measure_yardsticks(mini, samples[:8], (96, 96), torch.full((3, 96, 96), 0.5), Networks(), cpu)
    assert exact(inside, loose)


def test_files(samples: list[Sample], cpu: torch.device, inside: list, loose: dict[str, Any], tmp_path: Path) -> None:
    Image.fromarray(samples[0].image).save(tmp_path / "original.png")
    Image.fromarray(samples[1].image).save(tmp_path / "recon.png")
    score(Inputs(tmp_path / "original.png", tmp_path / "recon.png"), cpu, metrics=["frc"])
    assert exact(inside, loose)


def test_what_measures_the_benchmark(
    content: Content,
    networks: Networks,
    samples: list[Sample],
    cpu: torch.device,
    inside: list,
    loose: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    suite = content.suite
    score_answers(suite, samples[:8], ("copy",), lambda tile, seen: {"copy": seen}, cpu, networks=networks)
    assert exact(inside, loose)
    inside.clear()
    measure_metrics(suite, [(32, 32)], repeats=1)
    assert exact(inside, loose)
    inside.clear()

    def predict(images: Tensor) -> Tensor:
        inside.append(settings())
        return torch.rand(len(images), 8)

    label_map(samples[:16], predict, cpu)
    assert exact(inside, loose)
