"""Importing an architecture that is not in the package: executes the file, so only ever under an explicit flag."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from pathlib import Path

from pydantic import ValidationError

from benchmark.errors import SpecError
from benchmark.files.declarations import explain
from benchmark.inverses.base import Inverse
from benchmark.inverses.faults import blame
from benchmark.inverses.spec import METHODS, TRUSTED, Method

__all__ = ["load_code"]


def load_code(path: Path, *, trained: bool) -> Method:
    """Import `path`, and declare the one subclass of Inverse that it defines as a method.

    Args:
        trained: whether its inverses have weights.

    Raises:
        SpecError: absent, it raises when it is imported, defines no or several inverses, or takes the id of a method
            that is there already.
    """
    if not path.is_file():
        raise SpecError("no such file", where=str(path), cure="see invbench init --help")
    name = f"invbench_code_{re.sub(r'[^a-z0-9]', '_', path.resolve().parent.name)}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("is no Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        with blame(path):
            spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    inverses = [
        c for c in vars(module).values() if inspect.isclass(c) and issubclass(c, Inverse) and c.__module__ == name
    ]
    if len(inverses) != 1:
        message = f"defines {len(inverses)} subclasses of Inverse, not one"
        raise SpecError(message, where=str(path), cure="keep one; see invbench init --code")
    method = getattr(inverses[0], "method", None)
    if not isinstance(method, str) or method in METHODS:
        raise SpecError(f"field 'method': {method!r} is no new id", where=str(path), cure="give it an id of its own")
    try:
        TRUSTED[method] = Method(
            id=method,
            title=(inspect.getdoc(inverses[0]) or method).splitlines()[0],
            role="entry",
            source=path.name,
            implementation=f"{name}:{inverses[0].__name__}",
            trained=trained,
        )
    except ValidationError as error:
        raise explain(error, str(path)) from None
    return TRUSTED[method]
