"""Table 1, measured: every protocol in both models, against every adversary, on random inputs and the paper's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, product
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import theory
from robustcore._constraints import as_count, check_least
from robustcore._hull import optional
from robustcore.agreement._trace import agree
from robustcore.agreement.adversaries import ADVERSARIES, WorstCase
from robustcore.agreement.protocols import PROTOCOLS, Protocol, Setting

Floats = NDArray[Any]

D, EPSILON = 2, 1e-2  # the plane, where Lemma 4.12 is; near enough, of inputs that are about 1 apart
CHAIN = ("weak", "strong", "box", "convex")  # each implies those before it
ENEMIES = [*(made() for made in ADVERSARIES.values()), WorstCase("lone"), WorstCase("outside")]
KINDS = ("random", "equal", "corners", "unsent", "safe_area", "strong_validity", "mda", "centroid_ball")
HEAD = ("protocol", "model", "needs", "agreed", "claims", "held", "proved", "ratio", "unsent")
NUMBERS = (3, 6, 7, 8)  # columns


@dataclass
class Row:
    """What is claimed of a protocol in a model, and what was measured.

    Attributes
    ----------
    protocol : Protocol
    setting : Setting
        With the smallest n that withstands t.
    needs : str
        The condition on n and t.
    claimed : float or None
        The largest centroid ratio that is proved; None where nothing is.
    runs, agreed : int
        How many there were, and in how many honest nodes agreed.
    rounds : int
        The most that a run took.
    held : dict of str to bool
        Validity condition, and whether it held in all runs.
    ratios : list of float
        Of all runs in which each node had a first vector.
    unsent : float
        The largest ratio where Byzantine nodes had none: then there is a single candidate, and no radius.
    """

    protocol: Protocol
    setting: Setting
    needs: str
    claimed: float | None
    runs: int = 0
    agreed: int = 0
    rounds: int = 0
    held: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(CHAIN, True))
    ratios: list[float] = field(default_factory=list)
    unsent: float = nan

    @property
    def ratio(self) -> float:
        """The largest."""
        return max(self.ratios, default=nan)

    @property
    def validity(self) -> str:
        """The strictest condition that held in all runs, with all that it implies."""
        held = [name for i, name in enumerate(CHAIN) if all(self.held[implied] for implied in CHAIN[: i + 1])]
        return held[-1] if held else "none"

    @property
    def claims(self) -> str:
        """The strictest condition that is claimed."""
        return self.protocol.claims[-1] if self.protocol.claims else "none"


def measure(runs: int = 88, t: int = 1, *, seed: int = 0, progress: Callable[[float], None] | None = None) -> list[Row]:
    """Run every protocol in both models, as often as is said, and collect what comes of it.

    Parameters
    ----------
    runs : int
        For each protocol and model: all adversaries with all kinds of inputs in turn, 88 pairs, with another seed each.
    t : int
        Byzantine nodes; n is the smallest number that withstands so many in two dimensions.
    seed : int
        Of all that is drawn.
    progress : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    list of Row

    Raises
    ------
    ConstraintError, TypeError
        When runs or t are no whole numbers above 0.
    ImportError
        Without scipy, the extra ``geometry``.

    Notes
    -----
    Cost: about ten seconds with t = 1 and 88 runs.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*, Table 1.

    Examples
    --------
    >>> from robustcore.agreement.table import measure
    >>> row = measure(runs=2)[0]
    >>> row.protocol.name, row.setting.synchronous, row.setting.n, row.agreed, row.ratio <= row.claimed
    ('box', True, 4, 2, True)
    """
    runs, t = as_count("table", "runs", runs), as_count("table", "t", t)
    check_least("table", "runs", runs, 1)
    check_least("table", "t", t, 1)
    optional("convex validity", "linprog")
    pairs = list(product(KINDS, ENEMIES))
    order = np.random.default_rng(seed).permutation(len(pairs))  # so that few runs, too, are of all kinds
    rows = [_row(PROTOCOLS[name](), t, synchronous) for name in PROTOCOLS for synchronous in (True, False)]
    for done, (row, run) in enumerate(product(rows, range(runs))):
        if progress is not None:
            progress(done / (len(rows) * runs))
        setting, (kind, enemy) = row.setting, pairs[order[run % len(pairs)]]
        drawn = seed + run // len(pairs)
        trace = agree(
            _inputs(kind, setting, np.random.default_rng([drawn, run])),
            row.protocol,
            t=t,
            epsilon=EPSILON,
            synchronous=setting.synchronous,
            adversary=enemy,
            seed=drawn,
        )
        row.runs += 1
        row.agreed += trace.agreed
        row.rounds = max(row.rounds, trace.rounds)
        for name in CHAIN:
            row.held[name] &= trace.validity[name]
        if len(trace.inputs) == setting.n:
            row.ratios.append(trace.ratio)
        else:
            row.unsent = float(np.fmax(row.unsent, trace.ratio))
    return rows


def _row(protocol: Protocol, t: int, synchronous: bool) -> Row:
    needs = protocol.needs(D, synchronous)
    n = next(n for n in count(1) if needs.holds(n, t))
    claimed = None
    if protocol.method is not None:
        claimed = float(theory.centroid_ratio(protocol.method, n, t, D, synchronous=synchronous))
    return Row(protocol, Setting(n, t, D, EPSILON, synchronous), needs.text.replace("f", "t"), claimed)


def _inputs(kind: str, setting: Setting, rng: np.random.Generator) -> Floats:
    """(n, 2): honest nodes first, in any order, then t Byzantine ones, which some adversaries move."""
    n, t = setting.n, setting.t
    if kind in ("random", "equal", "corners"):
        X = rng.integers(0, 2, size=(n, D)).astype(float) if kind == "corners" else rng.normal(size=(n, D))
        if kind == "equal":
            X[: n - t] = X[0]
    elif kind == "unsent":  # Observation 4.2
        X = np.zeros((n, D))
        X[t + 1 : n - t, 0] = 1
        X[n - t :] = np.nan
    elif kind == "safe_area":  # Theorems 4.1 and 5.3: those who are more are with most
        case = theory.safe_area_worst_case(t, D)
        liars = np.setdiff1d(np.arange(len(case.X)), case.S)
        more = np.tile([1.0, 0.0], (n, 1))
        X = np.vstack([np.vstack([case.X[case.S], more])[: n - t], case.X[liars]])
    else:
        case = getattr(theory, f"{kind}_worst_case")(n, t)
        found = np.vstack([case.X[case.S], np.delete(case.X, case.S, axis=0)])
        X = np.hstack([found, np.zeros((n, D - found.shape[1]))])
    X[: n - t] = rng.permutation(X[: n - t])
    return X


def markdown(rows: list[Row]) -> str:
    """The table for a page.

    Examples
    --------
    >>> from robustcore.agreement.table import markdown, measure
    >>> print(markdown(measure(runs=1)).splitlines()[1])
    | --- | --- | --- | ---: | --- | --- | ---: | ---: | ---: |
    """
    rule = ["---:" if i in NUMBERS else "---" for i in range(len(HEAD))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (HEAD, rule, *cells(rows)))


def cells(rows: list[Row]) -> list[list[str]]:
    """The table as text, without its head."""
    return [
        [
            row.protocol.name,
            "sync" if row.setting.synchronous else "async",
            row.needs,
            f"{row.agreed}/{row.runs}",
            row.claims,
            row.validity,
            "none" if row.claimed is None else number(row.claimed),
            number(row.ratio),
            number(row.unsent),
        ]
        for row in rows
    ]


def number(ratio: float) -> str:
    """A ratio as text.

    Examples
    --------
    >>> from robustcore.agreement.table import number
    >>> number(2.0), number(float("inf")), number(float("nan"))
    ('2.00', '∞', '')
    """
    return "" if np.isnan(ratio) else "∞" if ratio == inf else f"{ratio:.2f}"
