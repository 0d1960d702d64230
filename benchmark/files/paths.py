"""Where the resources of the project lie, whether it is run from a checkout, an sdist, an editable install or a wheel.

Every path to a file that the project ships starts here. A *key* such as `assets/mini/test.parquet` names such a file
relative to the package, with slashes; suites, locks and records hold keys, never paths. Import-light.
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "PACKAGE",
    "SCAFFOLD",
    "SITE",
    "SUITES",
    "checkout",
    "citation_file",
    "is_bundled",
    "key_of",
    "resource",
    "submissions_root",
]

PACKAGE = Path(__file__).parents[1]
"""The package `benchmark`."""
SUITES = PACKAGE / "suites"
"""The suite files and their locks."""
SCAFFOLD = PACKAGE / "assets" / "scaffold"
"""Templates of new submissions."""
SITE = PACKAGE.parent / "leaderboard" / "site"
"""Templates and static files of the site lie in here."""


def resource(key: str) -> Path:
    """Path of the file or folder that a key names; it need not exist."""
    return PACKAGE / key


def key_of(path: Path) -> str:
    """Key of a file of the package.

    Raises:
        ValueError: the file lies elsewhere.
    """
    return path.relative_to(PACKAGE).as_posix()


def checkout() -> Path | None:
    """Root of the checkout or sdist that the package is run from; None where it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "submissions").is_dir() else None


def submissions_root() -> Path:
    """Folder of the committed submissions: the checkout's own, or the copy inside a wheel."""
    root = checkout()
    return root / "submissions" if root else PACKAGE / "assets" / "submissions"


def is_bundled(path: Path) -> bool:
    """Whether a path lies in what a wheel holds of the committed submissions: all but the pictures of records."""
    return checkout() is None and path.is_relative_to(submissions_root())


def citation_file() -> Path:
    """`CITATION.cff`: the checkout's own, or the copy inside a wheel."""
    root = checkout()
    return (root or PACKAGE / "assets") / "CITATION.cff"
