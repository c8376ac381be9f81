"""Where others define a rule as we do, the results agree; where docs/coming-from.md says otherwise, it shows.

byzfl, torchjd and byzpy are not installed in CI: without them their part is skipped.
"""

import sys
from importlib.util import find_spec, module_from_spec
from types import SimpleNamespace

import numpy as np
import pytest

import robustcore as rc
from robustcore import ConstraintError, attacks

if not any(map(find_spec, ("byzfl", "byzpy", "flwr", "torchjd"))):
    pytest.skip("no peer is installed", allow_module_level=True)

N, F, D = 13, 2, 6
DRAWS = range(5)
EXACT = {"rtol": 1e-12, "atol": 1e-12}  # both add up some 13 float64 numbers of size 1
SINGLE = {"rtol": 1e-4, "atol": 1e-5}  # byzfl turns tensors into float32 and takes distances in it


def updates(seed, n=N, d=D):
    return np.random.default_rng(seed).normal(size=(n, d))


def far_from_origin(n, f):
    """Float32 updates of spread 0.01 around 10000, the first f of spread 1."""
    rng = np.random.default_rng(1)
    spread = np.where(np.arange(n) < f, 1.0, 0.01)[:, None]
    return (1e4 + spread * rng.normal(size=(n, 2000))).astype(np.float32)


def row_of(X, value):
    return int(np.flatnonzero((np.asarray(value) == X).all(axis=1))[0])


# ---- byzfl -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def byzfl():
    """Its aggregators; its package imports torchvision and more, which they do not need, so a bare one stands in."""
    for needed in ("scipy", "torch"):
        pytest.importorskip(needed)
    spec = find_spec("byzfl")
    if spec is None:
        pytest.skip("byzfl is not installed")
    sys.modules.setdefault("byzfl", module_from_spec(spec))
    return pytest.importorskip("byzfl.aggregators")


@pytest.fixture(scope="module")
def byzfl_attacks(byzfl):
    return pytest.importorskip("byzfl.attacks.attacks")


@pytest.fixture(params=["numpy", "torch"])
def theirs(request, byzfl):
    """Call one of theirs on an array of its own, as a tensor or as it is; the answer as an array."""
    if request.param == "numpy":
        return lambda rule, X: rule(X.copy())
    torch = pytest.importorskip("torch")
    return lambda rule, X: rule(torch.tensor(X)).numpy()


def close(theirs_, ours):
    np.testing.assert_allclose(theirs_, ours, **(SINGLE if theirs_.dtype == np.float32 else EXACT))


SAME_RULES = {
    "Average": (lambda b: b.Average(), rc.Mean()),
    "Median": (lambda b: b.Median(), rc.Median()),
    "TrMean": (lambda b: b.TrMean(F), rc.TrimmedMean(F)),
    "Meamed": (lambda b: b.Meamed(F), rc.Meamed(F)),
    "Krum": (lambda b: b.Krum(F), rc.Krum(F)),
    "MultiKrum": (lambda b: b.MultiKrum(F), rc.MultiKrum(F)),
    "MDA": (lambda b: b.MDA(F), rc.MDA(F)),
    "MoNNA": (lambda b: b.MoNNA(F, idx=3), rc.MoNNA(F, pivot=3)),
    "CenteredClipping": (lambda b: b.CenteredClipping(tau=1.0), rc.CenteredClip(1.0)),
    "CenteredClipping, L=3": (lambda b: b.CenteredClipping(L=3, tau=1.0), rc.CenteredClip(1.0, iterations=3)),
}


@pytest.mark.parametrize("name", SAME_RULES)
@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("n", [N, N + 1])
def test_byzfl_rules_that_agree(name, seed, n, byzfl, theirs):
    make, ours = SAME_RULES[name]
    X = updates(seed, n)
    close(theirs(make(byzfl), X), ours(X))


@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("n", [N, N + 1])
@pytest.mark.parametrize(("nu", "smoothing"), [(1e-9, 0.0), (2.0, 2.0)])
def test_byzfl_geometric_median_agrees_after_many_steps(seed, n, nu, smoothing, byzfl):
    X = updates(seed, n)
    theirs, ours = byzfl.GeometricMedian(nu=nu, T=500)(X), rc.geometric_median(X, smoothing=smoothing)
    # Ours stops within 1e-12 of the smallest sum of distances: that leaves about its root to the place.
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    if not smoothing:
        least, found = (np.linalg.norm(X - point, axis=1).sum() for point in (theirs, ours))
        assert found <= least * (1 + 2e-12)


