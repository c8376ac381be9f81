"""Section V: the mixture, which true centres count as found, the baselines, and the page with what was measured."""

import itertools
import math
import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")
pytest.importorskip("scipy")

from sklearn.cluster import KMeans

from robustcore import ConstraintError
from robustcore.clustering import KMedians, Local, assign, bernoulli, fractional_repetition, points
from robustcore.clustering import experiment as lab
from robustcore.clustering import mixture as known
from robustcore.clustering import table as section_v_table

PAGE = Path(__file__).parents[2] / "docs" / "clustering.md"
S1 = Path(__file__).parents[3] / "shared" / "data" / "s1" / "s1.txt"


# ---- the mixture -----------------------------------------------------------------------------------------------


@given(n=st.integers(1, 300), k=st.integers(1, 8), d=st.integers(2, 5), seed=st.integers(0, 99))
def test_mixtures_are_what_they_say(n, k, d, seed):
    n += k
    X, centers, labels = known.gaussians(n, k, d, extent=10.0, rng=seed)
    assert X.shape == (n, d) and centers.shape == (k, d)
    assert (np.diff(labels) >= 0).all() and (np.bincount(labels, minlength=k) > 0).all()
    for a, b in itertools.combinations(centers, 2):
        assert np.linalg.norm(a - b) >= 10 * known.APART
    assert np.linalg.norm(X - centers[labels], axis=1).max() < 10 * known.WIDEST[1] * (math.sqrt(d) + 5)
    assert np.array_equal(X, known.gaussians(n, k, d, extent=10.0, rng=seed)[0])


def test_the_mixture_has_the_shape_of_s1():
    """15 clusters of 300 to 360 points that overlap slightly, about a million wide."""
    X, truth, labels = known.gaussians()
    sizes = np.bincount(labels)
    assert len(X) == 5000 and len(sizes) == 15 and sizes.min() >= 300 and sizes.max() <= 360
    assert 0.8e6 < known.extent_of(X) < 1.1e6
    mistaken = (assign(X, truth)[0] != labels).mean()
    assert 0.001 < mistaken < 0.02


@pytest.mark.skipif(not S1.exists(), reason="S1 is not here")
def test_s1_is_near():
    """Of S1 and of the mixture, k-means finds clusters that are as large and as wide."""
    shapes = []
    for X in (points.load(S1), known.gaussians()[0]):
        assert X.shape == (5000, 2)
        found = KMeans(15, n_init=10, random_state=0).fit(X)
        shapes.append((math.sqrt(found.inertia_ / 5000) / known.extent_of(X), np.bincount(found.labels_).min()))
    assert shapes[0] == pytest.approx(shapes[1], rel=0.1)


@pytest.mark.parametrize("wrong", [{"k": 40}, {"n": 3, "k": 4}, {"k": 0}, {"d": 0}, {"extent": 0.0}, {"k": 9, "d": 1}])
def test_mixtures_that_there_are_not(wrong):
    with pytest.raises(ValueError, match="gaussians"):
        known.gaussians(**({"n": 100} | wrong))


# ---- what counts as found --------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_as_many_are_found_as_can_be(seed, k, q):
    rng = np.random.default_rng(seed)
    centers, truth = rng.integers(0, 6, (k, 1)).astype(float), rng.integers(0, 6, (q, 1)).astype(float)
    found = known.match(centers, truth, extent=10.0, near=0.1)
    close = np.abs(centers - truth.T) <= 1.0
    most = max(
        sum(bool(close[i, j]) for i, j in zip(chosen, places, strict=True))
        for size in [min(k, q)]
        for chosen in itertools.combinations(range(k), size)
        for places in itertools.permutations(range(q), size)
    )
    assert found.shape == (q,) and found.sum() == most
    assert close.any(axis=0)[found].all()


def test_one_centre_finds_one():
    two = np.array([[0.0, 0.0], [0.1, 0.0]])
    assert known.match(two[:1], two, extent=100.0).sum() == 1
    assert known.match(two, two, extent=100.0).sum() == 2
    assert known.match(np.full((2, 2), np.nan), two, extent=100.0).sum() == 0
    assert known.match(np.full((2, 2), np.inf), two, extent=100.0).sum() == 0
    assert known.match(two - (5.0, 0.0), two, extent=100.0).sum() == 2
    assert known.match(two + 5.2, two, extent=100.0).sum() == 0


