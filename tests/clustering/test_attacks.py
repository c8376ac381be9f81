"""What Byzantine machines send: what it says of itself, and that the one that hides is kept."""

import re

import numpy as np
import pytest

pytest.importorskip("sklearn")

from robustcore.clustering import (
    Assignment,
    ByzantineKMeans,
    ByzantineKMedians,
    KMedians,
    Missing,
    attacks,
    fractional_repetition,
    summarise,
)
from robustcore.clustering.attacks import ATTACKS, Attack, Scene, make_attack


def scene(byzantine=(1, 4), m=8, t=2, k=3, power=1, seed=0, X=None, s=4):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(240, 2)) + 10.0 * rng.integers(0, 3, 240)[:, None] if X is None else X
    A = fractional_repetition(m, len(X), s)
    honest = [KMedians(k, random_state=i).fit(X[A.points(i)]).cluster_centers_ for i in range(m)]
    return Scene(X, None, A, honest, np.array(byzantine), k, t, power)


def kept(scene, replies):
    sent = [replies.get(i, scene.honest[i]) for i in range(scene.assignment.m)]
    return summarise(scene.X, None, scene.assignment, sent, k=scene.k, t=scene.t, rho=1.0, power=scene.power)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_speaks_for_the_liars_alone_and_again_the_same(name):
    here = scene()
    honest = [centers.copy() for centers in here.honest]
    sent, again = (make_attack(name)(here, 3) for _ in range(2))
    assert list(sent) == [1, 4] and all(np.array_equal(honest[i], here.honest[i]) for i in range(8))
    for i in sent:
        if isinstance(sent[i], np.ndarray):
            assert np.array_equal(sent[i], again[i], equal_nan=True)
        else:
            assert sent[i] == again[i]
    assert make_attack(name)(scene(byzantine=())) == {}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_in_the_table_of_the_module(name):
    listed = dict(re.findall(r'^"(\w+)" +`(\w+)`', attacks.__doc__, re.MULTILINE))
    assert listed == {name: kind.__name__ for name, kind in ATTACKS.items()}
    assert issubclass(ATTACKS[name], Attack) and ATTACKS[name].name == name


@pytest.mark.parametrize("name", ["nan", "silent", "malformed"])
def test_some_are_found_out_at_once(name):
    here = scene()
    assert sorted(kept(here, make_attack(name)(here, 0)).malformed) == [1, 4]


def test_malformed_tries_everything():
    here = scene(byzantine=range(6), t=6)
    why = kept(here, make_attack("malformed")(here, 0)).malformed
    assert len(set(why.values())) == 6


def test_random_centers_are_in_the_box():
    here = scene()
    low, high = here.X.min(axis=0), here.X.max(axis=0)
    for centers in make_attack("random")(here, 0).values():
        assert centers.shape == (3, 2) and (low <= centers).all() and (centers <= high).all()


def test_shifted_centers_are_as_far_off_as_it_says_and_all_in_one_direction():
    here = scene()
    moves = [centers - here.honest[i] for i, centers in make_attack("shift", by=0.5)(here, 0).items()]
    moves = np.concatenate(moves)
    assert np.allclose(moves, moves[0])
    assert np.linalg.norm(moves[0]) == pytest.approx(0.5 * np.linalg.norm(np.ptp(here.X, axis=0)))


def test_borrowed_centers_are_those_of_another():
    here = scene()
    for i, centers in make_attack("borrow")(here, 0).items():
        assert [j for j in range(8) if np.array_equal(centers, here.honest[j])][:1] != [i]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_attract_is_kept_and_would_not_be_if_it_went_further(power, seed):
    here = scene(power=power, seed=seed)
    sent = make_attack("attract")(here, seed)
    moved = {i: np.flatnonzero((centers != here.honest[i]).any(axis=1)) for i, centers in sent.items()}
    movers = [i for i in sent if len(moved[i]) == 1]
    assert movers and set(movers) <= set(kept(here, sent).kept.tolist())
    assert all(i not in kept(here, sent).kept for i in sent if i not in movers)

    def pull(sent):
        return sum(here.cost(i, sent[i])[1][moved[i][0]] for i in movers)

    further = sent | {i: 2 * sent[i] - here.honest[i] for i in movers}
    assert pull(sent) > 0
    assert not set(movers) <= set(kept(here, further).kept.tolist()) or 2 * pull(further) <= pull(sent)


@pytest.mark.parametrize("solver", [ByzantineKMedians, ByzantineKMeans])
def test_attract_hurts_most_where_the_filter_leaves_room(solver):
    """Machines with few points, whose costs are low, may move far before they cost as much as the others."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) + np.array([[0, 0], [3, 0], [40, 0]])[rng.integers(0, 3, 400)]
    matrix = np.ones((8, 400))
    matrix[:3] = rng.random((3, 400)) < 0.1
    cost = {
        name: solver(3, t=3, assignment=matrix, byzantine=[0, 1, 2], attack=name, random_state=1).fit(X).inertia_
        for name in ATTACKS
    }
    most = cost.pop("attract")
    assert most > 1.1 * max(cost.values())


def test_attract_gives_up_liars_who_cost_too_much():
    """Two liars, of whom one costs 25 already: left aside, it takes the place of an honest machine that costs 30."""
    matrix = np.kron(np.eye(5), np.ones((1, 2)))
    X = np.array([0.0, 0.0, 0.0, 25.0, 0.0, 10.0, 0.0, 20.0, 0.0, 30.0])[:, np.newaxis]
    honest = [X[2 * i : 2 * i + 2].mean(axis=0, keepdims=True) for i in range(5)]
    here = Scene(X, None, Assignment(matrix), honest, np.array([0, 1]), k=1, t=2, power=1)
    sent = make_attack("attract")(here, 0)
    assert 29.9 < here.cost(0, sent[0])[0] < 30.0 < here.cost(1, sent[1])[0]
    assert 0 in kept(here, sent).kept


def test_liars_whose_own_machine_failed_still_speak():
    here = scene()
    here.honest[1], here.honest[4] = None, Missing("its task raised KeyError: 1")
    for name in ATTACKS:
        assert list(make_attack(name)(here, 0)) == [1, 4]


def test_one_machine_of_one_and_all_machines():
    for name in ATTACKS:
        assert list(make_attack(name)(scene(byzantine=[0], m=1, t=0, s=1), 0)) == [0]
        assert len(make_attack(name)(scene(byzantine=range(8), t=2), 0)) == 8


def test_data_without_extent():
    for name in ATTACKS:
        make_attack(name)(scene(X=np.ones((20, 2)), k=2), 0)


@pytest.mark.parametrize(("name", "bad"), [("shift", {"by": np.nan}), ("attract", {"reach": 0.0})])
def test_parameters_that_are_none(name, bad):
    with pytest.raises(ValueError):
        make_attack(name, **bad)
