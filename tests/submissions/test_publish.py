"""`invbench publish`: what is uploaded is what was checked, and the card holds the scores of these very weights."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hubserver import HubServer

from benchmark.errors import SpecError
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.submissions.publish import prepare

Invbench = Callable[..., "object"]
RIDGE = PACKAGE / "assets/mini/inverses/ridge/mini-vit"


def metadata(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_card_holds_the_scores_of_these_weights() -> None:
    publication = prepare(RIDGE, "owner/ridge", [submissions_root()], "apache-2.0")
    (record,) = publication.records
    assert record.submission.id == "ridge"
    said = metadata(publication.card)
    assert (said["license"], said["library_name"]) == ("apache-2.0", "invbench")
    (model,) = said["model-index"]
    axes = record.targets["mini-vit"].axes
    found = {metric["type"]: metric["value"] for result in model["results"] for metric in result["metrics"]}
    assert found == {axis: score.value for axis, score in axes.items()}
    assert {result["dataset"]["type"] for result in model["results"]} == {"mini@1"}
    assert f"{axes['detail'].value:.3f}" in publication.card
    assert record.digest[:16] in publication.card


def test_the_card_of_other_weights_claims_nothing(tmp_path: Path) -> None:
    publication = prepare(RIDGE, "owner/ridge", [tmp_path])
    assert publication.records == ()
    assert "model-index" not in metadata(publication.card)
    assert "Not evaluated yet" in publication.card


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


@pytest.mark.nightly
def test_what_is_published_can_be_evaluated(
    invbench: Invbench, hub: HubServer, hub_environment: dict[str, str]
) -> None:
    done = invbench("publish", str(RIDGE), "owner/ridge", "--results", str(submissions_root()), **hub_environment)
    assert done.returncode == 0, done.stderr
    reference = next(word for word in done.stdout.split() if word.startswith("owner/ridge@"))
    uploaded = hub.files("owner/ridge", reference.partition("@")[2])
    for name in ("config.json", "model.safetensors"):
        assert uploaded[name] == (RIDGE / name).read_bytes()
    assert metadata(uploaded["README.md"].decode())["model-index"]
    again = invbench("eval", "--inverse", reference, "--limit", "8", "--json", **hub_environment)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["inverses"]["mini-vit"]["revision"] == reference.partition("@")[2]


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
