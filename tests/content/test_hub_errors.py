"""What can fail between us and the Hub is one line with its fix. (T16)"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hubclient import (
    COMMIT,
    FILES,
    NOWHERE,
    WEIGHTS,
    Step,
    ask_absent,
    ask_absent_weights,
    ask_commit,
    ask_file,
    ask_nowhere,
    ask_size,
    ask_weights,
    run,
    step,
)
from hubserver import HubServer


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"hf_owner": "me"}) as server:
        yield server


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
    "short body": (ask_file, "GET", {"body": b"{}"}, "UserError", "should be of size 18 but has size 2"),
    "no headers": (ask_file, "HEAD", {"status": 200}, "UserError", "HF_ENDPOINT"),
    "other commit": (ask_file, "HEAD", {"headers": {"X-Repo-Commit": NOWHERE}}, "IntegrityError", "another commit"),
    "evil commit": (ask_file, "HEAD", {"headers": {"X-Repo-Commit": "../../x"}}, "UserError", "Invalid pointer path"),
    "evil tag": (
        ask_file,
        "HEAD",
        {"headers": {"ETag": '"../../../evil"'}},
        "UserError",
        "cannot be the name of a file",
    ),
}
SLOW: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str, str]] = {
    "too often": (ask_file, "HEAD", {"status": 429, "headers": SOON}, "UserError", "asked too often (429) (wait"),
    "error": (ask_file, "HEAD", {"status": 500, "headers": SOON}, "UserError", "error 500"),
    "busy": (ask_weights, "HEAD", {"status": 503, "headers": SOON}, "UserError", "error 503"),
    "truncated": (ask_file, "GET", {"cut": 5}, "UserError", "the connection broke off"),
}
# In a process of their own that waits a second for an answer: on a busy machine the others' may take as long.
STALLED: dict[str, tuple[Callable[..., Step], str, dict[str, Any], str, str]] = {
    "size, slow": (ask_size, "HEAD", {"stall": 3}, "UserError", "no answer in time (try again; on a slow line"),
    "commit, slow": (ask_commit, "GET", {"stall": 3}, "UserError", "no answer in time"),
    "slow body": (ask_file, "GET", {"stall": 3}, "UserError", "no answer in time"),
}


def run_cases(home: Path, cases: dict[str, Any], **environment: str) -> dict[str, Any]:
    with HubServer() as hub:
        steps = []
        for number, (ask, method, fault, *_) in enumerate(cases.values()):
            repo = f"me/case-{number}-of-many"  # no name is the beginning of another
            steps.append(ask(repo, hub.add_repo(repo, FILES)))
            if fault:
                hub.fail(repo, method, times=99, **fault)
        return dict(zip(cases, run(hub, home, *steps, threads=len(steps), **environment), strict=True))


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
    second = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    with ThreadPoolExecutor(2) as pool, HubServer() as hub:
        refused = pool.submit(run, hub, home / "refused", load, HF_ENDPOINT=nobody)
        stalled = pool.submit(run_cases, home / "stalled", STALLED, **second)
        return run_cases(home, SLOW) | stalled.result() | {"refused": refused.result()[0]}


def check_outcome(outcome: dict[str, Any], kind: str, told: str) -> None:
    assert kind in outcome["kinds"] and told in outcome["text"], outcome
    assert "\n" not in outcome["text"] and outcome["cure"]
    assert outcome["where"].startswith("http://127.0.0.1:") and "@" in outcome["where"]
    assert outcome["exit"] == (3 if kind == "IntegrityError" else 2)


@pytest.mark.parametrize("case", QUICK)
def test_a_failure_is_told_in_one_line_with_its_cure(case: str, quick_outcomes: dict[str, Any]) -> None:
    check_outcome(quick_outcomes[case], *QUICK[case][3:])


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW | STALLED)
def test_a_failure_that_the_client_retries_is_told_in_the_end(case: str, slow_outcomes: dict[str, Any]) -> None:
    check_outcome(slow_outcomes[case], *(SLOW | STALLED)[case][3:])


@pytest.mark.slow
def test_a_connection_that_is_refused_is_told_in_the_end(slow_outcomes: dict[str, Any]) -> None:
    check_outcome(slow_outcomes["refused"], "UserError", "cannot be reached")


@pytest.mark.slow
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
