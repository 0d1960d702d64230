"""Resources are found from a checkout, an sdist, an editable install and a wheel, and are the same in all of them.

But a wheel is small: it has no pictures of records, and of the package's inverses those of `mean` and `modular`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmark.files import paths

ROOT = Path(__file__).parents[2]
ASK = """
import json, sys, site
site.addsitedir(sys.argv[1])
sys.path.insert(0, sys.argv[1])
from benchmark.files import paths
from benchmark.files.import_graph import code_digest
from benchmark.suites.catalog import list_suites, load_suite
from benchmark.suites.lock import load_lock
from benchmark.submissions.submission import list_submissions, load_submission
suite = load_suite("mini@1")
lock = load_lock(suite)
root = paths.submissions_root()
print(json.dumps({
    "package": str(paths.PACKAGE),
    "checkout": str(paths.checkout()) if paths.checkout() else None,
    "sources": [paths.key_of(path) for path in sorted(paths.PACKAGE.rglob("*.py"))],
    "code": code_digest("benchmark.engine.evaluation"),
    "suites": list_suites(),
    "lock": lock.digest,
    "absent": [key for key in lock.files if "/" in key and not paths.resource(key).is_file() and "lpips" not in key],
    "targets": [target.source.directory().is_dir() for target in suite.targets],
    "submissions": list_submissions(root),
    "weights": {s: paths.resource(w.path).is_dir() for s in list_submissions(root)
                for w in load_submission(root, s).weights.values()},
    "records": [(root / s / "records/mini@1/record.json").is_file() for s in list_submissions(root)],
    "scaffold": sorted(path.name for path in paths.SCAFFOLD.iterdir()),
    "citation": paths.citation_file().read_text(encoding="utf-8"),
    "templates": len(list((paths.SITE / "templates").iterdir())),
}))
"""


def ask(folder: Path, cwd: Path) -> dict[str, Any]:
    # Isolated, so that neither this folder nor PYTHONPATH leads to the checkout.
    command = [sys.executable, "-I", "-c", ASK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def build(kind: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return next(folder.iterdir())


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the checkout says."""
    answer = ask(ROOT, tmp_path_factory.mktemp("elsewhere"))
    assert Path(answer["package"]) == ROOT / "benchmark"
    assert Path(answer["checkout"]) == ROOT
    return answer


def same(answer: dict[str, Any], here: dict[str, Any]) -> bool:
    ignored = {"package", "checkout", "weights"}
    return {k: v for k, v in answer.items() if k not in ignored} == {k: v for k, v in here.items() if k not in ignored}


def test_a_checkout_has_everything(here: dict[str, Any]) -> None:
    tracked = subprocess.run(["git", "ls-files", "benchmark/*.py"], capture_output=True, text=True, cwd=ROOT)
    if tracked.returncode == 0:
        assert {name.removeprefix("benchmark/") for name in tracked.stdout.split()} <= set(here["sources"])
    assert not here["absent"]
    assert all(here["targets"]) and here["targets"]
    assert all(here["weights"].values()) and len(here["weights"]) >= 5
    assert all(here["records"]) and here["records"]
    assert here["scaffold"] == ["inverse.py.j2", "submission.toml.j2"]
    assert here["templates"]
    assert here["citation"] == (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an unpacked wheel."""
    site, path = tmp_path_factory.mktemp("site"), build("wheel", tmp_path_factory.mktemp("dist"))
    assert path.stat().st_size < 40e6
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)
    return site


@pytest.mark.slow
def test_a_wheel_has_everything(here: dict[str, Any], wheel: Path, tmp_path: Path) -> None:
    answer = ask(wheel, tmp_path)
    assert Path(answer["package"]) == wheel / "benchmark"
    assert answer["checkout"] is None
    assert same(answer, here)
    assert {name for name, there in answer["weights"].items() if there} == {"mean", "modular"}
    assert not list(wheel.rglob("audit.parquet"))


@pytest.mark.slow
def test_a_wheel_says_what_it_leaves_out(wheel: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(wheel), "INVBENCH_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "invbench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)

    for arguments, left_out in (
        (("eval", "--submission", "ridge", "--limit", "1"), "the inverse of mini-detr"),
        (("rescore", "modular"), "pictures of records"),
    ):
        done = run(*arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert f"{left_out} " in done.stderr and "left out of installed packages (run this in a checkout" in done.stderr
    built = run("board", "build", "--out", "board")
    assert built.returncode == 0, built.stderr
    note = "in the repository: an installed package has the scores of the records that came with it"
    pages = [tmp_path / "board/mini-1" / f"{name}.html" for name in ("gallery-mini-vit", "method-ridge")]
    assert all(note in page.read_text(encoding="utf-8") for page in pages)
    assert not list((tmp_path / "board/mini-1").rglob("*.png"))


@pytest.mark.slow
def test_a_wheel_runs_beside_foreign_modules(wheel: Path, tmp_path: Path) -> None:
    for name in ("cli", "benchmark", "leaderboard"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('foreign')\n")
    assert (wheel / "invbench" / "py.typed").is_file()
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    command = [sys.executable, "-m", "invbench"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, cwd=tmp_path, env=environment)
    (version,) = (path.name[len("invbench-") : -len(".dist-info")] for path in wheel.glob("invbench-*.dist-info"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"invbench, version {version}\n"
    code = "import invbench, benchmark, leaderboard\nfor m in (invbench, benchmark, leaderboard): print(m.__file__)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert [Path(line).parents[1] for line in done.stdout.splitlines()] == [wheel] * 3, done.stderr


@pytest.mark.slow
def test_an_editable_install_is_the_checkout(here: dict[str, Any], tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(build("wheel:editable", tmp_path / "dist")) as wheel:
        wheel.extractall(site)
    assert ask(site, tmp_path) == here


@pytest.mark.slow
def test_an_sdist_has_everything(here: dict[str, Any], tmp_path: Path) -> None:
    with tarfile.open(build("sdist", tmp_path / "dist")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    root = next(path for path in tmp_path.iterdir() if path.name.startswith("invbench-"))
    answer = ask(root, tmp_path)
    assert Path(answer["package"]) == root / "benchmark"
    assert Path(answer["checkout"]) == root
    assert same(answer, here)


def test_a_key_leads_back_to_its_file() -> None:
    path = paths.resource("assets/mini/test.parquet")
    assert path.is_file()
    assert paths.key_of(path) == "assets/mini/test.parquet"
    with pytest.raises(ValueError, match="is not in the subpath"):
        paths.key_of(ROOT / "cli.py")


@pytest.mark.slow
def test_an_installed_package_takes_no_commit_from_a_repository_around_it(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    site = tmp_path / "site"
    shutil.copytree(ROOT / "benchmark", site / "benchmark", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\nimport torch\nfrom benchmark.engine.provenance import Meter\n"
        "print(Meter(torch.device('cpu')).finish(batch_size=8, micro_batch={}, times={}, recons={}, keys={}).git_dirty)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == "None", done.stderr
