"""`python -m invbench`: the command line."""

from __future__ import annotations

from invbench import main

if __name__ == "__main__":
    main(prog_name="invbench")
