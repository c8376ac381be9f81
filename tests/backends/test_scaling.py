"""What docs/scaling.md says: its recipe runs, and its prefilter is as exact as it claims."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import twins
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc
from robustcore import _core
from robustcore.backends import split

PAGE = (Path(__file__).parents[2] / "docs/scaling.md").read_text(encoding="utf-8")
RULES = "[rc.MultiKrum(f=1, mixing=rc.NNM(f=1)), rc.GeometricMedian(f=1), rc.Median(f=1), rc.Mean(f=1)]"
MAIN = f"""
import sys

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{{folder}}/meet", rank=rank, world_size=2)
shard = np.load(f"{{folder}}/{{rank}}.npy", mmap_mode="r")
for i, rule in enumerate({RULES}):
    np.save(f"{{folder}}/{{i}}-{{rank}}.npy", rule(updates(shard)))
center = np.load(f"{{folder}}/3-{{rank}}.npy")
np.save(f"{{folder}}/4-{{rank}}.npy", rc.CenteredClip(9.0, f=1, center=center, iterations=2)(updates(shard)))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_the_recipe_for_torch(tmp_path):
    pytest.importorskip("torch")
    X = np.random.default_rng(0).standard_normal((5, _core.SUPERBLOCK + 999), dtype="f4")
    X[0] *= 1e10
    X[1, 7] = np.nan
    (end, _) = split(X.shape[1], 2)
    np.save(tmp_path / "0.npy", X[:, :end])
    np.save(tmp_path / "1.npy", X[:, end:])
    [recipe] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class Ranks" in block]
    (tmp_path / "recipe.py").write_text(recipe + MAIN)
    run = [sys.executable, "recipe.py"]
    ranks = [
        subprocess.Popen([*run, str(rank), str(tmp_path)], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        errors = [rank.communicate(timeout=60)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    rules = eval(RULES)
    expected = [rule(X) for rule in rules]
    expected.append(rc.CenteredClip(9.0, f=1, center=expected[3], iterations=2)(X))
    for i, value in enumerate(expected):
        found = np.concatenate([np.load(tmp_path / f"{i}-{rank}.npy") for rank in range(2)])
        assert found.dtype == value.dtype and found.tobytes() == value.tobytes()


def prefiltered(D, r, f, m, S):
    """The m lowest Krum scores from the distances within S and norms, or None where these do not tell."""
    n, k = len(D), len(D) - f - 1
    outside = np.setdiff1d(np.arange(n), S)
    gaps = (r[:, np.newaxis] - r) ** 2
    counted = {j: np.sort([D[j, i] for i in S if i != j])[:k] for j in S}
    scores = {j: counted[j].sum() for j in S}
    t = sorted(scores.values())[m - 1]
    if any(np.sort(np.delete(gaps[i], i))[:k].sum() <= t for i in outside):
        return None
    if any(gaps[i, j] < counted[j].max(initial=0.0) for i in outside for j in S):
        return None
    return sorted(sorted(S, key=lambda j: (scores[j], j))[:m])


@given(st.integers(0, 2**32), st.integers(4, 10), st.integers(1, 3), st.floats(0.1, 100.0))
def test_what_norms_decide_is_what_all_distances_decide(seed, n, f, far):
    """Also where they should not be asked; and where some are far out, they do decide."""
    rng = np.random.default_rng(seed)
    f, m = min(f, (n - 1) // 2), 1 + seed % 2
    X = rng.standard_normal((n, 3))
    S = np.sort(rng.permutation(n)[f:])
    outside = np.setdiff1d(np.arange(n), S)
    X[outside] *= far
    D, r = twins.pairwise_sqdist(X), np.linalg.norm(X, axis=1)
    found = prefiltered(D, r, f, m, S)
    if found is not None:
        assert found == rc.MultiKrum(f=f, m=m).aggregate(X).selected.tolist()
    if r[outside].min() > 10 * (n - f) * r[S].max():
        assert found is not None
