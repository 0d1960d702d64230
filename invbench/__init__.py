"""invbench: a benchmark of feature inversion. Cheap to import: the rest is loaded when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invbench.names import claim, load_cli

if TYPE_CHECKING:
    import click

    main: click.Group
    """The command line; `main(["list", "suites"])` runs `invbench list suites`."""
    __version__: str
    """Version of the installed distribution."""

__all__ = ["__version__", "main"]

claim()


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # A type checker would take every misspelled name for one of Any.

    def __getattr__(name: str) -> object:
        if name == "main":
            value = load_cli().main
        elif name == "__version__":
            from importlib.metadata import version

            value = version("invbench")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, value)
