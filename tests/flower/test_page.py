"""docs/flower.md: its tables are those of its generator, and what they show is so here and now."""

import importlib.util
import math
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr")
pytest.importorskip("sklearn")
import federation as fed

from robustcore.flower import RobustStrategy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "flower.md").read_text(encoding="utf-8")
FEW = 0.04  # of the accuracy: other processors round otherwise


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_flower", ROOT / "bench" / "flower.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tables(bench, name):
    """The tables of a part of the page: whose -> column -> row -> cell."""
    begin, end = bench.marks(name)
    text = PAGE.split(begin)[1].split(end)[0]
    found = {}
    for block in text.strip().split("\n\n"):
        (whose, *columns), _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.split("\n")
        )
        found[whose] = {column: {row[0]: row[i + 1] for row in rows} for i, column in enumerate(columns)}
    return found


def test_the_tables_have_every_strategy_and_every_attack(bench):
    found = tables(bench, "attacks")
    assert {whose: list(of) for whose, of in found.items()} == {
        "ours": list(bench.OURS),
        "Flower's": list(bench.THEIRS),
    }
    for of in found.values():
        assert all(list(column) == list(fed.ATTACKS) for column in of.values())
    assert not re.search(r"\*\*", str(found["ours"]))
    assert all("**" in str(column) for column in found["Flower's"].values())


def test_every_attack_is_explained(bench):
    said = PAGE.split("## Attacks")[1].split("<!--")[0]
    assert all(f"`{attack}`" in said for attack in fed.ATTACKS if attack != "none")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("whose", "name"), [("ours", "TrimmedMean + NNM"), ("ours", "GeometricMedian"), ("Flower's", "MultiKrum")]
)
def test_the_cells_are_what_comes_out(whose, name, bench):
    quiet = {"fraction_evaluate": 0.0}
    make = bench.THEIRS[name] if whose == "Flower's" else lambda **own: RobustStrategy(bench.OURS[name], **own)
    found = bench.outcomes(lambda: make(**quiet))
    for attack, cell in tables(bench, "attacks")[whose][name].items():
        if cell in ("**ends**", "**NaN**"):
            assert bench.cell(found[attack], found["none"]) == cell
        else:
            assert math.isclose(found[attack], int(cell.strip("*")) / 100, abs_tol=FEW), attack


def test_flowers_krum_elects_a_wrong_client_and_ours_does_not(bench):
    shown = tables(bench, "elections")["updates / weights"]
    assert set(shown["ours wrong"].values()) == {"0"}
    assert int(shown["Flower's wrong"]["0.001"]) > 0.6 * bench.TRIALS
    exact, ours, theirs = np.array([bench.elected(bench.trial(seed, 1e-3)) for seed in range(10)]).T
    assert (ours == exact).all() and (exact >= fed.LIARS).all()
    assert (theirs != exact).sum() >= 4
