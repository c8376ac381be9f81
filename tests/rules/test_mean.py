"""The plain mean: against the twin, and what it drops."""

import ml_dtypes
import numpy as np
import pytest
import twins
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import robustcore as rc

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
DTYPES = [F16, BF16, F32, F64]


def gaussian(n, d, dtype=F64, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d)).astype(dtype)


@given(arrays(F64, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats(-1e300, 1e300)))
def test_error_against_the_twin(X):
    error = np.abs(rc.mean(X) - twins.mean(X))
    assert (error <= 4 * len(X) * (2**-53 * np.abs(X).max(axis=0) + 5e-324)).all()  # or units of the subnormals


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 4, 8, 32])
def test_means_of_whole_numbers_are_exact_and_rounded_once(n, dtype):
    X = np.random.default_rng(n).integers(-200, 201, size=(n, 1000)).astype(dtype)
    assert same_bits(rc.mean(X), twins.mean(X).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_mean_lies_among_its_numbers(dtype):
    for seed in range(20):
        X = gaussian(7, 100, dtype, seed)
        value = rc.mean(X)
        assert (X.min(axis=0) <= value).all()
        assert (value <= X.max(axis=0)).all()


@given(st.integers(1, 10), st.randoms(use_true_random=False))
def test_permuted_clients_have_the_same_mean(n, random):
    X = gaussian(n, 30, seed=n)
    order = random.sample(range(n), n)
    assert np.allclose(rc.mean(X[order]), rc.mean(X), rtol=0, atol=n * 2**-51)


@given(st.integers(-1000, 900))
def test_a_power_of_two_scales_the_mean(exponent):
    X = gaussian(5, 30)
    assert same_bits(rc.mean(np.ldexp(X, exponent)), np.ldexp(rc.mean(X), exponent))


def test_the_parts_of_an_aggregation_fit_together():
    X = gaussian(5, 3)
    X[2, 1] = np.nan
    r = rc.Mean().aggregate(X)
    assert r.weights.tolist() == [0.25, 0.25, 0.0, 0.25, 0.25]
    assert r.selected.tolist() == [0, 1, 3, 4]
    assert r.scores is None
    assert r.guarantee is None
    assert r.dropped == {2: "not finite"}
    assert r.rule == rc.Mean()
    assert same_bits(r.value, rc.mean(X))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", [0, 8003, -1])
def test_updates_that_are_not_finite_are_left_out(where, dtype, bad):
    X = gaussian(6, 9000, dtype)
    X[[1, 4], where] = bad, -bad  # opposite infinities add up to NaN
    assert same_bits(rc.mean(X), rc.mean(X[[0, 2, 3, 5]]))


def test_a_minority_may_be_dropped_and_no_more():
    for n in range(1, 9):
        for bad in range(n + 1):
            X = gaussian(n, 4)
            X[n - bad :] = np.nan
            if 2 * bad < n:
                assert same_bits(rc.mean(X), rc.mean(X[: n - bad]))
            else:
                with pytest.raises(rc.ConstraintError, match=rf"{bad} of {n} updates .*minority of {n}"):
                    rc.mean(X)


def test_with_f_no_more_than_f_may_be_dropped():
    X = gaussian(7, 4)
    X[[2, 5]] = np.inf
    assert same_bits(rc.mean(X, f=2), rc.mean(X))
    assert same_bits(rc.mean(X, f=3), rc.mean(X))
    for f in (0, 1):
        with pytest.raises(rc.ConstraintError, match=rf"2 of 7 updates .*f = {f} .*client 2.*client 5"):
            rc.mean(X, f=f)


def test_malformed_and_bad_updates_count_together():
    X = [*gaussian(7, 4)]
    X[0], X[3] = X[0][:2], np.full(4, np.nan)
    r = rc.Mean().aggregate(X, malformed="drop")
    assert list(r.dropped) == [0, 3]
    assert same_bits(r.value, rc.mean([X[i] for i in (1, 2, 4, 5, 6)]))
    with pytest.raises(rc.ConstraintError, match=r"2 of 7 updates"):
        rc.mean(X, f=1, malformed="drop")


def test_finite_updates_stay_even_where_their_sum_is_not():
    """The mean of numbers near the largest float64 is one of them; nobody is dropped for it."""
    X = np.array([[1.7e308, 1.0], [1.7e308, 2.0], [1.7e308, 3.0]])
    r = rc.Mean().aggregate(X)
    assert r.value.tolist() == [1.7e308, 2.0]
    assert r.dropped == {}


def test_the_mean_of_numbers_too_far_apart_to_subtract():
    assert np.allclose(rc.mean(np.array([[1.7e308], [-1.7e308], [1.7e308], [1.0e308]])), 0.675e308, rtol=1e-15)