SAME_MIXINGS = {
    "NNM": (lambda b: b.NNM(F), rc.NNM(F)),
    "Clipping": (lambda b: b.Clipping(2.0), rc.Clipping(2.0)),
    "ARC": (lambda b: b.ARC(F), rc.ARC(F)),
}


@pytest.mark.parametrize("name", SAME_MIXINGS)
@pytest.mark.parametrize("seed", DRAWS)
def test_byzfl_mixings_that_agree(name, seed, byzfl, theirs):
    make, ours = SAME_MIXINGS[name]
    X = updates(seed)
    mixed = theirs(make(byzfl), X)
    close(theirs(byzfl.Median(), mixed), rc.Median(mixing=ours)(X))
    close(theirs(byzfl.TrMean(F), mixed), rc.TrimmedMean(F, mixing=ours)(X))
    if name != "NNM":  # whose vectors are often equal: any of the winners is right
        close(theirs(byzfl.Krum(F), mixed), rc.Krum(F, mixing=ours)(X))


@pytest.mark.parametrize("s", [1, 3, 4])
def test_byzfl_bucketing_agrees_when_both_draw_the_same_permutation(s, byzfl, monkeypatch):
    X = updates(0)
    monkeypatch.setattr(np.random, "permutation", np.random.default_rng(7).permutation)
    buckets = byzfl.Bucketing(s)(X)
    assert len(buckets) == rc.Bucketing(s, rng=7).count(N) == -(-N // s)
    close(byzfl.Median()(buckets), rc.Median(mixing=rc.Bucketing(s, rng=7))(X))


def test_byzfl_caf_agrees_in_one_dimension(byzfl):
    # Where one power step is exact. The first round almost removes two clients, the second ends the filter.
    X = np.array([[10, -9.8, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5]]).T
    ours = rc.caf(X, f=1)
    assert abs(ours - X.mean()) > 0.05
    np.testing.assert_allclose(byzfl.CAF(1)(X), ours, rtol=1e-12)


@pytest.mark.parametrize("seed", DRAWS)
def test_byzfl_smea_agrees_in_one_dimension(seed, byzfl):
    # Where one power step is exact.
    X = updates(seed, 9, 1)
    close(byzfl.SMEA(3)(X), rc.smea(X, 3))


def test_byzfl_smea_draws(byzfl):
    X = updates(1, 9, 3)
    found = {tuple(byzfl.SMEA(4)(X)) for _ in range(6)}
    assert len(found) > 1
    assert len({tuple(rc.smea(X, 4)) for _ in range(6)}) == 1


SAME_ATTACKS = {
    "SignFlipping": (lambda a: a.SignFlipping(), attacks.SignFlip(scale=1)),
    "InnerProductManipulation": (lambda a: a.InnerProductManipulation(2.0), attacks.InnerProductManipulation(2)),
    "ALittleIsEnough": (lambda a: a.ALittleIsEnough(1.5), attacks.ALittleIsEnough(z=-1.5 * (N / (N - 1)) ** 0.5)),
    "Mimic": (lambda a: a.Mimic(4), attacks.Mimic(client=4)),
    "Inf": (lambda a: a.Inf(), attacks.Infinite()),
}


@pytest.mark.parametrize("name", SAME_ATTACKS)
def test_byzfl_attacks_that_agree(name, byzfl_attacks, theirs):
    make, ours = SAME_ATTACKS[name]
    X = updates(0)
    sent = theirs(make(byzfl_attacks), X)
    assert sent.shape == (D,)
    tolerance = SINGLE if theirs(byzfl_attacks.SignFlipping(), X).dtype == np.float32 else EXACT  # Inf is always double
    np.testing.assert_allclose(sent, ours(X, f=1)[0], **tolerance)


def test_byzfl_geometric_median_is_the_mean_of_small_updates(byzfl):
    X = 1e-4 * updates(0)
    X[0] = 0.01
    np.testing.assert_allclose(byzfl.GeometricMedian()(X), X.mean(axis=0), rtol=1e-12)
    assert np.linalg.norm(rc.geometric_median(X)) < 0.5 * np.linalg.norm(X.mean(axis=0))


def test_byzfl_geometric_median_is_not_done_after_three_steps(byzfl):
    X = updates(0)
    X[:6] += 100
    three, ours = byzfl.GeometricMedian(nu=1e-9)(X), rc.geometric_median(X)
    assert np.linalg.norm(three - ours) > 0.5


def test_byzfl_krum_returns_a_row_of_nan(byzfl, theirs):
    X = updates(0)
    X[4] = np.nan
    assert np.isnan(theirs(byzfl.Krum(F), X)).all()
    assert np.isfinite(rc.krum(X, F)).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [("Median", np.nan), ("GeometricMedian", np.nan), ("CenteredClipping", np.nan), ("CenteredClipping", np.inf)],
)
@np.errstate(invalid="ignore")
def test_byzfl_spreads_nan(name, bad, byzfl, theirs):
    X = updates(0)
    X[4] = bad
    assert np.isnan(theirs(getattr(byzfl, name)(), X)).all()


