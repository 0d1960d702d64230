"""Loading from the Hub: the real client against a local server, each process with a cache of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hubclient import (
    COMMIT,
    CONFIG,
    FILES,
    ROOT,
    WEIGHTS,
    ask_commit,
    ask_file,
    ask_size,
    ask_weights,
    digest,
    run,
    run_one,
    sent,
    step,
)
from hubserver import HubServer

from benchmark.content.hub import fetch_file, find_commit, get_size
from benchmark.errors import SpecError


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer({"hf_owner": "me"}) as server:
        yield server


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


@pytest.mark.parametrize(
    "target", ["../../../elsewhere", "../../blobs/../../elsewhere", "../../refs/main", "../../blobs/.."]
)
def test_a_link_that_a_false_hash_would_make_is_refused(hub: Any, tmp_path: Path, target: str) -> None:
    commit = hub.add_repo("me/net", FILES)
    path = Path(run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")["value"])
    (path.parents[3] / "elsewhere").write_bytes(CONFIG)
    path.unlink()
    path.symlink_to(target)
    outcome = run_one(hub, tmp_path, "fetch_file", "me/net", commit, "config.json")
    assert outcome.get("kinds", [""])[0] == "IntegrityError" or outcome == {"value": str(path)}
    if "value" in outcome:  # it led to no file, and was replaced
        assert path.readlink().parent.name == "blobs" and path.read_bytes() == CONFIG


@pytest.mark.parametrize(
    "moved", ["models--me--net", "models--me--net/blobs", "models--me--net/snapshots", "blob", "hub"]
)
@pytest.mark.parametrize("name", ["config.json", "deep/er/data.json"])
def test_what_lies_on_another_disk_behind_links_is_read(hub: Any, tmp_path: Path, moved: str, name: str) -> None:
    commit = hub.add_repo("me/net", FILES | {"deep/er/data.json": CONFIG})
    load = step("fetch_file", "me/net", commit, name, sha256=digest(CONFIG), max_bytes=10**6)
    (first,) = run(hub, tmp_path, load)
    path, disk = Path(first["value"]), tmp_path / "disk"
    place = path.resolve() if moved == "blob" else tmp_path / "hub" / moved if moved != "hub" else tmp_path / "hub"
    disk.mkdir()
    if moved.endswith("snapshots"):  # the links in there are relative: what they lead to moves along
        shutil.copytree(place.parent / "blobs", disk / "blobs")
    shutil.move(place, disk / place.name)
    place.symlink_to(disk / place.name)
    hub.log.clear()
    assert run(hub, tmp_path, load) == run(hub, tmp_path, load, HF_HUB_OFFLINE="1") == [first]
    assert sent(hub) == []


def test_files_are_fetched_into_folders_on_another_disk(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    (tmp_path / "disk/net").mkdir(parents=True)
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub/models--me--net").symlink_to(tmp_path / "disk/net")
    pins = {name: digest(content) for name, content in FILES.items()}
    for _ in range(2):
        (found,) = run(hub, tmp_path, step("fetch_files", "me/net", commit, list(FILES), sha256=pins))
        assert Path(found["value"]) == tmp_path / f"hub/models--me--net/snapshots/{commit}"


def test_a_cache_without_links_is_read(hub: Any, tmp_path: Path) -> None:
    commit = hub.add_repo("me/net", FILES)
    (first,) = run(hub, tmp_path, load := step("fetch_files", "me/net", commit, list(FILES)))
    for path in Path(first["value"]).iterdir():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    shutil.rmtree(tmp_path / "hub/models--me--net/blobs")
    assert run(hub, tmp_path, load, HF_HUB_OFFLINE="1") == [first]


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


UPLOAD = """
import sys
from huggingface_hub import HfApi
folder, repo, kind = sys.argv[1:]
HfApi().create_repo(repo, repo_type=kind, private=True, exist_ok=True)
print(HfApi().upload_folder(repo_id=repo, repo_type=kind, folder_path=folder).oid)
"""


@pytest.mark.slow
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
