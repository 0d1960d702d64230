"""Loading from the Hub: the real client against a local server, each process with a cache of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hubserver import HubServer

from benchmark.content.hub import fetch_file, find_commit, get_size
from benchmark.errors import SpecError

ROOT = Path(__file__).parents[2]
CONFIG, WEIGHTS = b'{"hidden_size": 4}', bytes(range(256)) * 64
FILES = {"config.json": CONFIG, "model.safetensors": WEIGHTS}
NOWHERE = "0" * 40
CLIENT = """
import json, resource, sys
from concurrent.futures import ThreadPoolExecutor
from benchmark.content import hub
from benchmark.errors import UserError

def take(step):
    name, arguments, options = step
    try:
        return {"value": getattr(hub, name)(*arguments, **options)}
    except UserError as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {"kinds": kinds, "text": str(error), "where": error.where, "cure": error.cure, "exit": error.exit_code}

job = json.load(sys.stdin)
if job["limit"]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], job["limit"]))
with ThreadPoolExecutor(job["threads"]) as pool:
    json.dump(list(pool.map(take, job["steps"])), sys.stdout, default=str)
"""
Step = tuple[str, list[Any], dict[str, Any]]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"hf_owner": "me"}) as server:
        yield server


def step(name: str, *arguments: Any, **options: Any) -> Step:
    return name, list(arguments), options


def run(hub: Any, home: Path, *steps: Step, threads: int = 1, limit: int = 0, **environment: Any) -> list[Any]:
    """Take the steps in a new process of the client; each gives its value, or what its one error says."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps({"steps": steps, "threads": threads, "limit": limit}),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | hub.environment(home, **environment),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # the client may print before


def run_one(hub: Any, home: Path, name: str, *arguments: Any, **options: Any) -> Any:
    (outcome,) = run(hub, home, step(name, *arguments, **options))
    return outcome


