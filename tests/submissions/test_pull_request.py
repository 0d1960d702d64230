"""A submission from its first file to its pull request, as its author goes: the real commands, a real repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hubserver import HubServer

from benchmark.errors import SpecError
from benchmark.files.paths import PACKAGE, submissions_root
from benchmark.inverses.base import build_inverse, read_config, save_inverse
from benchmark.inverses.code import load_code
from benchmark.inverses.spec import TRUSTED
from benchmark.records.history import load_history
from benchmark.records.receipts import load_receipts, trust_of
from benchmark.records.record import load_record
from benchmark.submissions.pull_request import commit, plan_steps
from benchmark.submissions.scaffold import write_scaffold
from benchmark.submissions.submission import load_submission_folder
from benchmark.submissions.validate import validate
from cli import main

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, in an empty folder with a cache of its own."""
    monkeypatch.setenv("INVBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def _run(*arguments: str, code: int = 0) -> Result:
        TRUSTED.clear()  # as in a process of its own
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == code, (done.stdout, done.stderr, done.exception)
        return done

    return _run


def errors(folder: Path) -> list[str]:
    return [str(item) for item in validate(folder) if item.severity == "error"]


@pytest.mark.parametrize("method", ["ridge", "modular_per_tap"])
def test_a_new_submission_is_valid_as_it_is(tmp_path: Path, method: str) -> None:
    (path,) = write_scaffold(tmp_path, "my-method", method, "A. Author", code=False, account="a-author")
    assert errors(path.parent) == []
    submission = load_submission_folder(path.parent)
    assert (submission.id, submission.method, submission.authors) == ("my-method", method, ("A. Author",))
    assert submission.is_owned_by("A-Author") and not submission.is_owned_by("A. Author")
    assert submission.weights.keys() == {"mini-detr", "mini-vit", "mini-swin"}


def test_the_template_of_an_architecture_is_short_and_valid(tmp_path: Path) -> None:
    paths = write_scaffold(tmp_path, "my-net", None, 'A. "B" Author', code=True)
    assert [path.name for path in paths] == ["submission.toml", "inverse.py"]
    assert len(paths[1].read_text().splitlines()) < 40
    assert errors(tmp_path / "my-net") == []
    (note,) = [str(item) for item in validate(tmp_path / "my-net") if "no record" in str(item)]
    assert f"invbench eval --submission {tmp_path / 'my-net'} --suite mini@1 --trust-code" in note
    ruff = Path(sys.executable).parent / "ruff"
    done = subprocess.run([str(ruff), "check", "--isolated", str(paths[1])], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["My-Method"], "ID: field"),
        (["../escape"], "ID: field"),
        (["con"], "is the name of a device"),
        (["a", "--author", "two\nlines"], "--author: field"),
        (["a", "--account", "A. Author"], "--account: field"),
        (["a", "--method", "rigde"], "did you mean 'ridge'?"),
        (["a", "--method", "copy"], "only bounds the board"),
        (["a", "--code", "--method", "ridge"], "is the package's own method"),
    ],
)
def test_what_cannot_begin_a_submission(run: Run, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = run("init", *arguments, "--root", "submissions", code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "submissions").exists()
    assert list(tmp_path.parent.glob("escape")) == []


def test_an_id_is_not_taken_twice(run: Run) -> None:
    run("init", "mine", "--root", "submissions")
    assert "is there already" in run("init", "mine", "--root", "submissions", code=2).stderr


@pytest.mark.nightly
def test_the_way_of_an_architecture_of_ones_own(run: Run, tmp_path: Path) -> None:
    run("init", "my-net", "--code", "--root", "submissions", "--author", "A. Author")
    folder = tmp_path / "submissions" / "my-net"
    assert "my-net: valid" in run("validate", "submissions/my-net").stdout

    refused = run("eval", "--submission", "submissions/my-net", "--limit", "8", code=2).stderr
    assert "read that file, then give --trust-code" in refused
    assert {path.name for path in folder.iterdir()} == {"submission.toml", "inverse.py"}

    limits = ["--threads", "1", "--target", "mini-vit"]
    run("eval", "--submission", "submissions/my-net", "--trust-code", "--limit", "8", *limits)
    first = load_record(folder / "records/mini@1")
    assert first.inverses["mini-vit"].files.keys() == {"inverse.py"}
    assert errors(folder) == []

    again = ["eval", "--submission", "submissions/my-net", "--trust-code", *limits]
    assert "--supersede REASON" in run(*again, "--limit", "8", code=2).stderr
    run(*again, "--limit", "32", "--supersede", "More images.")
    second = load_record(folder / "records/mini@1")
    assert load_record(folder / "records/mini@1/superseded" / first.digest[:16]) == first
    (event,) = load_history(folder).events
    assert (event.record, event.by, event.reason) == (first.digest, second.digest, "More images.")
    assert errors(folder) == []

    # Somebody else computes it again.
    report = json.loads(run("rescore", "submissions/my-net", "--by", "B. Reader", "--json").stdout)
    assert report["agrees"]
    assert all(item["equal"] == item["compared"] for item in report["differences"].values())
    verify = ["verify", "submissions/my-net", "--trust-code", "--threads", "1", "--by", "B. Reader"]
    done = run(*verify)
    assert "my-net on mini@1, 32 images, reproduced: agrees" in done.stdout
    receipts = load_receipts(folder / "records/mini@1", second)
    assert [receipt.kind for receipt in receipts] == ["reproduced", "rescored"]
    assert receipts[0].rerun_digest == second.digest
    assert trust_of(second, receipts, ["A. Author"]) == "reproduced"
    assert trust_of(second, receipts, ["b. reader"]) == "rescored"
    assert errors(folder) == []

    # An edit of the code takes the ground from under the record.
    code = folder / "inverse.py"
    code.write_text(code.read_text() + "\n# An edit.\n")
    assert any("made with another inverse.py" in line for line in errors(folder))
    assert "was made with other weights or code" in run(*verify, "--limit", "8", code=3).stderr
    run(*again, "--limit", "8", "--overwrite")
    assert list((folder / "records/mini@1/receipts").iterdir()) == []
    assert "submissions/my-net/records/mini@1: valid" not in run("validate", "submissions/my-net", code=3).stdout

    run("withdraw", "submissions/my-net", "--reason", "A mistake in training.")
    assert [event.kind for event in load_history(folder).events] == ["superseded", "withdrawn"]


@pytest.mark.slow
def test_weights_of_ones_own_architecture_lie_beside_the_file(run: Run, tmp_path: Path) -> None:
    run("init", "my-net", "--code", "--root", "submissions")
    folder = tmp_path / "submissions" / "my-net"
    code = folder / "inverse.py"
    code.write_text(
        code.read_text().replace(
            "    def invert(",
            "    def __init__(self, config):\n"
            "        super().__init__(config)\n"
            "        self.shade = __import__('torch').nn.Parameter(__import__('torch').zeros(3))\n\n"
            "    def invert(",
        )
    )
    method = load_code(code, trained=True)
    config = read_config(PACKAGE / "assets/mini/inverses/ridge/mini-vit/config.json")
    save_inverse(
        build_inverse(config.model_copy(update={"method": method.id, "architecture": {}})), folder / "weights/mini-vit"
    )
    text = (folder / "submission.toml").read_text()
    (folder / "submission.toml").write_text(text + '\n[weights]\nmini-vit = { path = "./weights/mini-vit" }\n')
    run("eval", "--submission", "submissions/my-net", "--trust-code", "--limit", "8", "--threads", "1",
        "--target", "mini-vit")  # fmt: skip
    record = load_record(folder / "records/mini@1")
    assert record.inverses["mini-vit"].parameters == 3
    assert record.inverses["mini-vit"].files.keys() == {"config.json", "model.safetensors", "inverse.py"}
    assert record.layers["mini-vit"]
    assert errors(folder) == []
    with (folder / "weights/mini-vit/model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x3f")
    assert any("not the files in ./weights/mini-vit" in line for line in errors(folder))

    done = run("publish", "submissions/my-net/weights/mini-vit", "name/my-net", "--dry-run", code=2)
    assert "unknown method 'my-net'" in done.stderr
    run("publish", "submissions/my-net/weights/mini-vit", "name/my-net", "--dry-run", "--code",
        "submissions/my-net/inverse.py")  # fmt: skip


@pytest.mark.slow
def test_weights_on_the_hub_are_fetched_first_and_run_without_a_connection(
    invbench: Callable[..., subprocess.CompletedProcess[str]],
    hub: HubServer,
    hub_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    source = PACKAGE / "assets/mini/inverses/ridge/mini-vit"
    commit_id = hub.add_repo("name/ridge-vit", {path.name: path.read_bytes() for path in source.iterdir()})
    (path,) = write_scaffold(tmp_path / "submissions", "mine", "ridge", "A. Author", code=False)
    text = path.read_text().partition("[weights]\n")[0]
    weights = f'mini-vit = {{ repo_id = "name/ridge-vit", revision = "{commit_id}" }}'
    path.write_text(f"{text}[weights]\n{weights}\n")
    command = ["eval", "--submission", "submissions/mine"]
    done = invbench(*command, "--fetch-only", **hub_environment)
    assert done.returncode == 0, done.stderr
    assert not (path.parent / "records").exists()
    requests = len(hub.log)
    assert requests

    offline = hub_environment | {"HF_HUB_OFFLINE": "1"}
    done = invbench(*command, "--target", "mini-vit", "--limit", "8", "--threads", "1", **offline)
    assert done.returncode == 0, done.stderr
    assert len(hub.log) == requests
    assert errors(path.parent) == []
    path.write_text(path.read_text().replace(commit_id, "0" * 40))
    (error,) = errors(path.parent)
    assert f"made with name/ridge-vit@{commit_id}, not the weights of submission.toml" in error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise RuntimeError('boom')", "line 1: RuntimeError: boom"),
        ("import nothing_of_that_name", "line 1: ModuleNotFoundError"),
        ("def broken(:", "line 1: SyntaxError"),
        ("", "defines 0 subclasses of Inverse"),
        ("from benchmark.inverses.base import Inverse\nclass A(Inverse):\n  method = 'ridge'", "'ridge' is no new id"),
        ("from benchmark.inverses.base import Inverse\nclass A(Inverse):\n  method = 'Bad Id'", "field 'id'"),
        ("from benchmark.inverses.base import Inverse\nclass A(Inverse):\n  method = 'other'", "is not the 'my-net'"),
    ],
)
def test_a_mistake_in_ones_code_is_one_line_with_its_place(run: Run, tmp_path: Path, text: str, message: str) -> None:
    run("init", "my-net", "--code", "--root", "submissions")
    (tmp_path / "submissions/my-net/inverse.py").write_text(text)
    done = run("eval", "--submission", "submissions/my-net", "--trust-code", code=2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "submissions/my-net/__pycache__").exists()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the committed ridge submission under the id `mine`, not yet added."""
    folder = tmp_path / "repository" / "submissions" / "ridge"
    shutil.copytree(submissions_root() / "ridge", folder)
    top = folder.parents[1]
    (top / "README.md").write_text("A repository.\n")
    for arguments in (
        ["init", "-q", "-b", "main"], ["config", "user.name", "A"], ["config", "user.email", "a@example.org"],
        ["add", "README.md"], ["commit", "-q", "-m", "Begin"],
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(top), *arguments], check=True)
    (top / "unrelated.txt").write_text("Not part of it.\n")
    return folder


def test_the_steps_to_a_pull_request(clone: Path) -> None:
    steps = plan_steps(clone)
    text = steps.render(done=False)
    for line in ("git switch -c submit/ridge", "git add submissions/ridge", "git commit -m 'Submit ridge'", "git push"):
        assert line in text
    assert "submissions/ridge/submission.toml" in steps.files
    assert "- mini@1: detail 0." in steps.body


def test_the_commit_holds_the_submission_and_nothing_else(clone: Path) -> None:
    branch = commit(clone, plan_steps(clone))
    git = ["git", "-C", str(clone)]
    shown = subprocess.run([*git, "show", "--name-only", "--format=%D"], capture_output=True, text=True, check=True)
    assert f"HEAD -> {branch}" in shown.stdout
    names = [line for line in shown.stdout.splitlines() if "/" in line and "HEAD" not in line]
    assert all(name.startswith("submissions/ridge/") for name in names)
    assert "submissions/ridge/records/mini@1/record.json" in names
    with pytest.raises(SpecError, match="git switch"):
        commit(clone, plan_steps(clone))


@pytest.mark.slow
def test_what_a_branch_has_published_is_not_edited(run: Run, clone: Path) -> None:
    commit(clone, plan_steps(clone))
    assert "ridge: valid" in run("validate", str(clone), "--base", "submit/ridge").stdout
    assert "git rev-parse" in run("validate", str(clone), "--base", "nowhere", code=2).stderr
    record = clone / "records/mini@1/record.json"
    record.write_text(record.read_text() + "\n")
    done = run("validate", str(clone), "--base", "submit/ridge", code=3)
    assert "was edited or removed (restore it; a better one supersedes it" in done.stdout


def test_nothing_is_handed_in_before_it_is_valid_and_evaluated(run: Run, tmp_path: Path) -> None:
    run("init", "mine", "--root", "submissions")
    assert "there is no record on mini@1 yet" in run("submit", "submissions/mine", "--dry-run", code=2).stderr
    path = tmp_path / "submissions/mine/submission.toml"
    path.write_text(path.read_text().replace("Apache-2.0", "Apache 2"))
    done = run("submit", "submissions/mine", "--dry-run", code=2)
    assert "field 'license': is no SPDX license expression, not 'Apache 2'" in done.stderr
