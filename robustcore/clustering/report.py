"""What the command line says of clusterings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from robustcore.clustering.experiment import Comparison, Solution
from robustcore.clustering.mixture import match

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 40  # machines of a table
NOTE = (
    "No redundancy: each point at one machine, dealt at random or in the order of the file, and Byzantine machines "
    "left out by somebody who knows them. Plain average: of the centres of all machines, matched one to one."
)
ASIDE = "The t = {t} machines whose centres cost most on their own points are always left aside, honest or not."
ALONE = "With --baselines: what one machine with all points, a partition, and a plain average would cost."


def facts(comparison: Comparison, truth: Any = None) -> dict[str, Any]:
    """What there is to say of a comparison, for JSON."""
    return {
        **{key: getattr(comparison, key) for key in ("method", "n", "d", "k", "m", "t")},
        "byzantine": list(comparison.byzantine),
        "solutions": [_facts(solution, comparison, truth) for solution in comparison.solutions],
    }


def _facts(solution: Solution, comparison: Comparison, truth: Any) -> dict[str, Any]:
    out = {
        "name": solution.name,
        "attack": solution.attack,
        "cost": _number(solution.cost),
        "relative": _number(comparison.relative(solution)),
        "found": None if truth is None else int(match(solution.centers, truth, comparison.extent).sum()),
        "centers": [[_number(x) for x in center] for center in solution.centers.tolist()],
    }
    model = solution.model
    if model is None:
        return out
    return out | {
        "rho": model.rho_,
        "delta": _number(model.delta_),
        "factor": model.factor_,
        "load": model.assignment_.load.tolist(),
        "kept": model.kept_.tolist(),
        "malformed": {str(i): why for i, why in model.malformed_.items()},
        "costs": [_number(cost) for cost in model.costs_.tolist()],
        "uncovered": len(model.uncovered_),
    }


def _number(value: float) -> float | str | None:
    """JSON has neither NaN nor infinity."""
    return None if math.isnan(value) else "infinite" if math.isinf(value) else float(value)


def print_comparison(comparison: Comparison, console: Console, truth: Any = None) -> None:
    """What was clustered, what each way costs, and for each assignment who was kept and what is guaranteed."""
    n, d, k, m, t = (getattr(comparison, key) for key in ("n", "d", "k", "m", "t"))
    liars = comparison.byzantine
    attack = next(solution.attack for solution in comparison.solutions[::-1])
    who = (
        ", none of them made to lie"
        if not liars
        else (f", {len(liars)} of them made to lie ({', '.join(map(str, liars))}; attack: {attack})")
    )
    of = f"{_count(k, 'cluster')} of {_count(n, 'point')} in {_count(d, 'dimension')}"
    console.print(f"[bold]{comparison.method}[/bold]: {of}", highlight=False)
    console.print(f"{_count(m, 'machine')}{who}; up to t = {t} may lie\n", highlight=False)
    relative = not math.isnan(comparison.reference)
    costs = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    costs.add_column("")
    for column in ("cost", *["of centralised"] * relative, *([] if truth is None else [f"found of {len(truth)}"])):
        costs.add_column(column, justify="right")
    for solution in comparison.solutions:
        cells = [f"{solution.cost:.6g}"]
        cells += [f"{comparison.relative(solution):.3f}"] if relative else []
        cells += [] if truth is None else [str(int(match(solution.centers, truth, comparison.extent).sum()))]
        costs.add_row(escape(solution.name), *cells, style="" if solution.model is None else "bold")
    console.print(costs)
    console.print(f"[dim]{NOTE if relative else ALONE}[/dim]", highlight=False)
    for solution in comparison.solutions:
        if solution.model is not None:
            _print_model(solution, comparison, console)


def _print_model(solution: Solution, comparison: Comparison, console: Console) -> None:
    model = solution.model
    kept, load = {int(i) for i in model.kept_}, model.assignment_.load
    console.print(f"\n[bold]{escape(solution.name)}[/bold]", highlight=False)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in ("machine", "points", "cost per point"):
        table.add_column(column, justify="right")
    table.add_column("outcome")
    for i in range(min(len(load), SHOWN)):
        malformed = model.malformed_.get(i)
        outcome = "kept" if i in kept else "left aside" if malformed is None else f"malformed: {malformed}"
        lies = " (it lied)" if i in comparison.byzantine else ""
        cost = "" if malformed is not None or not load[i] else f"{model.costs_[i] / load[i]:.4g}"
        style = "red" if lies and i in kept else "" if i in kept else "dim"
        table.add_row(str(i), f"{load[i]:,}", cost, escape(outcome) + lies, style=style)
    console.print(table)
    if len(load) > SHOWN:
        more = sum(i in kept for i in range(SHOWN, len(load)))
        console.print(f"and {len(load) - SHOWN} more, {more} of them kept", highlight=False)
    if comparison.t:
        console.print(f"[dim]{ASIDE.format(t=comparison.t)}[/dim]", highlight=False)
    for line in _matrix(model, comparison.n, comparison.t):
        console.print(line, highlight=False)


def _matrix(model: Any, n: int, t: int) -> list[str]:
    """What there is to say of an assignment, and what it guarantees."""
    weights, load = model.assignment_.weights, model.assignment_.load
    share = load.mean() / n
    lines = [f"{_span(load)} points per machine ({share:.0%} of all), each on {_span(weights)}"]
    if spectrum := model.assignment_.spectrum:
        lines += [f"lambda = {spectrum.achieved:.4g}; Ramanujan graphs have at most {spectrum.bound:.4g}"]
    if math.isinf(model.delta_):
        few = int((weights <= t).sum())
        lines += [
            f"no guarantee: {_count(few, 'point')} of {n:,} {'is' if few == 1 else 'are'} on t = {t} machines or "
            f"fewer, all of which may lie (rho = {model.rho_:.4g}); with --s {min(2 * t + 1, len(load))} instead, "
            "there is one"
        ]
    elif model.factor_ is None:
        lines += [
            f"no guarantee: {len({*model.byzantine_.tolist(), *model.malformed_})} machines lied or failed, more than "
            f"t = {t} (rho = {model.rho_:.4g}, delta = {model.delta_:.4g})"
        ]
    else:
        lines += [
            f"guarantee: at most {model.factor_:.4g} times the smallest cost, whoever lies, if all solve their own "
            f"problems optimally (rho = {model.rho_:.4g}, delta = {model.delta_:.4g})"
        ]
    if missing := len(model.uncovered_):
        lines += [f"{_count(missing, 'point')} on no machine that was kept: not counted"]
    return lines


def _span(counts: Any) -> str:
    low, high = int(np.min(counts)), int(np.max(counts))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)
