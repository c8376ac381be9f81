"""`robustcore bounds`: the tables, the picture, and the page in docs/."""

import doctest
import io
import math
import re
import sys
from pathlib import Path

import pytest
from matplotlib.image import imread

import robustcore as rc
from robustcore import bounds, theory
from robustcore.theory.centroid import METHODS

DOCS = Path(__file__).parents[1] / "docs"


def printed(n, f, d):
    """What is printed, and the cells of the rows by their first one: those on rules, those on agreements."""
    console = pytest.importorskip("rich.console").Console(record=True, width=160, file=io.StringIO())
    bounds.print_tables(n, f, d, console)
    text = console.export_text()
    parts = [[re.split(r"\s{2,}", line.strip()) for line in part.splitlines()] for part in text.split("Agreements")]
    return text, *({row[0]: row[1:] for row in part} for part in parts)


def test_table_1_of_the_multikrum_paper():
    text, rows, _ = printed(100, 10, 50)
    assert rows["at most"] == ["6.75", "6.557", "2.617"]
    assert rows["at least"] == ["0.125", "1.195", "0.5"]
    assert "m = 38.72 (Theorem 2: 31.43 to 62.32)" in text
    assert "for this f, it is that of Krum for every m" in printed(7, 3, 5)[0]


@pytest.mark.parametrize(("n", "f", "d"), [(100, 10, 50), (10, 3, 1), (7, 3, 10**6), (1, 0, 1), (5, 0, 2)])
def test_every_rule_is_there(n, f, d):
    text, rows, agreements = printed(n, f, d)
    unknown = set(re.search(r"Nothing is known here of ([^.]*)\.", text)[1].split(", "))
    assert unknown.isdisjoint(rows) and unknown | rows.keys() >= rc.RULES.keys()
    assert rows["mda"][0] == f"{theory.sharp_upper_bound('mda', n, f):.4g}"
    assert rows["mda"][2:] == [f"{theory.mda_meb_factor(n, f):.4g}", "2"]
    assert rows["minmax_meb"] == [f"{rc.MinMaxMEB(f).meb_factor(n, d):.4g}"]
    assert rows["krum"][0] == f"{theory.kappa_upper_bound(n, f, 1):.4g}"
    assert ("rbtm" in unknown) == (n <= 3 * f)
    assert agreements.keys() >= METHODS.keys()


def test_agreements():
    rows = printed(100, 10, 3)[2]
    assert rows["safe_area"] == ["24", "at least 6", "19", "at least 8"]
    assert rows["safe_area_algorithm"] == ["24", "unbounded", "19", "unbounded"]
    assert rows["mda"] == ["24", "2.286", "14", "5.4"]
    assert rows["box"] == ["33", f"{2 * math.sqrt(3):.4g}", "33", f"{4 * math.sqrt(3):.4g}"]
    assert printed(100, 20, 3)[2]["mda"] == ["24", "3", "14"]  # more than it withstands


@pytest.mark.parametrize(("n", "f"), [(100, 10), (5, 2), (10, 0), (1, 0), (2, 0), (3, 1), (1000, 450), (10**9, 1000)])
def test_the_picture_is_drawn(n, f, tmp_path):
    bounds.plot(n, f, tmp_path / "bounds.png")
    pixels = imread(tmp_path / "bounds.png")
    assert pixels.shape[0] >= 700 and pixels.shape[1] >= 1800
    assert len({tuple(pixel) for pixel in pixels[::3, ::3, :3].reshape(-1, 3).round(2)}) > 20


def test_the_curves_are_the_bounds():
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    bounds._draw_bounds(left, 100, 10)
    bounds._draw_transitions(right)
    points, paper, upper = (line.get_xydata() for line in left.lines[:3])
    assert points[:, 1] == pytest.approx(theory.two_point_lower_bound(100, 10, points[:, 0].astype(int)))
    assert paper[:, 1] == pytest.approx(theory.multi_krum_lower_bound(100, 10, paper[:, 0].astype(int)))
    corner = [theory.transition_m(100, 10), theory.kappa_1(100, 10)]
    assert len(upper) == 91 and upper[38].tolist() == pytest.approx(corner)
    heights = [line.get_ydata() for line in right.lines[1:6:2]]
    assert [height[0] for height in heights] == pytest.approx([0.387243, 0.227822, 0.187731], abs=5e-7)
    assert all(height == pytest.approx(height[0]) for height in heights)
    assert right.lines[-1].get_ydata()[0] == pytest.approx((1 + math.sqrt(2)) ** -2)


def test_the_command(monkeypatch, capsys, tmp_path):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from robustcore import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["robustcore", "bounds", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    code, out, err = run("--n", "100", "--f", "10", "--plot", "fig.png")
    assert code == 0 and err == "" and "6.557" in out and out.endswith("picture: fig.png\n")
    assert Path("fig.png").is_file()
    assert run("-n", "100", "-f", "10", "-d", "4")[1].count("\n") > 30
    for arguments, message in [
        (("--n", "10", "--f", "5"), "bounds needs n > 2f; here n = 10 and f = 5 (with n = 10, f can be at most 4)"),
        (("--n", "10", "--f", "5", "--plot", "x.png"), "bounds needs n > 2f"),
        (("--n", "10", "--f", "-1"), "bounds needs f >= 0; here f = -1"),
        (("--n", "0", "--f", "0"), "no f is valid with n = 0"),
        (("--n", "10", "--f", "1", "-d", "0"), "bounds needs d >= 1; here d = 0"),
        (("--n", "10"), "Missing option"),
        (("--n", "ten", "--f", "1"), "not a valid integer"),
        (("--n", "10", "--f", "1", "--plot", "x.gif"), "x.gif is none of .png, .pdf, .svg"),
        (("--n", "10", "--f", "1", "--plot", "none/x.png"), "none"),
    ]:
        code, out, err = run(*arguments)
        assert code == 2 and out == "" and err.count("\n") == 1 and message in err
        assert not Path("x.png").exists()


@pytest.mark.parametrize(("missing", "extra"), [("rich.table", "cli"), ("matplotlib.figure", "plot")])
def test_what_is_not_installed_is_named(missing, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf'pip install "robustcore\[{extra}\]"'):
        bounds.plot(9, 2, "never.png") if extra == "plot" else bounds.print_tables(9, 2, 3, None)


def test_the_page_in_docs():
    """Its examples run, its functions exist and are all there, and its links lead somewhere."""
    page = (DOCS / "bounds.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```pycon\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(blocks, {}, "bounds.md", None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0
    assert set(re.findall(r"`(\w+)[(`]", page)) >= set(theory.__all__) - {"WorstCase"}
    for target in re.findall(r"\]\(([^)]*)\)", page):
        assert (DOCS / target).is_file()
