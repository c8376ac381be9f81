"""Print the seconds per multiply-add of a large matrix product.

A program of its own, as OpenBLAS chooses its kernels when it starts.
"""

import sys
from time import perf_counter

import numpy as np

SIZE = 1024

A, B = np.random.default_rng(0).standard_normal((2, SIZE, SIZE)).astype(sys.argv[1])
C = np.empty_like(A)
best = np.inf
for _ in range(12):
    start = perf_counter()
    np.matmul(A, B, out=C)
    best = min(best, perf_counter() - start)
print(best / SIZE**3)
