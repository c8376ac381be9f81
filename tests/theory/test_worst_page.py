"""docs/worst.md: each number of its table is attained by its input, and the closed forms by the families it names."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import robustcore as rc
from robustcore.theory.search import Place, rows, search_kappa

DOCS = Path(__file__).parents[2] / "docs"
FOUND = json.loads((DOCS / "worst.json").read_text(encoding="utf-8"))
NF = [(3, 1), (4, 1), (7, 2), (7, 3), (10, 2), (10, 4), (11, 1), (20, 4), (20, 9), (21, 7), (30, 9), (30, 14)]
TIE = 1e-9  # by which what would be a tie is decided


def kappa(rule, f, *places):
    """Of Definition 2, for the honest ones among these clients: (clients, where, spread), the Byzantine ones first."""
    lying, *honest = places
    placed = [Place(lying[0], False, (lying[1],))] + [Place(c, True, (x,), *s) for c, x, *s in honest if c]
    X = rows(placed)
    assert lying[0] == f
    return of(rule, X, np.arange(f, len(X)))


def of(rule, X, honest):
    S = X[honest] - X[honest[0]]
    error = rule(X) - X[honest[0]] - S.mean(axis=0)
    variance = ((S - S.mean(axis=0)) ** 2).sum() / len(S)
    return float(error @ error / variance) if variance else math.inf * (abs(error).max() > 1e-9)


def known_rule(name, f):
    kind = rc.RULES[name]
    own = {"f": f} if "f" in kind.__dataclass_fields__ else {}
    return kind(**own, **({"tau": 1.0} if name == "centered_clip" else {}))


@pytest.mark.parametrize("entry", FOUND, ids=lambda entry: "{rule}-{n}-{f}".format(**entry))
def test_the_table_is_attained(entry):
    n, f, rule = entry["n"], entry["f"], known_rule(entry["rule"], entry["f"])
    places = [Place(clients, honest, tuple(at), spread) for clients, honest, at, spread in entry["places"]]
    honest = np.flatnonzero(np.repeat([place.honest for place in places], [place.clients for place in places]))
    X = rows(places)
    assert X.shape[0] == n and len(honest) == n - f
    assert of(rule, X, honest) >= float(entry["kappa"]) * (1 - 1e-6)
    bound = rule.guarantee(n)
    assert bound is None or float(entry["kappa"]) <= bound * (1 + 1e-9)
    upper = UPPER.get(entry["rule"])
    assert upper is None or float(entry["kappa"]) <= upper(n, f) * (1 + 1e-6)


def test_the_table_has_every_rule():
    assert {entry["rule"] for entry in FOUND} == set(rc.RULES)
    text = (DOCS / "worst.md").read_text(encoding="utf-8")
    for entry in FOUND:
        line = next(line for line in text.splitlines() if line.startswith(f"| [{entry['rule']}]("))
        cell = line.split("|")[2:][[(10, 2), (10, 4), (20, 4), (20, 9), (30, 9)].index((entry["n"], entry["f"]))]
        value = float(entry["kappa"])
        if math.isinf(value):
            assert "∞" in cell
        else:
            low = float(cell.split("≤")[0].strip(" ="))
            assert value - 1e-3 <= low <= value * (1 + 1e-6)


def median(n, f):
    return ((n + 1) // 2 - 1) / (n // 2 + 1 - f)


def geometric_median(n, f):
    return median(n, f) if n % 2 else n / (n - 2 * f)


def medoid_upper(n, f):
    return 2 * (n - f) * (n - f - 1) / (n - 2 * f) ** 2


UPPER = {
    "trimmed_mean": lambda n, f: f / (n - 2 * f),
    "rbtm": lambda n, f: f / (n - 2 * f),
    "median": median,
    "geometric_median": geometric_median,
    "smea": lambda n, f: 4 * f / (n - 2 * f),
    "medoid": medoid_upper,
    "mda": lambda n, f: 8 * f**2 / (n - f),
}


@pytest.mark.parametrize("rule", UPPER)
@pytest.mark.parametrize(("n", "f"), [(4, 1), (5, 1), (7, 2), (7, 3)])
def test_no_search_finds_more_than_is_proved(rule, n, f):
    if rule == "rbtm" and n <= 3 * f:
        pytest.skip("needs n > 3f")
    found = search_kappa(rule, n, f, rng=1, budget=rc.Budget(steps=500))
    assert UPPER["trimmed_mean"](n, f) * (1 - 1e-9) <= found.kappa <= UPPER[rule](n, f) * (1 + 1e-6)


@pytest.mark.parametrize(("n", "f"), NF)
class TestTheFamilies:
    """Through the real rules."""

    def test_trimmed_mean_and_median(self, n, f):
        N, q = n - f, n - 2 * f
        assert kappa(rc.TrimmedMean(f), f, (f, 1.0), (q, 1.0), (N - q, 0.0)) == pytest.approx(f / (n - 2 * f))
        q = n // 2 + 1 - f
        assert kappa(rc.Median(f), f, (f, 1.0), (q, 1.0), (N - q, 0.0)) == pytest.approx(median(n, f))

    def test_geometric_median(self, n, f):
        """For even n, half of the clients are at 1, and the others are almost at 0: not quite on one line."""
        q = (n + 1) // 2 - f
        others = (n - f - q, 0.0, *([1e-4] if n % 2 == 0 and n - f - q > 1 else []))
        found = kappa(rc.GeometricMedian(f), f, (f, 1.0), (q, 1.0), others)
        assert found == pytest.approx(geometric_median(n, f), rel=1e-4)

    def test_smea_and_phocas(self, n, f):
        for rule, side in ((rc.SMEA(f), 1 - TIE), (rc.Phocas(f), 1 - TIE), (rc.Meamed(f), 1 - TIE)):
            found = kappa(rule, f, (f, side), (n - 2 * f, 0.0), (f, -1.0))
            assert found == pytest.approx(4 * f / (n - 2 * f))

    def test_mean_around_the_median(self, n, f):
        z = n // 2 + 1 - f
        x = f / (z + f)
        found = kappa(rc.Meamed(f), f, (f, -1 + TIE), (z, 0.0), (n - 2 * f - z, x), (f, 1.0))
        assert found == pytest.approx(4 * f * (z + f) / ((n - f) * z))

    def test_medoid(self, n, f):
        best = 0.0
        for a in range(0, (n - 2 * f - 1) // 2 + 1):  # honest clients that are where the Byzantine ones are
            H = n - f - a
            distance = math.sqrt(2 * H * (H - 1) / (n - 2 * f - 2 * a) ** 2 - 1)
            found = kappa(rc.Medoid(f), f, (f, distance * (1 - TIE)), (a, distance * (1 - TIE)), (H, 0.0, 1.0))
            assert found == pytest.approx(H / ((n - f) / distance**2 + a))
            best = max(best, found)
        assert max(medoid_upper(n, f) - 1, 0.5 * medoid_upper(n, f)) * (1 - 1e-6) < best < medoid_upper(n, f)

    def test_krum(self, n, f):
        """More than Theorem 3 has: f at 2, as many at 0, and the others a simplex around 1."""
        g, N = n - 2 * f, n - f
        spread = math.sqrt(max(n - 3 * f, 0) / N) * (1 + TIE)
        found = kappa(rc.Krum(f), f, (f, 2.0), (g, 1.0, spread if g > 1 else 0.0), (f, 0.0))
        assert found == pytest.approx(n**2 / (g * max(f, g)))
        assert found > ((n - 2) / (n - 2 * f + 2) if n % 2 == 0 else (n - 1) / (n - 2 * f + 1))
        assert found < rc.Krum(f).guarantee(n)

    def test_mda(self, n, f):
        c = f / (n - f)
        P, Q = (n - 2 * f + 1) * c + 1, (n - 2 * f + 1) * c**2 + 2 * c + 1
        found = kappa(rc.MDA(f), f, (f, -1 + TIE), (n - 2 * f, 0.0), (1, 1.0), (f - 1, Q / P - c))
        assert found == pytest.approx((n - f) * Q / (n - 2 * f) - 1)
        assert found < UPPER["mda"](n, f) * (1 + 1e-6)

    def test_minmax_meb(self, n, f):
        found = kappa(rc.MinMaxMEB(f), f, (f, 1e7), (1, 1.0), (n - f - 1, 0.0))
        assert found == pytest.approx(n - f - 1, rel=1e-4)

    def test_box_midpoint(self, n, f):
        if n - f - 1 >= f + 1:
            found = kappa(rc.BoxMidpoint(f), f, (f, float(n)), (1, 1.0), (n - f - 1, 0.0))
            assert found == pytest.approx((n - f - 1) / 4)
