"""Keeps `benchmark`, `leaderboard` and `cli.py` those beside this package, whatever else has their names.

The names are common, and Python takes the first that it finds: in the current folder, then on PYTHONPATH. So
`import invbench` loads both packages from their folder at once. Processes started later import them by name again, with
the path of the process that started them: therefore `front`, a folder that holds stand-ins for the two packages and
nothing else, comes first on the path. The name `cli` is never taken, since only the command needs that module.
"""

from __future__ import annotations

import sys
import warnings
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["claim", "load_cli", "load_package"]

_PACKAGES = ("benchmark", "leaderboard")
_FRONT = Path(__file__).parent / "front"
_BESIDE = Path(__file__).parents[1]


def claim() -> None:
    """Load both packages from beside this one, here and in the processes that this one starts.

    Warns about packages that are hidden by that, unless the command runs: it shares its process with nobody.

    Raises:
        ImportError: another package of the same name has been imported.
    """
    for name in _PACKAGES:
        path = _imported_path(name)
        if path and not _is_ours(path):
            raise ImportError(
                f"invbench needs its own package {name!r}, but {path} has been imported under that name; "
                "rename it and restart Python",
                name=name,
                path=str(path),
            )
    if str(_FRONT) not in sys.path:
        paths = [_path_from_spec(PathFinder.find_spec(name)) for name in _PACKAGES]
        hidden = " and ".join(str(path) for path in paths if path and not _is_ours(path))
        if hidden and not _is_command():
            text = f"invbench hides {hidden}, since it has packages with these names itself; rename yours to use both"
            warnings.warn(text, stacklevel=3)
        sys.path.insert(0, str(_FRONT))
    for name in _PACKAGES:
        load_package(name)


def load_package(name: str) -> None:
    """Load a package from beside this one, unless it has been loaded."""
    path = _imported_path(name)
    if path is None or path.parent == _FRONT:
        _enter(PathFinder.find_spec(name, [str(_BESIDE)]), name)


def load_cli() -> ModuleType:
    """The module `cli` beside this package."""
    path = _imported_path("cli")
    if path and _is_ours(path):
        return sys.modules["cli"]
    # Under a name of its own, so that nothing that looks for the module of a function finds another `cli`.
    spec = spec_from_file_location(f"{__package__}.cli", _BESIDE / "cli.py")
    return _enter(spec, "cli")


def _enter(spec: ModuleSpec | None, name: str) -> ModuleType:
    if spec is None or spec.loader is None:
        raise ImportError(f"the installation of invbench is incomplete: no {name!r} in {_BESIDE}", name=name)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _imported_path(name: str) -> Path | None:
    """Path of what has been imported under a name."""
    return _path_from_spec(getattr(sys.modules.get(name), "__spec__", None))


def _path_from_spec(spec: ModuleSpec | None) -> Path | None:
    """Folder of a package, file of a module; None for a folder without `__init__.py`, which never hides a package."""
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    return origin if spec.submodule_search_locations is None else origin.parent


def _is_ours(path: Path) -> bool:
    return path.parent.resolve() in (_BESIDE.resolve(), _FRONT.resolve())


def _is_command() -> bool:
    """Whether this process runs `invbench` or `python -m invbench`, not a program that imports it."""
    if sys.argv[:1] == ["-m"]:  # It still is while the package is imported. The name comes before the arguments.
        return sys.orig_argv[-len(sys.argv)].endswith("invbench")
    return bool(sys.argv) and Path(sys.argv[0]).stem in ("invbench", "invbench-script")
