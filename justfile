# Commands for contributors. `just` comes with `pip install -e '.[test]'`, as pre-commit, ruff and mypy do.

# list these commands
default:
    @just --list --unsorted

# install again after a change of pyproject.toml, and the hooks of git
setup:
    pip install -e '.[test]'
    pre-commit install

# rules and format
lint:
    ruff check .
    ruff format --check .

# what ruff can fix by itself
fix:
    ruff check --fix .
    ruff format .

# types
types:
    mypy

# tests of up to two seconds each: minutes
fast *options:
    pytest -n auto -m 'not slow' {{options}}

# what a pull request must pass: tens of minutes
test *options:
    pytest -n auto {{options}}

# simulations, long fuzzing, data of real size, whole walks
nightly *options:
    pytest -n auto -m nightly {{options}}

# what is generated in docs/, but for what takes long: docs/batteries.md and docs/real-network.md
docs:
    invbench docs metrics --out docs/metrics.md
    invbench docs schemas --out docs/schemas
    python tests/rooms.py docs/rooms.svg

# docs/real-network.md and its figures, from the test assets: half an hour
real-network *folder:
    python tests/realnetwork.py docs/real-network.md {{folder}}

# pin what the workflows install, by version and hash
lock *options:
    .github/scripts/lock {{options}}
