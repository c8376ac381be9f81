"""What the theory promises for n clients and f Byzantine ones, as tables and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from robustcore import theory
from robustcore._constraints import MAJORITY, as_count, check_f, check_least
from robustcore._extras import extra
from robustcore._result import Bound
from robustcore.rules import RULES, known_bounds
from robustcore.theory.centroid import METHODS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console

INK, SOFT, UPPER, LOWER, OURS = "#222222", "#777777", "#0b5394", "#b45309", "#3d7a2e"
NEED = "robustcore bounds needs extras"
LEGEND = (
    "kappa*: squared distance from the mean of the honest, over their variance. MEB factor: distance from the "
    "center of the smallest ball around them, in its radii. Centroid ratio: distance from their mean, in radii of the "
    "ball around the means of any n - f updates, which lies can make large: a mean that they have moved far may stay "
    "within 2. Behind nnm: what is proved there, which may be more also where mixing helps."
)
SHARES = ((0.1, "10 %"), (0.01, "1 %"), (0.001, "0.1 %"))  # of Byzantine clients, in Figure 2
MOST_CLIENTS = 10**6  # there


def print_tables(n: int, f: int, d: int, console: Console) -> None:
    """Print what is known of the rules for n clients, f of them Byzantine, and d dimensions.

    Parameters
    ----------
    n, f, d : int
        Clients, Byzantine clients, dimensions; n > 2f.
    console : rich.console.Console
        Where to print.

    Raises
    ------
    ConstraintError
        When n, f and d do not fit.
    ImportError
        When rich is not installed.
    """
    n, f, d = (as_count("bounds", name, value) for name, value in (("n", n), ("f", f), ("d", d)))
    check_f("bounds", MAJORITY, n, f)
    check_least("bounds", "d", d, 1)
    with extra("cli", NEED):
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

    def table(title: str, *columns: str) -> Table:
        made = Table(box=SIMPLE_HEAD, show_edge=False, title=title, title_justify="left", title_style="bold")
        for i, column in enumerate(columns):
            made.add_column(column, justify="right" if i else "left", no_wrap=not i)
        return made

    universal, last = theory.universal_lower_bound(n, f), n - f
    coefficients = table(
        f"Robustness coefficient kappa* of Krum, n = {n}, f = {f}",
        *("", "Krum (Allouah et al. 2023)", "Krum", f"Multi-Krum, m = {last}"),
    )
    uppers = (theory.allouah_upper_bound("krum", n, f), *(theory.kappa_upper_bound(n, f, m) for m in (1, last)))
    lowers = (universal, theory.krum_lower_bound(n, f), theory.multi_krum_lower_bound(n, f, last))
    coefficients.add_row("at most", *map(_number, uppers))
    coefficients.add_row("at least", *map(_number, lowers))
    rules = table(
        f"Every rule, whoever is honest, d = {d}: at most",
        *("", "kappa*", "kappa* behind nnm", "MEB factor", "centroid ratio"),
    )
    unknown = []
    bounds = {bound.rule: bound for bound in known_bounds(n, f, d)}
    for name in RULES:
        bound = bounds.get(name, Bound(name, None, None, None))
        mixed = None if bound.kappa is None else theory.nnm_upper_bound(bound.kappa, n, f)
        known = (bound.kappa, mixed, bound.meb_factor, bound.centroid_ratio)
        if any(number is not None for number in known):
            rules.add_row(name, *("" if number is None else _number(number) for number in known))
        else:
            unknown.append(name)
    agreements = table(
        "Agreements on the centroid: the most f, and the ratio",
        *("", "f", "ratio", "f (async.)", "ratio"),
    )
    for method in METHODS:
        cells = []
        for synchronous in (True, False):
            most = theory.resilience(method, n, d, synchronous=synchronous)
            ratio = theory.centroid_ratio(method, n, f, d, synchronous=synchronous) if f <= most else None
            cells += [str(most), "" if ratio is None else _number(ratio, "at least " * (method == "safe_area"))]
        agreements.add_row(method, *cells)

    console.print(coefficients)
    console.print(_transition(n, f), highlight=False)
    console.print(f"No rule has a kappa* below {_number(universal)}.\n", highlight=False)
    console.print(rules)
    console.print(LEGEND, highlight=False)
    console.print(f"Nothing is known here of {', '.join(unknown)}.\n", highlight=False)
    console.print(agreements)
    console.print("No ratio: more than it withstands.", highlight=False)


def _transition(n: int, f: int) -> str:
    m, (low, high) = theory.transition_m(n, f), theory.transition_m_bounds(n, f)
    if m >= n - f:
        return "Averaging more updates does not lower the bound: for this f, it is that of Krum for every m."
    return f"The bound is that of Krum up to m = {m:.2f} (Theorem 2: {low:.2f} to {high:.2f}), and falls from there on."


def _number(number: float, before: str = "") -> str:
    return "unbounded" if np.isinf(number) else f"{before}{number:.4g}"


def plot(n: int, f: int, path: str | Path) -> None:
    """Draw the bounds on kappa* of m-MultiKrum against m, and where the upper one begins to fall against n.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients; n > 2f.
    path : str or Path
        Where to write; the ending decides the format.

    Raises
    ------
    ConstraintError
        When n and f do not fit.
    ImportError
        When matplotlib is not installed.
    """
    n, f = as_count("bounds", "n", n), as_count("bounds", "f", f)
    check_f("bounds", MAJORITY, n, f)
    with extra("plot", NEED):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(13, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_bounds(left, n, f)
    _draw_transitions(right)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["bottom", "left"]].set_color(SOFT)
        axes.tick_params(which="both", color=SOFT, labelcolor=INK, labelsize=11)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.1, wspace=0.06)  # type: ignore[call-arg, union-attr]
    figure.savefig(path, dpi=150)


def _draw_bounds(axes: Axes, n: int, f: int) -> None:
    """Figure 1: kappa* of m-MultiKrum, from below and from above."""
    from matplotlib.ticker import LogLocator

    last = n - f
    m = np.unique(np.linspace(1, last, min(last, 1000)).astype(int))
    upper, paper = theory.kappa_upper_bound(n, f, m), theory.multi_krum_lower_bound(n, f, m)
    points = theory.two_point_lower_bound(n, f, m)
    best, begin = np.maximum(paper, points), np.clip(theory.transition_m(n, f), 1, last)
    lowest = min(bound[bound > 0].min(initial=upper[-1]) for bound in (paper, points))
    span = upper[0] / lowest
    margin = max(2.0, span**0.13)  # for a line of text above and below
    floor = lowest / margin
    bend = m > begin  # between whole numbers: the upper bound has a corner there
    x, y = [*m[~bend], begin, *m[bend]], [*upper[~bend], upper[0], *upper[bend]]
    axes.fill_between(x, np.interp(x, m, np.maximum(best, floor)), y, color=SOFT, alpha=0.13, linewidth=0)
    axes.plot(m, np.where(points > 0, points, np.nan), color=OURS, linewidth=2.5)
    axes.plot(m[1:], np.where(paper > 0, paper, np.nan)[1:], color=LOWER, linewidth=2.5)
    axes.plot(x, y, color=UPPER, linewidth=2.5)
    axes.set(xlim=(1 - 0.03 * last, last * 1.12 + 0.2), ylim=(floor, upper[0] * margin), yscale="log")
    axes.locator_params("x", integer=True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < 300 else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    _title(axes, f"How wrong Multi-Krum can be: κ* for n = {n}, f = {f}", "updates averaged, m")

    less = f", less from m† = {begin:.1f} on" if 1 < begin < last else ""
    _say(axes, f"at most {upper[0]:.3g} (Theorem 1){less}", 1, upper[0], UPPER)
    if points[0] > 0:
        text = f"at least {points[0]:.3g}, all chosen equal (Theorem 3)"
        _say(axes, text, 1, points[0], OURS, above=upper[-1] > 2 * points[0])
    if f > 0:
        more = ", more where lies are chosen (Theorem 4)" if paper[-1] > paper[1] else ""
        _say(axes, f"at least {paper[1]:.3g} (Proposition 1){more}", 1, paper[1], LOWER, above=False)
    if best[0] > 0:
        middle = np.sqrt(upper[0] * best[0])
        axes.text(1 + 0.12 * last, middle, "κ* is in here", va="center", color=SOFT, fontsize=12)
    for bound, color in ((upper, UPPER), (paper, LOWER)):
        if bound[-1] > 0:
            axes.plot(last, bound[-1], "o", markersize=7, color=color)
            axes.text(last, bound[-1], f"   {bound[-1]:.3g}", va="center", color=color, fontsize=12)


def _draw_transitions(axes: Axes) -> None:
    """Figure 2: where the upper bound begins to fall, as a share of n, and the smallest whole numbers from there on."""
    for (share, text), color in zip(SHARES, (UPPER, LOWER, OURS), strict=True):
        f = np.unique(np.round(np.geomspace(1, share * MOST_CLIENTS, 40)).astype(int))
        n = np.round(f / share).astype(int)
        heights = theory.transition_m(n, f) / n
        axes.plot(n, np.ceil(heights * n) / n, ".", color=color, markersize=6, alpha=0.6, linewidth=0)
        axes.plot(n, heights, color=color, linewidth=2.5)
        _say(axes, f"{heights[-1]:.4f} for f = {text} of n", n[-1], heights[-1], color, right=True)
    limit = theory.transition_m(1, 0)
    axes.axhline(limit, color=SOFT, linewidth=1.5, linestyle="--")
    _say(axes, f"{limit:.4f} = (1 + √2)⁻², the limit", MOST_CLIENTS, limit, SOFT, right=True, above=False)
    _say(axes, "dots: whole m", 10, 0.4, SOFT)
    axes.set(xscale="log", ylim=(0, 0.5))
    _title(axes, "Where averaging begins to help: m†/n", "clients, n")


def _title(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=14, color=INK, pad=12)
    axes.set_xlabel(below, fontsize=12, color=INK)


def _say(axes: Axes, text: str, x: float, y: float, color: str, *, right: bool = False, above: bool = True) -> None:
    """Above or below a point, a line of text that begins or, ``right``, ends there."""
    axes.annotate(
        text,
        (x, y),
        (0, 7 if above else -7),
        textcoords="offset points",
        ha="right" if right else "left",
        va="bottom" if above else "top",
        color=color,
        fontsize=12,
    )
