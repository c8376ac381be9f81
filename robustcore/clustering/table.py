"""Section V as a table: several ways to cluster, several attacks, many seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from robustcore._constraints import as_count, check_least
from robustcore._geometry import Progress
from robustcore.clustering.experiment import CENTRALISED, assignments, compare
from robustcore.clustering.mixture import Floats, match

P = (0.1, 0.2)  # of Section V
ATTACKED = ("random", "shift", "attract")
COLUMNS = (
    "solution",
    "points per machine",
    "proved",
    *(part for attack in ATTACKED for part in (f"{attack}: cost", "found")),
)


@dataclass
class Row:
    """A way to cluster, over all seeds.

    Attributes
    ----------
    name : str
    share : float
        Of the points, how many a machine has, on average.
    factor : float
        How many times the smallest cost is proved to be the most; NaN where nothing is.
    costs : dict of str to list of float
        Attack, and for each seed the cost, where the best that the solver found with all points is 1.
    found : dict of str to list of int
        Attack, and for each seed how many true centres have one of ours within 5 % of the extent.
    """

    name: str
    share: float
    factor: float = math.nan
    costs: dict[str, list[float]] = field(default_factory=lambda: {attack: [] for attack in ATTACKED})
    found: dict[str, list[int]] = field(default_factory=lambda: {attack: [] for attack in ATTACKED})


def section_v(
    X: Floats,
    truth: Floats,
    method: str = "k-medians",
    *,
    m: int = 10,
    t: int = 3,
    seeds: int = 20,
    progress: Progress = None,
) -> list[Row]:
    """Run the experiment of Section V, for several seeds and attacks.

    Parameters
    ----------
    X : (n, d) array
        The points.
    truth : (k, d) array
        The true centers.
    method : {"k-medians", "k-means"}
        What to minimise.
    m, t : int
        Machines, and how many of them are Byzantine, drawn for each seed.
    seeds : int
        How many times; matrices, partitions and starts are other ones each time.
    progress : callable, optional
        Called with the share of the work that is done.

    Returns
    -------
    list of Row
        The baselines, Bernoulli matrices with p = 0.1 and 0.2, and a resilient matrix, each point on half the machines.

    Raises
    ------
    ValueError
        As `compare`.

    Notes
    -----
    Cost: with 5000 points in the plane about a second for each seed.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Section V and Figures 1 and 2.

    Examples
    --------
    >>> from robustcore.clustering.mixture import gaussians
    >>> from robustcore.clustering.table import section_v
    >>> X, truth, _ = gaussians(300, 3)
    >>> [row.name for row in section_v(X, truth, seeds=1)][3:6]
    ['plain average', 'Bernoulli, p = 0.1', 'Bernoulli, p = 0.2']
    """
    check_least("section_v", "seeds", as_count("section_v", "seeds", seeds), 1)
    rows: dict[str, Row] = {}
    for seed in range(seeds):

        def share(done: float, seed: int = seed) -> None:
            if progress is not None:
                progress((seed + done) / seeds)

        made = compare(
            X,
            len(truth),
            assignments(m, len(X), t, p=P, seed=seed) | assignments(m, len(X), t, s=-(-m // 2)),
            t=t,
            attacks=ATTACKED,
            method=method,
            seed=seed,
            progress=share,
        )
        for solution in made.solutions:
            model = solution.model
            row = rows.setdefault(solution.name, Row(solution.name, 1.0 if solution.name == CENTRALISED else 1 / m))
            if model is not None:
                row.share = float(model.assignment_.load.mean() / len(X))
                row.factor = math.nan if model.factor_ is None else model.factor_
            found = int(match(solution.centers, truth, made.extent).sum())
            for attack in ATTACKED if solution.attack is None else [solution.attack]:
                row.costs[attack].append(solution.cost)
                row.found[attack].append(found)
    best = min(rows[CENTRALISED].costs[ATTACKED[0]])
    for row in rows.values():
        row.costs = {attack: [cost / best for cost in costs] for attack, costs in row.costs.items()}
    return list(rows.values())


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table for a page: costs as median (worst), found as mean (worst)."""
    lines = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1)]
    for row in rows:
        cells = [row.name, f"{row.share:.0%}", "" if math.isnan(row.factor) else f"{row.factor:.2f}"]
        for attack in ATTACKED:
            costs, found = row.costs[attack], row.found[attack]
            cells += [f"{_short(np.median(costs))} ({_short(max(costs))})", f"{np.mean(found):.1f} ({min(found)})"]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _short(cost: float) -> str:
    return f"{cost:.3f}" if cost < 10 else f"{cost:.0f}"