# ---- the ways to cluster ---------------------------------------------------------------------------------------


def data(n=400, k=4):
    X, truth, _ = known.gaussians(n, k)
    return X, truth


def by_name(comparison):
    return {solution.name: solution for solution in comparison.solutions}


@pytest.mark.parametrize("method", lab.METHODS)
def test_costs_are_those_of_the_centres(method):
    X, _ = data()
    made = lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, method=method)
    power = lab.METHODS[method][2]
    assert list(by_name(made)) == [lab.CENTRALISED, lab.NO_REDUNDANCY, lab.IN_ORDER, lab.PLAIN_AVERAGE, "ours"]
    for solution in made.solutions:
        assert solution.centers.shape == (4, 2)
        assert solution.cost == pytest.approx((assign(X, solution.centers)[1] ** power).sum())
        assert made.relative(solution) == pytest.approx(solution.cost / by_name(made)[lab.CENTRALISED].cost)
    assert len(made.byzantine) == 1 and (made.n, made.d, made.k, made.m, made.t) == (400, 2, 4, 6, 1)
    model = by_name(made)["ours"].model
    assert model.byzantine_.tolist() == list(made.byzantine) and model.factor_ is not None


def test_the_plain_average_is_moved_and_ours_is_not():
    X, truth = data()
    made = by_name(lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, attacks=("shift",)))
    extent = known.extent_of(X)
    moved = (
        made[lab.PLAIN_AVERAGE].centers
        - made[lab.CENTRALISED].centers[
            np.linalg.norm(
                made[lab.PLAIN_AVERAGE].centers[:, None] - made[lab.CENTRALISED].centers[None], axis=2
            ).argmin(1)
        ]
    )
    # One of six machines is a quarter of a diagonal away.
    diagonal = np.linalg.norm(np.ptp(X, axis=0))
    assert np.linalg.norm(moved, axis=1) == pytest.approx(np.full(4, diagonal / 24), rel=0.1)
    assert known.match(made["ours"].centers, truth, extent).all()


@pytest.mark.parametrize("attack", ["nan", "silent", "malformed"])
def test_what_is_no_answer_ruins_at_most_the_average(attack):
    X, truth = data()
    made = lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, attacks=(attack,))
    named = by_name(made)
    assert math.isinf(named[lab.PLAIN_AVERAGE].cost) == (attack == "nan")
    assert math.isinf(made.relative(named[lab.PLAIN_AVERAGE])) == (attack == "nan")
    assert known.match(named["ours"].centers, truth, made.extent).all()
    assert set(named["ours"].model.malformed_) == set(made.byzantine)


def test_without_byzantine_machines_all_are_near():
    X, truth = data()
    made = lab.compare(X, 4, {"ours": fractional_repetition(5, 400, 1)}, t=0)
    assert made.byzantine == () and all(known.match(s.centers, truth, made.extent).all() for s in made.solutions)
    assert all(made.relative(solution) < 1.05 for solution in made.solutions)


def test_who_is_lost_with_whole_clusters():
    """Consecutive points at each machine: clusters 0 and 1 are at machines 0 and 1 of four, which lie."""
    X = np.repeat(np.arange(4.0)[:, None] * 100, 50, axis=0) + np.tile(np.arange(50.0)[:, None] / 50, (4, 1))
    truth = np.arange(4.0)[:, None] * 100 + 0.5
    made = lab.compare(X, 4, {"ours": fractional_repetition(4, 200, 3)}, t=2, byzantine=[1, 0])
    named = by_name(made)
    assert known.match(named[lab.IN_ORDER].centers, truth, made.extent).tolist() == [False, False, True, True]
    assert known.match(named[lab.NO_REDUNDANCY].centers, truth, made.extent).all()
    assert known.match(named["ours"].centers, truth, made.extent).all()
    assert made.byzantine == (0, 1)


