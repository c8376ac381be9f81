"""Pictures: every kind of comparison can be drawn, and what is drawn is what was found."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patches import Circle

from robustcore.clustering import experiment as lab
from robustcore.clustering import mixture as known
from robustcore.clustering import pictures


def mixture(n, k, d):
    X, truth, _ = known.gaussians(n, k, d)
    return X, truth


CASES = {
    "plane": lambda: (*mixture(300, 4, 2), {"t": 1, "m": 5}),
    "line": lambda: (*mixture(300, 3, 1), {"t": 1, "m": 5, "attack": "attract"}),
    "space": lambda: (*mixture(300, 4, 5), {"t": 1, "m": 5, "p": [0.3, 0.6]}),
    "many": lambda: (*mixture(30_000, 4, 2), {"baselines": False}),
    "nan": lambda: (*mixture(300, 3, 2), {"t": 1, "m": 5, "attack": "nan"}),
    "equal": lambda: (np.ones((9, 3)), np.ones((1, 3)), {"t": 1, "m": 4}),
    "one": lambda: (np.ones((1, 4)), None, {"m": 1}),
    "far": lambda: (np.vstack([mixture(300, 3, 2)[0], [[1e30, 0.0]]]), None, {"t": 1, "m": 5}),
    "float32": lambda: (mixture(300, 3, 2)[0].astype(np.float32), None, {"t": 1, "m": 5, "method": "k-means"}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_comparison_can_be_drawn(name, tmp_path):
    X, truth, options = CASES[name]()
    made = lab.run(X, 1 if len(X) == 1 else 3, **options)
    pictures.plot(X, made, tmp_path / "out.png", truth=truth)
    pixels = imread(tmp_path / "out.png")
    assert min(pixels.shape[:2]) >= 500 and len({tuple(p) for p in pixels[::5, ::5, :3].reshape(-1, 3).round(2)}) > 5


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_points_are_pixels_in_drawings(suffix, tmp_path):
    """5000 points would be slow to look at."""
    X, truth = mixture(5000, 15, 2)
    pictures.plot(X, lab.run(X, 15, baselines=False), tmp_path / f"out{suffix}", truth=truth)
    assert 5_000 < (tmp_path / f"out{suffix}").stat().st_size < 300_000


def drawn(X, truth, **options):
    made = lab.run(X, len(truth), **options)
    axes, seen = Figure().add_subplot(), pictures._plane(X)
    solution = made.solutions[-1]
    found = known.match(solution.centers, truth, made.extent)
    pictures._draw(axes, seen[0], seen[1](solution.centers))
    pictures._draw_truth(axes, seen[1](truth), found, known.NEAR * made.extent)
    pictures._say(axes, solution, found, made)
    return made, axes


def test_the_plane_has_all_that_it_should():
    X, truth = mixture(300, 4, 2)
    truth = np.vstack([truth, truth[0] + 3e5])  # one that is not there
    made, axes = drawn(X, truth[:4], t=1, m=5)
    centers = made.solutions[-1].centers
    assert np.array_equal(np.array(axes.lines[0].get_xydata()), centers)
    assert np.array_equal(np.array(axes.collections[0].get_offsets()), X) and axes.collections[0].get_rasterized()
    rings = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert sorted(ring.center for ring in rings) == sorted(map(tuple, truth[:4]))
    assert [ring.radius for ring in rings] == pytest.approx([known.NEAR * known.extent_of(X)] * 4)
    assert {to_hex(ring.get_edgecolor()) for ring in rings} == {pictures.TRUTH}
    said = [text.get_text() for text in axes.texts]
    assert said == ["repetition, s = 3", f"{made.relative(made.solutions[-1]):.3f} times the cost; 4 of 4 found"]


def test_what_was_not_found_and_what_is_outside():
    X, truth = mixture(300, 4, 2)
    away = truth + np.array([0, 0, 0, 2e5])[:, None]
    _, axes = drawn(X, away, t=1, m=5)
    assert [to_hex(patch.get_edgecolor()) for patch in axes.patches].count(pictures.MISSED) == 1
    axes = Figure().add_subplot()
    pictures._draw(axes, X, np.array([truth[0], [1e9, 0.0], [np.nan, 0.0]]))
    assert len(axes.lines[0].get_xydata()) == 1 and axes.texts[0].get_text() == "2 centres outside"


def test_many_dimensions_are_seen_from_their_widest_side():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 6)) * [1, 9, 1, 1, 30, 1] + 100
    points, seen = pictures._plane(X)
    assert np.allclose(points, seen(X)) and points.shape == (200, 2)
    assert np.abs(np.corrcoef(points[:, 0], X[:, 4])[0, 1]) > 0.99
    assert np.abs(np.corrcoef(points[:, 1], X[:, 1])[0, 1]) > 0.99
    a, b = rng.standard_normal((2, 6))
    assert np.linalg.norm(seen(a[None]) - seen(b[None])) <= np.linalg.norm(a - b)  # rings hold what is near
