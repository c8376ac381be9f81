"""Searching for the worst input: what is found is attained, and as bad as the papers' own constructions."""

import dataclasses
import math

import numpy as np
import pytest

import robustcore as rc
from robustcore.theory.search import Place, rows, search_kappa

FEW = rc.Budget(steps=900)
NF = [(3, 1), (4, 1), (7, 2), (7, 3), (10, 3), (13, 4), (16, 7), (21, 6), (30, 4), (30, 14)]


def theorem_3(n, f):
    return (n - 2) / (n - 2 * f + 2) if n % 2 == 0 else (n - 1) / (n - 2 * f + 1)


def kappa_of(found):
    """Of Definition 2, for the rule and the rows that were found."""
    S = found.X[found.honest]
    error = ((found.rule(found.X) - S.mean(axis=0)) ** 2).sum()
    return error / ((S - S.mean(axis=0)) ** 2).sum(axis=1).mean()


@pytest.mark.parametrize(("n", "f"), NF)
def test_it_recovers_theorem_3(n, f):
    found = search_kappa("krum", n, f, budget=FEW)
    assert theorem_3(n, f) * (1 - 1e-9) <= found.kappa <= found.rule.guarantee(n)


@pytest.mark.parametrize(("n", "f"), [(n, f) for n, f in NF if n > 3 * f])
def test_it_recovers_theorem_4(n, f):
    found = search_kappa("multi_krum", n, f, budget=FEW)
    assert 4 * f / (n - 2 * f) * (1 - 1e-9) <= found.kappa <= found.rule.guarantee(n)


@pytest.mark.parametrize("rule", ["krum", "medoid", "geometric_median", "trimmed_mean", "mda", "median+nnm", "smea"])
def test_what_is_found_is_attained(rule):
    found = search_kappa(rule, 7, 2, budget=rc.Budget(steps=300))
    assert (
        found.X.shape[0] == 7 and found.honest.tolist() == sorted({*found.honest.tolist()}) and len(found.honest) == 5
    )
    assert kappa_of(found) == pytest.approx(found.kappa, rel=1e-6)
    assert rc.certify(found.X, found.rule(found.X), f=2).kappa == pytest.approx(found.kappa, rel=1e-6)
    assert np.array_equal(rows(found.places), found.X)
    assert found.kappa >= 2 / (7 - 4) * (1 - 1e-6)  # Proposition 1: whatever the rule


@pytest.mark.parametrize("rule", ["mean", "meb_center", "monna", "sign_majority", rc.CenteredClip(tau=1.0, f=2)])
def test_no_bound_at_all_is_told_by_honest_clients_that_agree(rule):
    found = search_kappa(rule, 7, 2, budget=FEW)
    honest = found.X[found.honest]
    assert found.kappa == math.inf
    assert (honest == honest[0]).all() and (found.rule(found.X) != honest[0]).any()
    assert rc.certify(found.X, found.rule(found.X), f=2).kappa == math.inf


def test_the_mean_of_honest_clients_is_right():
    assert search_kappa("mean", 4, 0, budget=rc.Budget(steps=50)).kappa == pytest.approx(0.0, abs=1e-20)


def test_the_same_rng_finds_the_same():
    one, two = (search_kappa("caf", 6, 1, budget=rc.Budget(steps=400), rng=7) for _ in range(2))
    assert one.kappa == two.kappa and np.array_equal(one.X, two.X) and one.places == two.places
    other = search_kappa("caf", 6, 1, budget=rc.Budget(steps=400), rng=np.random.default_rng(8))
    assert other.places != one.places


@pytest.mark.parametrize("d", [1, 2, 5])
def test_dimensions_as_given(d):
    found = search_kappa("krum", 8, 2, d=d, budget=rc.Budget(steps=300))
    assert found.X.shape == (8, d)
    assert np.array_equal(rows(found.places, d), found.X)


def test_seconds_and_progress():
    shares = []
    found = search_kappa("krum", 8, 2, budget=0.05, progress=shares.append)
    assert found.evaluations > 0 and shares == sorted(shares) and 0.0 <= shares[0] <= shares[-1] <= 1.0

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search_kappa("krum", 8, 2, progress=stop)


def test_a_search_that_does_not_end_is_passed_over(monkeypatch):
    """The value of a rule whose own search was stopped is not what the rule is."""
    monkeypatch.setattr("robustcore.theory.search.RULE_STEPS", 1)
    found = search_kappa("mda", 9, 3, budget=rc.Budget(steps=200))
    answer = dataclasses.replace(found.rule, budget=rc.Budget(steps=1)).aggregate(found.X)
    assert answer.optimum.exact


def test_places_as_rows():
    X = rows([Place(2, False, (2.0, 1.0)), Place(4, True, (0.0, 0.0), spread=2.0), Place(1, True, (5.0, 5.0))])
    assert X.shape == (7, 5)
    distances = rc.pairwise_sqdist(X)
    assert (distances[:2, :2] == 0).all()
    assert distances[2:6, 2:6][~np.eye(4, dtype=bool)] == pytest.approx(2 * 4.0 * 4 / 3)  # a regular simplex
    assert X[2:6].mean(axis=0) == pytest.approx(np.zeros(5)) and np.linalg.norm(X[2:6], axis=1) == pytest.approx(
        [2.0] * 4
    )
    assert rows([Place(3, True, (1.0,), spread=1.0)], d=1).tolist() == [[1.0]] * 3


def test_wrong_input():
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        search_kappa("krum", 4, 2)
    with pytest.raises(rc.ConstraintError, match="n >= 4f"):
        search_kappa("bulyan", 10, 2)
    with pytest.raises(ValueError, match="is for f = 1, not 2"):
        search_kappa(rc.Krum(f=1), 10, 2)
    with pytest.raises(TypeError, match="must be a name"):
        search_kappa(rc.krum, 10, 2)
    with pytest.raises(ValueError, match="no rule"):
        search_kappa("crumb", 10, 2)
    with pytest.raises(ValueError, match="d must be at least 1"):
        search_kappa("krum", 10, 2, d=0)
