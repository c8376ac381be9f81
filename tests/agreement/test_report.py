"""What is said and drawn of runs, Table 1 measured, and the page in docs/."""

import io
import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from rich.console import Console

import robustcore as rc
from robustcore import theory
from robustcore.agreement import PROTOCOLS, Setting, pictures, report, table
from robustcore.agreement.adversaries import Equivocate

pytest.importorskip("scipy")

PAGE = Path(__file__).parents[2] / "docs" / "agreement.md"


def said(trace):
    console = Console(record=True, width=100, file=io.StringIO())
    report.print_run(trace, console)
    return console.export_text()


def far(n=7, d=2):
    X = np.random.default_rng(0).normal(size=(n, d))
    X[-1, 0] = 1e9
    return X


RUNS = {
    "plain": lambda: rc.agree(np.random.default_rng(1).normal(size=(7, 2)), t=2, epsilon=1e-3, adversary="late"),
    "far": lambda: rc.agree(far(), t=2, epsilon=1e-3),
    "unsent": lambda: rc.agree(np.vstack([np.eye(2), np.eye(2), [[np.nan] * 2]]), t=1, epsilon=1e-3),
    "equal": lambda: rc.agree(np.ones((4, 2)), t=1, epsilon=1e-3),
    "alone": lambda: rc.agree(np.zeros((1, 2)), t=0, epsilon=1e-3),
    "large": lambda: rc.agree(1e200 * np.random.default_rng(1).normal(size=(4, 2)), t=1, epsilon=1e197),
    "tiny": lambda: rc.agree(1e-200 * np.random.default_rng(1).normal(size=(4, 2)), t=1, epsilon=1e-203),
    "line": lambda: rc.agree(np.arange(8.0)[:, None], "mda", t=1, epsilon=1e-3, synchronous=False, adversary="late"),
    "ball": lambda: rc.agree(far(5, 4), "centroid_safe_area", t=0, epsilon=1e-3),
    "broken": lambda: rc.agree(np.eye(4, 2), t=1, byzantine=2, epsilon=1e-3, adversary=Equivocate()),
    "many": lambda: rc.agree(np.random.default_rng(2).normal(size=(19, 2)), t=6, epsilon=1e-3, adversary="crash"),
}


@pytest.mark.parametrize("name", RUNS)
def test_every_run_can_be_drawn_and_told(name, tmp_path):
    trace = RUNS[name]()
    pictures.plot(trace, tmp_path / "run.png")
    pixels = imread(tmp_path / "run.png")
    assert pixels.shape[0] >= 700 and len({tuple(p) for p in pixels[::5, ::5, :3].reshape(-1, 3).round(2)}) > 10
    text = said(trace)
    assert ("not agreed" in text) == (not trace.agreed) and report.human(trace.bytes) in text
    json.loads(json.dumps(report.facts(trace), allow_nan=False))


def test_the_proven_line_is_above():
    for name in ("plain", "line", "far"):
        trace = RUNS[name]()
        assert (trace.diameters <= pictures.bound(trace) * (1 + 1e-9)).all()
    assert pictures.bound(RUNS["broken"]()) is None
    assert pictures.bound(rc.agree(np.eye(4, 2), "minmax_meb", t=1, epsilon=1e-3)) is None
    trace = RUNS["plain"]()
    factor = trace.protocol.contraction(trace.setting)
    assert pictures.bound(trace)[:2] == pytest.approx(math.sqrt(2) * trace.edges[0] * np.array([1, factor]))


def test_the_diameters_are_drawn():
    trace, axes = RUNS["plain"](), Figure().add_subplot()
    pictures._draw_diameters(axes, trace)
    drawn = [line.get_ydata() for line in axes.lines]
    assert any(len(y) == len(trace.diameters) and np.array_equal(y[y > 1e-3], trace.diameters[y > 1e-3]) for y in drawn)
    assert axes.get_yscale() == "log"


def test_the_plane_has_all_that_it_should():
    trace, axes = RUNS["plain"](), Figure().add_subplot()
    pictures._draw_inputs(axes, trace)
    drawn = {line.get_marker(): np.array(line.get_xydata()) for line in axes.lines}
    assert len(drawn["x"]) == math.comb(7, 5) and len(drawn["o"]) == 5 and len(drawn["D"]) == 5
    assert drawn["*"] == pytest.approx(np.mean([trace.inputs[i] for i in range(5)], axis=0)[None])
    ball = next(patch for patch in axes.patches if patch.__class__.__name__ == "Circle")
    assert ball.radius == trace.ball.radius
    assert (np.hypot(*(drawn["x"] - ball.center).T) <= ball.radius * (1 + 1e-9)).all()