def test_machines_work_once_for_all_attacks():
    asked = []

    class Counted(Local):
        def solve(self, tasks):
            asked.append(len(tasks))
            return super().solve(tasks)

    X, _ = data()
    made = lab.compare(
        X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, attacks=section_v_table.ATTACKED, engine=Counted()
    )
    assert asked == [6, 6, 6]  # two partitions, and ours
    alone = lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, attacks=["shift"])
    ours = [s for s in made.solutions if s.attack == "shift"]
    assert [s.name for s in ours] == [lab.PLAIN_AVERAGE, "ours"]
    for one, other in zip(ours, alone.solutions[3:], strict=True):
        assert np.array_equal(one.centers, other.centers)


@pytest.mark.parametrize("method", lab.METHODS)
def test_the_same_seed_gives_the_same(method):
    X, _ = data(4000)
    matrices = {"ours": bernoulli(6, 4000, 0.6, 1)}
    one, again = (lab.compare(X, 4, matrices, t=1, seed=3, method=method) for _ in range(2))
    other = lab.compare(X, 4, matrices, t=1, seed=4, method=method)
    assert all(np.array_equal(a.centers, b.centers) for a, b in zip(one.solutions, again.solutions, strict=True))
    assert not np.array_equal(one.solutions[1].centers, other.solutions[1].centers)


def test_progress_goes_from_nothing_to_everything():
    X, _ = data()
    shares = []
    lab.compare(
        X, 4, {"a": fractional_repetition(6, 400, 3), "b": bernoulli(6, 400, 0.5, 0)}, t=1, progress=shares.append
    )
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0) and shares[0] == 0.0 and len(shares) > 24
    shares.clear()
    section_v_table.section_v(X, data()[1], seeds=2, progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.float16])
def test_points_of_other_kinds(dtype):
    X = (known.gaussians(200, 3, extent=100.0)[0]).astype(dtype)
    made = lab.compare(X, 3, {"ours": fractional_repetition(5, 200, 3)}, t=1)
    assert made.relative(made.solutions[-1]) < 1.1


@pytest.mark.parametrize("method", lab.METHODS)
def test_all_points_equal(method):
    made = lab.compare(np.ones((20, 2)), 3, {"ours": fractional_repetition(5, 20, 3)}, t=1, method=method)
    assert by_name(made)["ours"].cost == 0 and made.relative(by_name(made)["ours"]) == 1
    assert math.isinf(made.relative(by_name(made)[lab.PLAIN_AVERAGE])) or by_name(made)[lab.PLAIN_AVERAGE].cost == 0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scales_without_squares(scale):
    X, truth = data()
    X, truth = X / 1e6 * scale, truth / 1e6 * scale
    with pytest.raises(ValueError, match="another scale, or no baselines"):
        lab.run(X, 4, t=1, m=6)
    [ours] = lab.run(X, 4, t=1, m=6, baselines=False).solutions
    assert known.match(ours.centers, truth, known.extent_of(X)).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"method": "k-modes"}, "no method 'k-modes'; there are k-medians, k-means"),
        ({"attacks": ["lie"]}, "no attack 'lie'"),
        ({"k": 0}, "k must be from 1 to n; here n = 400 and k = 0"),
        ({"k": 401}, "k must be from 1 to n"),
        ({"t": 6}, "m > t; here m = 6 and t = 6"),
        ({"byzantine": 7}, "of 6 machines, 7 cannot be"),
        ({"byzantine": [0, 6]}, "different numbers from 0 to 5"),
        ({"byzantine": [1, 1]}, "different numbers from 0 to 5"),
        ({"assignments": {}}, "needs an assignment"),
        ({"assignments": {"a": fractional_repetition(6, 400, 3), "b": fractional_repetition(5, 400, 3)}}, "as many"),
        ({"assignments": {"a": fractional_repetition(6, 401, 3)}}, "401 points"),
    ],
)
def test_what_cannot_be_compared(wrong, says):
    X, _ = data()
    arguments = {"k": 4, "assignments": {"ours": fractional_repetition(6, 400, 3)}, "t": 1, "baselines": False} | wrong
    with pytest.raises(ValueError, match=says):
        lab.compare(X, **arguments)


def test_more_that_lie_than_are_withstood():
    """A machine more than t is no error, and no guarantee; more than t that send nothing are."""
    X, _ = data()
    made = lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, byzantine=2)
    assert by_name(made)["ours"].model.factor_ is None
    with pytest.raises(ConstraintError, match="more than t = 1"):
        lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1, byzantine=2, attacks=["silent"])


