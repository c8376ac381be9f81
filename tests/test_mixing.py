"""Mixing in front of every rule is the rule on vectors that were mixed explicitly."""

import itertools

import mixes
import ml_dtypes
import nspace
import numpy as np
import pytest
import twins
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import robustcore as rc
from robustcore.mixing import make_mixing

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
ERROR = {F16: 2e-3, BF16: 2e-2, F32: 1e-5, F64: 1e-10}


def gaussian(n, d=5, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d))


def with_attackers(n=11, f=2, d=5, seed=0, far=20.0):
    X = gaussian(n, d, seed)
    X[:f] = far * gaussian(f, d, seed + 1)
    return X


# Name by name: the mixing for f Byzantine vectors, and what it does to vectors.
STEPS = {
    "nnm": (lambda f: rc.NNM(f), mixes.nnm),
    "bucketing": (lambda f: rc.Bucketing(s=2, rng=3), lambda X, f: mixes.bucketing(X, 2, 3)),
    "pairs and a rest": (lambda f: rc.Bucketing(s=3, rng=1), lambda X, f: mixes.bucketing(X, 3, 1)),
    "clipping": (lambda f: rc.Clipping(c=1.5), lambda X, f: mixes.clipping(X, 1.5)),
    "hard clipping": (lambda f: rc.Clipping(c=1e-3), lambda X, f: mixes.clipping(X, 1e-3)),
    "arc": (lambda f: rc.ARC(f), mixes.arc),
}
CHAINS = [
    *((name,) for name in STEPS),
    ("clipping", "nnm"),
    ("nnm", "clipping"),
    ("bucketing", "nnm"),
    ("nnm", "bucketing"),
    ("arc", "bucketing", "nnm"),
    ("bucketing", "bucketing"),
    ("nnm", "hard clipping", "nnm"),
]
every_chain = pytest.mark.parametrize("chain", CHAINS, ids=" ".join)

# All rules, for at most one Byzantine vector where they ask.
PARAMETERS = {
    "mean": {},
    "krum": {},
    "multi_krum": {"neighbors": "theory"},
    "mda": {},
    "smea": {},
    "monna": {},
    "medoid": {},
    "geometric_median": {},
    "centered_clip": {"tau": 0.7, "iterations": 3},
    "caf": {},
    "meb_center": {},
    "minmax_meb": {},
    "bulyan": {},
    "median": {},
    "trimmed_mean": {},
    "meamed": {},
    "phocas": {},
    "box_midpoint": {},
    "rbtm": {},
    "sign_majority": {},
}


def test_every_rule_is_here():
    assert set(PARAMETERS) == set(rc.RULES)


def mixings(chain, f):
    return [STEPS[name][0](f) for name in chain]


def mixed(chain, X, f):
    for name in chain:
        X = STEPS[name][1](X, f)
    return X


def rule_of(name, f, **more):
    return rc.RULES[name](f=f, **PARAMETERS[name], **more)


def fitting(name, n, f):
    """Whether the rule works for n vectors."""
    try:
        rule_of(name, f).check(n)
    except rc.ConstraintError:
        return False
    return True


# ---- against the explicit construction -------------------------------------------------------------------------


@every_chain
@pytest.mark.parametrize("name", PARAMETERS)
def test_mixing_is_mixing_the_vectors_and_then_the_rule(name, chain):
    for n, f, seed in [(11, 1, 0), (21, 1, 1), (29, 2, 2)]:
        X = with_attackers(n, f, seed=seed)
        Y = mixed(chain, X, f)
        rule = rule_of(name, f, mixing=mixings(chain, f))
        if not fitting(name, len(Y), f):
            with pytest.raises(rc.ConstraintError):
                rule(X)
            continue
        r = rule.aggregate(X)
        if name == "bulyan" and not decided(Y, f):
            assert (Y.min(axis=0) - 1e-9 <= r.value).all() and (r.value <= Y.max(axis=0) + 1e-9).all()
            continue
        if name == "mda" and not apart(Y):
            assert r.optimum.value == pytest.approx(rule_of(name, f).aggregate(Y).optimum.value, rel=1e-9, abs=1e-9)
            continue
        # A pivot is a client; without its mixing, the vector that the client's went into.
        pivot = {"pivot": owner_of_client_0(chain, n)} if name == "monna" else {}
        flat = name == "geometric_median"  # its sum of distances is: 1e-12 of it may be 1e-6 of the way
        assert np.allclose(r.value, rule_of(name, f, **pivot)(Y), rtol=0, atol=1e-6 if flat else 1e-9), (n, f)
        if r.weights is not None:
            assert np.allclose(r.weights @ X, r.value, rtol=0, atol=1e-11)