@pytest.mark.parametrize("name", ["Meamed", "NNM"])
def test_byzfl_may_take_nan_for_a_neighbour(name, byzfl, theirs):
    X, found = updates(0), set()
    for i in range(N):
        Z = X.copy()
        Z[i] = np.nan
        found.add(bool(np.isnan(theirs(getattr(byzfl, name)(F), Z)).any()))
    assert True in found
    assert np.isfinite(rc.meamed(Z, F)).all() and np.isfinite(rc.median(Z, mixing=rc.NNM(F))).all()


def test_byzfl_trimmed_mean_counts_nan_as_the_largest_value(byzfl, theirs):
    X = updates(0)
    X[4] = np.nan
    largest = np.where(np.isnan(X), 1e9, X)
    close(theirs(byzfl.TrMean(F), X), rc.trimmed_mean(largest, F))
    np.testing.assert_array_equal(rc.trimmed_mean(X, F), rc.trimmed_mean(np.delete(X, 4, axis=0), F - 1))


def test_byzfl_monna_trusts_a_pivot_of_nan(byzfl):
    X = updates(0)
    X[0] = np.nan
    byzfl.MoNNA(F)(X)  # no error
    with pytest.raises(ConstraintError, match="the pivot"):
        rc.monna(X, F)


def test_byzfl_centered_clipping_remembers_its_center(byzfl):
    X, rule = updates(0), byzfl.CenteredClipping(tau=0.5)
    first, second = rule(X), rule(X)
    close(first, rc.centered_clip(X, tau=0.5))
    close(second, rc.centered_clip(X, tau=0.5, center=first))
    assert not np.allclose(first, second)


def test_byzfl_centered_clipping_stays_nan(byzfl):
    rule = byzfl.CenteredClipping()
    rule(np.array([[0.5], [np.nan], [1.0]]))
    assert np.isnan(rule(np.array([[0.5], [1.0], [2.0]]))).all()


def test_byzfl_centered_clipping_takes_no_center(byzfl):
    with pytest.raises(TypeError, match="m must be"):
        byzfl.CenteredClipping(m=np.zeros(D))


@pytest.mark.parametrize("name", ["Clipping", "ARC"])
def test_byzfl_clipping_changes_the_input(name, byzfl):
    X = updates(0)
    before = X.copy()
    SAME_MIXINGS[name][0](byzfl)(X)
    assert not np.array_equal(X, before)
    X = before.copy()
    rc.Median(mixing=SAME_MIXINGS[name][1])(X)
    np.testing.assert_array_equal(X, before)


def test_byzfl_caf_without_byzantine_clients_is_none(byzfl):
    X = updates(0)
    assert byzfl.CAF(0)(X) is None
    close(rc.caf(X, f=0), X.mean(axis=0))


def test_byzfl_caf_measures_by_clients_it_has_removed(byzfl):
    # The first round removes the outlier, which stays the measure: the others lose little from then on.
    X = np.array([[100.0], [1.0], [2.0], [3.0], [4.0], [5.0], [6.0]])
    ours = rc.caf(X, f=1)
    assert ours == pytest.approx(3.5121, abs=1e-4)  # the mean of the second round
    assert byzfl.CAF(1)(X) == pytest.approx(3.5145, abs=1e-4)  # of a later one


def test_byzfl_caf_does_not_end_once_it_has_removed_someone_very_far(byzfl, monkeypatch):
    X = updates(0)
    X[0] = 1e30
    rounds = iter(range(500))
    monkeypatch.setattr(np.random, "randn", lambda d: np.full(d, 1.0 + next(rounds)))
    with pytest.raises(StopIteration):
        byzfl.CAF(F)(X)
    assert np.linalg.norm(rc.caf(X, F)) < 10