# ---- matrices by a few words -----------------------------------------------------------------------------------


def test_matrices_by_a_few_words():
    made = lab.assignments(10, 100, 3)
    assert [a.weights.tolist() for a in made.values()] == [[7] * 100]
    assert next(iter(lab.assignments(5, 100, 3).values())).weights.tolist() == [5] * 100
    assert next(iter(lab.assignments(10, 100, 0).values())).weights.tolist() == [1] * 100
    assert [a.p for a in lab.assignments(10, 100, 3, p=[0.1, 0.3]).values()] == [0.1, 0.3]
    pytest.importorskip("networkx")
    [(name, graph)] = lab.assignments(10, 100, 3, degree=4).items()
    assert name == "expander, degree 4" and graph.spectrum.degree == 4 and (graph.m, graph.n) == (10, 100)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"kind": "bernoulli"}, "bernoulli needs p"),
        ({"kind": "expander"}, "expander needs degree"),
        ({"kind": "square"}, "no assignment 'square'; there are bernoulli, fractional_repetition, expander"),
        ({"kind": "expander", "degree": 4, "s": 3}, "s is for fractional_repetition, and the assignment is expander"),
        ({"p": [0.5], "degree": 4}, "degree is for expander, and the assignment is bernoulli"),
        ({"p": [0.5, 2.0]}, "0 < p <= 1"),
    ],
)
def test_matrices_that_there_are_not(asked, says):
    with pytest.raises(ValueError, match=says):
        lab.assignments(10, 100, 3, **asked)


def test_runs_of_what_does_not_fit():
    X, _ = data()
    with pytest.raises(ValueError, match="as many numbers as points; here 3, and points have 2"):
        lab.run(X, 4, truth=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="a deadline needs workers"):
        lab.run(X, 4, deadline=1.0)
    assert len(lab.run(X, 4).solutions) == 5 and len(lab.run(X, 4, baselines=False).solutions) == 1


# ---- the page --------------------------------------------------------------------------------------------------


def printed():
    """Heading -> solution -> cells, of all tables of the page."""
    found = {}
    for heading, table in re.findall(
        r"^\*\*([^*\n]+, k-me[a-z]+)\*\*\n\n((?:\|.*\n)+)", PAGE.read_text("utf-8"), re.MULTILINE
    ):
        head, _, *lines = ([cell.strip() for cell in line.strip("|\n").split(" | ")] for line in table.splitlines())
        found[heading] = {line[0].strip("| "): dict(enumerate(line[1:])) for line in lines}
        assert tuple(cell.strip("| ") for cell in head) == section_v_table.COLUMNS
    return found


def numbers(cell):
    """Median or mean, and worst."""
    return tuple(map(float, re.fullmatch(r"([\d.]+|inf) \(([\d.]+|inf)\)", cell).groups()))


def worst(table, name, what):
    """The largest cost, or the smallest number found, over all attacks: of the medians or means, and of the worst."""
    pick, at = (max, (2, 4, 6)) if what == "cost" else (min, (3, 5, 7))
    return [pick(values) for values in zip(*(numbers(table[name][i]) for i in at), strict=True)]


def test_the_page_has_all_tables():
    tables = printed()
    assert set(tables) == {f"{data}, {m}" for data in ("The generated mixture", "S1") for m in lab.METHODS}
    X, truth = known.gaussians(300, 3)[:2]
    names = [row.name for row in section_v_table.section_v(X, truth, seeds=1)]
    assert all(list(table) == names for table in tables.values())