def sent(hub: Any, method: str | None = None) -> list[str]:
    """The paths of the requests so far, less what the client asks of its own accord about itself."""
    paths = [request.path for request in hub.log if method in (None, request.method)]
    return [path for path in paths if path != "/api/agent-harnesses"]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_fetched_once_and_then_loaded_without_any_request(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    pins = {name: digest(content) for name, content in FILES.items()}
    steps = [step("fetch_file", "me/net", commit, name, sha256=pin) for name, pin in pins.items()]
    first = run(hub, tmp_path, *steps)
    assert [Path(outcome["value"]).read_bytes() for outcome in first] == list(FILES.values())
    assert all(outcome["value"].startswith(str(tmp_path / "hub")) for outcome in first)
    hub.log.clear()
    assert run(hub, tmp_path, *steps) == first
    assert hub.log == []


def test_only_the_named_files_are_asked_for(hub: Any, tmp_path: Path) -> None:
    files = FILES | {"modeling_net.py": b"raise SystemExit", "pytorch_model.bin": b"\x80\x04."}
    commit = hub.add_repo("me/net", files)
    folder = Path(run_one(hub, tmp_path, "fetch_files", "me/net", commit, list(FILES))["value"])
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert {path for path in sent(hub) if not path.startswith("/lfs/")} == {
        f"/me/net/resolve/{commit}/{name}" for name in FILES
    }


def test_a_commit_keeps_its_content_when_its_branch_moves(hub: Any, tmp_path: Path) -> None:
    old = hub.add_repo("me/net", FILES)
    new = hub.add_repo("me/net", FILES | {"config.json": b"{}"})
    outcomes = run(hub, tmp_path, *(step("fetch_file", "me/net", commit, "config.json") for commit in (old, new)))
    assert [Path(outcome["value"]).read_bytes() for outcome in outcomes] == [CONFIG, b"{}"]
    assert run_one(hub, tmp_path, "find_commit", "me/net") == {"value": new}


def test_a_dataset_is_not_taken_for_the_model_of_its_name(hub: Any, tmp_path: Path) -> None:
    hub.add_repo("me/both", {"a/data.parquet": b"model"})
    commit = hub.add_repo("me/both", {"a/data.parquet": b"images"}, "dataset")
    dataset: dict[str, Any] = {"repo_type": "dataset"}
    folder, found, size = run(
        hub,
        tmp_path,
        step("fetch_files", "me/both", commit, ["a/data.parquet"], **dataset),
        step("find_commit", "me/both", **dataset),
        step("get_size", "me/both", commit, "a/data.parquet", **dataset),
    )
    assert (Path(folder["value"]) / "a/data.parquet").read_bytes() == b"images"
    assert (found["value"], size["value"]) == (commit, 6)


def test_an_optional_file_may_be_absent_and_is_asked_for_once(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    load = step("fetch_files", "me/net", commit, ["config.json"], optional=["model.safetensors", "absent.json"])
    (folder,) = run(hub, tmp_path, load)
    assert {path.name for path in Path(folder["value"]).iterdir()} == set(FILES)
    hub.log.clear()
    assert run(hub, tmp_path, load) == run(hub, tmp_path, load, HF_HUB_OFFLINE="1") == [folder]
    assert sent(hub) == []


def test_a_pinned_file_is_not_optional(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    load = step("fetch_files", "me/net", commit, ["config.json"], optional=["x.json"], sha256={"x.json": digest(b"")})
    (outcome,) = run(hub, tmp_path, load)
    assert "NotFoundError" in outcome["kinds"]


def test_offline_an_optional_file_that_is_not_cached_counts_as_absent(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")
    load = step("fetch_files", "me/net", commit, ["config.json"], optional=["model.safetensors"])
    (folder,) = run(hub, tmp_path, load, HF_HUB_OFFLINE="1")
    assert [path.name for path in Path(folder["value"]).iterdir()] == ["config.json"]


def test_the_size_of_a_file_is_known_without_downloading_it(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    steps = [step("get_size", "me/net", commit, name) for name in FILES]
    assert [outcome["value"] for outcome in run(hub, tmp_path, *steps)] == [len(content) for content in FILES.values()]
    assert {request.method for request in hub.log if "/resolve/" in request.path} == {"HEAD"}


def test_a_file_that_is_too_large_is_refused_before_it_is_downloaded(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    load = "fetch_file", "me/net", commit, "model.safetensors"
    refused = run_one(hub, tmp_path, *load, max_bytes=len(WEIGHTS) - 1)
    assert refused["kinds"][0] == "SpecError" and "16,384 bytes, at most 16,383 are read" in refused["text"]
    assert not any("/lfs/" in path or "/resolve/" in path for path in sent(hub, "GET"))
    assert "value" in run_one(hub, tmp_path, *load, max_bytes=len(WEIGHTS))
    assert run_one(hub, tmp_path, *load, max_bytes=len(WEIGHTS) - 1)["text"] == refused["text"]


COMMIT = "1d5f47bd3bdd2c4bbfa585418ffe6da5028b4c0b"


@pytest.mark.parametrize("revision", ["main", "1d5f47b", COMMIT.upper(), f"{COMMIT}\n", f"../../{COMMIT}", "", "v1.0"])
def test_a_revision_that_could_move_is_refused(revision: str) -> None:
    with pytest.raises(SpecError, match=r"not a full commit.*git ls-remote"):
        fetch_file("me/net", revision, "config.json")


@pytest.mark.parametrize(
    "repo_id", ["net", "../net", "me/../net", "me/net/x", "me\\net", "/me/net", "me/net\n", "é/net"]
)
def test_an_id_that_is_no_repository_is_refused(repo_id: str) -> None:
    for ask in (lambda: get_size(repo_id, COMMIT, "config.json"), lambda: find_commit(repo_id)):
        with pytest.raises(SpecError, match="not the id of a repository"):
            ask()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../x", "a/./x", "a//x", "/etc/passwd", "a/", "a\\x", "C:x", "C:/x", "a\nb", "a\0b"],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="not the path of a file"):
        fetch_file("me/net", COMMIT, name)


@pytest.mark.parametrize("branch", ["", "../x", "a/../b", "-x", "a b", "main\n"])
def test_a_name_that_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(SpecError, match="not the name of a branch"):
        find_commit("me/net", branch)


def test_names_that_only_the_client_refuses_are_one_line_too(hub: Any, tmp_path: Path) -> None:
    steps = [
        step("fetch_file", repo, COMMIT, "a.json") for repo in ("me/a--b", "me/a..b", "me/a.git", "me/" + "a" * 99)
    ]
    for outcome in run(hub, tmp_path, *steps):
        assert outcome["kinds"][0] == "SpecError", outcome
    assert sent(hub) == []


def test_a_mistake_of_the_program_is_no_user_error() -> None:
    with pytest.raises(TypeError):
        fetch_file(None, COMMIT, "config.json")  # type: ignore[arg-type]


def test_the_client_is_imported_only_when_it_is_needed() -> None:
    code = "import sys; sys.modules['huggingface_hub'] = None; import benchmark.content.hub"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def ask_file(repo: str, commit: str, name: str = "config.json") -> Step:
    return step("fetch_file", repo, commit, name)


def ask_size(repo: str, commit: str) -> Step:
    return step("get_size", repo, commit, "config.json")


def ask_commit(repo: str, commit: str) -> Step:
    return step("find_commit", repo)


def ask_nowhere(repo: str, commit: str) -> Step:
    return ask_file(repo, NOWHERE)


def ask_absent(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "absent.json")


def ask_absent_weights(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "absent.safetensors")


def ask_weights(repo: str, commit: str) -> Step:
    return ask_file(repo, commit, "model.safetensors")


SOON = {"Retry-After": "0"}
FOREVER = {"times": 99}
# what is asked, the request that fails, how, and what the user is told; all at once, each of a repository of its own
QUICK: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str, str]] = {
    "no such commit": (ask_nowhere, "", {}, "NotFoundError", "no such commit"),
    "no such file": (ask_absent, "", {}, "NotFoundError", "no such file (see the files of the repository)"),
    "no such weights": (ask_absent_weights, "", {}, "NotFoundError", "only weights in this format are read"),
    "bad request": (ask_file, "HEAD", {"status": 400}, "UserError", "error 400"),
    "unauthorized": (ask_file, "HEAD", {"status": 401}, "UserError", "does not accept the token"),
    "forbidden": (ask_file, "HEAD", {"status": 403}, "UserError", "access is forbidden"),
    "forbidden body": (ask_file, "GET", {"status": 403}, "UserError", "access is forbidden"),
    "not a Hub": (ask_file, "HEAD", {"status": 404}, "UserError", "error 404: Not Found (check HF_ENDPOINT)"),
    "error on body": (ask_file, "GET", {"status": 500}, "UserError", "error 500: Internal Server Error (try again"),
    "size, busy": (ask_size, "HEAD", {"status": 503}, "UserError", "error 503"),
    "commit, too often": (ask_commit, "GET", {"status": 429}, "UserError", "asked too often (429) (wait"),
    "commit, error": (ask_commit, "GET", {"status": 502}, "UserError", "error 502"),
    "commit, portal": (ask_commit, "GET", {"body": b"<html>Log in"}, "UserError", "check HF_ENDPOINT"),
    "commit, not told": (ask_commit, "GET", {"body": b'{"id": "me/x"}'}, "UserError", "does not say which commit"),
    "reset": (ask_file, "HEAD", {"reset": True}, "UserError", "the connection broke off"),
    "reset before the body": (ask_file, "GET", {"reset": True}, "UserError", "the connection broke off"),
    "reset in the body": (ask_file, "GET", {"reset": True, "cut": 5}, "UserError", "the connection broke off"),
    "size, slow": (ask_size, "HEAD", {"stall": 3}, "UserError", "no answer in time (try again; on a slow line"),
    "commit, slow": (ask_commit, "GET", {"stall": 3}, "UserError", "no answer in time"),
    "short body": (ask_file, "GET", {"body": b"{}"}, "UserError", "should be of size 18 but has size 2"),
    "no headers": (ask_file, "HEAD", {"status": 200}, "UserError", "HF_ENDPOINT"),
    "other commit": (ask_file, "HEAD", {"headers": {"X-Repo-Commit": NOWHERE}}, "IntegrityError", "another commit"),
    "evil commit": (ask_file, "HEAD", {"headers": {"X-Repo-Commit": "../../x"}}, "UserError", "Invalid pointer path"),
    "evil tag": (ask_file, "HEAD", {"headers": {"ETag": '"../../../evil"'}}, "IntegrityError", "leads out of"),
}
SLOW: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str, str]] = {
    "too often": (ask_file, "HEAD", {"status": 429, "headers": SOON}, "UserError", "asked too often (429) (wait"),
    "error": (ask_file, "HEAD", {"status": 500, "headers": SOON}, "UserError", "error 500"),
    "busy": (ask_weights, "HEAD", {"status": 503, "headers": SOON}, "UserError", "error 503"),
    "truncated": (ask_file, "GET", {"cut": 5}, "UserError", "the connection broke off"),
    "slow body": (ask_file, "GET", {"stall": 3}, "UserError", "no answer in time"),
}


def run_cases(home: Path, cases: dict[str, Any]) -> dict[str, Any]:
    with HubServer() as hub:
        steps = []
        for number, (ask, method, fault, *_) in enumerate(cases.values()):
            repo = f"me/case-{number}-of-many"  # no name is the beginning of another
            steps.append(ask(repo, hub.add_repo(repo, FILES)))
            if fault:
                hub.fail(repo, method, times=99, **fault)
        quick = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
        return dict(zip(cases, run(hub, home, *steps, threads=len(steps), **quick), strict=True))


@pytest.fixture(scope="module")
def quick_outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_cases(tmp_path_factory.mktemp("quick"), QUICK)


@pytest.fixture(scope="module")
def nobody() -> str:
    """The address of a port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="module")
def slow_outcomes(tmp_path_factory: pytest.TempPathFactory, nobody: str) -> dict[str, Any]:
    home, load = tmp_path_factory.mktemp("slow"), step("fetch_file", "me/net", COMMIT, "x.json")
    with ThreadPoolExecutor(1) as pool, HubServer() as hub:
        refused = pool.submit(run, hub, home / "refused", load, HF_ENDPOINT=nobody)
        return run_cases(home, SLOW) | {"refused": refused.result()[0]}


def check_outcome(outcome: dict[str, Any], kind: str, told: str) -> None:
    assert kind in outcome["kinds"] and told in outcome["text"], outcome
    assert "\n" not in outcome["text"] and outcome["cure"]
    assert outcome["where"].startswith("http://127.0.0.1:") and "@" in outcome["where"]
    assert outcome["exit"] == (3 if kind == "IntegrityError" else 2)


@pytest.mark.parametrize("case", QUICK)
def test_a_failure_is_told_in_one_line_with_its_cure(case: str, quick_outcomes: dict[str, Any]) -> None:
    check_outcome(quick_outcomes[case], *QUICK[case][3:])


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW)
def test_a_failure_that_the_client_retries_is_told_in_the_end(case: str, slow_outcomes: dict[str, Any]) -> None:
    check_outcome(slow_outcomes[case], *SLOW[case][3:])


@pytest.mark.slow
def test_a_connection_that_is_refused_is_told_in_the_end(slow_outcomes: dict[str, Any]) -> None:
    check_outcome(slow_outcomes["refused"], "UserError", "cannot be reached")


def test_a_hub_that_is_not_there_is_told(hub: Any, tmp_path: Path, nobody: str) -> None:
    for address, told in {
        nobody: "cannot be reached",
        "http://hub.invalid": "cannot be reached",
        hub.url.replace("http:", "https:"): "cannot be reached",
        "hub.invalid": "missing an 'http://'",
        "http://127.0.0.1:99999": "HF_ENDPOINT",
        "http://[1": "HF_",
    }.items():
        steps = step("get_size", "me/net", COMMIT, "x.json"), step("find_commit", "me/net")
        for outcome in run(hub, tmp_path, *steps, HF_ENDPOINT=address):
            assert outcome["kinds"][0] == "UserError" and told in outcome["text"], outcome


def test_a_login_in_the_address_of_the_hub_is_not_told(hub: Any, tmp_path: Path) -> None:
    address = hub.url.replace("//", "//me:secret@")
    (outcome,) = run(hub, tmp_path, step("fetch_file", "me/net", COMMIT, "x.json"), HF_ENDPOINT=address)
    assert outcome["where"] == f"{hub.url}/me/net@{COMMIT}/x.json" and "secret" not in outcome["text"]


def test_a_private_repository_opens_to_its_token_only(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/secret", FILES, private=True, tokens=["hf_reader"])
    hub.add_repo("you/other", FILES, private=True, tokens=["hf_other"])
    load = (
        step("fetch_file", "me/secret", commit, "model.safetensors", max_bytes=10**6),
        step("find_commit", "me/secret"),
    )
    for number, token in enumerate((None, "hf_other")):
        for outcome in run(hub, tmp_path / str(number), *load, token=token):
            assert outcome["kinds"][0] == "NotFoundError"
            assert "or a private one" in outcome["text"] and "HF_TOKEN" in outcome["cure"]
    hub.log.clear()
    file, found = run(hub, tmp_path, *load, token="hf_reader")
    assert Path(file["value"]).read_bytes() == WEIGHTS and found["value"] == commit
    assert {request.token for request in hub.log if "/resolve/" in request.path} == {"hf_reader"}
    assert {request.token for request in hub.log if request.path.startswith("/lfs/")} == {None}


def test_a_gated_repository_is_told_from_an_absent_one(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/gated", FILES, gated=True, tokens=["hf_granted"])
    hub.add_repo("you/other", FILES, private=True, tokens=["hf_other"])
    load = step("fetch_file", "me/gated", commit, "config.json")
    for number, token in enumerate((None, "hf_other")):
        (outcome,) = run(hub, tmp_path / str(number), load, token=token)
        assert "gives access only on request" in outcome["text"] and "hf auth login" in outcome["cure"]
    assert "value" in run(hub, tmp_path, load, token="hf_granted")[0]


@pytest.mark.parametrize(
    ("token", "told"), [("hf_bad", "does not accept the token: Invalid credentials"), ("hf_é", "no token has")]
)
def test_a_token_that_is_not_valid_is_told(hub: Any, tmp_path: Path, token: str, told: str) -> None:
    commit = hub.add_repo("me/net", FILES)
    for outcome in run(hub, tmp_path, *(ask(*("me/net", commit)) for ask in (ask_file, ask_commit)), token=token):
        assert told in outcome["text"] and "HF_TOKEN" in outcome["cure"] and token not in outcome["text"]


def test_content_that_is_not_what_was_pinned_is_named_and_can_be_fetched_again(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    hub.fail("/lfs/", "GET", body=bytes(len(WEIGHTS)))
    load = "fetch_file", "me/net", commit, "model.safetensors"
    broken = run_one(hub, tmp_path, *load, sha256=digest(WEIGHTS))
    assert broken["kinds"][0] == "IntegrityError" and broken["exit"] == 3
    assert broken["where"] == f"{hub.url}/me/net@{commit}/model.safetensors"
    assert digest(WEIGHTS)[:12] in broken["text"] and digest(bytes(len(WEIGHTS)))[:12] in broken["text"]
    assert run_one(hub, tmp_path, *load, sha256=digest(WEIGHTS)) == broken  # nothing is deleted in silence
    Path(broken["cure"].rpartition(": ")[2]).unlink()
    assert Path(run_one(hub, tmp_path, *load, sha256=digest(WEIGHTS))["value"]).read_bytes() == WEIGHTS


def test_a_cached_file_that_leads_out_of_the_cache_is_refused(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    path = Path(run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")["value"])
    (tmp_path / "elsewhere").write_bytes(CONFIG)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    outcome = run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")
    assert outcome["kinds"][0] == "IntegrityError" and "leads out of" in outcome["text"]
    path.unlink()
    assert run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json") == {"value": str(path)}


def test_a_cache_behind_a_link_is_used(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    for _ in range(2):
        assert "value" in run_one(hub, tmp_path / "home", "fetch_file", "me/net", commit, "config.json")


def test_offline_a_cached_file_is_loaded_and_another_is_told(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    cached = run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")
    hub.log.clear()
    steps = [ask("me/net", commit) for ask in (ask_file, ask_weights, ask_size, ask_commit)]
    first, *others = run(hub, tmp_path, *steps, HF_HUB_OFFLINE="1")
    assert first == cached
    for outcome in others:
        assert "HF_HUB_OFFLINE forbids" in outcome["text"] and str(tmp_path / "hub") in outcome["cure"]
    assert sent(hub) == []


def test_a_download_that_is_cut_goes_on_where_it_stood(hub: Any, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * 13
    commit = hub.add_repo("me/large", {"model.safetensors": content})
    hub.fail("/lfs/", "GET", cut=12 << 20)
    load = step("fetch_file", "me/large", commit, "model.safetensors", sha256=digest(content))
    outcomes = run(
        hub, tmp_path, load, load
    )  # some versions of the client go on by themselves, others when called again
    assert Path(outcomes[-1]["value"]).read_bytes() == content
    ranges = [request.range for request in hub.log if request.path.startswith("/lfs/") and request.method == "GET"]
    assert ranges == [None, f"bytes={10 << 20}-"]  # the client writes 10 MiB at a time


def test_a_file_larger_than_a_file_may_be_is_told(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    (outcome,) = run(hub, tmp_path, ask_weights("me/net", commit), limit=len(WEIGHTS) // 2)  # EFBIG
    assert "no room to store it: File too large" in outcome["text"] and "HF_HOME" in outcome["cure"]
    assert "value" in run(hub, tmp_path, ask_weights("me/net", commit))[0]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a file system in memory with the options given, where that is allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("no file system can be mounted here")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_full_is_told(hub: Any, mount: Callable[[str], Path]) -> None:
    home = mount("size=1m")
    commit = hub.add_repo("me/net", {"model.safetensors": bytes(3 << 20)})
    (outcome,) = run(hub, home, ask_weights("me/net", commit))  # ENOSPC
    assert "no room to store it: No space left on device" in outcome["text"], outcome
    assert f"free some space under {home}" in outcome["cure"]


def test_a_cache_that_may_not_be_written_is_told(hub: Any, mount: Callable[[str], Path], tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    if os.geteuid() == 0:  # whom no mode stops
        home = mount("ro")
    else:
        (home := tmp_path / "closed").mkdir(mode=0o555)
    (outcome,) = run(hub, home, ask_file("me/net", commit))
    assert "cannot be stored" in outcome["text"] and "check the rights of" in outcome["cure"]


def test_a_cache_below_a_file_is_told(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    (tmp_path / "file").touch()
    (outcome,) = run(hub, tmp_path / "file" / "home", ask_file("me/net", commit))
    assert "cannot be stored" in outcome["text"] and "Not a directory" in outcome["text"]


@pytest.mark.skipif(find_spec("hf_xet") is None, reason="needs hf_xet")
def test_a_failure_of_the_storage_behind_the_hub_is_told(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    ticket = {"X-Xet-Cas-Url": f"{hub.url}/cas", "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": "99999999999"}
    hub.fail("/ticket", times=99, status=200, headers=ticket)
    hub.fail("/cas/", times=99, status=401)
    hub.fail("model.safetensors", "HEAD", headers={"X-Xet-Hash": "a" * 64, "X-Xet-Refresh-Route": f"{hub.url}/ticket"})
    load = ask_weights("me/net", commit)
    (outcome,) = run(hub, tmp_path, load, HF_HUB_DISABLE_XET="0")
    assert "UserError" in outcome["kinds"] and "401" in outcome["text"], outcome
    assert "HF_HUB_DISABLE_XET=1" in outcome["cure"], outcome
    assert "value" in run(hub, tmp_path, load)[0]


UPLOAD = """
import sys
from huggingface_hub import HfApi
folder, repo, kind = sys.argv[1:]
HfApi().create_repo(repo, repo_type=kind, private=True, exist_ok=True)
print(HfApi().upload_folder(repo_id=repo, repo_type=kind, folder_path=folder).oid)
"""


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_what_was_uploaded_is_fetched_by_its_commit(hub: Any, tmp_path: Path, kind: str) -> None:
    files = FILES | {"README.md": b"# A net\n", "deep/er/data.parquet": os.urandom(3 << 20), "empty.txt": b""}
    for name, content in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)

    def upload(token: str | None, repo: str = "me/new") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", UPLOAD, str(tmp_path / "folder"), repo, kind]
        return subprocess.run(
            command, capture_output=True, text=True, env=os.environ | hub.environment(tmp_path, token=token)
        )

    assert "401" in upload(None).stderr and "403" in upload("hf_owner", "you/new").stderr
    commits = [upload("hf_owner").stdout.strip() for _ in range(2)]
    assert commits[0] == commits[1] != ""  # nothing had changed
    assert hub.files("me/new", repo_type=kind).items() >= files.items()
    pins = {name: digest(content) for name, content in files.items()}
    load = step("fetch_files", "me/new", commits[0], list(files), repo_type=kind, sha256=pins)
    found, folder = run(hub, tmp_path, step("find_commit", "me/new", repo_type=kind), load, token="hf_owner")
    assert found == {"value": commits[0]}
    assert (Path(folder["value"]) / "deep/er/data.parquet").read_bytes() == files["deep/er/data.parquet"]
