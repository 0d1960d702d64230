"""The committed counts are what the counter gives."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from benchmark.content.content import Content
from benchmark.datasets.base import Sample
from benchmark.diagnostics.costs import Counts, read_counts
from benchmark.diagnostics.counter import count_work
from benchmark.diagnostics.counting import count_scoring, count_suite
from benchmark.diagnostics.full_size import EnlargedImages
from benchmark.engine.layer_transfer import LayerScorer
from benchmark.engine.scorer import TILE, iter_tiles
from benchmark.files.paths import resource
from benchmark.inverses.base import load_inverse
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.spec import Suite
from benchmark.targets import load_target

OPERATIONS, BYTES = 2e-3, 2e-2
"""How far counts may differ: versions of the libraries copy here and there."""


def compare(found: Counts, stored: Counts) -> None:
    assert found.weights == stored.weights
    for field in fields(Counts)[1:]:
        ours, theirs = getattr(found, field.name), getattr(stored, field.name)
        assert ours.tera == pytest.approx(theirs.tera, rel=OPERATIONS), field.name
        assert ours.giga == pytest.approx(theirs.giga, rel=BYTES), field.name


@pytest.mark.slow
def test_the_counts_of_mini_swin_are_the_committed_ones(mini: Suite, content: Content) -> None:
    ((name, found),) = count_suite(mini, ["mini-swin"], content.images)
    compare(found, read_counts()[mini.id][name])


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite_id", list_suites())
def test_all_counts_are_the_committed_ones(suite_id: str, content: Content) -> None:
    suite = load_suite(suite_id)
    images = EnlargedImages(content.images, (96, 96))
    found = dict(count_suite(suite, [target.id for target in suite.targets], images))
    assert found.keys() == read_counts()[suite_id].keys()
    for name, counts in found.items():
        compare(counts, read_counts()[suite_id][name])


def test_what_is_counted_of_layers_is_what_their_comparison_does(mini: Suite, samples: list[Sample]) -> None:
    """The comparison itself is run and counted, with all networks real."""
    device, spec = torch.device("cpu"), mini.target("mini-swin")
    target = load_target(spec, spec.source.directory(), device)
    inverse = load_inverse(resource("assets/mini/inverses/modular/mini-swin"), device)
    (tile,) = iter_tiles(samples[:TILE], device)
    layers = LayerScorer(target, inverse, mini.layer_images)
    work = count_work(lambda: layers.run(tile))
    stored = read_counts()[mini.id]["mini-swin"].layers
    assert work.tera / TILE == pytest.approx(stored.tera, rel=0.01)
    assert work.giga / TILE == pytest.approx(stored.giga, rel=0.15), "real devices copy a little more or less"


def test_more_perturbations_move_more_and_only_identity_asks_the_networks(mini: Suite, samples: list[Sample]) -> None:
    spec = mini.target("mini-swin").model_copy(update={"taps": mini.target("mini-swin").taps[:2]})
    (tile,) = iter_tiles(samples[:TILE], torch.device("cpu"), judged=[sample.id for sample in samples])
    one, two = (
        count_scoring(mini.model_copy(update={"perturbations": kinds}), spec, tile)
        for kinds in (("identity",), ("identity", "gray"))
    )
    assert one.pixels.giga < two.pixels.giga < 2.5 * one.pixels.giga
    assert one.judge == two.judge
    assert one.judge.tera > 0
    assert one.perceptual.tera == 0, "mini@1 has no LPIPS"
