"""The experiment of section V of the clustering paper: ``python -m bench.section_v docs [s1.txt]``.

Writes the tables of clustering.md and the picture beside it, in two minutes; that of S1 where a file with its points is
given (the project has none).
"""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.cluster import KMeans

from robustcore.clustering import experiment, mixture, pictures, points, table

SEEDS = 20
PICTURED = 5  # the seed whose costs are near the medians
BEGIN, END = "<!-- tables: python -m bench.section_v docs s1.txt -->", "<!-- end of tables -->"


def data(s1: Path | None) -> dict[str, tuple[mixture.Floats, mixture.Floats]]:
    """Points and true centers by name; those of S1, which come without, are the best of many starts of k-means."""
    X, truth, _ = mixture.gaussians()
    known = {"The generated mixture": (X, truth)}
    if s1 is not None:
        X = points.load(s1)
        known["S1"] = X, KMeans(15, n_init=100, random_state=0).fit(X).cluster_centers_
    return known


def tables(s1: Path | None) -> str:
    out = []
    for name, (X, truth) in data(s1).items():
        for method in experiment.METHODS:
            print(f"{name}, {method}", file=sys.stderr, flush=True)
            out += [f"**{name}, {method}**", table.markdown(table.section_v(X, truth, method, seeds=SEEDS))]
    return "\n\n".join(out)


def draw(path: Path) -> None:
    X, truth, _ = mixture.gaussians()
    made = experiment.run(X, len(truth), t=3, p=table.P, attack="random", truth=truth, seed=PICTURED)
    pictures.plot(X, made, path, truth=truth)


def main(folder: Path, s1: Path | None) -> None:
    page, made = folder / "clustering.md", tables(s1)
    draw(folder / "clustering.png")
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
