"""What the workflows run on a pull request: scope, review, comment."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from forge import edit_toml, put, reseal, write_submission

from benchmark.errors import SpecError
from benchmark.files.paths import submissions_root
from benchmark.records.record import load_audit, load_record, load_scores, write_record
from benchmark.submissions.review import Review, ReviewFinding, SuiteReview, find_scope
from cli import main
from leaderboard.comment import render_comment

COMMIT = "c0ffee" * 6 + "abcd"


def run(*arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
    return done


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        (["submissions/a-b/submission.toml", "submissions/a-b/records/mini@1/record.json"], "a-b"),
        (["submissions/a/submission.toml", "submissions/b/submission.toml"], "several submissions"),
        (["submissions/a/submission.toml", "README.md"], "'README.md' is not part of a submission"),
        (["submissions/a"], "is not part of a submission"),
        (["submissions/../benchmark/score.py"], "is not part of a submission"),
        (["submissions/a/../../benchmark/score.py"], "is not part of a submission"),
        (["submissions/A/submission.toml"], "is not part of a submission"),
        (["submissions/\u0430/submission.toml"], "is not part of a submission"),
        (["submissions/a\nid=b/submission.toml"], "is not part of a submission"),
        ([".github/workflows/submission.yml"], "is not part of a submission"),
        (["submissions-of-mine/a/submission.toml"], "is not part of a submission"),
        ([], "nothing changes"),
    ],
)
def test_the_scope_is_one_submission(tmp_path: Path, changed: list[str], outcome: str) -> None:
    about = f":000000 100644 {'0' * 40} {'1' * 40} A"
    files = {"changed": "".join(f"{about}\0{path}\0" for path in changed), "sizes": f"{'1' * 40} 5\n"}
    files["tree"] = "".join(f"100644 blob {'1' * 40}\t{path}\0" for path in changed)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    if " " not in outcome:
        assert run("ci", "scope", str(tmp_path)).stdout == f"{outcome}\n"
        return
    with pytest.raises(SpecError, match=outcome):
        find_scope(changed)
    done = run("ci", "scope", str(tmp_path), code=2)
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def comment(review_file: Path, changed: str = "submissions/ridge/submission.toml", code: int = 0) -> Result:
    paths = review_file.parent / "changed"
    paths.write_text(f"{changed}\0")
    return run("ci", "comment", str(review_file), "--changed", str(paths), "--commit", COMMIT, code=code)


@pytest.fixture
def proposal(tmp_path: Path) -> Path:
    """The committed ridge submission as somebody would propose it: without its receipts."""
    folder = tmp_path / "head" / "submissions" / "ridge"
    shutil.copytree(submissions_root() / "ridge", folder)
    shutil.rmtree(folder / "records/mini@1/receipts")
    edit_toml(folder, "invbench-maintainers", "A-Author")
    edit_toml(folder, "invbench maintainers", "A. Author")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The published submissions, of which the proposed one is not yet one."""
    folder = tmp_path / "base" / "submissions"
    for name in ("copy", "mean"):
        shutil.copytree(submissions_root() / name, folder / name)
    return folder


def review(proposal: Path, base: Path, out: Path, *more: str, code: int = 0) -> Review:
    run("ci", "review", str(proposal), "--base", str(base), "--author", "a-author", "--threads", "1", "--out",
        str(out), *more, code=code)  # fmt: skip
    return Review.model_validate_json(out.read_bytes())