def apart(Y):
    """Whether all distances differ by more than rounding: those that are equal decide who is the first."""
    distances = np.sort(np.sqrt(twins.pairwise_sqdist(Y))[np.triu_indices(len(Y), 1)])
    return bool((np.diff(distances) > 1e-9).all())


def decided(Y, f):
    """Whether no rounding can decide a round of Bulyan: who shares the lowest score is the same vector, or a mate.

    When one neighbour is left to count, two that are each other's nearest share a score that is one and the same
    number, and the lowest index decides.
    """
    D = twins.pairwise_sqdist(Y)
    slack = 1e-12 * D.max()
    for scores in nspace.bulyan_rounds(D, f):
        lowest = min(scores.values())
        first = [i for i in scores if scores[i] <= lowest + slack]
        mates = lowest > slack and all(scores[i] == lowest for i in first)
        if not mates and D[np.ix_(first, first)].max() > slack:
            return False
    return True


def owner_of_client_0(chain, n):
    """Which vector client 0 is in after the bucketings of a chain."""
    place = 0
    for name in chain:
        if name in ("bucketing", "pairs and a rest"):
            s, seed = (2, 3) if name == "bucketing" else (3, 1)
            place = np.random.default_rng(seed).permutation(n).tolist().index(place) // s
            n = -(-n // s)
    return place


@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64])
@every_chain
def test_every_dtype(dtype, chain):
    X = with_attackers(13, 1, 900, far=3.0).astype(dtype)
    Y = mixed(chain, X.astype(F64), 1)
    for name in ("mean", "median", "krum", "geometric_median"):
        value = rule_of(name, 1, mixing=mixings(chain, 1))(X)
        assert value.dtype == dtype
        assert np.allclose(value.astype(F64), rule_of(name, 1)(Y), rtol=ERROR[dtype], atol=ERROR[dtype]), name


