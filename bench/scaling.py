"""What shards cost, measured at small size: ``python -m bench.scaling docs`` writes the table of docs/scaling.md.

Half a minute on one core, on a Dask cluster of two processes.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import robustcore as rc
from robustcore import _core
from robustcore.backends import carry_parts, split

BEGIN, END = "<!-- table: python -m bench.scaling docs -->", "<!-- end of table -->"
SIZES = (50, 100, 200, 400)
NUMBERS = 16_000_000  # n * d
SENT = (20, 40, 80)
SHARDS = 4

# What bench/test_backends.py measures.
N, WIDTHS = 50, (_core.SUPERBLOCK,) * SHARDS
GROUP = f"{N} x {sum(WIDTHS)} in shards"
RULES = {"multi_krum": rc.MultiKrum(f=N // 5), "median": rc.Median()}
HERE, THERE = "one process", "two workers"


@contextmanager
def cluster() -> Iterator[Any]:
    """A client of two processes with a thread each."""
    import distributed

    with (
        distributed.LocalCluster(2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=40) as two,
        distributed.Client(two, set_as_default=False) as client,
    ):
        yield client


def shards(folder: Path, n: int, widths: tuple[int, ...]) -> list[Path]:
    """Standard normal float32 updates in files."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{n}-{i}.npy" for i in range(len(widths))]
    for path, width in zip(paths, widths, strict=True):
        np.save(path, rng.standard_normal((n, width), dtype=np.float32))
    return paths


class Sent(NamedTuple):
    """Bytes to the client, and between the workers."""

    here: int
    between: int


def sent(client: Any, call: Callable[[], object]) -> Sent:
    """What a call has workers send."""
    gather, here = client.gather, 0

    def counted(futures: Any) -> Any:
        nonlocal here
        found = gather(futures)
        here += len(pickle.dumps(found))
        return found

    def received() -> int:
        return sum(client.run(lambda dask_worker: sum(x["total"] for x in dask_worker.transfer_incoming_log)).values())

    before, client.gather = received(), counted
    try:
        call()
    finally:
        del client.gather
    return Sent(here, received() - before)


def seconds(call: Callable[[], object], rounds: int = 10) -> float:
    """The shortest of a few calls."""
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)


def slope(n: Sequence[int], y: Sequence[float]) -> float:
    """Of log y over log n."""
    return float(np.polyfit(np.log(n), np.log(y), 1)[0])


def measure() -> list[Any]:
    """The rows of the table: what, at which n, how much, and what the model says."""
    passes, adds, here, between = [], [], [], []
    with rc.num_threads(1):
        for n in SIZES:
            X = np.random.default_rng(0).standard_normal((n, NUMBERS // n), dtype=np.float32)
            passes.append(1e9 * seconds(partial(rc.pairwise_sqdist, X)) / X.size)
            parts = np.zeros((10, n, n))
            adds.append(1e6 * seconds(partial(carry_parts, parts)) / len(parts))
    with cluster() as client, tempfile.TemporaryDirectory() as folder:
        from robustcore.backends import dask

        for n in SENT:
            paths = shards(Path(folder), n, split(SHARDS * _core.SUPERBLOCK, SHARDS))
            found = sent(client, partial(dask.aggregate, paths, rc.MultiKrum(f=n // 5), client=client))
            here.append(float(found.here))
            between.append(float(found.between))
    return [
        ["distances, ns for a number of X", SIZES, passes, f"~ n: as n^{slope(SIZES, passes):.2f}"],
        ["adding an n x n part, µs", SIZES, adds, f"~ n²: as n^{slope(SIZES, adds):.2f}"],
        [f"bytes to the client, {SHARDS} shards", SENT, here, _listed([8.0 * n * n for n in SENT]) + ", and flags"],
        [f"bytes between workers, {SHARDS} shards", SENT, between, _listed([48.0 * n * n for n in SENT]) + " at most"],
    ]


def _listed(values: Sequence[float]) -> str:
    return "; ".join(f"{value:,.0f}" if value >= 100 else f"{value:.2g}" for value in values)


def table(rows: list[Any]) -> str:
    lines = ["| | n | measured | model |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {_listed(sizes)} | {_listed(values)} | {model} |" for what, sizes, values, model in rows]
    return "\n".join(lines)


def main() -> None:
    page = Path(sys.argv[1]) / "scaling.md"
    text = page.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    page.write_text(f"{text[:begin]}\n{table(measure())}\n{text[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
