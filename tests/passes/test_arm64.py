"""arm64: the kernels compile, and give the bits that they give here."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from robustcore import _core

COMPILER, EMULATOR = shutil.which("aarch64-linux-gnu-g++"), shutil.which("qemu-aarch64-static")
CSRC = Path(__file__).parents[2] / "csrc"

pytestmark = pytest.mark.skipif(
    not (COMPILER and EMULATOR and CSRC.is_dir()), reason="needs aarch64-linux-gnu-g++, qemu-aarch64-static and csrc"
)


@pytest.fixture(scope="module")
def bits(tmp_path_factory):
    program = tmp_path_factory.mktemp("arm64") / "bits"
    sources = [CSRC / "kernels.cpp", CSRC / "dispatch.cpp", CSRC / "nspace/ball.cpp", *(CSRC / "passes").glob("*.cpp")]
    flags = ["-std=c++20", "-O2", "-ffp-contract=off", "-fopenmp", "-static", f"-I{CSRC}", "-DRC_ISA=baseline"]
    subprocess.run(
        [COMPILER, *flags, *sources, Path(__file__).with_name("arm64_bits.cpp"), "-o", program],
        check=True,
        capture_output=True,
    )
    return program


@pytest.mark.parametrize(("n", "d"), [(1, 10), (11, 8001), (130, 900)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_arm64(bits, n, d, dtype):
    X = (np.random.default_rng(n).standard_normal((n, d)) * 3.0 ** (np.arange(n) % 9)[:, None]).astype(dtype)
    X[0] = 1e30
    X[-1, ::3] = 1e-30
    arguments = [EMULATOR, bits, "f32" if dtype is np.float32 else "f64", str(n), str(d)]
    there = subprocess.run(arguments, input=X.tobytes(), capture_output=True, check=True).stdout
    rows = _core.Updates([[x] for x in X], [X.dtype.name])
    mean = np.empty(d, dtype)
    rows.combine(np.full(n, 1 / n), 0, [mean], 2)
    assert there == rows.sqdist(2).tobytes() + mean.tobytes()
