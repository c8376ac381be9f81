"""What the machine can do at most, beside each case and in turn with it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

import robustcore as rc
from bench.cases import THREADS, data

PASSES = 4  # enough that handing the work to the threads does not count
CACHED = 2**17  # numbers: half a mebibyte


def read(numbers, passes=PASSES):
    """Take the highest: numpy lets go of the GIL and compares integers faster than memory delivers."""
    for _ in range(passes):
        np.maximum.reduce(numbers)


def test_read(case, clock):
    shares = np.array_split(data(case).reshape(-1).view(np.int32), THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        clock(str(case), "read", lambda: list(pool.map(read, shares)), per=PASSES)


def test_read_in_cache(cycle, clock):
    """The same loop where memory is no limit: unless this is much faster, `test_read` measures arithmetic."""
    numbers = np.arange(CACHED, dtype=np.int32)
    clock("limits", "read in cache", partial(read, numbers, 100), per=100)


def test_multiply_add(case, cycle, measured, neighbours):
    """A matrix product keeps the multiply-add units busy; see gemm.py."""
    environment = dict(os.environ)
    if "v4" in rc.build_info()["isas"]:
        environment["OPENBLAS_CORETYPE"] = "SkylakeX"  # some AVX-512 processors get AVX2 kernels by default
    script = Path(__file__).with_name("gemm.py")
    neighbours.wait()
    answer = subprocess.run(
        [sys.executable, script, case.dtype], env=environment, capture_output=True, text=True, check=True
    )
    measured.note("limits", f"multiply-add {case.dtype}", float(answer.stdout))
