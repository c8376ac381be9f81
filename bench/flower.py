"""Attacks against our strategies and Flower's own, in one process: ``python -m bench.flower docs`` writes flower.md.

Only what stands between its marks. It takes half a minute on one core; needs Flower and scikit-learn.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))

import federation as fed
import numpy as np
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp import strategy as flowers
from flwr.serverapp.strategy.multikrum import select_multikrum

import robustcore as rc
from robustcore.flower import RobustStrategy

F = fed.LIARS
OURS = {
    "MultiKrum": rc.MultiKrum(F),
    "Krum": rc.Krum(F),
    "Bulyan": rc.Bulyan(F),
    "Median": rc.Median(F),
    "TrimmedMean": rc.TrimmedMean(F),
    "TrimmedMean + NNM": rc.TrimmedMean(F, mixing=rc.NNM(F)),
    "GeometricMedian": rc.GeometricMedian(F),
}
THEIRS: dict[str, Callable[..., flowers.FedAvg]] = {
    "FedAvg": flowers.FedAvg,
    "FedMedian": flowers.FedMedian,
    "FedTrimmedAvg": flowers.FedTrimmedAvg,  # beta = 0.2 of 11 trims 2
    "Krum": lambda **own: flowers.Krum(num_malicious_nodes=F, **own),
    "MultiKrum": lambda **own: flowers.MultiKrum(num_malicious_nodes=F, num_nodes_to_select=fed.CLIENTS - F - 2, **own),
    "Bulyan": lambda **own: flowers.Bulyan(num_malicious_nodes=F, **own),
}
SURVIVES = 0.5  # who keeps more than this share of the accuracy that it has without an attack
TRIALS, DIMENSIONS = 40, 10_000
SIZES = (1e-1, 1e-2, 1e-3, 1e-4)  # of the updates, compared with the weights
LIE = 2  # how much farther than the honest the first F are from the common weights


def outcomes(make: Callable[[], flowers.FedAvg]) -> dict[str, float | str]:
    """For each attack the final accuracy, or the name of what ends the run."""
    found: dict[str, float | str] = {}
    for attack in fed.ATTACKS:
        try:
            with np.errstate(all="ignore"):
                found[attack] = fed.run(make(), attack)[1]
        except Exception as error:
            found[attack] = type(error).__name__
    return found


def matrix() -> dict[str, dict[str, dict[str, float | str]]]:
    """``[whose][strategy][attack]``."""
    quiet = {"fraction_evaluate": 0.0}
    return {
        "ours": {name: outcomes(lambda rule=rule: RobustStrategy(rule, **quiet)) for name, rule in OURS.items()},
        "Flower's": {name: outcomes(lambda make=make: make(**quiet)) for name, make in THEIRS.items()},
    }


def cell(outcome: float | str, unharmed: float | str) -> str:
    if isinstance(outcome, str):
        return "**ends**"
    if math.isnan(outcome):
        return "**NaN**"
    text = f"{100 * outcome:.0f}"
    return text if outcome > SURVIVES * unharmed else f"**{text}**"


def tables(found: dict[str, dict[str, dict[str, float | str]]]) -> str:
    parts = []
    for whose, strategies in found.items():
        head = f"| {whose} | " + " | ".join(strategies) + " |\n| --- |" + " ---: |" * len(strategies)
        rows = [
            f"| {attack} | " + " | ".join(cell(of[attack], of["none"]) for of in strategies.values()) + " |"
            for attack in fed.ATTACKS
        ]
        parts.append("\n".join([head, *rows]))
    return "\n\n".join(parts)


def trial(seed: int, size: float) -> np.ndarray:
    """Float32 models: common weights of size 1, and updates, those of the first F LIE times as large."""
    rng = np.random.default_rng(seed)
    spread = size * np.where(np.arange(fed.CLIENTS) < F, LIE, 1)[:, None]
    weights = rng.normal(size=DIMENSIONS)
    return (weights + spread * rng.normal(size=(fed.CLIENTS, DIMENSIONS))).astype(np.float32)


def elected(X: np.ndarray) -> tuple[int, int, int]:
    """Whom exact arithmetic elects, whom we elect, and whom Flower's Krum."""
    krum = rc.Krum(F, neighbors="classic")
    contents = [
        RecordDict({"arrays": ArrayRecord([x]), "metrics": MetricRecord({"num-examples": i})}) for i, x in enumerate(X)
    ]
    (winner,) = select_multikrum(contents, F, 1)
    (exact,), (ours,) = (krum.aggregate(Y).selected for Y in (X.astype(np.float64), X))
    return int(exact), int(ours), int(winner["metrics"]["num-examples"])


def elections() -> str:
    lines = ["| updates / weights | ours wrong | Flower's wrong | Flower's a liar |", "| ---: | ---: | ---: | ---: |"]
    for size in SIZES:
        exact, ours, theirs = np.array([elected(trial(seed, size)) for seed in range(TRIALS)]).T
        lines.append(f"| {size:g} | {(ours != exact).sum()} | {(theirs != exact).sum()} | {(theirs < F).sum()} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {"attacks": lambda: tables(matrix()), "elections": elections}


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}: python -m bench.flower docs -->", f"<!-- end of {name} -->"


def main(docs: str) -> None:
    page = Path(docs) / "flower.md"
    text = page.read_text(encoding="utf-8")
    for name, make in PARTS.items():
        begin, end = marks(name)
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{make()}\n{end}{rest.split(end)[1]}"
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