@pytest.mark.slow
def test_a_submission_is_rescored_and_compared_with_its_rerun(proposal: Path, base: Path, tmp_path: Path) -> None:
    rerun, out = tmp_path / "rerun", tmp_path / "review.json"
    shutil.copytree(proposal / "records", rerun / "ridge" / "records")
    found = review(proposal, base, out, "--rerun", str(rerun))
    assert found.passed
    assert found.submission == "ridge"
    assert [(item.suite, item.rescored, item.rerun) for item in found.suites] == [("mini@1", "agrees", "agrees")]
    text = " ".join(comment(out).stdout.split())
    for line in ("## Submission `ridge`: all checks passed", "| **`ridge`** | 0.", "| `copy` (ceiling) | 1.000",
                 "| `mean` (floor) | \N{MINUS SIGN}0.0", "| `modular_per_tap` | 0.",
                 "Next: a maintainer reads"):  # fmt: skip
        assert line in text

    # The record claims a smaller inverse than the weights are.
    small = tmp_path / "small" / "ridge"
    shutil.copytree(proposal, small)
    reseal(small / "records/mini@1", put("inverses/mini-vit/parameters", 1))
    found = review(small, base, out, "--rerun", str(rerun), code=2)
    assert [(item.rescored, item.rerun) for item in found.suites] == [("agrees", "differs")]
    (said,) = [item.message for item in found.findings if item.severity == "error"]
    assert said.startswith("field 'inverses.mini-vit.parameters': is 1, and ")

    # The submitted code wrote a rerun that claims other scores than its own images give.
    place = rerun / "ridge/records/mini@1"
    record = load_record(place)
    scores, audit = load_scores(place, record), load_audit(place, record)
    order = [*range(audit.num_rows)]
    first, second = 30, 200  # recons of one target, of two images
    order[first], order[second] = order[second], order[first]
    swapped = audit.set_column(4, audit.schema.field(4), audit["png"].take(order))
    write_record(place, record, scores, swapped)
    found = review(proposal, base, out, "--rerun", str(rerun), code=2)
    assert [(item.rescored, item.rerun) for item in found.suites] == [("agrees", "differs")]
    assert "**differs**" in render_comment(found, COMMIT)


def test_what_is_invalid_is_told_and_never_computed(proposal: Path, base: Path, tmp_path: Path) -> None:
    text = (proposal / "submission.toml").read_text()
    (proposal / "submission.toml").write_text(text.replace('license = "Apache-2.0"', 'licence = "Apache-2.0"'))
    found = review(proposal, base, tmp_path / "review.json", code=2)
    assert found.suites == ()
    (finding,) = (item for item in found.findings if item.severity == "error")
    assert finding.where == "submission.toml"
    assert "license" in finding.message
    text = render_comment(found, COMMIT)
    assert "## Submission `ridge`: not yet" in text
    assert "invbench validate submissions/ridge" in text


def test_what_a_maintainer_has_to_confirm_does_not_pass(base: Path, tmp_path: Path) -> None:
    folder, out = write_submission(tmp_path / "head" / "submissions" / "mine"), tmp_path / "review.json"
    shutil.copytree(folder, base / "mine")
    assert review(folder, base, out).passed
    edit_toml(folder, "The title of mine", "| Taken </td>")
    edit_toml(folder, '"a-author"', '"a-author", "mallory"')
    found = review(folder, base, out, "--author", "mallory", code=2)
    assert found.sound and not found.passed
    assert [finding.severity for finding in found.findings][:4] == ["confirm", "confirm", "confirm", "note"]
    assert "changed by 'mallory'; the published entry belongs to 'a-author'" in found.findings[0].message
    text = render_comment(found, COMMIT)
    assert "## Submission `mine`: a maintainer has to confirm it" in text
    assert text.count("**To confirm** in") == 3
    assert "Next: a maintainer asks those whom the published entry names" in text
    assert "| Taken" not in "".join(text.split("`")[::2])


def test_a_change_beyond_one_submission_asks_a_maintainer(base: Path, tmp_path: Path) -> None:
    """T1, T5: why nothing was run is said where one submission changes, and nothing at all where more does."""
    (tmp_path / "why").write_text("Error: 'submissions/ridge/x' is a link (a submission holds plain files)\nmore\n")
    out = tmp_path / "review.json"
    found = review(tmp_path / "head", base, out, "--scope-failed", str(tmp_path / "why"), code=2)
    assert found.submission is None and not found.passed
    text = comment(out).stdout
    assert "A maintainer will look at this" in text and "is a link (a submission holds plain files)" in text
    text = comment(out, "cli.py").stdout
    assert "A maintainer will look at this" in text and "is a link" not in text


def test_a_run_that_failed_or_left_nothing_is_a_review_that_failed(base: Path, tmp_path: Path) -> None:
    """T6: whatever the record says; a job can also succeed without an artifact."""
    folder, out, told = write_submission(tmp_path / "head" / "mine"), tmp_path / "review.json", []
    (tmp_path / "rerun").mkdir()
    for more in (["failure"], ["cancelled"], ["success"], ["success", "--rerun", str(tmp_path / "rerun")]):
        found = review(folder, base, out, "--run", *more, code=2)
        told += [item.message for item in found.findings if item.severity == "error"]
    missing = "the run on mini@1 left no record to compare with"
    assert told == [
        *(f"it could not be run on mini@1: {outcome}" for outcome in ("failure", "cancelled")),
        missing,
        missing,
    ]


