"""What all commands share: the group that turns mistakes into one line, common options, devices."""

from __future__ import annotations

import atexit
import difflib
import gc
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError

from benchmark.errors import UserError, first_line
from benchmark.files.storing import check_writable

__all__ = [
    "EXISTING_FOLDER",
    "FILE",
    "FILE_OR_FOLDER",
    "OUTPUT_FILE",
    "OUTPUT_FOLDER",
    "Cli",
    "OutputPath",
    "data_folder_option",
    "device_option",
    "json_option",
    "open_device",
    "parse_size",
    "perceptual_option",
    "print_json",
    "printable",
    "quiet",
    "suite_option",
    "threads_option",
]


RESUMABLE = (("eval",), ("train",), ("data",), ("suite", "lock"), ("suite", "hues"))
"""Commands that go on where they stood when they are run once more."""
COLLECT_AFTER = (50_000, 20, 20)


class OutputPath(click.Path):
    """A path that is written to; whether it can be is tried before any work begins."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click.Path.

        Raises:
            UserError: it cannot be written to; says why.
        """
        if not str(value):
            self.fail("is empty", param, ctx)
        path = Path(str(super().convert(value, param, ctx)))
        option = param.opts[0] if param and param.opts[0].startswith("-") else None
        check_writable(path, option, file=not self.dir_okay)
        return path


OUTPUT_FOLDER = OutputPath(path_type=Path, file_okay=False)
OUTPUT_FILE = OutputPath(path_type=Path, dir_okay=False)
FILE_OR_FOLDER = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXISTING_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


class Cli(click.Group):
    """A group that turns user errors into one line, and knows what you may have meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        if args and self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.list_commands(ctx))}"
            raise click.UsageError(f"unknown command '{args[0]}' ({hint})", ctx)
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; mistakes end as one line with their exit code, never as a traceback."""
        # PyTorch and transformers are millions of objects: to look for garbage among them takes seconds.
        gc.set_threshold(*COLLECT_AFTER)
        atexit.register(gc.freeze)
        try:
            sys.exit(super().main(*args, **kwargs | {"standalone_mode": False}) or 0)
        except NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            click.echo(f"Error: {error.format_message()}", err=True)
            sys.exit(error.exit_code)
        except UserError as error:
            click.echo(f"Error: {printable(str(error))}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            where = f"{printable(str(error.filename))}: " if error.filename is not None else ""
            click.echo(f"Error: {where}{printable(first_line(error))}", err=True)
            sys.exit(UserError.exit_code)
        except click.Abort:
            arguments = sys.argv[1:]
            resumable = any(tuple(arguments[: len(command)]) == command for command in RESUMABLE)
            resume = f"; to resume: {shlex.join(['invbench', *arguments])}" if resumable else ""
            click.echo(f"Interrupted{printable(resume)}", err=True)
            sys.exit(130)


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) of a text such as 480x640.

    Raises:
        UserError: it is none.
    """
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) * int(width)):
        raise UserError(f"'{text}' is no size such as 96x96", where="--size")
    return int(height), int(width)


def printable(text: str) -> str:
    """Return a text with its control and invisible characters escaped: what others wrote cannot steer a terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def quiet() -> None:
    """Keep transformers from showing progress and advice."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def open_device(name: str, threads: int | None, local: int | None = None) -> Any:
    """Return the device `name` after trying it, and set the number of CPU threads.

    Args:
        local: number of this process among those of the machine, each of which takes a GPU of its own.

    Raises:
        UserError: the device cannot be used.
    """
    import torch

    from benchmark.engine.devices import get_device

    if threads:
        torch.set_num_threads(threads)
    try:
        device = get_device(name)
        if local is not None and device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}' cannot be used: {first_line(error)}", where="--device") from None
    return device


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps.")
threads_option = click.option("--threads", type=click.IntRange(1), help="CPU threads [default: all cores].")
suite_option = click.option(
    "--suite", "suite_id", default="mini@1", show_default=True, help="Suite: name@version, or a .toml file."
)
data_folder_option = click.option(
    "--data-dir", "data_folder", type=EXISTING_FOLDER, help="Photographs [default: where data fetch left them]."
)
perceptual_option = click.option("--perceptual", type=FILE, help="Network of LPIPS [default: the installed one].")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")
