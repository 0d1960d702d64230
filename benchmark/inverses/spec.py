"""Declarations of the reference methods, and the configuration that every stored inverse carries. Import-light."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.errors import did_you_mean
from benchmark.spec import Frozen, Id, Sha256

__all__ = ["METHODS", "InverseConfig", "Method", "get_method"]


class Method(Frozen):
    """A way to build inverses; `implementation` is `module:class`, loaded only when it is used.

    `role` is `ceiling` or `floor` for the rows that bound the board, `entry` otherwise. A method with
    `needs_input` is an oracle: it is shown the input image beside the features.
    """

    id: Id
    title: str
    role: Literal["ceiling", "floor", "entry"]
    source: str
    implementation: str
    needs_input: bool = False
    trained: bool = True


class InverseConfig(Frozen):
    """`config.json` of a stored inverse.

    `taps` gives the feature shape (without the batch) at each tap; `architecture` the method's own numbers;
    `target_sha256` the hash of the weights that the features came from.
    """

    method: Id
    target: Id
    target_sha256: Sha256
    input_size: tuple[int, int]
    taps: dict[Id, tuple[int, ...]]
    grids: dict[Id, tuple[int, int]] = {}
    architecture: dict[str, int] = {}
    training: dict[str, str | int | float] = Field(default={})


METHODS: dict[str, Method] = {
    method.id: method
    for method in (
        Method(
            id="copy",
            title="the input itself",
            role="ceiling",
            source="the upper bound of every metric",
            implementation="benchmark.inverses.copy:CopyInverse",
            needs_input=True,
            trained=False,
        ),
        Method(
            id="mean",
            title="the mean training image",
            role="floor",
            source="what an inverse knows before it looks at features",
            implementation="benchmark.inverses.mean:MeanInverse",
        ),
        Method(
            id="ridge",
            title="linear decoder per tap, in closed form",
            role="entry",
            source="Hoerl & Kennard 1970, regression from tokens to pixels",
            implementation="benchmark.inverses.ridge:RidgeInverse",
        ),
        Method(
            id="modular",
            title="one inverse network per component, chained back to the image",
            role="entry",
            source="Rathjens et al. 2024, arXiv 2412.06534",
            implementation="benchmark.inverses.modular:ModularInverse",
        ),
    )
}


def get_method(method_id: str) -> Method:
    """Return the declaration of a method; raises NotFoundError with the nearest name."""
    if method_id not in METHODS:
        raise did_you_mean("method", method_id, METHODS)
    return METHODS[method_id]
