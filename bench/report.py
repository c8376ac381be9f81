"""From shortest times to results/report.json and results/report.md."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

import robustcore as rc
from bench import test_ball, test_growth
from bench.cases import CASES, CYCLES, SHAPES, THREADS, Case
from bench.peers_balls import MEMORY
from bench.peers_balls import NAMES as PEERS
from bench.scaling import GROUP as SHARDS
from bench.scaling import HERE, THERE
from bench.scaling import RULES as IN_SHARDS
from bench.test_agreement import RUNS
from bench.test_centroids import AGAINST_ALL, BALLS
from bench.test_certify import AGAINST_ALL as CERTIFIED_AGAINST_ALL
from bench.test_certify import CERTIFICATES
from bench.test_clustering import COSTS, ITERATION, TIMES
from bench.test_diameter import GROWN, SMALL, small
from bench.test_rules import ATTACKED
from bench.test_rules import CONTENDERS as RULES
from bench.test_safe_area import AGAINST_ALL as SAFE_AGAINST_ALL
from bench.test_safe_area import POINTS
from robustcore.attacks import ATTACKS

UNIT = "numpy mean(X, axis=0)"
PASS = "robustcore pairwise_sqdist"
SEARCHES = (
    "search",
    GROWN,
    *(small(n, f) for n, f in SMALL),
    BALLS,
    AGAINST_ALL,
    CERTIFICATES,
    CERTIFIED_AGAINST_ALL,
    POINTS,
    SAFE_AGAINST_ALL,
    RUNS,
)
OVER_PASS = "over_the_pass_at_50_x_1e5_float32"
NEEDED = (
    {(str(case), name) for case in CASES for name in (UNIT, PASS, "robustcore multi_krum", "read")}
    | {
        ("limits", "read in cache"),
        ("limits", "multiply-add float32"),
        ("limits", "multiply-add float64"),
        ("front door", "array"),
        ("front door", "layers"),
        ("front door", "call 10 x 1000"),
        ("front door", "peak MiB"),
        ("front door", "import ms"),
        ("50 x 1e5", "pass"),
        ("50 x 1e5", "geometric_median"),
    }
    | {(str(case), "robustcore median") for case in CASES if case.dtype == "float32"}
)


class Measured:
    """The smallest value noted for each (group, name), in the order of first notes."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], float] = {}
        self.threads: dict[str, int] = {}
        self.versions: dict[str, str] = {}  # of peers in other interpreters

    def note(self, group: str, name: str, value: float, threads: int | None = None) -> None:
        self.values[group, name] = min(value, self.values.get((group, name), np.inf))
        if threads is not None:
            self.threads[name] = threads

    def is_complete(self) -> bool:
        return self.values.keys() >= NEEDED


def facts(measured: Measured, others: float | None) -> dict[str, Any]:
    """All that the report says, as plain data."""
    values = measured.values
    # The same units hold 16 floats or 8 doubles: a poor float64 kernel of OpenBLAS must not lower the limit.
    single = 1 / values["limits", "multiply-add float32"]
    rates = {"float32": single, "float64": max(1 / values["limits", "multiply-add float64"], single / 2)}
    return {
        "machine": machine(),
        "versions": versions() | {name: measured.versions.get(name, "absent") for name in PEERS},
        "cycles": CYCLES,
        "share_of_other_processes": None if others is None else rounded(others),
        "limits": {
            "multiply_adds_per_second": {dtype: rounded(rate) for dtype, rate in rates.items()},
            "gemm_float64_multiply_adds_per_second": rounded(1 / values["limits", "multiply-add float64"]),
            "read_in_cache_by_one_thread_bytes_per_second": rounded(2**19 / values["limits", "read in cache"]),
        },
        "threads": measured.threads,
        "cases": [_case(case, measured, rates[case.dtype]) for case in CASES],
        OVER_PASS: {
            name: rounded(value / values["50 x 1e5", "pass"])
            for (group, name), value in values.items()
            if group == "50 x 1e5"
        },
        "under_attack_over_without": {
            attack: {
                name: rounded(values[f"under {attack}", name] / values["50 x 1e5", name])
                for name in ATTACKED
                if (f"under {attack}", name) in values
            }
            for attack in ATTACKS
        },
        "search_seconds": {
            group: {name: rounded(value) for (own, name), value in values.items() if own == group}
            for group in dict.fromkeys(own for own, _ in values if own in SEARCHES)
        },
        "balls": {
            case: {
                name: None if np.isinf(value) else rounded(value)
                for (group, name), value in values.items()
                if group == test_ball.GROUP + case
            }
            for case in (*test_ball.CASES, *test_ball.TINY, test_ball.WEIGHTED, *test_ball.WIDE)
        },
        "growth_seconds": {
            group: {name: rounded(value) for (own, name), value in values.items() if own == group}
            for group in (*test_growth.GROWTH.values(), *test_growth.NAIVE.values())
        },
        "clustering": {
            group: {name: rounded(value) for (own, name), value in values.items() if own == group}
            for group in (TIMES, COSTS, ITERATION)
        },
        "front_door": {
            "layers_over_array": rounded(values["front door", "layers"] / values["front door", "array"]),
            "call_of_10_x_1000_seconds": rounded(values["front door", "call 10 x 1000"]),
            "peak_beyond_input_of_50_x_1e6_float32_MiB": rounded(values["front door", "peak MiB"]),
            "import_beyond_numpy_ms": rounded(values["front door", "import ms"]),
        },
        SHARDS: {name: rounded(value) for (group, name), value in values.items() if group == SHARDS},
    }


