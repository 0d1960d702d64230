"""Speeds are measured on the clock of the device; how fast this machine is, is not tested."""

from __future__ import annotations

import time

import torch

from benchmark.diagnostics.speeds import clock_of, measure_speeds


def test_speeds_are_those_of_float32_and_leave_nothing_changed() -> None:
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    speeds = measure_speeds(torch.device("cpu"), "this one", repeats=1)
    assert (speeds.device, speeds.measured) == ("this one", True)
    assert 1e-4 < speeds.teraflops < 10
    assert 0.1 < speeds.gigabytes < 1000
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, precision)
    assert str(speeds).startswith("this one: ")
    assert str(speeds).endswith(", measured")


def test_the_clock_of_a_cpu_does_not_count_what_others_compute() -> None:
    clock = clock_of(torch.device("cpu"))
    began = clock()
    time.sleep(0.3)
    assert clock() - began < 0.2