@st.composite
def grids(draw):
    n = draw(st.integers(1, 9))
    X = draw(arrays(F64, (n, draw(st.integers(1, 3))), elements=st.integers(-3, 3).map(float)))
    return X, draw(st.integers(0, (n - 1) // 2))


@given(grids(), st.sampled_from(CHAINS))
def test_grid_points(case, chain):
    """Ties and duplicates: those of the first step are exact, and later steps are about clear differences or means."""
    X, f = case
    if len(chain) > 1 and "nnm" in chain[1:]:
        return
    if fitting("mean", len(mixed(chain, X, f)), f):
        value = rc.Mean(f, mixing=mixings(chain, f))(X)
        assert np.allclose(value, mixed(chain, X, f).mean(axis=0), rtol=0, atol=1e-12)
        value = rc.Median(f, mixing=mixings(chain, f))(X)
        assert np.allclose(value, np.median(mixed(chain, X, f), axis=0), rtol=0, atol=1e-12)


# ---- scale -----------------------------------------------------------------------------------------------------


@every_chain
@pytest.mark.parametrize("exponent", [-1000, -560, -500, 500, 530, 900])
@pytest.mark.parametrize("name", ["mean", "median", "krum", "caf", "geometric_median"])
def test_a_power_of_two_scales_the_result(chain, exponent, name):
    X = with_attackers(11, 2)
    steps = mixings(chain, 1)
    scaled = [rc.Clipping(step.c * 2.0**exponent) if isinstance(step, rc.Clipping) else step for step in steps]
    expected = rule_of(name, 1, mixing=steps)(X)
    value = rule_of(name, 1, mixing=scaled)(np.ldexp(X, exponent))
    assert np.allclose(np.ldexp(value, -exponent), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("far", [1e30, 1e100, 1e160, 1e200, 1e300])
@pytest.mark.parametrize("attackers", [1, 2, 3])
def test_nearest_neighbours_are_found_among_attackers_of_any_size(far, attackers):
    """Fewer attackers than f: the honest choose among themselves, by distances, whatever is out there."""
    honest = gaussian(11 - attackers)
    X = np.vstack([far * np.eye(attackers, 5), honest])
    value = rc.Median(4, mixing=rc.NNM(4))(X)
    at_1e6 = np.vstack([1e6 * np.eye(attackers, 5), honest])
    rows = mixes.nnm(at_1e6, 4)[attackers:]
    assert ((rows.min(axis=0) - 1e-12 <= value) & (value <= rows.max(axis=0) + 1e-12)).all()
    krum = rc.Krum(4, mixing=rc.NNM(4))(X)
    assert np.abs(rows - krum).max(axis=1).min() <= 1e-12


@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_majority_of_equal_updates_hides_no_neighbours(dtype):
    X = np.zeros((8, 1), dtype)
    X[:2, 0] = [2, 1]
    assert np.allclose(rc.Median(mixing=rc.NNM(1))(X), 1 / 7)


@pytest.mark.parametrize("far", [1e3, 1e10, 1e30, 1e100, 1e200, 1e300])
@pytest.mark.parametrize("name", ["mean", "median", "krum", "multi_krum", "geometric_median", "centered_clip"])
def test_clipped_attackers_keep_their_direction(far, name):
    X = gaussian(9)
    X[:2] = far * np.array([[0.6, 0.8, 0, 0, 0], [0, 0, 0, 0, -1.0]])
    expected = rule_of(name, 2)(mixes.clipping(np.vstack([X[:2] / far * 100, X[2:]]), 1.0))
    assert np.allclose(rule_of(name, 2, mixing=rc.Clipping(c=1.0))(X), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("far", [1e10, 1e16, 1e20, 1e30])
def test_a_clipped_attacker_is_not_taken_for_a_vector_of_zeros(dtype, far):
    """Of n - f honest zeros the distances to the origin say nothing, and those of the attacker drown what is left."""
    X = np.zeros((5, 2), dtype)
    X[0, 0] = far
    r = rc.Krum(1, mixing=rc.Clipping(c=1.0)).aggregate(X)
    assert r.scores == pytest.approx([0.75, 0, 0, 0, 0])
    assert not r.value.any()


@pytest.mark.parametrize("name", ["monna", "medoid", "geometric_median", "centered_clip", "caf", "krum"])
def test_clipping_that_weights_hardly_express_moves_nobody_far(name):
    """From 1e280 to 1, among vectors of 1e-60: shares of 1e-280, and again 1e-60 of those."""
    X = gaussian(9) * 1e-60
    X[:2] = gaussian(2) * [[1e280], [1e39]]
    parameters = PARAMETERS[name] | ({"tau": 1e-60} if name == "centered_clip" else {})
    for chain in (rc.Clipping(1.0), [rc.Clipping(1e-20), rc.NNM(2)]):
        value = rc.RULES[name](f=2, mixing=chain, **parameters | ({"pivot": 8} if name == "monna" else {}))(X)
        assert np.abs(value).max() <= 1e-58


# ---- exactness -------------------------------------------------------------------------------------------------


@every_chain
@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64])
def test_equal_updates_stay_what_they_are_unless_clipped(dtype, chain):
    if "clipping" in " ".join(chain):
        return
    x = gaussian(1, 900)[0].astype(dtype)
    for name in ("mean", "median", "krum", "multi_krum", "geometric_median", "medoid", "caf", "monna"):
        assert same_bits(rule_of(name, 1, mixing=mixings(chain, 1))(np.tile(x, (13, 1))), x), name


@every_chain
@pytest.mark.parametrize("name", ["mean", "krum", "geometric_median", "median", "trimmed_mean", "bulyan"])
def test_same_bits_for_threads_isas_and_structures(name, chain, on_every_isa):
    X = with_attackers(25, 1, 8801).astype(F32)
    rule = rule_of(name, 1, mixing=mixings(chain, 1))
    here = rule(X)
    for threads in (2, 7):
        with rc.num_threads(threads):
            assert same_bits(rule(X), here)
    assert all(same_bits(other, here) for other in on_every_isa(lambda: rule(X)))
    layers = [{"a": x[:801].reshape(9, 89), "b": [x[801:802], x[802:]]} for x in np.asfortranarray(X)]
    value = rule(layers)
    assert same_bits(np.concatenate([value["a"].ravel(), *value["b"]]), here)


def test_order_matters():
    X = with_attackers(9, 2)
    first, then = rc.Clipping(c=0.5), rc.NNM(2)
    one, other = rc.Mean(mixing=[first, then])(X), rc.Mean(mixing=[then, first])(X)
    assert np.allclose(one, mixes.nnm(mixes.clipping(X, 0.5), 2).mean(axis=0), rtol=0, atol=1e-12)
    assert np.allclose(other, mixes.clipping(mixes.nnm(X, 2), 0.5).mean(axis=0), rtol=0, atol=1e-12)
    assert not np.allclose(one, other, atol=1e-3)


def test_mixings_that_change_nothing():
    X = gaussian(9)
    for mixing in (rc.Bucketing(s=1, rng=0), rc.Clipping(c=1e300), rc.ARC(f=0)):
        for name in ("krum", "geometric_median", "median", "caf"):
            assert np.allclose(rule_of(name, 1, mixing=mixing)(X), rule_of(name, 1)(X), rtol=0, atol=1e-14), mixing
    assert np.allclose(rc.median(X, mixing=rc.NNM(f=0)), X.mean(axis=0), rtol=0, atol=1e-14)
    assert np.allclose(rc.krum(X, 0, mixing=rc.Bucketing(s=9, rng=0)), X.mean(axis=0), rtol=0, atol=1e-14)


# ---- who counts ------------------------------------------------------------------------------------------------


@every_chain
@pytest.mark.parametrize("name", PARAMETERS)
def test_unusable_updates_are_left_out_and_count_against_f(name, chain):
    """Rows that are not finite, and one that is malformed: as if they had never been there, with f that much less."""
    X = with_attackers(29, 2)
    X[[5, 20]] = [[np.nan] * 5, [np.inf] * 5]
    updates = [X[i] if i != 9 else X[i, :3] for i in range(29)]
    rest = np.delete(X, [5, 9, 20], axis=0)
    rule, less = (rule_of(name, f, mixing=mixings(chain, f)) for f in (3, 0))
    try:
        rule.check(29)
    except rc.ConstraintError:
        return
    r, other = rule.aggregate(updates, malformed="drop"), less.aggregate(rest)
    assert same_bits(r.value, other.value)
    assert list(r.dropped) == [5, 9, 20]
    assert r.dropped[5] == r.dropped[20] == "not finite"
    clients = np.delete(np.arange(29), [5, 9, 20])
    assert not {5, 9, 20} & set(r.selected.tolist())
    if r.weights is not None:
        assert not r.weights[[5, 9, 20]].any()
        assert r.selected.tolist() == r.weights.nonzero()[0].tolist()
        assert r.weights.shape == (29,)
    if r.scores is not None:
        assert np.isnan(r.scores).nonzero()[0].tolist() == [5, 9, 20]
        if other.scores is not None:
            assert same_bits(r.scores[clients], other.scores)
    with pytest.raises(rc.ConstraintError, match="not finite"):
        rule_of(name, 2, mixing=mixings(chain, 2)).aggregate(updates, malformed="drop")


def test_scores_of_buckets_are_those_of_all_in_them():
    X = gaussian(7)
    X[4] = np.nan
    r = rc.Medoid(mixing=rc.Bucketing(s=2, rng=0)).aggregate(X)
    order = np.delete(np.arange(7), 4)[np.random.default_rng(0).permutation(6)]
    for a, b in order.reshape(3, 2):
        assert r.scores[a] == r.scores[b]
    assert len(set(r.scores[np.delete(np.arange(7), 4)])) == 3
    assert np.isnan(r.scores[4])
    assert sorted(r.selected.tolist()) in [sorted(pair) for pair in order.reshape(3, 2).tolist()]
    assert r.weights[r.selected].tolist() == [0.5, 0.5]


def test_a_seed_gives_the_same_buckets_and_a_generator_the_next_ones():
    X = gaussian(12)
    by_seed = rc.Median(mixing=rc.Bucketing(s=3, rng=7))
    assert same_bits(by_seed(X), by_seed(X))
    generator = rc.Median(mixing=rc.Bucketing(s=3, rng=np.random.default_rng(7)))
    values = [generator(X) for _ in range(6)]
    assert same_bits(values[0], by_seed(X))
    assert len({value.tobytes() for value in values}) > 1


def test_what_a_mixing_makes_of_a_bound():
    kappa = rc.Krum(2).guarantee(9)
    assert rc.Krum(2, mixing=rc.NNM(2)).guarantee(9) == pytest.approx(16 / 7 * (kappa + 1))
    assert rc.Krum(2, mixing=rc.ARC(2)).guarantee(9) == pytest.approx(kappa + 4 / 5)
    assert rc.Krum(2, mixing=[rc.NNM(2), rc.ARC(2)]).guarantee(9) == pytest.approx(16 / 7 * (kappa + 4 / 5 + 1))
    for unknown in (rc.NNM(1), rc.Clipping(1.0), rc.Bucketing(1, 0), [rc.NNM(2), rc.Clipping(1.0)]):
        assert rc.Krum(2, mixing=unknown).guarantee(9) is None
    assert rc.Meamed(2, mixing=rc.NNM(2)).guarantee(9) is None


def test_krum_scores_know_no_mixing():
    X = gaussian(9)
    r = rc.Krum(2, mixing=rc.NNM(2)).aggregate(X)
    assert np.allclose(r.scores, rc.krum_scores(mixes.nnm(X, 2), 2), rtol=1e-9)


# ---- by name, and what makes no sense --------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "mixing"), [
    ("nnm", rc.NNM(2)),
    ("nnm:f=1", rc.NNM(1)),
    ("arc", rc.ARC(2)),
    ("bucketing:s=2,rng=0", rc.Bucketing(s=2, rng=0)),
    ("bucketing: s = 2, rng = 0", rc.Bucketing(s=2, rng=0)),
    ("clipping:c=1.5", rc.Clipping(c=1.5)),
    ("clipping:c=1e-3", rc.Clipping(c=1e-3)),
    ("clipping:c=2", rc.Clipping(c=2)),
])  # fmt: skip
def test_mixings_by_name(text, mixing):
    assert make_mixing(text, 2) == mixing
    X = gaussian(11)
    for name in PARAMETERS:
        f = {"f": 2} if not name.startswith("b") else {"f": 1}
        if fitting(name, mixing.count(11), f["f"]):
            made = [make_mixing(text, f["f"])]
            by_name = rc.aggregate(X, name, mixing=text, **f, **PARAMETERS[name])
            assert by_name.rule == rule_of(name, f["f"], mixing=made), name
            assert same_bits(by_name.value, by_name.rule(X))


