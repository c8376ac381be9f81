"""Every inequality between n, f and m: where it holds, and what is said where it does not."""

import re
from fractions import Fraction

import numpy as np
import pytest

import robustcore as rc

HOLDS_F = {
    "theory": lambda n, f: n > 2 * f,
    "classic": lambda n, f: n >= 2 * f + 3 or (n, f) == (1, 0),
}
HOLDS_M = {
    "theory": lambda n, f, m: 1 <= m <= n - f,
    "classic": lambda n, f, m: 1 <= m <= n - f - 2 or (n, m) == (1, 1),
}
TEXT_F = {"theory": "n > 2f", "classic": "n >= 2f + 3"}
TEXT_M = {"theory": "1 <= m <= n - f", "classic": "1 <= m <= n - f - 2"}


def largest(name, values, holds):
    """The advice at the end of a message: the largest value that holds, by trying."""
    valid = [value for value in values if holds(value)]
    return f"{name} can be at most {max(valid)}" if valid else f"no {name} is valid"


def assert_message(error, *parts):
    for part in parts:
        assert re.search(rf"(?<![\w.]){re.escape(part)}(?!\d)", str(error.value)), part


@pytest.mark.parametrize("neighbors", ["theory", "classic"])
@pytest.mark.parametrize("n", range(1, 9))
def test_krum_takes_every_f_that_holds_and_says_the_largest(n, neighbors):
    X = np.zeros((n, 2))
    for f in range(n + 2):
        for name, call in (("krum", rc.krum), ("multi_krum", rc.multi_krum), ("krum", rc.krum_scores)):
            if HOLDS_F[neighbors](n, f):
                call(X, f, neighbors=neighbors)
                continue
            with pytest.raises(rc.ConstraintError) as error:
                call(X, f, neighbors=neighbors)
            advice = largest("f", range(n), lambda g: HOLDS_F[neighbors](n, g))
            assert_message(error, name, TEXT_F[neighbors], f"n = {n}", f"f = {f}", advice)


@pytest.mark.parametrize("neighbors", ["theory", "classic"])
@pytest.mark.parametrize("n", range(1, 9))
def test_multi_krum_takes_every_m_that_holds_and_says_the_largest(n, neighbors):
    X = np.zeros((n, 2))
    for f in range(n):
        if not HOLDS_F[neighbors](n, f):
            continue
        for m in range(n + 2):
            if HOLDS_M[neighbors](n, f, m):
                assert len(rc.MultiKrum(f, m, neighbors=neighbors).aggregate(X).selected) == m
                continue
            with pytest.raises(rc.ConstraintError) as error:
                rc.multi_krum(X, f, m, neighbors=neighbors)
            advice = largest("m", range(n + 1), lambda k, f=f: HOLDS_M[neighbors](n, f, k))
            assert_message(error, "multi_krum", TEXT_M[neighbors], f"n = {n}", f"f = {f}", f"m = {m}", advice)


@pytest.mark.parametrize("n", range(1, 6))
def test_the_mean_takes_every_f_that_leaves_a_majority(n):
    for f in range(n + 2):
        if n > 2 * f:
            rc.mean(np.zeros((n, 2)), f)
            continue
        with pytest.raises(rc.ConstraintError) as error:
            rc.mean(np.zeros((n, 2)), f)
        advice = largest("f", range(n), lambda g: n > 2 * g)
        assert_message(error, "mean", "n > 2f", f"n = {n}", f"f = {f}", advice)


@pytest.mark.parametrize("n", range(1, 6))
def test_the_bound_takes_what_multi_krum_takes(n):
    for f in range(n):
        for m in range(n + 2):
            if HOLDS_F["theory"](n, f) and HOLDS_M["theory"](n, f, m):
                assert rc.theory.kappa_upper_bound(n, f, m) > 0
            else:
                with pytest.raises(rc.ConstraintError, match="kappa_upper_bound needs"):
                    rc.theory.kappa_upper_bound(n, f, m)


@pytest.mark.parametrize("make", [rc.Krum, rc.MultiKrum, rc.Mean, lambda value: rc.MultiKrum(1, value)])
@pytest.mark.parametrize("value", [True, False, np.True_, 1.0, np.float64(2), Fraction(1), "1", [1], 1j])
def test_counts_are_whole_numbers(make, value):
    with pytest.raises(TypeError, match=r"[fm] must be a whole number, not"):
        make(value)


@pytest.mark.parametrize("make", [rc.Krum, rc.MultiKrum])
def test_f_has_no_default(make):
    with pytest.raises(TypeError, match="f must be a whole number, not None"):
        make(None)


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int64, np.uint64])
def test_counts_of_numpy_are_counts(integer):
    assert rc.MultiKrum(integer(2), integer(3)) == rc.MultiKrum(2, 3)
    assert type(rc.Krum(integer(2)).f) is int
    assert rc.Mean(integer(1)) == rc.Mean(1)
    X = np.random.default_rng(0).normal(size=(7, 3))
    assert np.array_equal(rc.multi_krum(X, integer(2), integer(3)), rc.multi_krum(X, 2, 3))


def test_counts_are_not_negative():
    for make, name in ((rc.Krum, "f"), (rc.MultiKrum, "f"), (rc.Mean, "f"), (lambda m: rc.MultiKrum(1, m), "m")):
        with pytest.raises(rc.ConstraintError, match=rf"{name} >= 0; here {name} = -1"):
            make(-1)
    with pytest.raises(rc.ConstraintError, match=r"f = -1"):
        rc.theory.kappa_upper_bound(5, -1, 2)


def test_a_constraint_error_is_a_value_error_of_the_package():
    assert issubclass(rc.ConstraintError, ValueError)
    assert rc.ConstraintError.__module__ == "robustcore"


def test_constraints_are_checked_before_the_data_is_read():
    X = np.full((4, 2), np.nan)
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        rc.krum(X, 2)
    with pytest.raises(rc.ConstraintError, match="1 <= m <= n - f"):
        rc.multi_krum(X, 1, 4)


@pytest.mark.parametrize("neighbors", ["theory", "classic"])
def test_dropped_clients_count_among_n_and_f(neighbors):
    """n = 11 and f = 3 decide what is allowed, however many of the three are dropped."""
    for bad in range(5):
        X = np.random.default_rng(0).normal(size=(11, 2))
        X[:bad] = np.nan
        allowed = {"theory": 8, "classic": 6}[neighbors]
        if bad <= 3:
            assert len(rc.MultiKrum(3, neighbors=neighbors).aggregate(X).selected) == allowed
            with pytest.raises(rc.ConstraintError, match=rf"n = 11, f = 3 .*at most {allowed}"):
                rc.multi_krum(X, 3, allowed + 1, neighbors=neighbors)
        else:
            with pytest.raises(rc.ConstraintError, match=r"4 of 11 updates .*f = 3 .*client 0.*client 2.*1 more"):
                rc.krum(X, 3, neighbors=neighbors)
