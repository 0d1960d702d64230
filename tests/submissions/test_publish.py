"""`invbench publish`: what is uploaded is what was checked, and the card holds the scores of these very weights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import yaml
from hubserver import HubServer

from benchmark.errors import IntegrityError, SpecError
from benchmark.files.canonical import readable_json
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.records.history import withdraw
from benchmark.records.record import Record, load_record
from benchmark.submissions.matching import find_matches
from benchmark.submissions.publish import prepare, upload

Invbench = Callable[..., "object"]
RIDGE = PACKAGE / "assets/mini/inverses/ridge/mini-vit"
RESULTS = ".eval_results/invbench-mini-1.yaml"


def metadata(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_card_holds_the_scores_of_these_weights() -> None:
    publication = prepare(RIDGE, "owner/ridge", [submissions_root()])
    (match,) = publication.matches.found
    record = match.record
    assert record.submission.id == "ridge"
    assert publication.notes == ()
    said = metadata(publication.card)
    assert (said["license"], said["library_name"]) == ("apache-2.0", "invbench")
    (model,) = said["model-index"]
    axes = record.targets["mini-vit"].axes
    found = {metric["type"]: metric["value"] for result in model["results"] for metric in result["metrics"]}
    assert found == {axis: score.value for axis, score in axes.items()}
    assert {result["dataset"]["name"] for result in model["results"]} == {"invbench mini@1"}
    assert f"{axes['detail'].value:.3f}" in publication.card
    assert record.digest[:16] in publication.card


@pytest.mark.parametrize("root", ["", "ridge", "ridge/records", "ridge/records/mini@1"])
def test_a_record_is_found_from_any_folder_around_it(root: str) -> None:
    (match,) = find_matches("mini-vit", weights(), [submissions_root() / root]).found
    assert match.record.submission.id == "ridge"


def test_the_card_of_other_weights_claims_nothing_and_says_why(tmp_path: Path) -> None:
    publication = prepare(RIDGE, "owner/ridge", [tmp_path])
    assert publication.matches.found == ()
    assert "model-index" not in metadata(publication.card)
    assert "Not evaluated yet" in publication.card
    assert list(publication.texts) == ["README.md"]
    other = prepare(RIDGE, "owner/ridge", [submissions_root() / "knn"])
    assert list(other.texts) == ["README.md"]
    note, _ = other.notes
    assert "knn/records/mini@1/record.json: it was made with another config.json" in note
    assert "it has no inverse of other" in find_matches("other", weights(), [submissions_root() / "knn"]).notes[0]


def weights() -> dict[str, str]:
    path = RIDGE / "model.safetensors"
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


@pytest.fixture
def ridge(tmp_path: Path) -> Path:
    """A copy of the submission whose weights `RIDGE` are."""
    return Path(shutil.copytree(submissions_root() / "ridge", tmp_path / "ridge"))


def rewrite(folder: Path, **update: object) -> None:
    record = load_record(folder).model_copy(update=update).sealed()
    (folder / "record.json").write_text(readable_json(record))


def test_a_withdrawn_record_gives_no_scores(ridge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    withdraw(ridge, "mini@1", "Trained on the test images.", date(2026, 1, 2))
    publication = prepare(RIDGE, "owner/ridge", [ridge])
    assert list(publication.texts) == ["README.md"]
    assert "it was withdrawn on 2026-01-02" in publication.notes[0]
    monkeypatch.chdir(ridge / "records/mini@1")
    for root in (".", "..", "../.."):
        assert "it was withdrawn" in find_matches("mini-vit", weights(), [Path(root)]).notes[0]


def test_a_damaged_record_gives_no_scores(ridge: Path) -> None:
    path = ridge / "records/mini@1/record.json"
    path.write_text(path.read_text().replace('"images": 128', '"images": 127'))
    publication = prepare(RIDGE, "owner/ridge", [ridge])
    assert list(publication.texts) == ["README.md"]
    assert "the digest does not match the content" in publication.notes[0]


@pytest.mark.parametrize(
    ("update", "why"),
    [({"draft": True}, "a draft"), ({"precision": "bfloat16"}, "in an arithmetic to explore")],
)
def test_what_is_not_ranked_is_in_the_card_and_no_result(ridge: Path, update: dict[str, object], why: str) -> None:
    rewrite(ridge / "records/mini@1", **update)
    publication = prepare(RIDGE, "owner/ridge", [ridge])
    assert list(publication.texts) == ["README.md"]
    assert "model-index" not in metadata(publication.card)
    assert f"not ranked: {why}" in publication.card
    assert f"not ranked there: {why}" in publication.notes[0]
    both = prepare(RIDGE, "owner/ridge", [ridge, submissions_root()])
    assert len(both.texts) == 2


def test_a_record_of_another_lock_gives_no_scores(ridge: Path) -> None:
    rewrite(ridge / "records/mini@1", lock_digest="0" * 64)
    assert "made under another lock of mini@1" in prepare(RIDGE, "owner/ridge", [ridge]).notes[0]


@pytest.mark.slow
def test_a_record_of_some_targets_gives_results_of_those_it_is_complete_on(ridge: Path) -> None:
    rewrite(ridge / "records/mini@1", status="partial")
    publication = prepare(RIDGE, "owner/ridge", [ridge])
    assert list(publication.texts) == ["README.md", RESULTS]
    record = load_record(ridge / "records/mini@1")
    rewrite(ridge / "records/mini@1", images=record.images - 1)
    refused = prepare(RIDGE, "owner/ridge", [ridge])
    assert list(refused.texts) == ["README.md"]


def test_text_of_a_configuration_stays_text(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(RIDGE, mine)
    config = json.loads((mine / "config.json").read_text())
    config["training"]["data"] = "---\n<script>alert(1)</script>"
    (mine / "config.json").write_text(json.dumps(config))
    with pytest.raises(SpecError, match=r"field 'training\.data.*invisible character U\+000A"):
        prepare(mine, "owner/ridge", [])
    config["training"]["data"] = "a | b <script>alert(1)</script> [x](javascript:y) ---"
    (mine / "config.json").write_text(json.dumps(config))
    card = prepare(mine, "owner/ridge", []).card
    assert "<script>" not in card
    assert "[x](" not in card
    assert card.count("---\n") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"PK"), "not a safetensors file"),
        (lambda f: (f / "config.json").unlink(), "no such file"),
        (lambda f: ((f / "config.json").unlink(), (f / "config.json").symlink_to("/etc/hostname")), "is a link"),
    ],
)
def test_what_could_not_be_loaded_is_not_published(
    invbench: Invbench, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(RIDGE, mine)
    change(mine)
    done = invbench("publish", str(mine), "owner/ridge", "--dry-run")
    assert done.returncode in (2, 3)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_dry_run_shows_the_exact_files_and_asks_nobody(invbench: Invbench) -> None:
    done = invbench("publish", str(RIDGE), "owner/ridge", "--dry-run", "--json", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["commit"] is None
    assert [row["file"] for row in report["files"]] == ["config.json", "model.safetensors", "README.md"]
    for row in report["files"][:2]:
        content = (RIDGE / row["file"]).read_bytes()
        assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert hashlib.sha256(report["card"].encode()).hexdigest() == report["files"][2]["sha256"]


READ = """
import json, sys, yaml
from huggingface_hub import HfApi, ModelCard, hf_hub_download, parse_eval_result_entries
repo_id, results = sys.argv[1:]
card = ModelCard.load(repo_id)
scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
entries = parse_eval_result_entries(yaml.safe_load(open(hf_hub_download(repo_id, results))))
print(json.dumps({"card": scores, "license": card.data.license, "results": {e.task_id: e.value for e in entries},
                  "files": sorted(HfApi().list_repo_files(repo_id))}))
