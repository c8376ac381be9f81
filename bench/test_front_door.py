"""What it costs to hold updates as lists of layers, to call at all, and in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest

import robustcore as rc

N, F = 50, 10
LAYERS = [(256, 256), (256,)] * 15  # 986,880 numbers


@lru_cache(maxsize=1)
def structures():
    """The same numbers as one array, and as a list of clients with each layer in an allocation of its own."""
    ends = np.cumsum([int(np.prod(shape)) for shape in LAYERS])
    X = np.random.default_rng(0).standard_normal((N, ends[-1]), dtype=np.float32)
    layers = [
        [part.reshape(shape).copy() for part, shape in zip(np.split(x, ends[:-1]), LAYERS, strict=True)] for x in X
    ]
    return {"array": X, "layers": layers}


@pytest.mark.parametrize("structure", ["array", "layers"])
def test_structure(structure, cycle, clock):
    clock("front door", structure, partial(rc.multi_krum, structures()[structure], F), rounds=10)


def test_same_answer():
    array, layers = (rc.multi_krum(X, F) for X in structures().values())
    np.testing.assert_array_equal(np.concatenate([layer.ravel() for layer in layers]), array)


def test_overhead(cycle, clock):
    X = np.random.default_rng(0).standard_normal((10, 1000), dtype=np.float32)

    def thousand():
        for _ in range(1000):
            rc.multi_krum(X, 2)

    clock("front door", "call 10 x 1000", thousand, per=1000)


def test_memory(measured):
    script = Path(__file__).with_name("memory.py")
    answer = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    measured.note("front door", "peak MiB", float(answer.stdout))


def test_import(measured):
    """Beyond numpy, once bytecode has been written: the shortest of ten."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    script = (
        "import time, numpy; begin = time.perf_counter(); import robustcore; print((time.perf_counter() - begin) * 1e3)"
    )
    times = [
        float(subprocess.check_output([sys.executable, "-c", script], text=True, env=environment)) for _ in range(10)
    ]
    measured.note("front door", "import ms", min(times))
