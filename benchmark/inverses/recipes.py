"""How inverses are built and trained: a TOML file for each method and scale. Import-light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from benchmark.errors import NotFoundError
from benchmark.files.declarations import Frozen, read_toml
from benchmark.files.fields import Id
from benchmark.files.paths import PACKAGE
from benchmark.inverses.spec import Number
from benchmark.suites.spec import TargetSpec

__all__ = ["RECIPES", "InverseRecipe", "Shape", "load_recipe", "load_recipe_file"]

RECIPES = PACKAGE / "assets" / "recipes"


class Shape(Frozen):
    """The numbers of an inverse for targets of one family: `architecture` and `sequences` of its `config.json`."""

    architecture: dict[str, Number] = {}
    """The method's own numbers"""
    sequences: dict[str, tuple[Number, ...]] = {}
    """The method's own rows of numbers, such as the channels of successive layers"""


class InverseRecipe(Frozen):
    """How long and how fast an inverse is trained, and what it is made of."""

    steps: Annotated[int, Field(gt=0, le=10**8, examples=[1500])]
    """Number of optimization steps"""
    batch_size: Annotated[int, Field(gt=0, le=2**16, examples=[32])]
    """Images a step"""
    learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, examples=[1e-3])]
    """Highest learning rate, after the warm-up"""
    shapes: dict[Id, Shape] = {}
    """A table for each family of targets"""

    def shape(self, family: str) -> Shape:
        """Return the numbers for targets of a family; raises NotFoundError where the recipe has none."""
        if family not in self.shapes:
            known = ", ".join(sorted(self.shapes)) or "none"
            raise NotFoundError(f"the recipe has no shape for targets of family '{family}'", cure=f"it has: {known}")
        return self.shapes[family]


def load_recipe_file(path: Path) -> InverseRecipe:
    """Read a recipe; raises SpecError where the file is absent or no recipe, with the field."""
    return read_toml(path, InverseRecipe)


def load_recipe(method: str, target: TargetSpec) -> InverseRecipe:
    """Return the package's recipe of a method: `mini` for embedded targets, `full` for those of published size.

    Raises:
        NotFoundError: the method has none.
    """
    path = RECIPES / f"{method}-{'mini' if target.source.path else 'full'}.toml"
    if not path.is_file():
        raise NotFoundError(f"method '{method}' has no recipe '{path.name}'")
    return load_recipe_file(path)