"""


@pytest.mark.slow
def test_what_is_published_is_read_by_the_client_of_the_hub(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str]
) -> None:
    submission = submissions_root() / "ridge"
    arguments = ("publish", str(RIDGE), "owner/ridge", "--results", str(submission), "--json")
    done = invbench(*arguments, **hub_environment)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["changed"] is True
    uploaded = hub.files("owner/ridge", report["commit"])
    for row in report["files"]:
        content = uploaded[row["file"]]
        assert (row["bytes"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    read = subprocess.run(
        [sys.executable, "-c", READ, "owner/ridge", RESULTS],
        env=os.environ | hub_environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(read.stdout)
    axes = load_record(submission / "records/mini@1").targets["mini-vit"].axes
    assert found["card"] == {axis: score.value for axis, score in axes.items()}
    assert found["results"] == {f"mini-vit_{axis}": score.value for axis, score in axes.items()}
    assert found["license"] == "apache-2.0"
    assert {"README.md", RESULTS, "config.json", "model.safetensors"} < set(found["files"])

    again = json.loads(invbench(*arguments, **hub_environment).stdout)
    assert (again["commit"], again["changed"]) == (report["commit"], False)

    hub.add_repo("owner/ridge", uploaded | {".eval_results/other.yaml": b"[]"})
    elsewhere = invbench("publish", str(RIDGE), "owner/ridge", **hub_environment)
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert hub.files("owner/ridge").keys() == uploaded.keys() - {RESULTS} | {".eval_results/other.yaml"}


@pytest.mark.nightly
def test_what_is_published_gives_the_record_of_what_was_there(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], tmp_path: Path
) -> None:
    def evaluate(reference: str, out: str) -> Record:
        done = invbench("eval", "--inverse", reference, "--limit", "8", "--out", str(tmp_path / out), **hub_environment)
        assert done.returncode == 0, done.stderr
        (path,) = (tmp_path / out).rglob("record.json")
        return load_record(path.parent)

    here = evaluate(str(RIDGE), "here")
    done = invbench("publish", str(RIDGE), "owner/mini-vit", "--results", str(tmp_path / "here"), **hub_environment)
    assert done.returncode == 0, done.stderr
    assert "not complete on mini-vit" in done.stderr
    reference = next(word for word in done.stdout.split() if word.startswith("owner/mini-vit@"))
    there = evaluate(reference, "there")
    origin = there.inverses["mini-vit"]
    assert (origin.repo_id, origin.revision) == tuple(reference.split("@"))
    named = {"submission": here.submission, "inverses": here.inverses}
    assert origin.model_copy(update={"repo_id": None, "revision": None}) == here.inverses["mini-vit"]
    assert there.model_copy(update=named).content_digest() == here.digest
    done = invbench("publish", str(RIDGE), "owner/mini-vit", "--results", str(tmp_path / "there"), **hub_environment)
    assert there.digest[:16] in hub.files("owner/mini-vit")["README.md"].decode()
    assert evaluate(reference, "once more").digest == there.digest


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), [("/lfs/", "PUT"), ("/commit/", "POST"), ("/preupload/", "POST")])
def test_an_upload_that_broke_off_can_be_repeated(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str], path: str, method: str
) -> None:
    hub.fail(path, method, times=100, reset=True)
    done = invbench("publish", str(RIDGE), "owner/ridge", **hub_environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert hub.files("owner/ridge").keys() == {".gitattributes"}
    hub.faults.clear()
    done = invbench("publish", str(RIDGE), "owner/ridge", **hub_environment)
    assert done.returncode == 0, done.stderr
    assert hub.files("owner/ridge")["model.safetensors"] == (RIDGE / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_without_a_network_nothing_is_uploaded_in_one_line(
    invbench: Invbench, hub_environment: dict[str, str], ridge: Path, tmp_path: Path
) -> None:
    rewrite(ridge / "records/mini@1", lock_digest="0" * 64)
    steering = tmp_path / "a\x1b[2Jb"
    shutil.copytree(ridge, steering)
    arguments = ("publish", str(RIDGE), "owner/ridge", "--results", str(steering))
    done = invbench(*arguments, **hub_environment | {"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    shown = invbench(*arguments, "--dry-run", **hub_environment | {"HF_HUB_OFFLINE": "1"})
    assert shown.returncode == 0, shown.stderr
    assert r"Note: no scores from" in shown.stderr
    assert r"a\x1b[2Jb" in shown.stderr
    assert "made under another lock of mini@1" in shown.stderr


@pytest.mark.slow
def test_a_card_that_the_hub_refuses_uploads_nothing(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str]
) -> None:
    hub.fail("/api/validate-yaml", "POST", status=400)
    done = invbench("publish", str(RIDGE), "owner/ridge", **hub_environment)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert hub.files("owner/ridge").keys() == {".gitattributes"}


def test_a_file_that_was_changed_since_it_was_checked_is_not_uploaded(tmp_path: Path) -> None:
    mine = Path(shutil.copytree(RIDGE, tmp_path / "mine"))
    publication = prepare(mine, "owner/ridge", [])
    (mine / "config.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"config\.json: was changed since it was checked"):
        upload(publication, private=False)


@pytest.mark.slow
def test_who_may_not_write_is_told(invbench: Invbench, hub_environment: dict[str, str]) -> None:
    for token, name in (
        ("", "owner/ridge"),
        ("hf_unknown", "owner/ridge"),
        (hub_environment["HF_TOKEN"], "other/ridge"),
    ):
        done = invbench("publish", str(RIDGE), name, **hub_environment | {"HF_TOKEN": token})
        assert done.returncode == 2
        assert len(done.stderr.strip().splitlines()) == 1
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_publishing_twice_makes_a_second_commit(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str]
) -> None:
    for license_id in ("mit", "apache-2.0"):
        done = invbench("publish", str(RIDGE), "owner/ridge", "--license", license_id, **hub_environment)
        assert done.returncode == 0, done.stderr
    assert metadata(hub.files("owner/ridge")["README.md"].decode())["license"] == "apache-2.0"
    assert len(hub.repos["models", "owner/ridge"].commits) >= 2
