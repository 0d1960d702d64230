"""The import graph: complete, found without importing anything, and blind to what it does not reach."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from benchmark.files import import_graph
from benchmark.files.import_graph import LIBRARIES, code_digest, library_versions, reachable_sources
from benchmark.files.paths import PACKAGE

SCORING = "benchmark.engine.evaluation"
TRAINING = "benchmark.train.inverses"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package and of the leaderboard beside it, without data."""
    for name in ("benchmark", "leaderboard"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("assets", "__pycache__"))
    return tmp_path / "benchmark"


# One file of each room, or two where some of it cannot change a score; whether an edit gives other chunks, and whether
# it gives other checkpoints of inverses.
ROOMS = {
    "errors.py": (True, True),
    "files/pixels.py": (True, True),
    "files/tables.py": (True, False),
    "suites/spec.py": (True, True),
    "datasets/coco.py": (True, True),
    "perturbations.py": (True, False),
    "targets/clip.py": (True, True),
    "metrics/detail.py": (True, False),
    "metrics/spec.py": (True, False),
    "metrics/page.py": (False, False),
    "inverses/ridge.py": (True, True),
    "records/aggregate.py": (True, False),
    "records/history.py": (False, False),
    "content/content.py": (True, False),
    "submissions/candidates.py": (True, False),
    "submissions/validate.py": (False, False),
    "engine/scorer.py": (True, False),
    "engine/rescore.py": (False, False),
    "train/inverses.py": (False, True),
    "train/loop.py": (False, True),
    "train/targets.py": (False, False),
    "diagnostics/references.py": (False, False),
    "commands/common.py": (False, False),
    "commands/evaluation.py": (False, False),
    "../leaderboard/data/board.py": (False, False),
}


def test_there_is_a_file_of_every_room() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert {name.split("/")[0] for name in ROOMS} - {".."} == rooms - {"__init__.py"}


def test_an_edit_of_what_can_change_a_score_gives_another_digest_and_no_other_edit_does(package: Path) -> None:
    before = [code_digest(entry, package=package) for entry in (SCORING, TRAINING)]
    assert before == [code_digest(entry) for entry in (SCORING, TRAINING)]
    for name, changes in ROOMS.items():
        path = package / name
        text = path.read_text()
        path.write_text(f"{text}\n# An edit.\n")
        after = [code_digest(entry, package=package) for entry in (SCORING, TRAINING)]
        assert tuple(a != b for a, b in zip(after, before, strict=True)) == changes, name
        path.write_text(text)
    assert before == [code_digest(entry, package=package) for entry in (SCORING, TRAINING)]


def test_neither_commands_nor_pages_nor_diagnostics_are_reached() -> None:
    reached = {path.relative_to(PACKAGE).as_posix() for path in reachable_sources(SCORING)}
    assert not {name for name in reached if name.split("/")[0] in ("commands", "diagnostics", "train")}
    assert "metrics/page.py" not in reached


def write(package: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = package / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.relative_to(package).parents:
            (package / folder / "__init__.py").touch()


FORMS = {
    "import": "import toy.room.other",
    "from": "from toy.room.other import function",
    "module from package": "from toy.room import other",
    "renamed": "from toy.room import other as another",
    "in a function": "def lazy():\n    from toy.room.other import function",
    "for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy.room import other",
    "name of a module": "PLACE = 'toy.room.other'",
    "name of a function": "TABLE = {'a': 'toy.room.other:function'}",
    "keyword": "Method(implementation='toy.room.other:Class')",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_import_is_followed(tmp_path: Path, form: str) -> None:
    package = tmp_path / "toy"
    write(package, start=FORMS[form], room__other="import toy.deep.last", deep__last="", lonely="")
    found = {path.relative_to(package).as_posix() for path in reachable_sources("toy.start", package=package)}
    assert found == {
        "__init__.py", "start.py", "room/__init__.py", "room/other.py", "deep/__init__.py", "deep/last.py",
    }  # fmt: skip


def test_prose_and_names_of_others_are_not_followed(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    text = '"""See toy.room.other."""\nimport toybox.room.other\nA = "toy.room.absent:x"\nfrom . import b\n'
    write(package, start=text, room__other="", b="")
    found = reachable_sources("toy.start", package=package)
    assert {path.relative_to(package).as_posix() for path in found} == {"__init__.py", "start.py", "room/__init__.py"}


def test_imports_may_lead_in_a_circle(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    write(package, a="import toy.b", b="import toy.a")
    assert len(reachable_sources("toy.a", package=package)) == 3


def test_a_file_elsewhere_adds_what_it_reaches_and_not_itself(tmp_path: Path) -> None:
    package, own = tmp_path / "toy", tmp_path / "inverse.py"
    write(package, a="", b="")
    own.write_text("from toy.b import x")
    both = reachable_sources("toy.a", own, package=package)
    assert both == (package / "__init__.py", package / "a.py", package / "b.py")
    before = code_digest("toy.a", own, package=package)
    own.write_text("from toy.b import y")
    assert code_digest("toy.a", own, package=package) == before != code_digest("toy.a", package=package)


def test_the_digest_is_of_places_too(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    write(package, start="import toy.a\nimport toy.b", a="X = 1\n")
    before = code_digest("toy.start", package=package)
    (package / "a.py").rename(package / "b.py")
    assert code_digest("toy.start", package=package) != before


def test_an_unknown_entry_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'benchmark\.engine\.absent' is not a module"):
        code_digest("benchmark.engine.absent")


def test_versions_are_of_the_libraries_that_can_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    found = library_versions()
    assert tuple(found) == LIBRARIES
    assert found["torch"] == metadata.version("torch")
    monkeypatch.setattr(import_graph, "LIBRARIES", ("numpy", "no-such-library"))
    assert library_versions() == {"numpy": metadata.version("numpy"), "no-such-library": None}


def test_nothing_heavy_is_imported_for_it() -> None:
    code = (
        "import sys\nfrom benchmark.files.import_graph import code_digest\n"
        f"code_digest({SCORING!r})\nprint(sorted({{'torch', 'numpy', 'pydantic'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr
