"""What an evaluation takes of a CPU's memory: said before, and measured."""

from __future__ import annotations

import pytest

from benchmark.engine.memory import predict_peak_bytes
from benchmark.files.paths import submissions_root
from benchmark.records.record import load_record
from benchmark.suites.catalog import load_suite
from benchmark.suites.spec import Suite


@pytest.mark.parametrize("name", ["modular_per_tap", "ridge", "mean", "copy"])
def test_the_records_of_the_tree_took_what_is_predicted(mini: Suite, name: str) -> None:
    record = load_record(submissions_root() / name / "records" / mini.id)
    predicted = max(predict_peak_bytes(mini, target) for target in mini.targets)
    assert predicted == pytest.approx(record.run.peak_memory_mib * 2**20, rel=0.25)


def test_more_taps_and_larger_images_take_more() -> None:
    suite = load_suite("coco@1")
    (detr,), (vit,) = ([t for t in suite.targets if t.family == family] for family in ("detr", "vit"))
    few = vit.model_copy(update={"taps": vit.taps[:3]})
    assert predict_peak_bytes(suite, few) < predict_peak_bytes(suite, vit) < predict_peak_bytes(suite, detr)
