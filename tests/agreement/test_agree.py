"""Whole runs: epsilon-agreement, termination, validity, centroid ratios, and what the paper's constructions do."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robustcore as rc
from robustcore import theory
from robustcore.agreement import ADVERSARIES, PROTOCOLS, Adversary
from robustcore.agreement.adversaries import WorstCase
from robustcore.agreement.protocols import MDA, Box, SafeArea

pytest.importorskip("scipy")

EPSILON = 1e-2
ENEMIES = [*(make() for make in ADVERSARIES.values()), WorstCase("lone"), WorstCase("outside")]
SIZES = {  # n and t, synchronous and not
    "box": [(7, 2), (7, 2)],
    "rbtm": [(7, 2), (7, 2)],
    "mda": [(9, 2), (8, 1)],
    "safe_area": [(7, 2), (9, 2)],
    "centroid_safe_area": [(7, 2), (9, 2)],
    "mda_safe_area": [(9, 2), (8, 1)],
    "minmax_meb": [(7, 2), (9, 2)],
}


def inputs(rng, n, d):
    kind = rng.integers(4)
    if kind == 0:
        return rng.integers(0, 2, size=(n, d)).astype(float)
    X = rng.normal(size=(n, d))
    if kind == 1:  # all but one honest node agree
        X[:-3] = X[0]
    return X[rng.permutation(n)]


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_claimed_holds(name, synchronous):
    n, t = SIZES[name][not synchronous]
    for seed, enemy in enumerate(ENEMIES):
        rng = np.random.default_rng([seed, synchronous, list(PROTOCOLS).index(name)])  # all combinations, with time
        d = int(rng.integers(1, 3))
        patience = [None, 40, 2000][rng.integers(3)]
        byzantine = rng.permutation(n)[: t if rng.integers(4) else t - 1]
        trace = rc.agree(
            inputs(rng, n, d),
            name,
            t=t,
            epsilon=EPSILON,
            byzantine=byzantine,
            synchronous=synchronous,
            adversary=enemy,
            seed=seed,
            patience=patience,
        )
        protocol = trace.protocol
        assert trace.agreed and set(trace.outputs) == set(range(n)) - set(byzantine.tolist())
        assert trace.diameters[-1] <= EPSILON and len(trace.diameters) == trace.rounds + 1
        assert all(trace.validity[condition] for condition in protocol.claims), (enemy, trace.validity)
        if protocol.method and trace.claimed is None:
            assert not synchronous and len(trace.inputs) < n
        elif protocol.method:
            assert trace.ratio <= trace.claimed * (1 + 1e-9)
        if name != "minmax_meb":  # of which nothing is claimed
            spread = trace.diameters if name == "mda" else trace.edges
            factor = protocol.contraction(trace.setting)
            for before, after in list(pairwise(spread))[protocol.opening :]:
                assert before <= EPSILON or after <= factor * before + 1e-9


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(4, 8),
    st.booleans(),
    st.sampled_from(["random", "late", "equivocate", "hide_honest"]),
    st.integers(0, 3000),
)
def test_boxes_whatever_the_order(seed, n, synchronous, enemy, patience):
    rng, t = np.random.default_rng(seed), (n - 1) // 3
    trace = rc.agree(
        rng.integers(0, 3, size=(n, 2)).astype(float),
        "box",
        t=t,
        epsilon=EPSILON,
        byzantine=rng.permutation(n)[:t],
        synchronous=synchronous,
        adversary=enemy,
        seed=seed,
        patience=patience,
    )
    assert trace.agreed and trace.validity["box"]
    if trace.claimed is None:
        assert not synchronous and len(trace.inputs) < n
    else:
        assert trace.ratio <= trace.claimed * (1 + 1e-9)


@pytest.mark.parametrize("name", ["box", "mda"])
@pytest.mark.parametrize("synchronous", [True, False])
def test_bounds_of_the_issue_and_of_the_paper(name, synchronous):
    """2 sqrt(d) and 4 sqrt(d) for boxes; ours for MDA are above 3.8 where t is near n / 4, below 10.4 everywhere."""
    n, t = SIZES[name][not synchronous]
    rng = np.random.default_rng(5)
    for enemy in ("equivocate", "late", "worst_case", "hide_honest", "alie"):
        d = int(rng.integers(1, 5))
        trace = rc.agree(
            inputs(rng, n, d), name, t=t, epsilon=EPSILON, synchronous=synchronous, adversary=enemy, seed=1
        )
        bound = {"box": [4, 2][synchronous] * np.sqrt(d), "mda": [10.4, 3.8][synchronous]}[name]
        assert trace.ratio <= bound * (1 + 1e-9)


def placed(case, f):
    """The honest ones of a construction first: what `byzantine` as a number expects."""
    order = np.append(case.S, np.setdiff1d(np.arange(len(case.X)), case.S))
    assert len(order) - len(case.S) == f
    return case.X[order].astype(float)


@pytest.mark.parametrize("d", [2, 3])  # with d = 1, n = 2t + 1
def test_safe_areas_reach_2d(d):
    """Theorem 4.1."""
    trace = rc.agree(placed(theory.safe_area_worst_case(1, d), 1), "safe_area", t=1, epsilon=EPSILON)
    assert trace.agreed and trace.validity["convex"] and trace.ratio == pytest.approx(2 * d, rel=1e-3)


@dataclass(frozen=True)
class Hide(Adversary):
    """These nodes are not heard for as long as possible."""

    hidden: tuple[int, ...] = ()

    def urgency(self, world, sender, receiver, message):
        return int(getattr(message, "origin", sender) in self.hidden and type(message).__name__ != "Report")


@pytest.mark.parametrize("d", [1, 2])
def test_asynchronous_safe_areas_reach_2d_plus_2(d):
    """Theorem 5.3: t more at (1, 0, ...), who are not heard."""
    case = theory.safe_area_worst_case(1, d)
    X = np.vstack([np.eye(d)[:1], placed(case, 1)])
    trace = rc.agree(X, "safe_area", t=1, epsilon=EPSILON, synchronous=False, adversary=Hide((0,)))
    assert trace.agreed and trace.ratio == pytest.approx(2 * (d + 1), rel=1e-3)


def test_strong_validity_costs_2():
    """Lemma 4.13, for each strongly valid protocol: t honest outliers count as Byzantine."""
    case = theory.strong_validity_worst_case(9, 2)
    for name in ("box", "mda", "rbtm", "safe_area", "mda_safe_area"):
        trace = rc.agree(placed(case, 2), name, t=2, epsilon=EPSILON)
        assert trace.agreed and trace.validity["strong"] and trace.ratio >= 2 - 1e-9
    assert rc.agree(placed(case, 2), "mda", t=2, epsilon=EPSILON).ratio == pytest.approx(2)


def test_asynchronous_strong_validity_costs_4():
    """Lemma 5.10: 2t honest nodes at 1, of whom t are not heard; the others count as Byzantine."""
    X = np.zeros((8, 1))
    X[:2] = 1
    for name in ("box", "mda", "rbtm", "safe_area", "mda_safe_area"):
        trace = rc.agree(X, name, t=1, epsilon=EPSILON, synchronous=False, adversary="worst_case")
        assert trace.agreed and trace.ratio == pytest.approx(4)


def test_weak_validity_costs_2_asynchronously():
    """Lemma 5.5: t at 1 who are not heard."""
    X = np.zeros((8, 1))
    X[0] = 1
    trace = rc.agree(X, "centroid_safe_area", t=1, epsilon=EPSILON, synchronous=False, adversary=Hide((0,)))
    assert trace.agreed and trace.ratio == pytest.approx(2)


def test_minimum_diameter_averaging_leaves_the_box():
    """Lemma 4.12."""
    trace = rc.agree(placed(theory.mda_worst_case(9, 2), 2), "mda", t=2, epsilon=EPSILON)
    assert trace.agreed and trace.validity["strong"] and not trace.validity["box"]
    X = placed(theory.mda_worst_case(9, 2), 2)
    X[-2:] = 0
    trace = rc.agree(X, "mda", t=2, epsilon=EPSILON, adversary=WorstCase("outside"))
    assert trace.agreed and not trace.validity["box"]


def test_the_best_guess_is_not_strongly_valid():
    """Observation 4.7."""
    trace = rc.agree(placed(theory.centroid_ball_worst_case(9, 2), 2), "centroid_safe_area", t=2, epsilon=EPSILON)
    assert trace.agreed and trace.validity["weak"] and not trace.validity["strong"]
    assert trace.ratio == pytest.approx(1)


def test_the_middle_of_the_safe_area_may_be_infinitely_many_radii_away():
    """Observation 4.2: t + 1 nodes at 0, n - 2t - 1 at 1; the Byzantine one has none, so that there is no radius."""
    X = np.array([[0.0], [0.0], [1.0], [1.0], [1.0], [np.nan]])
    trace = rc.agree(X, "safe_area", t=1, epsilon=EPSILON)
    assert trace.agreed and trace.ball.radius == 0 and trace.ratio == np.inf
    assert trace.outputs[0] == pytest.approx(0.5)
    assert rc.agree(X, "centroid_safe_area", t=1, epsilon=EPSILON).ratio == 0


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize("name", ["safe_area", "box"])
def test_what_nobody_has_heard_does_not_count(name, synchronous):
    """A far vector that is never broadcast would make the radius large, and so the ratio small."""

    @dataclass(frozen=True)
    class Mute(Adversary):
        def send(self, world, sender, receiver, message):
            return ()

    X = np.array([[0.0], [0.0], [1.0], [1.0], [1.0], [1e6]])
    trace = rc.agree(X, name, t=1, epsilon=EPSILON, synchronous=synchronous, adversary=Mute())
    assert sorted(trace.inputs) == [0, 1, 2, 3, 4] and trace.ball.radius == 0
    assert trace.ratio == (0 if (name, synchronous) == ("box", True) else np.inf)
    many = rc.agree(X, name, t=1, byzantine=2, epsilon=EPSILON, synchronous=synchronous, adversary=Mute())
    assert sorted(many.inputs) == [0, 1, 2, 3] and many.claimed is None


@dataclass(frozen=True)
class Early(Adversary):
    """A Byzantine node that only node 0 hears in time, and who has the vector that makes its trusted box a point."""

    def vector(self, world, node, round):
        return np.zeros(1)

    def send(self, world, sender, receiver, message):
        late = ADVERSARIES["late"]().send(world, sender, receiver, message)
        return late


class Printed(Box):
    """How many rounds, as Algorithm 3 has it: from the local trusted box."""

    def spread(self, received):
        box = rc.validity.trusted_box(np.asarray(received), len(received) - 3)
        return float((box.high - box.low).max())


def test_the_local_trusted_box_does_not_tell_how_many_rounds_are_needed():
    """One node sees 0, 0, 0, 1 and decides at once; the others see 0, 0, 1, and do not reach it in their rounds."""
    X = np.array([[0.0], [0.0], [1.0], [0.0]])
    assert not rc.agree(X, Printed(), t=1, epsilon=1e-3, adversary=Early()).agreed
    assert rc.agree(X, "box", t=1, epsilon=1e-3, adversary=Early()).agreed


@dataclass(frozen=True)
class Drag(Adversary):
    """Two Byzantine nodes that all but node 0 hear in time: one keeps them going, the other draws them away from it."""

    def vector(self, world, node, round):
        others, alone = (world.nodes[i].vector.values for i in (1, 0))
        return others + 0.999 * (others - alone) if node == world.byzantine[0] else np.full(1, 1e6)

    def send(self, world, sender, receiver, message):
        origin = getattr(message, "origin", sender)
        if origin not in world.byzantine or receiver in world.byzantine:
            return (message,)
        told = {"Init": range(1, 5), "Echo": range(1, 4), "Ready": range(1, 7)}[type(message).__name__]
        return (message,) if receiver in told else ()


class Apart(MDA):
    """Each node ends after its own rounds, and the others use its last vector, as Lemma 4.21 proposes for boxes."""

    together = False


def test_minimum_diameter_averaging_has_to_end_together():
    """Node 0 sees the honest ones, which are near enough, and ends; the others leave it by a seventh in each round."""
    X = np.array([[0.0], *[[0.99]] * 6, [0.0], [0.0]])
    apart = rc.agree(X, Apart(), t=2, epsilon=1.0, adversary=Drag())
    assert not apart.agreed and apart.diameters[-1] > 5
    assert rc.agree(X, "mda", t=2, epsilon=1.0, adversary=Drag()).agreed


@pytest.mark.parametrize("synchronous", [True, False])
def test_one_byzantine_node_too_many(synchronous):
    """Broadcast breaks first: each of two honest nodes is told that all others hold what it holds."""
    X = np.array([[0.0], [1.0], [0.0], [0.0]])
    trace = rc.agree(
        X, "box", t=1, byzantine=2, epsilon=0.1, adversary="equivocate", synchronous=synchronous, max_rounds=50
    )
    assert not trace.agreed and trace.claimed is None
    if synchronous:
        assert trace.outputs == {0: [0.0], 1: [1.0]}


@pytest.mark.parametrize("synchronous", [True, False])
def test_the_same_seed_gives_the_same_run(synchronous):
    X = np.random.default_rng(0).normal(size=(7, 3))

    def run(seed):
        trace = rc.agree(X, "box", t=2, epsilon=1e-3, adversary="random", synchronous=synchronous, seed=seed)
        outputs = b"".join(y.tobytes() for y in trace.outputs.values())
        return outputs, trace.messages, trace.bytes, trace.diameters.tobytes(), trace.ratio

    assert run(3) == run(3) != run(4)


def test_counts_and_history():
    """Without Byzantine nodes: in a round each of n broadcasts has an init, n echoes and n readies, to n - 1 others."""
    n, d = 5, 3
    X = np.random.default_rng(0).normal(size=(n, d))
    trace = rc.agree(X, "box", t=1, byzantine=0, epsilon=1e-3)
    assert trace.rounds == 2  # in the second, all vectors are equal
    assert trace.messages == trace.rounds * n * (n - 1) * (1 + 2 * n)
    vectors, readies = trace.rounds * n * (n - 1) * (1 + n), trace.rounds * n * (n - 1) * n
    assert trace.bytes == vectors * (8 + 6 + 8 * d) + readies * (8 + 32)
    assert len(trace.vectors) == trace.rounds + 1 and sorted(trace.vectors[0]) == list(range(n))
    np.testing.assert_array_equal(trace.vectors[0][2], X[2])
    np.testing.assert_array_equal(trace.vectors[-1][2], trace.outputs[2])
    assert trace.edges[0] == np.ptp(X, axis=0).max()
    assert trace.diameters[0] == pytest.approx(np.sqrt(rc.pairwise_sqdist(X).max()))
    assert rc.agree(X, "box", t=1, epsilon=1e-3, keep_history=False).vectors is None


def test_rounds_are_those_that_are_claimed():
    """A spread that everybody sees, and an adversary that keeps it up."""
    X = np.random.default_rng(2).normal(size=(7, 1))
    for name in ("box", "rbtm", "safe_area"):
        trace = rc.agree(X, name, t=2, epsilon=1e-4, adversary="equivocate")
        assert 2 < trace.rounds <= trace.protocol.rounds(trace.setting, 2 * np.abs(X).max())


def test_a_far_lie_costs_rounds_and_nothing_else():
    """About log2(1e300 / epsilon) where it is told again in each round, and none where it is told once."""

    @dataclass(frozen=True)
    class Far(Adversary):
        def vector(self, world, node, round):
            return np.full(1, 1e300)

    X = np.array([[0.0], [1.0], [0.5], [1e300]])
    trace = rc.agree(X, "box", t=1, epsilon=1e-2, adversary=Far())
    assert trace.agreed and trace.validity["box"] and 900 < trace.rounds < 1100
    assert rc.agree(X, "box", t=1, epsilon=1e-2, adversary=Far(), max_rounds=7).rounds == 7
    assert rc.agree(X, "box", t=1, epsilon=1e-2).rounds == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["box", "mda", "rbtm", "minmax_meb", "centroid_safe_area"])
def test_numbers_of_any_size(name, dtype):
    rng = np.random.default_rng(1)
    for scale in (1e-30, 1e30) if dtype == np.float32 else (1e-300, 1e-200, 1e-30, 1e30, 1e200):
        X = (scale * rng.normal(size=(5, 2))).astype(dtype)
        trace = rc.agree(X, name, t=1, epsilon=1e-3 * scale, adversary="late")
        assert trace.agreed and all(trace.validity[condition] for condition in trace.protocol.claims)
        assert all(y.dtype == dtype for y in trace.outputs.values())
    same = np.full((5, 2), 0.1, dtype)
    trace = rc.agree(same, name, t=1, epsilon=1e-6, adversary="late")
    assert trace.agreed and trace.ratio == 0 and trace.validity["strong"]
    if name in ("box", "rbtm"):
        assert rc.agree(same, name, t=1, epsilon=1e-6, byzantine=0, synchronous=False).rounds == 1


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-160])
def test_squares_that_vanish_do_not_end_a_run(scale):
    """Node 0 sees all within 0.99, and has to go on all the same."""

    @dataclass(frozen=True)
    class Both(Drag):
        def vector(self, world, node, round):
            return super().vector(world, world.byzantine[0], round)

    X = np.array([[0.0], *[[0.99]] * 6, [0.0], [0.0]]) * scale
    trace = rc.agree(X, "mda", t=2, epsilon=1e-6 * scale, adversary=Both())
    assert trace.agreed and 0 < trace.diameters[-1] <= 1e-6 * scale


@pytest.mark.parametrize("name", ["minmax_meb", "safe_area", "centroid_safe_area"])
@pytest.mark.parametrize("scale", [1e-305, 1e-300, 1e-200])
def test_tiny_vectors_contract(name, scale):
    for seed in range(3):
        X = scale * np.random.default_rng(seed).normal(size=(9, 2))
        trace = rc.agree(X, name, t=2, epsilon=1e-2 * scale, adversary="late", seed=seed)
        assert trace.agreed and all(trace.validity[condition] for condition in trace.protocol.claims)
        if name == "minmax_meb":  # of which nothing is claimed
            continue
        for before, after in list(pairwise(trace.edges))[trace.protocol.opening :]:
            assert after <= trace.protocol.contraction(trace.setting) * before + 1e-9 * scale


def test_subnormal_numbers():
    X = np.random.default_rng(0).normal(size=(7, 2)) * 1e-310
    for name in ("box", "safe_area"):
        trace = rc.agree(X, name, t=2, epsilon=1e-312)
        assert trace.agreed and np.isfinite(trace.diameters).all() and np.isfinite(trace.edges).all()
        assert trace.edges[0] == np.ptp(X[:5], axis=0).max() <= trace.diameters[0]


def test_the_smallest_epsilon():
    """epsilon / sqrt(d) is 0 then, and has no logarithm."""
    assert rc.agree(np.random.default_rng(0).normal(size=(7, 4)), "box", t=2, epsilon=5e-324).rounds >= 2


@pytest.mark.parametrize("enemy", ["late", "worst_case", "random", "alie"])
@pytest.mark.parametrize("name", ["box", "mda", "rbtm", "safe_area", "mda_safe_area"])
def test_numbers_at_the_end_of_the_range(name, enemy):
    X = np.array([[0.0, 1.0], [1e300, 1.0], [-1e308, 3.0], [1e308, 0.0]])
    trace = rc.agree(np.vstack([X, X / 2, X / 4]), name, t=1, epsilon=1e304, adversary=enemy)
    assert trace.agreed and all(trace.validity[condition] for condition in trace.protocol.claims)
    assert np.isfinite(trace.ratio) or not trace.ball.radius


def test_a_single_node():
    trace = rc.agree(np.ones((1, 2)), "box", t=0, epsilon=1e-3)
    assert trace.rounds == 1 and trace.messages == 0 and trace.outputs[0].tolist() == [1, 1] and trace.agreed


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"t": 2}, rc.ConstraintError, r"box needs n > 3t; here n = 4 and t = 2 \(with n = 4, t can be at most 1\)"),
        ({"protocol": "mda"}, rc.ConstraintError, r"mda needs n > 4t"),
        ({"protocol": "safe_area", "X": np.zeros((4, 5))}, rc.ConstraintError, r"needs n > 6t.*at most 0"),
        ({"epsilon": 0}, ValueError, "epsilon must be a finite number > 0"),
        ({"epsilon": np.nan}, ValueError, "epsilon must be"),
        ({"t": 1.5}, TypeError, "t must be a whole number"),
        ({"t": -1}, rc.ConstraintError, "t >= 0"),
        ({"X": [np.zeros(2), np.zeros(3), np.zeros(2), np.zeros(2)]}, ValueError, "client 1: shape"),
        ({"X": np.zeros((4, 2, 2))}, ValueError, "one vector"),
        ({"X": np.zeros((4, 2), np.float16)}, ValueError, "one vector of float32 or float64"),
        ({"X": np.array([[0.0], [np.nan], [0.0], [0.0]])}, rc.ConstraintError, "node 1 is honest, but"),
        ({"byzantine": [4]}, rc.ConstraintError, "byzantine has 4, but the nodes are 0 to 3"),
        ({"byzantine": 4}, rc.ConstraintError, "needs an honest node"),
        ({"protocol": "paxos"}, ValueError, "there is no protocol 'paxos'; there are box"),
        ({"adversary": "nice"}, ValueError, "there is no adversary 'nice'"),
        ({"max_rounds": 0}, rc.ConstraintError, "max_rounds >= 1"),
    ],
)
def test_bad_input(changed, error, text):
    arguments = {"X": np.zeros((4, 2)), "protocol": "box", "t": 1, "epsilon": 0.1} | changed
    with pytest.raises(error, match=text):
        rc.agree(arguments.pop("X"), arguments.pop("protocol"), **arguments)


def test_vectors_of_byzantine_nodes_need_not_be_finite():
    X = np.array([[0.0], [1.0], [0.0], [np.inf]])
    trace = rc.agree(X, "box", t=1, epsilon=0.1)
    assert trace.agreed and 3 not in trace.inputs and trace.outputs[0] == pytest.approx(1 / 3)


def test_protocols_and_adversaries_of_ones_own():
    @dataclass(frozen=True)
    class Mean(SafeArea):
        name: ClassVar[str] = "own"

        def step(self, received, round, setting):
            return np.mean(received, axis=0)

    @dataclass(frozen=True)
    class Far(Adversary):
        def vector(self, world, node, round):
            return np.full(1, 1e6)

    trace = rc.agree(np.zeros((4, 1)), Mean(), t=1, epsilon=0.1, adversary=Far(), max_rounds=3)
    assert trace.agreed and not trace.validity["box"] and trace.outputs[0] > 1e5
