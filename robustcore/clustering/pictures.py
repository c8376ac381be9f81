"""Figures 1 and 2 of the paper: points, the centres found, and the true ones where they are known."""

from __future__ import annotations

from collections.abc import Callable
from math import isinf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robustcore._extras import extra
from robustcore.clustering.experiment import Comparison, Solution
from robustcore.clustering.mixture import NEAR, match

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[Any]

INK, SOFT, POINTS, CENTERS, TRUTH, MISSED = "#222222", "#777777", "#bdbdbd", "#0b5394", "#3d7a2e", "#c2410c"
MOST_POINTS = 20_000  # are drawn; of more, a sample
PANEL, FOOT, HEAD = 4.4, 0.55, 0.62  # inches: the edge of a panel, what is below all and above each


def plot(X: Floats, comparison: Comparison, path: str | Path, *, truth: Floats | None = None) -> None:
    """Draw a panel for each solution: the points, its centres, and around true centres what counts as found.

    Parameters
    ----------
    X : (n, d) array
        The points. Of more than two dimensions, the two widest principal axes are drawn.
    comparison : Comparison
        What `compare` has found with these points.
    path : str or Path
        Where to write; the ending decides the format.
    truth : (q, d) array, optional
        The true centers.

    Raises
    ------
    ImportError
        When matplotlib is not installed.

    Notes
    -----
    Cost: two passes over the points, and a drawing of 20,000 of them.
    """
    with extra("plot", "pictures need the extra plot"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    solutions = comparison.solutions
    columns = min(len(solutions), 2 if len(solutions) <= 4 else 3)
    rows = -(-len(solutions) // columns)
    width, height = columns * PANEL + 0.3, rows * (PANEL + HEAD) + FOOT
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    n = len(X)
    shown = X[np.sort(np.random.default_rng(0).choice(n, MOST_POINTS, replace=False))] if n > MOST_POINTS else X
    points, seen = _plane(np.asarray(shown, np.float64))
    missed = False
    for i, solution in enumerate(solutions):
        row, column = divmod(i, columns)
        left, bottom = 0.15 + column * PANEL, height - (row + 1) * (PANEL + HEAD)
        axes = figure.add_axes(
            ((left + 0.05) / width, bottom / height, (PANEL - 0.1) / width, PANEL / height), aspect="equal"
        )
        _draw(axes, points, seen(solution.centers))
        found = None
        if truth is not None:
            found = match(solution.centers, truth, comparison.extent)
            missed |= not found.all()
            _draw_truth(axes, seen(truth), found, NEAR * comparison.extent)
        _say(axes, solution, found, comparison)
    _legend(figure, truth is not None, missed)
    figure.savefig(path, dpi=120)


def _plane(points: Floats) -> tuple[Floats, Callable[[Floats], Floats]]:
    """The points in the plane, and how others are seen there."""
    d = points.shape[1]
    if d == 1:  # spread over the height of the picture, which means nothing

        def line(X: Floats) -> Floats:
            return np.column_stack([X, np.full(len(X), points.mean())])

        spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(points)) * (np.ptp(points) or 1.0)
        return line(points) + spread[:, None] * [0.0, 1.0], line
    if d == 2:
        return points, lambda X: np.asarray(X, np.float64)
    middle = points.mean(axis=0)
    scale = float(np.abs(points - middle).max()) or 1.0
    _, _, axes = np.linalg.svd((points - middle) / scale, full_matrices=False)
    axes = axes[:2] if len(axes) > 1 else np.eye(2, d)
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]  # of two signs, one

    def project(X: Floats) -> Floats:
        return np.asarray((np.asarray(X, np.float64) - middle) @ axes.T)

    return project(points), project


def _draw(axes: Axes, points: Floats, centers: Floats) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, 0.54 * (float((high - low).max()) or 1.0)
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(POINTS)
    axes.scatter(
        points[:, 0], points[:, 1], s=3.0 if len(points) <= 5000 else 1.0, c=POINTS, linewidths=0, rasterized=True
    )
    inside = (np.abs(centers - middle) <= half).all(axis=1)  # nothing that is not finite is
    axes.plot(*centers[inside].T, "D", color=CENTERS, markersize=6.5, markeredgecolor="white", linestyle="none")
    if not inside.all():
        outside = int((~inside).sum())
        text = f"{outside} centre{'s' * (outside > 1)} outside"
        axes.text(0.98, 0.02, text, color=CENTERS, fontsize=11, ha="right", transform=axes.transAxes)


def _draw_truth(axes: Axes, truth: Floats, found: Any, near: float) -> None:
    from matplotlib.patches import Circle

    for place, is_found in zip(truth, found, strict=True):
        look = (TRUTH, 1.6, "-") if is_found else (MISSED, 2.4, (0, (1, 1)))
        axes.add_patch(Circle(tuple(place), near, fill=False, color=look[0], linewidth=look[1], linestyle=look[2]))


def _say(axes: Axes, solution: Solution, found: Any, comparison: Comparison) -> None:
    relative = comparison.relative(solution)
    parts = [] if isnan(relative) else ["infinite cost" if isinf(relative) else f"{relative:.3f} times the cost"]
    parts += [] if found is None else [f"{found.sum()} of {len(found)} found"]
    axes.text(0, 1.075, solution.name, color=INK, fontsize=13, weight="bold", transform=axes.transAxes)
    axes.text(0, 1.02, "; ".join(parts), color=SOFT, fontsize=11, transform=axes.transAxes)


def _legend(figure: Figure, truth: bool, missed: bool) -> None:
    from matplotlib.lines import Line2D

    def mark(color: str, text: str, marker: str, **look: Any) -> Line2D:
        return Line2D([], [], color=color, label=text, marker=marker, **({"linestyle": "none"} | look))

    marks = [mark(SOFT, "points", ".", markersize=5), mark(CENTERS, "centres", "D", markersize=6.5)]
    if truth:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markersize": 13}
        marks += [mark(TRUTH, f"{NEAR:.0%} of the extent around a true centre", "o", markeredgewidth=1.6, **ring)]
    if missed:
        marks += [mark(MISSED, "around one that was not found", "o", markeredgewidth=2.2, **ring)]
    figure.legend(
        handles=marks,
        ncols=len(marks),
        loc="lower center",
        frameon=False,
        fontsize=11,
        labelcolor="linecolor",
        handletextpad=0.3,
        columnspacing=1.4,
    )