def test_byzfl_caf_draws(byzfl):
    X = updates(1, 8, 3)
    X[0] = 1e3
    found = {tuple(byzfl.CAF(2)(X)) for _ in range(4)}
    assert len(found) > 1
    assert len({tuple(rc.caf(X, 2)) for _ in range(4)}) == 1


def test_byzfl_tensors_become_single_precision(byzfl):
    torch = pytest.importorskip("torch")
    X = torch.tensor(updates(0))
    assert byzfl.Average()(X).dtype == torch.float32
    assert rc.mean(X).dtype == torch.float64


def test_byzfl_tensors_elect_the_attacker_far_from_the_origin(byzfl):
    torch = pytest.importorskip("torch")
    n, f = 30, 7
    X = far_from_origin(n, f)
    assert row_of(X, byzfl.Krum(f)(torch.tensor(X))) < f
    assert row_of(X, byzfl.Krum(f)(X)) >= f  # float64 differences, as long as it is no tensor
    assert row_of(X, rc.krum(X, f)) >= f


def test_byzfl_ties_depend_on_the_order_of_clients(byzfl, theirs):
    X = np.array([[0.0], [1.0], [2.0]])
    assert theirs(byzfl.Meamed(1), X) != theirs(byzfl.Meamed(1), X[::-1].copy())
    assert rc.meamed(X, 1) == rc.meamed(X[::-1].copy(), 1) == 0.5


def test_byzfl_attack_defaults(byzfl_attacks):
    X = updates(0)
    close(byzfl_attacks.ALittleIsEnough()(X), X.mean(axis=0) + 1.5 * X.std(axis=0, ddof=1))
    close(byzfl_attacks.InnerProductManipulation()(X), -2 * X.mean(axis=0))
    close(byzfl_attacks.SignFlipping()(X), -X.mean(axis=0))
    close(byzfl_attacks.Mimic()(X), X[0])
    assert byzfl_attacks.Inf()(X.astype(np.float32)).dtype == np.float64
    assert attacks.Infinite()(X.astype(np.float32), 1).dtype == np.float32


# ---- flwr ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flwr():
    """Its strategies: those of messages, and the functions behind the older ones."""
    return SimpleNamespace(
        app=pytest.importorskip("flwr.app"),
        new=pytest.importorskip("flwr.serverapp.strategy"),
        old=pytest.importorskip("flwr.server.strategy.aggregate"),
    )


def replies(flwr, X, counts=None):
    """What a strategy reads of messages."""
    counts = [1] * len(X) if counts is None else counts
    contents = (
        flwr.app.RecordDict(
            {"arrays": flwr.app.ArrayRecord([x]), "metrics": flwr.app.MetricRecord({"num-examples": count})}
        )
        for x, count in zip(X, counts, strict=True)
    )
    return [SimpleNamespace(content=content, has_error=lambda: False) for content in contents]


def train(flwr, strategy, X, counts=None):
    """What a strategy makes of the rows of X, sent with these counts of examples."""
    arrays, _ = strategy.aggregate_train(1, replies(flwr, X, counts))
    return None if arrays is None else arrays.to_numpy_ndarrays()[0]


def results(X, counts=None):
    """The rows of X as the older strategies take them."""
    return [([x], count) for x, count in zip(X, [1] * len(X) if counts is None else counts, strict=True)]


@pytest.mark.parametrize("seed", DRAWS)
def test_flwr_rules_that_agree(seed, flwr):
    X = updates(seed)
    krum, multi_krum = rc.krum(X, F, neighbors="classic"), rc.multi_krum(X, F, 5, neighbors="classic")
    close(train(flwr, flwr.new.Krum(num_malicious_nodes=F), X), krum)
    close(flwr.old.aggregate_krum(results(X), F, 0)[0], krum)
    close(train(flwr, flwr.new.MultiKrum(num_malicious_nodes=F, num_nodes_to_select=5), X), multi_krum)
    close(flwr.old.aggregate_krum(results(X), F, 5)[0], multi_krum)
    close(train(flwr, flwr.new.FedAvg(), X), rc.mean(X))
    for Y in (X, X[:-1]):
        close(train(flwr, flwr.new.FedMedian(), Y), rc.median(Y))
        close(flwr.old.aggregate_median(results(Y))[0], rc.median(Y))
    close(train(flwr, flwr.new.FedTrimmedAvg(beta=0.2), X), rc.trimmed_mean(X, int(0.2 * N)))
    close(flwr.old.aggregate_trimmed_avg(results(X), 0.2)[0], rc.trimmed_mean(X, int(0.2 * N)))


