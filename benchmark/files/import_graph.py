"""What something is computed with: the modules that its code can reach, and the versions of the numeric libraries.

Modules are found in their text, without importing them. Checkpoints and caches are keyed by what they were computed
with, and so outlive all other edits.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from itertools import accumulate
from pathlib import Path

from benchmark.files.paths import PACKAGE

__all__ = ["LIBRARIES", "code_digest", "library_versions", "reachable_sources"]

LIBRARIES = ("torch", "torchvision", "transformers", "timm", "numpy", "Pillow", "scikit-image", "lpips", "pycocotools")
"""Those that decode, resize, run networks or compute scores."""
CODE_NAME = re.compile(r"(\w+(?:\.\w+)+)(?::\w+)?", re.ASCII)
"""A module, or `module:name` as declarations write what is imported only when it is used."""


def _with_packages(name: str) -> Iterator[str]:
    """The name of a module after those of the packages that it lies in, which are imported with it."""
    return accumulate(name.split("."), "{}.{}".format)


@cache
def _mentions(text: bytes) -> frozenset[str]:
    """Dotted names that a module imports anywhere, or holds in a string of nothing else; not all are modules.

    Relative imports are left out: the package has none, and an `inverse.py` cannot have any.

    Raises:
        SyntaxError: not Python.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (named := CODE_NAME.fullmatch(node.value))
        ):
            names.add(named[1])
    return frozenset(outer for name in names for outer in _with_packages(name))


def _find(name: str, package: Path) -> Path | None:
    """File of a module of `package`; None if the name is not one."""
    root, *parts = name.split(".")
    stem = package.joinpath(*parts)
    files = (stem / "__init__.py", stem.with_name(f"{stem.name}.py")) if root == package.name else ()
    return next((path for path in files if path.is_file()), None)


def reachable_sources(*entries: str | Path, package: Path = PACKAGE) -> tuple[Path, ...]:
    """Python files of a package that `entries` can reach, sorted.

    Followed are imports anywhere in a text, under conditions, in functions and for type checkers too, and strings
    that name a module, or `module:name`. A module comes with the packages that it lies in.

    Args:
        entries: modules of the package, which are among the result, or files elsewhere, which are not.
        package: its folder, which has its name.

    Raises:
        ValueError: an entry is not a module of the package.
        SyntaxError: a file is not Python.
    """
    reached: set[Path] = set()

    def follow(names: Iterable[str]) -> None:
        for name in names:
            path = _find(name, package)
            if path is not None and path not in reached:
                reached.add(path)
                follow(_mentions(path.read_bytes()))

    for entry in entries:
        if isinstance(entry, Path):
            follow(_mentions(entry.read_bytes()))
        elif _find(entry, package):
            follow(_with_packages(entry))
        else:
            raise ValueError(f"'{entry}' is not a module of {package}")
    return tuple(sorted(reached))


def code_digest(*entries: str | Path, package: Path = PACKAGE) -> str:
    """SHA-256 over the files of `reachable_sources`: their paths in the package and their content.

    Raises:
        ValueError, SyntaxError: as `reachable_sources`.
    """
    digest = hashlib.sha256()
    for path in reachable_sources(*entries, package=package):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(package).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def library_versions() -> dict[str, str | None]:
    """Installed version of each of `LIBRARIES`; None where it is not installed."""
    versions: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