def test_the_run_on_the_embedded_suite_is_asked_only_of_what_enters_it(base: Path, tmp_path: Path) -> None:
    folder = write_submission(tmp_path / "head" / "mine", method='"optimize"', suites='["coco@1"]', weights="")
    assert review(folder, base, tmp_path / "review.json", "--run", "failure").passed


def test_a_score_over_all_targets_is_shown_only_where_all_are_complete() -> None:
    record = load_record(submissions_root() / "ridge" / "records" / "mini@1")
    partial = record.model_copy(update={"status": "partial"})
    shown = [
        next(
            line
            for line in render_comment(Review(submission="ridge", suites=(item,)), COMMIT).splitlines()
            if "**" in line
        )
        for item in (SuiteReview.of(record, "agrees", "agrees"), SuiteReview.of(partial, "agrees", "agrees"))
    ]
    assert f"{record.score.value:.3f}" in shown[0]
    assert not re.search(r"\d\.\d", shown[1])


def test_what_a_review_prints_steers_no_terminal_and_no_workflow(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "head" / "submissions" / "ridge"
    shutil.copytree(submissions_root() / "ridge", folder, ignore=shutil.ignore_patterns("records"))
    (folder / "a\n::error title=x::\x1b[2J").touch()
    out = tmp_path / "review.json"
    done = run("ci", "review", str(folder), "--base", str(base), "--author", "", "--out", str(out),
               "--threads", "1", code=2)  # fmt: skip
    assert not any(line.startswith("::") for line in done.stderr.splitlines())
    assert "\x1b" not in done.stderr and "\\x1b[2J" in done.stderr


@pytest.mark.parametrize("name", ["Mallory\u200b", "M" * 130, "a\u202eb", "", " M"], ids=ascii)
@pytest.mark.parametrize("command", ["verify", "rescore"])
def test_a_name_that_no_receipt_can_hold_is_refused_before_any_work(command: str, name: str) -> None:
    (line,) = run(command, "ridge", "--by", name, code=2).stderr.splitlines()
    assert line.startswith("Error: --by: ") and line.endswith("(give a name on one line)")


def test_published_records_and_receipts_are_not_touched(proposal: Path, base: Path, tmp_path: Path) -> None:
    """T14."""
    shutil.copytree(submissions_root() / "ridge", base / "ridge")
    (proposal / "records/mini@1/scores.parquet").unlink()
    found = review(proposal, base, tmp_path / "review.json", code=2)
    assert any("was edited or removed" in item.message for item in found.findings)
    shutil.copy(submissions_root() / "ridge/records/mini@1/scores.parquet", proposal / "records/mini@1")
    receipts = proposal / "records/mini@1/receipts"
    receipts.mkdir()
    (source,) = (submissions_root() / "mean/records/mini@1/receipts").iterdir()
    shutil.copy(source, receipts)
    found = review(proposal, base, tmp_path / "review.json", code=2)
    messages = [item.message for item in found.findings]
    assert any("of 'mean'" in message for message in messages)
    assert any("a receipt cannot be submitted" in message for message in messages)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "field 'submission': Field required"),
        ('{"submission": "a", "extra": 1}', "field 'extra'"),
        ('{"submission": "A"}', "field 'submission'"),
        ("[" * 100_000, "is nested too deeply"),
        (json.dumps({"submission": "a", "findings": []}) + " " * 300_000, "is larger than"),
    ],
)
def test_a_review_of_others_is_data(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "review.json"
    path.write_text(text)
    assert message in comment(path, code=2).stderr


def test_the_comment_shows_what_others_wrote_as_text() -> None:
    """T7."""
    evil = "| x | </td><script>alert(1)</script> [a](javascript:b) @everyone #1 `` ` `` https://example.org \n# Title"
    finding = ReviewFinding(severity="error", message=evil, where=evil, cure=evil)
    suite = SuiteReview(
        suite="mini@1", digest="0" * 64, status="complete", draft=False, axes={"detail": 0.5, "shape": None},
        rescored="agrees", rerun="not run",
    )  # fmt: skip
    text = render_comment(Review(submission="a", findings=(finding,), suites=(suite,)), COMMIT)
    (line,) = (line for line in text.splitlines() if "script" in line)
    outside = "".join(line.split("```")[::2])
    for mark in ("<", "@", "#", "https:", "[", "|"):
        assert mark not in outside
    assert "| **`a`** | – | 0.500 | – | – |" in " ".join(text.split())