@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize(("n", "f"), [(5, 0), (7, 1), (9, 1), (11, 2), (13, 2), (15, 3)])
def test_flwr_older_bulyan_agrees(seed, n, f, flwr):
    X = updates(seed, n)
    close(flwr.old.aggregate_bulyan(results(X), f, flwr.old.aggregate_krum, to_keep=0)[0], rc.bulyan(X, f))


@pytest.mark.parametrize("seed", [0, 1])
def test_flwr_newer_bulyan_chooses_all_at_once(seed, flwr):
    X = updates(seed)
    chosen = rc.MultiKrum(F, N - 2 * F, neighbors="classic").aggregate(X).selected
    theirs = train(flwr, flwr.new.Bulyan(num_malicious_nodes=F), X)
    close(theirs, rc.meamed(X[chosen], 2 * F))
    assert not np.allclose(theirs, rc.bulyan(X, F))


def test_flwr_older_bulyan_needs_to_keep_and_empties_its_input(flwr):
    X = updates(0)
    with pytest.raises(TypeError, match="to_keep"):
        flwr.old.aggregate_bulyan(results(X), F, flwr.old.aggregate_krum)
    given = results(X)
    flwr.old.aggregate_bulyan(given, F, flwr.old.aggregate_krum, to_keep=0)
    assert len(given) == 2 * F


def test_flwr_newer_bulyan_with_too_few_is_none(flwr):
    assert train(flwr, flwr.new.Bulyan(num_malicious_nodes=3), updates(0)) is None
    with pytest.raises(ConstraintError):
        rc.bulyan(updates(0), 3)


def test_flwr_accepts_any_f(flwr):
    X = updates(0)
    assert row_of(X, train(flwr, flwr.new.Krum(num_malicious_nodes=100), X)) >= 0
    assert row_of(X, flwr.old.aggregate_krum(results(X), 100, 0)[0]) >= 0
    with pytest.raises(ConstraintError):
        rc.krum(X, 100)


def test_flwr_older_krum_returns_a_row_of_nan(flwr):
    X = updates(0)
    X[4] = np.nan
    assert np.isnan(flwr.old.aggregate_krum(results(X), F, 0)[0]).all()
    assert np.isfinite(train(flwr, flwr.new.Krum(num_malicious_nodes=F), X)).all()
    assert np.isfinite(rc.krum(X, F, neighbors="classic")).all()


def test_flwr_median_spreads_nan(flwr):
    X = updates(0)
    X[4] = np.nan
    assert np.isnan(train(flwr, flwr.new.FedMedian(), X)).all()
    assert np.isnan(flwr.old.aggregate_median(results(X))[0]).all()


@pytest.mark.parametrize(("f", "n"), [(15, 44), (3, 47), (1, 49)])
def test_flwr_trims_one_less_where_the_product_rounds_down(f, n, flwr):
    X = updates(0, n)
    theirs = train(flwr, flwr.new.FedTrimmedAvg(beta=f / n), X)
    close(theirs, rc.trimmed_mean(X, f - 1))
    close(flwr.old.aggregate_trimmed_avg(results(X), f / n)[0], theirs)


def test_flwr_weighs_by_the_count_that_a_client_reports(flwr):
    X, counts = updates(0), [1] * N
    chosen = rc.MultiKrum(F, 5, neighbors="classic").aggregate(X).selected
    counts[chosen[0]] = 10**12
    strategy = flwr.new.MultiKrum(num_malicious_nodes=F, num_nodes_to_select=5)
    np.testing.assert_allclose(train(flwr, strategy, X, counts), X[chosen[0]], rtol=1e-9)
    np.testing.assert_allclose(flwr.old.aggregate_krum(results(X, counts), F, 5)[0], X[chosen[0]], rtol=1e-9)
    for same in (flwr.new.FedMedian(), flwr.new.FedTrimmedAvg(), flwr.new.Bulyan(num_malicious_nodes=F)):
        np.testing.assert_array_equal(train(flwr, same, X, counts), train(flwr, same, X))


