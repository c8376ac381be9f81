"""Pictures of runs: how near honest nodes are after each round, and, in the plane, where they go."""

from __future__ import annotations

from itertools import combinations
from math import comb, isfinite, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robustcore import validity
from robustcore._extras import extra
from robustcore.agreement._trace import Trace
from robustcore.agreement.table import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[Any]

INK, SOFT, HONEST, LIES, CENTROIDS, BOX = "#222222", "#777777", "#222222", "#c2410c", "#0b5394", "#b45309"
OUTPUT = "#3d7a2e"
MOST_CENTROIDS = 5000


def plot(trace: Trace, path: str | Path) -> None:
    """Draw the diameter after each round; in two dimensions, also inputs, candidate centroids, boxes, and all vectors.

    Parameters
    ----------
    trace : Trace
        In two dimensions with ``vectors``, as it is by default.
    path : str or Path
        Where to write; the ending decides the format.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    plane = trace.setting.d == 2 and trace.vectors is not None
    figure = _figure((15, 7.5) if plane else (8, 5.2))
    if plane:
        _draw_inputs(figure.add_axes((0.04, 0.15, 0.385, 0.77)), trace)
        _legend(figure, trace)
        _draw_paths(figure.add_axes((0.52, 0.56, 0.45, 0.36)), trace)
        _draw_diameters(figure.add_axes((0.52, 0.15, 0.45, 0.29)), trace)
    else:
        _draw_diameters(figure.add_axes((0.11, 0.13, 0.86, 0.76)), trace)
    figure.savefig(path, dpi=150)


def plot_table(rows: list[Row], path: str | Path) -> None:
    """Draw the centroid ratio of every run, beside the largest that is proved.

    Parameters
    ----------
    rows : list of Row
        From `measure`.
    path : str or Path
        Where to write; the ending decides the format.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    """
    figure = _figure((11, 5.6))
    axes = figure.add_axes((0.17, 0.11, 0.8, 0.74))
    names = list(dict.fromkeys(row.protocol.name for row in rows))
    largest = max([ratio for row in rows for ratio in row.ratios if isfinite(ratio)] + [1.0])
    rng = np.random.default_rng(0)
    for i, name in enumerate(names):
        if all(row.claimed is None for row in rows if row.protocol.name == name):
            right = axes.get_yaxis_transform()
            axes.text(1, i, "no bound known", ha="right", va="center", color=SOFT, backgroundcolor="w", transform=right)
    for row in rows:
        y = names.index(row.protocol.name) + (-0.17 if row.setting.synchronous else 0.17)
        color = CENTROIDS if row.setting.synchronous else LIES
        ratios = np.array(row.ratios)
        jitter = y + rng.uniform(-0.09, 0.09, len(ratios))
        axes.plot(ratios, jitter, ".", color=color, alpha=0.35, markersize=5, markeredgewidth=0)
        if row.claimed is not None:
            axes.plot([row.claimed] * 2, [y - 0.15, y + 0.15], color=color, linewidth=2.5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(-0.1, max(largest, *(row.claimed or 0 for row in rows)) * 1.16)
    axes.tick_params("y", length=0)
    axes.set_title(
        "Distance from the mean of the honest, in radii of the best guess", loc="left", fontsize=14, pad=32, color=INK
    )
    for x, text, color in ((0.0, "synchronous", CENTROIDS), (0.145, "asynchronous", LIES)):
        axes.text(x, 1.03, text, color=color, fontsize=12, transform=axes.transAxes, weight="bold")
    axes.text(0.31, 1.03, "dot: a run; bar: proved to be the most", color=SOFT, fontsize=12, transform=axes.transAxes)
    axes.set_xlabel("centroid ratio", fontsize=12, color=INK)
    axes.grid(axis="x", color=SOFT, alpha=0.2, linewidth=0.8)
    _plain(axes)
    axes.spines["left"].set_visible(False)
    figure.savefig(path, dpi=150)


def _figure(size: tuple[float, float]) -> Figure:
    with extra("plot", "pictures need the extra plot"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(SOFT)
    axes.tick_params(which="both", color=SOFT, labelcolor=INK, labelsize=11)


def _draw_diameters(axes: Axes, trace: Trace) -> None:
    """On a logarithmic scale, beside what is proved and what is wanted."""
    diameters, epsilon = trace.diameters, trace.setting.epsilon
    proved = bound(trace)
    shown = [*diameters[diameters > 0], epsilon, *([] if proved is None else proved[proved > 0])]
    top, bottom = max(shown) * 3, min(shown) / 4
    rounds = np.arange(len(diameters))
    if proved is not None and proved[0] > 0:
        at = rounds[trace.protocol.opening :][proved > 0]
        axes.plot(at, proved[proved > 0], color=SOFT, linewidth=1)
        if len(at) > 1:
            _say(axes, "proved to be the most", at[-1], proved[proved > 0][-1], SOFT, right=True, above=False)
    axes.axhline(epsilon, color=OUTPUT, linewidth=1, linestyle="--")
    _say(axes, f"ε = {epsilon:.3g}", 0, epsilon, OUTPUT, above=False)
    axes.plot(rounds, np.maximum(diameters, bottom), color=CENTROIDS, linewidth=2.5)
    equal = diameters == 0
    axes.plot(rounds[~equal], diameters[~equal], "o", color=CENTROIDS, markersize=6)
    axes.plot(
        rounds[equal], [bottom] * equal.sum(), "o", color=CENTROIDS, mfc="white", markersize=7, clip_on=False, zorder=5
    )
    last = max(len(rounds) - 1, 1)
    axes.set(yscale="log", ylim=(bottom, top), xlim=(-0.04 * last, 1.04 * last))
    if equal.any():
        first = rounds[equal][0]
        if first > 0.85 * last:  # room for the text, beside the line that falls
            axes.set_xlim(right=1.15 * last)
        _say(axes, " all equal", first, bottom, CENTROIDS)
    axes.locator_params("x", integer=True)
    _title(axes, "How far apart honest nodes are", "round")
    _plain(axes)


def bound(trace: Trace) -> Floats | None:
    """What is proved of the diameter after each round from `Protocol.opening` on; None where nothing is."""
    protocol, setting, start = trace.protocol, trace.setting, trace.protocol.opening
    if not protocol.claims or len(trace.byzantine) > setting.t or start >= len(trace.diameters):
        return None
    powers = protocol.contraction(setting) ** np.arange(len(trace.diameters) - start)
    by_diameter = protocol.name == "mda"  # all others: by the longest edge
    first = trace.diameters[start] if by_diameter else sqrt(setting.d) * trace.edges[start]
    return np.asarray(np.maximum(first * powers, 0.0))


def _draw_inputs(axes: Axes, trace: Trace) -> None:
    """Figure 3 of the paper: inputs, trusted box, centroid box, candidate centroids and the ball around them."""
    from matplotlib.patches import Circle, Polygon

    honest, lies, centroids = _places(trace)
    all_of = np.array(list(trace.inputs.values()), float)
    missing = len(all_of) - trace.setting.quorum
    low, high = honest.min(axis=0), honest.max(axis=0)
    candidates = validity.centroid_box(all_of, missing)
    ends = [np.asarray(end, float) for end in (candidates.low, candidates.high)]
    center, radius = np.asarray(trace.ball.center, float), trace.ball.radius
    view = _view(honest, np.vstack([lies, center - radius, center + radius]))

    _box(axes, low, high, BOX, fill=0.07)
    _box(axes, ends[0], ends[1], CENTROIDS, dashed=True)
    axes.add_patch(Circle(tuple(center), radius, fill=False, color=CENTROIDS, linewidth=1.5))
    if centroids is not None:
        axes.add_patch(Polygon(_hull(centroids), color=CENTROIDS, alpha=0.13, linewidth=0))
        axes.plot(*centroids.T, "x", color=CENTROIDS, markersize=5, markeredgewidth=1, alpha=0.8)
    frame = _show(axes, view, 1.0)
    for point in lies:
        _draw_lie(axes, point, frame)
    axes.plot(*honest.T, "o", color=HONEST, markersize=8, markeredgecolor="white")
    mean = honest.mean(axis=0)
    axes.plot(*mean, "*", color=OUTPUT, markersize=18, markeredgecolor="white")
    outputs = np.array(list(trace.outputs.values()), float)
    if len(outputs):
        axes.plot(*outputs.T, "D", color=OUTPUT, markersize=6, markeredgecolor="white")
    _title(axes, f"The inputs of {trace.setting.n} nodes, and the means that may be the right one", "")
    _plain(axes)


def _legend(figure: Figure, trace: Trace) -> None:
    from matplotlib.lines import Line2D

    def line(color: str, text: str, **look: Any) -> Line2D:
        return Line2D([], [], color=color, label=text, **({"linestyle": "none"} | look))

    marks = [line(HONEST, "honest inputs", marker="o", markersize=8)]
    marks += [line(LIES, "Byzantine inputs", marker="s", markersize=7)] if trace.byzantine else []
    marks += [line(BOX, "box of the honest", linestyle="-", linewidth=1.5)]
    k = trace.setting.quorum
    many = comb(len(trace.inputs), k) > MOST_CENTROIDS
    marks += [] if many else [line(CENTROIDS, f"means of any {k}", marker="x")]
    marks += [
        line(CENTROIDS, f"box of means of any {k}" if many else "their box", linestyle="--", linewidth=1.5),
        line(CENTROIDS, "their smallest ball", linestyle="-", linewidth=1.5),
        line(OUTPUT, "mean of the honest", marker="*", markersize=12),
        line(OUTPUT, "outputs", marker="D", markersize=7),
    ]
    figure.legend(
        handles=marks,
        ncols=len(marks),
        loc="lower left",
        bbox_to_anchor=(0.02, 0.01),
        frameon=False,
        fontsize=11,
        labelcolor="linecolor",
        handletextpad=0.4,
        columnspacing=1.4,
    )


def _draw_paths(axes: Axes, trace: Trace) -> None:
    """Where honest nodes go, from the vectors after the first round on, as that is where most happens."""
    assert trace.vectors is not None
    held = np.array([[vector for _, vector in sorted(them.items())] for them in trace.vectors], float)
    start = min(1, len(held) - 1)
    inner = held[start:]
    view = _view(inner.reshape(-1, 2), np.zeros((0, 2)), margin=0.25)
    if not np.ptp(inner.reshape(-1, 2), axis=0).any():  # there at once: where they came from
        view = _view(held.reshape(-1, 2), np.zeros((0, 2)))
    for i in range(held.shape[1]):
        axes.plot(*held[:, i].T, color=SOFT, linewidth=1, alpha=0.7)
    shades = np.linspace(0.25, 1.0, len(held))
    for at in range(start, len(held)):
        axes.plot(*held[at].T, "o", color=CENTROIDS, alpha=shades[at], markersize=8 - 3 * shades[at], markeredgewidth=0)
    axes.plot(*held[0].T, "o", color=HONEST, markersize=9, markeredgecolor="white")
    axes.plot(*held[-1].T, "D", color=OUTPUT, markersize=7, markeredgecolor="white")
    _show(axes, view, 0.4)
    _title(axes, "Where honest nodes go: dots after each round, the first ones pale", "")
    _plain(axes)


def _places(trace: Trace) -> tuple[Floats, Floats, Floats | None]:
    """Inputs of honest and of Byzantine nodes, and all candidate centroids, unless there are too many."""
    places = [
        np.array([vector for i, vector in trace.inputs.items() if (i in trace.byzantine) == lies], float).reshape(-1, 2)
        for lies in (False, True)
    ]
    X, k = np.array(list(trace.inputs.values()), float), trace.setting.quorum
    if comb(len(X), k) > MOST_CENTROIDS:
        return places[0], places[1], None
    return places[0], places[1], np.array([X[list(chosen)].mean(axis=0) for chosen in combinations(range(len(X)), k)])


def _view(points: Floats, wishes: Floats, margin: float = 0.12) -> Floats:
    """(2, 2): the corners of what is shown: all points, and wishes that are not too far from them."""
    middle, size = _extent(points)
    near = wishes[(np.abs(wishes - middle) <= 1.5 * size).all(axis=1)]
    middle, size = _extent(np.vstack([points, near]))
    half = np.ptp(np.vstack([points, near]), axis=0) / 2
    return np.array([middle - half - margin * size, middle + half + margin * size])


def _extent(points: Floats) -> tuple[Floats, float]:
    """The middle, and the longest edge of the box; of equal points, how far away they are, or 1."""
    low, high = points.min(axis=0), points.max(axis=0)
    size, far = float((high - low).max()), float(np.abs(points).max())
    return (low + high) / 2, size if size > 1e-9 * far else far or 1.0


def _show(axes: Axes, view: Floats, shape: float) -> Floats:
    """Show this and what is around it, in a frame so many times as high as wide, on one scale; its corners."""
    width, height = view[1] - view[0]
    grown = np.array([max(width, height / shape), max(height, width * shape)])
    low, high = (view[0] + view[1] - grown) / 2, (view[0] + view[1] + grown) / 2
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), box_aspect=shape)
    axes.ticklabel_format(scilimits=(-3, 4))
    return np.array([low, high])


def _draw_lie(axes: Axes, point: Floats, view: Floats) -> None:
    """A Byzantine input, or where it would be."""
    inside = np.clip(point, view[0], view[1])
    if (inside == point).all():
        axes.plot(*point, "s", color=LIES, markersize=11, markeredgecolor="white")
        return
    middle = view.mean(axis=0)
    tip = middle + (point - middle) / np.abs((point - middle) / (view[1] - middle)).max() * 0.97
    tail = middle + (tip - middle) * 0.88
    axes.annotate("", tip, tail, arrowprops={"arrowstyle": "->", "color": LIES, "linewidth": 2})
    axes.annotate(
        f"Byzantine, at ({point[0]:.3g}, {point[1]:.3g})",
        tip,
        (0, 8 if tip[1] < middle[1] else -8),
        textcoords="offset points",
        ha="right" if tip[0] > middle[0] else "left",
        va="bottom" if tip[1] < middle[1] else "top",
        color=LIES,
        fontsize=11,
    )


def _box(axes: Axes, low: Floats, high: Floats, color: str, *, fill: float = 0.0, dashed: bool = False) -> None:
    from matplotlib.patches import Rectangle

    size = high - low
    if fill:
        axes.add_patch(Rectangle(tuple(low), *size, color=color, alpha=fill, linewidth=0))
    axes.add_patch(
        Rectangle(tuple(low), *size, fill=False, color=color, linewidth=1.5, linestyle="--" if dashed else "-")
    )


def _hull(points: Floats) -> Floats:
    """The corners of the convex hull, in order (Andrew's monotone chain)."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    if len(ordered) < 3:
        return np.array(ordered)

    def half(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        chain: list[tuple[float, float]] = []
        for x, y in points:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def _title(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=14, color=INK, pad=12)
    axes.set_xlabel(below, fontsize=12, color=INK)


def _say(axes: Axes, text: str, x: float, y: float, color: str, *, right: bool = False, above: bool = True) -> None:
    """Above or below a point, a line of text that begins or, ``right``, ends there."""
    offset = (0, 7 if above else -7)
    where, side = ("right" if right else "left"), ("bottom" if above else "top")
    axes.annotate(text, (x, y), offset, textcoords="offset points", ha=where, va=side, color=color, fontsize=12)
