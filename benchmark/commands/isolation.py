"""The options that put an inverse into a worker, and what they do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from benchmark.submissions.candidates import Candidate

__all__ = ["isolate", "require_option", "trust_option", "worker_option"]


trust_option = click.option(
    "--trust-code", is_flag=True, help="Run the submission's inverse.py, in a worker. Read it first."
)
worker_option = click.option(
    "--isolate", is_flag=True, help="Run the inverse in a worker, whatever it is; with --trust-code it always is."
)
require_option = click.option(
    "--require-isolation", is_flag=True, help="Run it in a worker, and stop where that cannot be confined in full."
)


def isolate(candidate: Candidate, *, wanted: bool, required: bool) -> Candidate:
    """Return the candidate, in a worker if that is wanted; say on stderr which protections are not to be had here.

    Raises:
        SpecError: some are not, and they are required.
    """
    from benchmark.engine.confinement import PROTECTIONS, available
    from benchmark.errors import SpecError

    candidate = replace(candidate, in_worker=wanted or required)
    lacking = [name for name in PROTECTIONS if name not in available()]
    if candidate.isolated and lacking:
        message = f"this machine cannot confine a worker in full: no protection of {' and '.join(lacking)}"
        if required:
            cure = "use Linux 5.13 or later with Landlock and seccomp; see invbench doctor"
            raise SpecError(message, where="--require-isolation", cure=cure)
        click.echo(f"Note: {message}; the record says so.", err=True)
    return candidate