def _case(case: Case, measured: Measured, rate: float) -> dict[str, Any]:
    seconds = {
        name: measured.values[str(case), name] for name in measured.threads if (str(case), name) in measured.values
    }
    read, madds = measured.values[str(case), "read"], case.pairs * case.d
    arithmetic = madds / rate
    return {
        "n": case.n,
        "d": case.d,
        "dtype": case.dtype,
        "seconds": {name: rounded(value) for name, value in seconds.items()},
        "over_mean": {name: rounded(value / seconds[UNIT]) for name, value in seconds.items()},
        "pass": {
            "bytes": case.nbytes,
            "multiply_adds": madds,
            "read_bytes_per_second": rounded(case.nbytes / read),
            "bound_by": "read" if read > arithmetic else "arithmetic",
            "bound_seconds": rounded(max(read, arithmetic)),
            "fraction_of_limit": rounded(max(read, arithmetic) / seconds[PASS]),
        },
    }


def machine() -> dict[str, Any]:
    info = rc.build_info()
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "isa": info["isa"],
        "compiler": info["compiler"],
        "threads": THREADS,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("robustcore", "numpy", "scipy", "scikit-learn", "kmedoids", "torch", "torchjd", "byzfl"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


TEMPLATE = """\
# Bench report

{cpu}, {cores} cores, {system}; robustcore kernels {isa}, built by {compiler}; {threads} threads.
{versions}.
Data: standard normal, contiguous; f = n // 5, m = n - f. Shortest times of {cycles} turns.{others}

## Time over np.mean(X, axis=0)

{float32}

{float64}

`X @ X.T` and torchjd form products, which lose small differences under a large common offset. torchjd scores by
unsquared distances to n - f - 2 neighbours. scipy's pdist and byzfl turn float32 into float64.

## Every rule, over np.mean(X, axis=0)

{rules}

bulyan with the largest f it can stand, (n - 3) // 4. numpy's median returns float32 and averages the middle two of an
even n, as ours does; byzfl's are its numpy versions.

What a rule adds to the distances, float32, over `pairwise_sqdist` of the same 50 x 1e5 array (reading it once more for
the result is what `mean` does: it has no distances to form):

{over_pass}

What an attack by 10 of the 50 costs, over the same rule without one (rows that are not finite are found out and left
out; of far ones, rules that need their directions read once more, in float64):

{under_attack}

## Searches among subsets

In milliseconds. `search`: `minimum_diameter_subset` on distances at hand, to the end. n-regular: distances that are 1
between neighbours in a random regular graph and 0 elsewhere, at the smallest f for which 0 is enough, or one below it.
Small ones go from the data to the aggregate; the naive ones and byzfl try all subsets. `ball of all centroids`: the
search of `centroid_ball` on coordinates at hand, standard normal points, in some cases with as many at three times the
distance; and from the data, against `minimum_enclosing_ball` of all centroids, one by one. `certify`: from the data and
the coordinate-wise median of them to all three certificates; outliers are ten times as far out and apart, together: all
moved by 3 in every coordinate. `safe area point`: `validity.safe_area_point`; together: the f are in one place, far
away. `agree`: whole runs in one process, to 1e-6 of the spread, with what measures them; and one local step.

{searches}

## Enclosing balls

In milliseconds, float64; inf where one call takes more than {patience:.0f} seconds or {memory} GiB. The others run each
in a process of its own, on one thread. Gap: how far our radius may be above the smallest, at most. With weights:
`weighted_one_center`.

{balls}

50 points far apart, against `pairwise_sqdist` of the same array in milliseconds:

{balls_over_pass}

### Sizes reached

Standard normal updates in 10 dimensions, f // 2 of them three times as far out; from the data to the answer, in
milliseconds. In brackets: what all subsets would take, by their number.

![Seconds against n, both logarithmic: trying all subsets rises steeply, to about a second at n = 18 to 25; the
searches of mda, minmax_meb and centroid_ball rise slowly, to n = 400, 80 and 100 in less than a second](growth.png)

{growth}

## Clustering

Times in milliseconds; costs are sums of distances, over the smallest that any of them has found with five seeds.
fasterpam: medoids, from a matrix of all distances, which its time includes. k-means minimises squares. An iteration: of
data without clusters, where each step has all to do; k-means' centers are means, which take one pass.

{clustering}

## The distances pass against the machine

{limit}

Bound: the longer of reading n·d numbers once and n(n-1)/2·d multiply-adds. Each pair's subtraction is not counted.

**Read**: every thread takes np.maximum.reduce (which lets go of the GIL) of its share of the very array of the case,
as int32, four times over, in turn with the contenders: {slowest:.0f} to {fastest:.0f} GB/s. It waits for memory and
not for itself: within half a MiB one thread does {cached:.0f} GB/s. What of an array fits the last cache is read from
there, by everyone.

**Multiply-adds**: np.matmul of 1024 x 1024 matrices by OpenBLAS on all its threads, told to use its AVX-512 kernels
where the processor has AVX-512: {rate32:.0f} G/s in float32. In float64 the better of that product,
{gemm64:.0f} G/s, and half of float32, as the same units hold half as many: {rate64:.0f} G/s.

## The front door

{door}

## Shards

50 updates of 2,048,000 float32 in four files: a call in one process that maps them, the same on a Dask cluster of two
processes with a thread each, and what the workers send.

{shards}
"""


def markdown(facts: dict[str, Any]) -> str:
    limits, others = facts["limits"], facts["share_of_other_processes"]
    reads = [case["pass"]["read_bytes_per_second"] for case in facts["cases"]]
    return TEMPLATE.format(
        **facts["machine"],
        versions=", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
        cycles=facts["cycles"],
        others="" if others is None else f"\nOther processes took {others:.0%} of the machine while these were taken.",
        float32=_ratios("float32", facts, [name for name in facts["threads"] if name not in RULES]),
        float64=_ratios("float64", facts, [name for name in facts["threads"] if name not in RULES]),
        rules=_ratios("float32", facts, [name for name in facts["threads"] if name in RULES]),
        under_attack=table(
            ["attack", *ATTACKED],
            [
                [attack, *(_brief(ratios.get(name)) for name in ATTACKED)]
                for attack, ratios in facts["under_attack_over_without"].items()
            ],
        ),
        searches="\n\n".join(
            table([group, "ms"], [[name, f"{1e3 * value:.3g}"] for name, value in values.items()])
            for group, values in facts["search_seconds"].items()
        ),
        clustering="\n\n".join(_clustering(facts["clustering"])),
        balls=_balls(facts["balls"]),
        patience=test_ball.PATIENCE,
        memory=MEMORY >> 30,
        balls_over_pass=_balls_over_pass(facts["balls"]),
        growth=table(
            ["rule", "n", "f", "subsets", "ours ms", "all subsets ms"], test_growth.rows(facts["growth_seconds"])
        ),
        over_pass=table(["rule", "over the pass"], [[k, f"{v:.2f}"] for k, v in facts[OVER_PASS].items()]),
        limit=_limit(facts),
        slowest=min(reads) / 1e9,
        fastest=max(reads) / 1e9,
        cached=limits["read_in_cache_by_one_thread_bytes_per_second"] / 1e9,
        rate32=limits["multiply_adds_per_second"]["float32"] / 1e9,
        rate64=limits["multiply_adds_per_second"]["float64"] / 1e9,
        gemm64=limits["gemm_float64_multiply_adds_per_second"] / 1e9,
        door=_door(facts["front_door"]),
        shards=_shards(facts[SHARDS]),
    )


def _clustering(measured: dict[str, dict[str, float]]) -> Iterator[str]:
    for group, values in measured.items():
        costs = group == COSTS
        rows = [[name, f"{value:.4f}" if costs else f"{1e3 * value:.3g}"] for name, value in values.items()]
        if rows:
            yield table([group, "" if costs else "ms"], rows)


def _milliseconds(seconds: float | None) -> str:
    return "inf" if seconds is None else f"{1e3 * seconds:.3g}"


def _balls(balls: dict[str, dict[str, float | None]]) -> str:
    rows = []
    for case in (*test_ball.CASES, *test_ball.TINY, test_ball.WEIGHTED):
        found = balls[case]
        ours = found.get(test_ball.OURS)
        theirs = [found[name] for name in PEERS if found.get(name)]
        rows.append(
            [
                case,
                "-" if ours is None else _milliseconds(ours),
                f"{found[test_ball.GAP]:.0e}" if test_ball.GAP in found else "-",
                *("-" if name not in found else _milliseconds(found[name]) for name in PEERS),
                _brief(min(theirs) / ours if theirs and ours else None),
            ]
        )
    return table(["ball", test_ball.OURS, "gap", *PEERS, "fastest / robustcore"], rows)


def _balls_over_pass(balls: dict[str, dict[str, float | None]]) -> str:
    rows = []
    for case in test_ball.WIDE:
        own, ball = balls[case].get("pass"), balls[case].get("ball")
        if own and ball:
            rows.append([case, f"{1e3 * own:.3g}", f"{1e3 * ball:.3g}", f"{ball / own:.2f}"])
    return table(["", "pass", "ball", "over the pass"], rows)


def _door(door: dict[str, float]) -> str:
    layers, call, memory = door.values()
    rows = [
        ["50 clients x 30 layers (986,880 float32), over the same in one (50, d) array", f"{layers:.2f}"],
        ["one call, 10 x 1000 float32", f"{call * 1e6:.1f} µs"],
        ["peak memory beyond the input (191 MiB, 50 x 1e6 float32), with the result (3.8 MiB)", f"{memory:.1f} MiB"],
    ]
    return table(["multi_krum", ""], rows)


def _shards(found: dict[str, float]) -> str:
    rows = []
    for name in IN_SHARDS:
        times = [found.get(f"{name}, {who}") for who in (HERE, THERE)]
        sent = [found.get(f"{name}, bytes {where}") for where in ("to the client", "between workers")]
        rows.append(
            [name, *("-" if x is None else f"{1e3 * x:.3g}" for x in times)]
            + ["-" if x is None else f"{x:,.0f}" for x in sent]
        )
    return table(["", f"{HERE}, ms", f"{THERE}, ms", "bytes to the client", "bytes between workers"], rows)


def _ratios(dtype: str, facts: dict[str, Any], contenders: list[str]) -> str:
    cases = [case for case in facts["cases"] if case["dtype"] == dtype]
    rows = [
        [name, str(threads), *(_brief(case["over_mean"].get(name)) for case in cases)]
        for name, threads in facts["threads"].items()
        if name in contenders
    ]
    rows.append([f"{UNIT} in ms", "1", *(f"{case['seconds'][UNIT] * 1e3:.2f}" for case in cases)])
    return table([dtype, "threads", *(f"{n} x {d:.0e}".replace("e+0", "e") for n, d in SHAPES)], rows)


def _limit(facts: dict[str, Any]) -> str:
    rows = []
    for case in facts["cases"]:
        p = case["pass"]
        rows.append(
            [
                f"{case['n']} x {case['d']:.0e} {case['dtype']}".replace("e+0", "e"),
                f"{p['bytes'] / 1e6:.0f}",
                f"{p['read_bytes_per_second'] / 1e9:.1f}",
                f"{p['multiply_adds'] / 1e9:.3g}",
                p["bound_by"],
                f"{p['bound_seconds'] * 1e3:.2f}",
                f"{case['seconds'][PASS] * 1e3:.2f}",
                f"{p['fraction_of_limit']:.0%}",
            ]
        )
    head = ["", "MB", "GB/s read", "G multiply-adds", "bound by", "bound ms", "pass ms", "fraction"]
    return table(head, rows)


def _brief(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(folder: Path, facts: dict[str, Any], text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "report.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(text, encoding="utf-8")
    test_growth.picture(facts["growth_seconds"], folder / "growth.png")
