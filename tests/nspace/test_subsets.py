"""The walk over all k-subsets: its order, its winner, its budget, and who may stop it."""

import os
from math import comb

import numpy as np
import pytest

from robustcore import _core

ALL = [(n, k) for n in range(2, 10) for k in range(1, n)]
LONG = (40, 20)  # 1.4e11 subsets


def in_order(n, k):
    return [_core.subset_unrank(rank, k) for rank in range(comb(n, k))]


@pytest.mark.parametrize(("n", "k"), ALL)
def test_the_revolving_door_lets_everyone_in_once_and_swaps_one_at_a_time(n, k):
    subsets = in_order(n, k)
    assert all(subset == sorted(set(subset)) and subset[0] >= 0 and subset[-1] < n for subset in subsets)
    assert len({tuple(subset) for subset in subsets}) == comb(n, k)
    assert all(len(set(a) - set(b)) == 1 for a, b in zip(subsets, subsets[1:] + subsets[:1], strict=True))
    assert [_core.subset_rank(subset) for subset in subsets] == list(range(comb(n, k)))


def test_the_order_worked_by_hand():
    # A(4, 2): A(3, 2) = 01 12 02, then 3 with A(3, 1) = 0 1 2 backwards.
    assert in_order(4, 2) == [[0, 1], [1, 2], [0, 2], [2, 3], [1, 3], [0, 3]]


def test_ranks_of_many_digits_and_those_that_64_bits_do_not_hold():
    for rank in (0, 1, 10**9, 10**18, comb(66, 33) - 1):
        assert _core.subset_rank(_core.subset_unrank(rank, 33)) == rank
    with pytest.raises(OverflowError):
        _core.subset_rank(list(range(100, 150)))


@pytest.mark.parametrize(("n", "k"), ALL)
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_a_walk_without_bounds_meets_every_subset_once(n, k, threads):
    best, value, left_out, visited = _core.walk_subsets(n, k, None, threads=threads)
    assert sorted(visited) == list(range(comb(n, k)))
    assert (best, value, left_out) == (list(range(k)), 0.0, -np.inf)  # equal: the lowest rank


@pytest.mark.parametrize(("n", "k"), ALL)
@pytest.mark.parametrize("distinct", [1, 2, 4, 1000])
def test_the_winner_is_the_first_of_largest_value_for_every_number_of_threads(n, k, distinct):
    for seed in range(5):
        values = np.random.default_rng([seed, n, k]).integers(0, distinct, comb(n, k)).astype(float)
        for threads in (1, 2, 7):
            best, value, left_out, _ = _core.walk_subsets(n, k, values, threads=threads)
            assert (_core.subset_rank(best), value, left_out) == (values.argmax(), values.max(), -np.inf)


def test_equal_values_are_met_once():
    assert len(_core.walk_subsets(18, 9, np.zeros(comb(18, 9)))[3]) < 20


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 100, 1000])
def test_within_so_many_steps_the_same_is_found_everywhere_and_what_is_left_is_bounded(steps):
    values = np.random.default_rng(0).normal(size=comb(16, 6))
    found = [_core.walk_subsets(16, 6, values, threads, steps) for threads in (1, 2, 7)]
    assert all(one == found[0] for one in found)
    _, value, left_out, visited = found[0]
    assert value == (values[visited].max() if visited else -np.inf)
    assert max(value, left_out) >= values.max()
    assert len(visited) <= 2 * steps


def test_steps_enough_for_everything_leave_nothing_out():
    values = np.random.default_rng(1).normal(size=comb(12, 5))
    _, value, left_out, _ = _core.walk_subsets(12, 5, values, steps=10**6)
    assert (value, left_out) == (values.max(), -np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_seconds_end_a_walk(threads):
    best, value, left_out, visited = _core.walk_subsets(*LONG, None, threads, seconds=0.02)
    assert best == list(range(20)) and value == 0.0 and left_out == np.inf
    assert 0 < len(visited) < comb(*LONG)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_progress_raises_ends_a_walk(error, threads):
    told = []

    def progress(share):
        told.append(share)
        if len(told) == 2:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        _core.walk_subsets(*LONG, None, threads=threads, progress=progress)
    assert all(0 <= share <= 1 for share in told)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_ends_a_walk(ctrl_c, threads):
    script = f"""
from robustcore import _core
print("started", flush=True)
try:
    _core.walk_subsets({LONG[0]}, {LONG[1]}, None, threads={threads})
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
"""
    ctrl_c(script, 0.1)


def test_what_makes_no_sense_is_refused():
    for n, k in [(4, 0), (4, 4), (0, 0)]:
        with pytest.raises(ValueError, match="0 < k < n"):
            _core.walk_subsets(n, k)
    with pytest.raises(ValueError, match="a value for each subset"):
        _core.walk_subsets(4, 2, np.zeros(5))