def test_the_page_says_what_its_tables_say():
    for heading, table in printed().items():
        k_means = heading.endswith("k-means")
        assert worst(table, lab.CENTRALISED, "cost")[0] < 1.001
        assert (np.array(worst(table, "Bernoulli, p = 0.2", "cost")) <= [1.006, 1.015]).all()
        assert (np.array(worst(table, "Bernoulli, p = 0.1", "cost")) <= [1.008, 1.026]).all()
        assert (np.array(worst(table, lab.NO_REDUNDANCY, "cost")) <= [1.002, 1.005]).all()
        assert worst(table, lab.IN_ORDER, "cost")[0] > 1.5
        assert worst(table, lab.PLAIN_AVERAGE, "cost")[0] > 2.4
        assert all(numbers(table[lab.PLAIN_AVERAGE][at])[0] > 1.3 for at in (2, 4, 6))
        for name in (lab.CENTRALISED, lab.NO_REDUNDANCY, *(row for row in table if row[0] in "Br")):
            assert worst(table, name, "found") == [15, 15]
        assert worst(table, lab.IN_ORDER, "found")[0] == pytest.approx(12.6, abs=0.05)
        assert table["repetition, s = 5"][1] == ("22.50" if k_means else "7.50")
        assert worst(table, "repetition, s = 5", "cost")[0] <= 1.005
        assert all(table[name][1] == "" for name in table if not name.startswith("repetition"))


def test_the_examples_of_the_page_run():
    text = PAGE.read_text("utf-8")
    here, workers = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    names = {"X": data(300, 15)[0]}
    exec(here, names)
    model = names["model"]
    assert (names["rho"], names["delta"], names["exact"]) == (1 / 4, 3 / 4, True)
    assert model.factor_ == pytest.approx(5.25) and len(model.kept_) == 7
    assert pickle.loads(pickle.dumps(model)).inertia_ == model.inertia_
    pytest.importorskip("distributed")
    quiet = "Client(processes=False, dashboard_address=':0', silence_logs=50)"
    exec(workers.replace("Client()", quiet), names)
    assert names["model"] is not model and np.array_equal(names["model"].cluster_centers_, model.cluster_centers_)


def test_the_commands_of_the_page_are_understood():
    pytest.importorskip("click")
    from robustcore import cli

    [block] = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = block.replace("\\\n", "").splitlines()
    assert len(lines) == 4
    for line in lines:
        program, command, *arguments = shlex.split(line, comments=True)
        assert (program, command) == ("robustcore", "cluster")
        cli.cluster.make_context("cluster", arguments)


@pytest.mark.slow
@pytest.mark.parametrize("method", lab.METHODS)
def test_the_tables_are_measured(method):
    """Two of the twenty seeds again: they are within what is printed, but for another library's last digits."""
    table = printed()[f"The generated mixture, {method}"]
    X, truth, _ = known.gaussians()
    for row in section_v_table.section_v(X, truth, method, seeds=2):
        for at, attack in enumerate(section_v_table.ATTACKED):
            assert min(row.costs[attack]) >= 0.999
            assert max(row.costs[attack]) <= numbers(table[row.name][2 + 2 * at])[1] * 1.02
            assert min(row.found[attack]) >= numbers(table[row.name][3 + 2 * at])[1]


@pytest.mark.slow
def test_a_single_start_from_random_points_looks_like_figure_1b():
    """With all points on one machine, and nobody Byzantine."""
    X, truth, _ = known.gaussians()
    best = KMeans(15, n_init=20, random_state=0).fit(X).inertia_
    runs = [KMeans(15, n_init=1, init="random", random_state=seed).fit(X) for seed in range(20)]
    assert np.median([run.inertia_ for run in runs]) / best == pytest.approx(2.05, abs=0.3)
    found = [known.match(run.cluster_centers_, truth, known.extent_of(X)).sum() for run in runs]
    assert np.mean(found) == pytest.approx(11.6, abs=0.6)


@pytest.mark.skipif(not S1.exists(), reason="S1 is not here")
def test_s1_with_redundancy_is_as_on_one_machine():
    """One seed of the page's experiment on S1."""
    X = points.load(S1)
    truth = KMeans(15, n_init=20, random_state=0).fit(X).cluster_centers_
    for row in section_v_table.section_v(X, truth, seeds=1):
        if row.name.startswith(("Bernoulli", "repetition")):
            assert all(max(costs) < 1.02 for costs in row.costs.values())
            assert all(min(found) == 15 for found in row.found.values())


def test_k_medians_of_one_machine_agree():
    """The centralised baseline is `KMedians`."""
    X, _ = data()
    made = lab.compare(X, 4, {"ours": fractional_repetition(6, 400, 3)}, t=1)
    assert made.reference == pytest.approx(KMedians(4, n_init=10, random_state=0).fit(X).inertia_, rel=1e-6)
