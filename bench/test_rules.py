"""Every rule of the registry with f = n // 5, some with mixing, from the data to the aggregate; float32."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference
from bench.cases import THREADS, Contender, names
from bench.test_krum import byzfl
from robustcore.attacks import ATTACKS, make_attack
from robustcore.rules import make_rule

MIXED = {
    "krum": ("nnm", "arc", "clipping:c=500", "bucketing:s=2,rng=0"),
    "trimmed_mean": ("nnm", "arc", "clipping:c=500", "bucketing:s=2,rng=0"),
}
ATTACKED = ("multi_krum", "trimmed_mean", "geometric_median", "centered_clip", "caf")


def rule(name, **parameters):
    """Prepare the rule of this name, with f where it has one, and as many as it can stand."""

    def prepare(X, f):
        n, d = X.shape
        own = {"centered_clip": {"tau": d**0.5}, "bulyan": {"f": min(f, (n - 3) // 4)}}
        return partial(make_rule(name, **({"f": f} | own.get(name, {}) | parameters)), X)

    return Contender(THREADS, prepare)


def theirs(name, *parameters):
    def prepare(X, f):
        return partial(byzfl(name)(*(p or f for p in parameters)), X)

    return Contender(1, prepare, slow=True, needs=("byzfl", "torch"))


F = None  # stands for the f of the case
SEARCHES = ("smea", "minmax_meb")  # for tens of updates, if they are random and long: test_diameter.py, test_growth.py
NOT_HERE = ("mean", "multi_krum", *SEARCHES)  # mean and Multi-Krum are in test_krum.py
CONTENDERS = (
    {f"robustcore {name}": rule(name) for name in rc.RULES if name not in NOT_HERE}
    | {f"robustcore {name}, {mixing}": rule(name, mixing=mixing) for name, chains in MIXED.items() for mixing in chains}
    | {
        "numpy median(X, axis=0)": Contender(1, lambda X, f: partial(np.median, X, axis=0), slow=True),
        "naive numpy trimmed mean": Contender(1, lambda X, f: partial(reference.trimmed_mean, X, f), slow=True),
        "byzfl Median": theirs("Median"),
        "byzfl TrMean": theirs("TrMean", F),
        "byzfl Meamed": theirs("Meamed", F),
        "byzfl GeometricMedian, 3 steps": theirs("GeometricMedian"),
        "byzfl CenteredClipping": theirs("CenteredClipping"),
    }
)


@pytest.mark.parametrize("name", names(CONTENDERS))
def test_rules(single, name, race):
    race(single, name, CONTENDERS[name])


@pytest.mark.parametrize("name", [None, *(name for name in rc.RULES if name not in SEARCHES)])
def test_against_the_pass(name, clock):
    """What a rule adds to the distances pass where d is not so large: 50 x 1e5."""
    X = np.random.default_rng(0).standard_normal((50, 10**5), dtype=np.float32)
    call = partial(rc.pairwise_sqdist, X) if name is None else rule(name).prepare(X, 10)
    clock("50 x 1e5", name or "pass", call, rounds=20)


@lru_cache(maxsize=1)
def attacked(attack):
    """The same updates, a fifth of them Byzantine; the rule that an attack may want to know is the trimmed mean."""
    honest = np.random.default_rng(0).standard_normal((40, 10**5), dtype=np.float32)
    byzantine = make_attack(attack)(honest, 10, 0, rule=rc.TrimmedMean(10))
    return np.concatenate([byzantine, honest])


@pytest.mark.parametrize("name", ATTACKED)
@pytest.mark.parametrize("attack", ATTACKS)
def test_under_attack(attack, name, clock):
    """What hostile input costs: against the same rule on the same shape without an attack."""
    clock(f"under {attack}", name, rule(name).prepare(attacked(attack), 10), rounds=10)


def test_same_answer():
    X = np.random.default_rng(0).standard_normal((12, 1000))
    np.testing.assert_allclose(rc.trimmed_mean(X, 2), reference.trimmed_mean(X, 2), rtol=1e-12, atol=1e-15)
