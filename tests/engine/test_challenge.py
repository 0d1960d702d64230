"""A challenge: who answers fresh images as well as those of the suite passes, who knows these by heart does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from memorizing import BEACON, TARGET, cut_record, read_record, write_cut, write_memorizer

from benchmark.content.content import Content
from benchmark.datasets.base import ImageSet, Sample
from benchmark.engine.challenge import (
    FreshImages,
    challenge,
    contrast_scores,
    draw_images,
    ranked_part,
    score_images,
)
from benchmark.engine.evaluation import evaluate
from benchmark.engine.jobs import Options
from benchmark.errors import IntegrityError, SpecError
from benchmark.inverses.spec import TRUSTED
from benchmark.records.aggregate import image_axes
from benchmark.records.challenges import challenge_seed
from benchmark.records.receipts import load_receipts, trust_of
from benchmark.records.record import Record, SubmissionInfo, load_record
from benchmark.records.scores import ScoreArrays, scores_from_table
from benchmark.submissions.candidates import Candidate, describe_candidate, open_submission
from benchmark.submissions.submission import find_submission
from benchmark.suites.spec import Suite
from benchmark.targets.files import hash_weights
from cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in an empty folder with a cache of its own."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def _run(*arguments: str, code: int = 0) -> Result:
        TRUSTED.clear()
        done = CliRunner().invoke(main, [*arguments, "--device", "cpu", "--threads", "1"])
        assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
        return done

    return _run


@pytest.fixture(autouse=True)
def _forget_code() -> Iterator[None]:
    yield
    TRUSTED.clear()


class First(ImageSet):
    """The first eight images of the suite, as if they were fresh."""

    resized = False

    def __init__(self, images: ImageSet) -> None:
        self.images, self.ids = images, images.ids[:8]

    def load(self, index: int, size: tuple[int, int]) -> Sample:
        return self.images.load(index, size)

    def files(self) -> dict[str, Path]:
        return {}


def open_committed(name: str, suite: Suite, *targets: str) -> Candidate:
    folder, _ = find_submission(name)
    return open_submission(folder, [suite.target(target) for target in targets], trust_code=False)


@pytest.mark.slow
def test_ridge_does_as_well_on_a_few_fresh_images(content: Content, mini: Suite, cpu: torch.device) -> None:
    record, stated = cut_record("ridge", mini)
    found = challenge(content, open_committed("ridge", mini, TARGET), record, stated, BEACON, 8, cpu)
    assert found.agrees
    assert found.seed == challenge_seed(record.digest, BEACON)
    (axes,) = found.contrasts.values()
    for axis, contrast in axes.items():
        assert contrast.frozen == record.targets[TARGET].axes[axis].value
        assert contrast.difference == pytest.approx(contrast.frozen - contrast.fresh, abs=2e-6)
        assert 0 < contrast.critical < 0.5


@pytest.mark.slow
def test_fresh_images_are_scored_as_those_of_the_suite_are(
    content: Content, mini: Suite, cpu: torch.device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part of a suite that is computed gives the very axis scores that an evaluation gives."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path))
    candidate = open_committed("ridge", mini, TARGET)
    done = evaluate(content, candidate, Options(cpu, limit=8, targets=(TARGET,)))
    (whole,) = scores_from_table(mini, done.scores, [TARGET], 8)
    record, _ = cut_record("ridge", mini)
    known = FreshImages("0" * 64, First(content.images), (), "0" * 64)
    (part,) = score_images(content, candidate, record, known, cpu, bar=False)
    first, second = image_axes(mini, whole.values), image_axes(ranked_part(mini), part.values)
    assert first.keys() == second.keys() == {"detail", "shape", "color"}
    for axis, values in first.items():
        np.testing.assert_array_equal(values, second[axis])


def open_memorizer(
    folder: Path, content: Content, mini: Suite, scored_as: str = "copy"
) -> tuple[Candidate, Record, list[ScoreArrays]]:
    """The memorizer with the record that it has: on the images of the suite it scores what they score themselves."""
    candidate = open_submission(folder, [mini.target(TARGET)], trust_code=True)
    record, stated = cut_record(scored_as, mini)
    spec = mini.target(TARGET)
    _, info = describe_candidate(candidate, spec, hash_weights(content.target(spec)))
    about = SubmissionInfo(id="memorizer", method="memorizer", title="Knows the images by heart")
    return candidate, record.model_copy(update={"inverses": {TARGET: info}, "submission": about}).sealed(), stated


@pytest.fixture(scope="module")
def memorizer(content: Content, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One who knows the first 16 images, which is enough to be asked for eight of them."""
    return write_memorizer(tmp_path_factory.mktemp("submissions"), content, 16)


