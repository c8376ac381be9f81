"""Print the MiB by which multi_krum of (50, 1e6) float32 raises the peak of a fresh process."""

import re
import resource
import sys
from pathlib import Path

import numpy as np

import robustcore as rc


def peak() -> float:
    if sys.platform == "linux":  # where ru_maxrss begins at the peak of the process that started this one
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


rc.multi_krum(np.zeros((10, 100_000), np.float32), 2)  # the threads' own stacks and code are not the call's
X = np.random.default_rng(0).standard_normal((50, 10**6), dtype=np.float32)
before = peak()
result = rc.multi_krum(X, 10)
print(peak() - before)