def test_chains_by_name():
    X = gaussian(11)
    r = rc.aggregate(X, "median", f=2, mixing=["clipping:c=1", rc.NNM(2)])
    assert r.rule == rc.Median(2, mixing=[rc.Clipping(1.0), rc.NNM(2)])


@pytest.mark.parametrize(("text", "message"), [
    ("nnn", "no mixing 'nnn'; there are arc, bucketing, clipping, nnm"),
    ("nnm:g=2", "nnm has no parameter 'g'; it has f"),
    ("bucketing:s=2", "bucketing needs rng"),
    ("nnm:f=two", "parameters are written name:key=number"),
    ("nnm:f", "parameters are written name:key=number"),
    ("nnm:f=1.5", "nnm: f must be a whole number"),
    ("clipping:c=-1", "clipping: c must be a finite number > 0"),
    ("bucketing:s=0,rng=0", "bucketing: s must be at least 1"),
])  # fmt: skip
def test_names_that_make_no_sense(text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make_mixing(text, 2)


def test_a_mixing_that_is_none():
    for mixing in (3, "nnm", [rc.NNM(1), "arc"], [rc.NNM]):
        with pytest.raises(TypeError, match="mixing must be a mixing such as"):
            rc.Median(mixing=mixing)


@pytest.mark.parametrize(("chain", "n", "message"), [
    ([rc.NNM(3)], 6, r"nnm needs n > 2f; here n = 6 and f = 3"),
    ([rc.ARC(3)], 6, r"arc needs n > 2f; here n = 6 and f = 3"),
    ([rc.Bucketing(s=2, rng=0)], 4, r"krum needs n > 2f; here n = 2 and f = 1"),
    ([rc.Bucketing(s=2, rng=0), rc.NNM(2)], 7, r"nnm needs n > 2f; here n = 4 and f = 2"),
])  # fmt: skip
def test_what_is_left_of_n_must_do(chain, n, message):
    with pytest.raises(rc.ConstraintError, match=message):
        rc.krum(gaussian(n), 1, mixing=chain)


def test_mixings_compare_by_their_parameters():
    for one, other in itertools.combinations([rc.NNM(1), rc.NNM(2), rc.ARC(1), rc.Clipping(1.0)], 2):
        assert one != other
    assert rc.Median(mixing=rc.NNM(1)) == rc.Median(mixing=[rc.NNM(1)])
    assert hash(rc.Median(mixing=rc.NNM(1))) == hash(rc.Median(mixing=(rc.NNM(1),)))
    assert repr(rc.Median(mixing=rc.NNM(f=1))) == "Median(mixing=NNM(f=1))"