@pytest.mark.slow
def test_who_knows_the_images_by_heart_is_caught(
    memorizer: Path, content: Content, mini: Suite, cpu: torch.device
) -> None:
    """T15."""
    candidate, record, stated = open_memorizer(memorizer, content, mini)
    known = FreshImages("0" * 64, First(content.images), (), "0" * 64)
    (scores,) = score_images(content, candidate, record, known, cpu, bar=False)
    assert all(np.nanmin(values) > 0.999 for values in image_axes(ranked_part(mini), scores.values).values())
    found = challenge(content, candidate, record, stated, BEACON, 8, cpu)
    assert not found.agrees
    for contrast in found.contrasts[TARGET].values():
        assert contrast.frozen > 0.999
        assert contrast.fresh < 0.35
        assert contrast.p_value <= 0.001


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (
            "return {tap: r * float('nan') for tap, r in recons.items()}",
            IntegrityError,
            "fresh-0000 on mini-swin is not",
        ),
        ("__import__('os')._exit(7)", SpecError, "its worker ended with exit code 7"),
    ],
)
def test_who_leaves_fresh_images_unanswered_has_passed_nothing(
    memorizer: Path,
    content: Content,
    mini: Suite,
    cpu: torch.device,
    tmp_path: Path,
    line: str,
    kind: type,
    message: str,
) -> None:
    folder = tmp_path / "memorizer"
    shutil.copytree(memorizer, folder)
    code = folder / "inverse.py"
    code.write_text(code.read_text().replace("return recons", line))
    candidate, record, stated = open_memorizer(folder, content, mini)
    with pytest.raises(kind, match=message):
        challenge(content, candidate, record, stated, BEACON, 8, cpu)


@pytest.mark.slow
def test_who_looks_at_other_taps_where_images_are_fresh_has_passed_nothing(
    memorizer: Path, content: Content, mini: Suite, cpu: torch.device, tmp_path: Path
) -> None:
    """Who tells fresh images by their seeds could do well on them against the contract. (T15)"""
    folder = tmp_path / "memorizer"
    shutil.copytree(memorizer, folder)
    code = folder / "inverse.py"
    code.write_text(code.read_text().replace("return recons", "return dict.fromkeys(recons, recons[min(recons)])"))
    candidate, record, stated = open_memorizer(folder, content, mini, "mean")
    with pytest.raises(IntegrityError, match=r"fresh-.*: inverted alone the recon is another one"):
        challenge(content, candidate, record, stated, BEACON, 8, cpu)


