"""Stands in for the package `leaderboard` where a process imports it by name; see invbench/names.py."""

from invbench.names import load_package

load_package(__name__)