@pytest.mark.parametrize(("n", "f"), [(8, 2), (30, 7)])
def test_flwr_newer_krum_elects_the_attacker_far_from_the_origin(n, f, flwr):
    X = far_from_origin(n, f)
    assert row_of(X, train(flwr, flwr.new.Krum(num_malicious_nodes=f), X)) < f
    assert row_of(X, flwr.old.aggregate_krum(results(X), f, 0)[0]) >= f
    assert row_of(X, rc.krum(X, f, neighbors="classic")) >= f


def test_flwr_ends_on_one_malformed_reply(flwr):
    X = list(updates(0))
    X[4] = X[4][:-1]
    with pytest.raises(ValueError, match="same shape"):
        train(flwr, flwr.new.FedMedian(), X)
    assert list(rc.Median().aggregate(X, malformed="drop").dropped) == [4]
    sent = replies(flwr, updates(0))
    sent[4].content["arrays"] = flwr.app.ArrayRecord({"x": flwr.app.Array(updates(0)[4])})
    with pytest.raises(Exception, match="same keys"):
        flwr.new.FedMedian().aggregate_train(1, sent)


def test_flwr_changes_dtypes(flwr):
    X = updates(0).astype(np.float32)
    mixed = [*X[:-1], X[-1].astype(np.float64)]
    assert train(flwr, flwr.new.FedMedian(), mixed).dtype == np.float64
    counters = np.arange(N, dtype=np.int64)[:, None]
    for strategy in (flwr.new.FedAvg(), flwr.new.FedMedian(), flwr.new.FedTrimmedAvg()):
        assert train(flwr, strategy, counters).dtype == np.float64


# ---- TorchJD ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torchjd():
    """Call one of its aggregators on an array."""
    pytest.importorskip("torch")
    aggregation = pytest.importorskip("torchjd.aggregation")
    torch = sys.modules["torch"]
    return lambda name, X, *options: getattr(aggregation, name)(*options)(torch.tensor(X)).numpy()


@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("n", [N, N + 1])
def test_torchjd_trimmed_mean_agrees(seed, n, torchjd):
    X = updates(seed, n)
    close(torchjd("TrimmedMean", X, F), rc.trimmed_mean(X, F))


def test_torchjd_krum_does_not_square(torchjd):
    others = 0
    for seed in range(40):
        X = updates(seed)
        distances = np.sqrt(rc.pairwise_sqdist(X))
        scores = np.sort(distances, axis=1)[:, 1 : N - F - 1].sum(axis=1)  # the n - f - 2 nearest others
        theirs = row_of(X, torchjd("Krum", X, F))
        assert theirs == scores.argmin()
        close(torchjd("Krum", X, F, 5), X[np.argsort(scores)[:5]].mean(axis=0))
        others += theirs != row_of(X, rc.krum(X, F, neighbors="classic"))
    assert 0 < others < 20


def test_torchjd_returns_nan(torchjd):
    X = updates(0)
    X[4] = np.nan
    assert np.isnan(torchjd("Krum", X, F)).all()
    assert np.isfinite(torchjd("TrimmedMean", X, F)).all()  # sorts it last


def test_torchjd_takes_an_f_of_half_or_more(torchjd):
    assert torchjd("Krum", updates(0, 11), 8).shape == (D,)
    with pytest.raises(ConstraintError):
        rc.krum(updates(0, 11), 8, neighbors="classic")


@pytest.mark.parametrize(("n", "f"), [(11, 2), (30, 7)])
def test_torchjd_and_byzpy_elect_the_attacker_far_from_the_origin(n, f, torchjd, byzpy):
    X = far_from_origin(n, f)
    assert row_of(X, torchjd("Krum", X, f)) < f
    assert row_of(X, byzpy("geometric_wise.Krum", X, f)) < f
    assert row_of(X, rc.krum(X, f)) >= f