@pytest.mark.slow
def test_the_command_writes_a_receipt_that_holds(run: Run, tmp_path: Path, mini: Suite) -> None:
    folder = write_cut(tmp_path, "ridge", mini)
    place = folder / "records" / mini.id
    record = load_record(place)
    arguments = ["verify", str(folder), "--challenge", "--beacon", BEACON, "--images", "8", "--by", "B. Reader"]
    done = run(*arguments, "--json")
    found = json.loads(done.stdout)
    assert found["agrees"]
    assert found["challenge"]["beacon"] == BEACON
    (receipt,) = load_receipts(place, record)
    assert (receipt.kind, receipt.images, receipt.differences) == ("challenged", 8, {})
    assert receipt.isolation is not None
    assert found["receipt"] == str(place / "receipts" / f"challenged-{receipt.digest[:12]}.json")
    assert trust_of(record, [receipt], ["A. Author"]) == "self-reported"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--challenge"], "--challenge needs --beacon"),
        (["--beacon", BEACON], "--beacon goes with --challenge"),
        (["--images", "32"], "--images goes with --challenge"),
        (["--challenge", "--beacon", BEACON, "--limit", "8"], "--challenge goes without --limit"),
        (["--challenge", "--beacon", BEACON, "--rerun", "."], "--challenge goes without --rerun"),
        (["--challenge", "--beacon", "42"], "--beacon: is shorter than 32 characters"),
        (["--challenge", "--beacon", BEACON + "\n"], "--beacon: holds the invisible character"),
        (["--challenge", "--beacon", f" {BEACON}"], "--beacon: begins or ends with a space"),
        (["--challenge", "--beacon", BEACON, "--images", "0"], "--images"),
    ],
)
def test_mistakes_are_one_line_before_any_work(run: Run, arguments: list[str], message: str) -> None:
    done = run("verify", "ridge", *arguments, code=2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_an_incomplete_record_is_not_challenged(content: Content, mini: Suite, cpu: torch.device) -> None:
    record, (scores,) = cut_record("ridge", mini)
    some = ScoreArrays(
        scores.target, scores.images[:64], scores.values[:64], scores.reasons[:64], scores.clamped[:64],
        scores.reason_names,
    )  # fmt: skip
    with pytest.raises(SpecError, match=f"is not complete on {TARGET}"):
        challenge(content, open_committed("ridge", mini, TARGET), record, [some], BEACON, 8, cpu)


def test_another_inverse_than_the_records_is_not_challenged(content: Content, mini: Suite, cpu: torch.device) -> None:
    record, stated = cut_record("ridge", mini)
    with pytest.raises(IntegrityError, match="is not the one that the record was made with"):
        challenge(content, open_committed("mean", mini, TARGET), record, stated, BEACON, 8, cpu)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", ["ridge", "modular"])
def test_honest_methods_pass_twenty_challenges(content: Content, mini: Suite, cpu: torch.device, name: str) -> None:
    record, stated = read_record(name, mini)
    candidate, failed = open_committed(name, mini, *record.targets), []
    for number in range(20):
        fresh = draw_images(content, record, f"{number:064x}", 32)
        scores = score_images(content, candidate, record, fresh, cpu, bar=False)
        found = contrast_scores(content, stated, scores, fresh)
        failed += [(number, key, difference) for key, difference in found.items() if not difference.agrees]
    assert failed == []


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_way_of_a_memorizer_ends_at_the_challenge(run: Run, content: Content, mini: Suite, tmp_path: Path) -> None:
    """Nothing else finds it: its record is valid, a rerun gives the same, and every tap alone as well."""
    folder = write_memorizer(tmp_path / "submissions", content)
    place = folder / "records" / mini.id
    own = [str(folder), "--trust-code"]
    run("eval", "--submission", *own, "--target", TARGET)
    record = load_record(place)
    axes = record.targets[TARGET].axes
    assert min(axis.value or 0 for axis in axes.values()) > 0.999
    assert "agrees" in run("verify", *own, "--by", "B. Reader").stdout
    assert trust_of(record, load_receipts(place, record), ["A. Author"]) == "reproduced"
    done = run("verify", *own, "--challenge", "--beacon", BEACON, "--by", "B. Reader", code=3)
    assert "memorizer on mini@1, 32 fresh images, challenged: fails" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert "challenge failed: " in line
    assert "3 of 3 scores fall by more than chance allows" in line
    assert trust_of(record, load_receipts(place, record), ["A. Author"]) == "reproduced"
    # What an honest method gets there.
    honest = write_cut(tmp_path / "others", "ridge", mini)
    asked = ["verify", str(honest), "--by", "B. Reader"]
    run(*asked)
    run(*asked, "--challenge", "--beacon", BEACON)
    place = honest / "records" / mini.id
    record = load_record(place)
    assert trust_of(record, load_receipts(place, record), ["A. Author"]) == "challenged"