def test_hulls():
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.5], [0.5, 0]])
    assert sorted(map(tuple, pictures._hull(square))) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(pictures._hull(np.zeros((4, 2)))) == 1


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (999_600, "1 MB"), (1500, "1.5 kB"), (2e13, "20 TB")]
)
def test_bytes_in_units(size, text):
    assert report.human(size) == text


def test_the_table_has_what_the_paper_has():
    """Of the smallest networks with one Byzantine node, and what 88 runs reach there."""
    rows = {(row.protocol.name, row.setting.synchronous): row for row in table.measure(88)}
    assert rows.keys() == {(name, synchronous) for name in PROTOCOLS for synchronous in (True, False)}
    for (_, synchronous), row in rows.items():
        n, t, d = row.setting.n, row.setting.t, row.setting.d
        assert row.runs == row.agreed == 88 and (t, d) == (1, 2)
        assert all(row.held[condition] for condition in row.protocol.claims)
        assert not row.protocol.needs(d, synchronous).holds(n - 1, t)
        if row.protocol.method:
            assert row.claimed == theory.centroid_ratio(row.protocol.method, n, t, d, synchronous=synchronous)
            assert row.ratio <= row.claimed * (1 + 1e-9)
            assert not synchronous or row.unsent == 0
    assert [rows[name, True].validity for name in ("mda", "safe_area", "centroid_safe_area", "mda_safe_area")] == [
        "strong",
        "convex",
        "weak",
        "strong",
    ]
    assert [rows["centroid_safe_area", model].ratio for model in (True, False)] == pytest.approx([1, 2])
    assert rows["safe_area", True].ratio == pytest.approx(4, rel=1e-3)  # 2d: Theorem 4.1
    assert rows["safe_area", False].ratio == pytest.approx(6, rel=1e-3)  # 2 (d + 1): Theorem 5.3
    assert rows["safe_area", True].unsent == math.inf  # Observation 4.2
    assert all(rows[name, True].ratio == pytest.approx(2) for name in ("box", "rbtm", "mda"))  # Lemma 4.13
    assert all(rows[name, False].ratio >= 4 - 1e-9 for name in ("box", "rbtm", "mda", "mda_safe_area"))  # Lemma 5.10


def test_the_table_needs_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ImportError, match=r"convex validity needs scipy: pip install"):
        table.measure(1)


def test_who_never_sends_a_vector_makes_asynchronous_ratios_infinite():
    """Theorems 5.8 and 5.13 take the radius of a ball around more than one candidate for granted."""
    for name, n in (("box", 4), ("rbtm", 4), ("mda", 8), ("mda_safe_area", 8)):
        X = np.zeros((n, 1))
        X[0], X[-1] = 1.0, np.nan
        trace = rc.agree(X, name, t=1, epsilon=1e-3, synchronous=False)
        assert trace.agreed and trace.ball.radius == 0 and trace.ratio == math.inf
        assert rc.agree(X, name, t=1, epsilon=1e-3).ratio == 0


def test_the_page_has_the_table():
    found = re.search(r"^\| protocol \| model .*?\n\n", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    printed = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found.strip().splitlines()]
    fresh = [
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in table.markdown(table.measure(1)).splitlines()
    ]
    assert printed[:2] == fresh[:2] and len(printed) == len(fresh) == 2 + 2 * len(PROTOCOLS)
    for there, here in zip(printed[2:], fresh[2:], strict=True):
        assert [there[i] for i in (0, 1, 2, 4, 6)] == [here[i] for i in (0, 1, 2, 4, 6)]
        agreed, runs = map(int, there[3].split("/"))
        assert agreed == runs > 88
        assert there[6] == "none" or float(there[7]) <= float(there[6])


@pytest.mark.slow
def test_the_examples_of_the_page_run(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names = {"rc": rc, "np": np, "X": np.random.default_rng(0).normal(size=(7, 2)), "Setting": Setting}
    for block in blocks:
        exec(block, names)
    assert len(blocks) >= 2 and any("agree_over_tcp" in block for block in blocks)
    assert names["trace"].agreed