# ---- byzpy -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def byzpy():
    """Call one of its aggregators on the rows of an array, as tensors, after one of its pre-aggregators."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("byzpy")

    def call(name, X, *options, mixing=None, **more):
        room, _, name = name.rpartition(".")
        rows = [torch.tensor(x) for x in X]
        if mixing is not None:
            kind, *its = mixing
            rows = getattr(pytest.importorskip("byzpy.pre_aggregators"), kind)(*its).pre_aggregate(rows)
        return getattr(pytest.importorskip(f"byzpy.aggregators.{room}"), name)(*options, **more).aggregate(rows).numpy()

    return call


@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("n", [N, N + 1])
def test_byzpy_rules_that_agree(seed, n, byzpy):
    X = updates(seed, n)
    close(byzpy("geometric_wise.Krum", X, F), rc.krum(X, F))
    close(byzpy("geometric_wise.MultiKrum", X, F, 5), rc.multi_krum(X, F, 5))
    close(byzpy("geometric_wise.MinimumDiameterAveraging", X, F), rc.mda(X, F))
    close(byzpy("geometric_wise.MoNNA", X, F, reference_index=3), rc.monna(X, F, pivot=3))
    close(byzpy("geometric_wise.SMEA", X, F), rc.smea(X, F))
    close(byzpy("coordinate_wise.CoordinateWiseTrimmedMean", X, F), rc.trimmed_mean(X, F))
    clipped = byzpy("norm_wise.CenteredClipping", X, c_tau=1.0, M=3, init="zero")
    close(clipped, rc.centered_clip(X, 1.0, iterations=3))
    started = byzpy("norm_wise.CenteredClipping", X, c_tau=1.0, M=1)  # from the mean
    close(started, rc.centered_clip(X, 1.0, center=X.mean(axis=0)))
    median = byzpy("geometric_wise.GeometricMedian", X, tol=1e-12, max_iter=5000)
    np.testing.assert_allclose(median, rc.geometric_median(X), atol=1e-5)  # as for byzfl's
    for theirs, ours in (("NearestNeighborMixing", rc.NNM(F)), ("ARC", rc.ARC(F))):
        mixed = byzpy("coordinate_wise.CoordinateWiseTrimmedMean", X, F, mixing=(theirs, F))
        close(mixed, rc.trimmed_mean(X, F, mixing=ours))
    mixed = byzpy("coordinate_wise.CoordinateWiseTrimmedMean", X, F, mixing=("Clipping", 2.0))
    close(mixed, rc.trimmed_mean(X, F, mixing=rc.Clipping(2.0)))


@pytest.mark.parametrize("seed", DRAWS)
def test_byzpy_takes_the_lower_of_the_middle_two(seed, byzpy):
    X = updates(seed)
    close(byzpy("coordinate_wise.CoordinateWiseMedian", X), rc.median(X))
    close(byzpy("coordinate_wise.MeanOfMedians", X, F), rc.meamed(X, F))
    X = updates(seed, N + 1)
    close(byzpy("coordinate_wise.CoordinateWiseMedian", X), np.sort(X, axis=0)[N // 2])
    assert not np.allclose(byzpy("coordinate_wise.CoordinateWiseMedian", X), rc.median(X))
    order = np.argsort(np.abs(X - np.sort(X, axis=0)[N // 2]), axis=0)
    nearest = np.take_along_axis(X, order[: N + 1 - F], axis=0).mean(axis=0)
    close(byzpy("coordinate_wise.MeanOfMedians", X, F), nearest)


def test_byzpy_geometric_median_stops_at_once_on_small_updates(byzpy):
    X = 1e-8 * updates(0)  # its steps are measured against 1e-6, whatever the unit
    theirs, ours = byzpy("geometric_wise.GeometricMedian", X), rc.geometric_median(X)
    once = byzpy("geometric_wise.GeometricMedian", X, max_iter=1)
    close(theirs / 1e-8, once / 1e-8)
    assert np.linalg.norm(theirs - ours) > 1e-2 * np.linalg.norm(ours)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("geometric_wise.MinimumDiameterAveraging", (F,)),
        ("geometric_wise.GeometricMedian", ()),
        ("coordinate_wise.CoordinateWiseMedian", ()),
        ("coordinate_wise.MeanOfMedians", (F,)),
    ],
)
def test_byzpy_returns_nan(name, options, byzpy):
    X = updates(0)
    X[4] = np.nan
    assert np.isnan(byzpy(name, X, *options)).any()
    X[4] = np.inf
    assert not np.isfinite(byzpy("geometric_wise.MinimumDiameterAveraging", X, F)).all()
    assert np.isfinite(byzpy("geometric_wise.Krum", X, F)).all()


def test_byzpy_takes_an_f_of_half_or_more(byzpy):
    assert byzpy("geometric_wise.Krum", updates(0), 8).shape == (D,)
    assert byzpy("geometric_wise.MinimumDiameterAveraging", updates(0), 9).shape == (D,)
