"""Clustering two million points on two workers, one of which is killed: ``python -m bench.clustering_scale``.

Prints how long it takes and how much memory the client and the workers need at most, and fails if the centers are not
those of a run without workers, to the last bit. It takes some minutes; ``--quick`` has a tenth of the points.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from rich.progress import Progress

from robustcore.agreement.report import human
from robustcore.clustering import ByzantineKMedians, Local, fractional_repetition
from robustcore.clustering.experiment import local_workers
from robustcore.clustering.mixture import gaussians, match

N, D, K, M, T, COPIES = 2_000_000, 16, 25, 20, 4, 9


class Watched:
    """The most memory that processes have had in this time, looked at ten times in a second."""

    def __init__(self) -> None:
        self.client = self.worker = self.workers = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(0.1):
            sizes = []
            for child in own.children(recursive=True):
                try:
                    sizes.append(child.memory_info().rss)
                except psutil.Error:  # it has ended
                    continue
            self.client = max(self.client, own.memory_info().rss)
            self.worker, self.workers = max([self.worker, *sizes]), max(self.workers, sum(sizes))

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def write(path: Path, n: int) -> np.ndarray:
    """A mixture in a float32 file; its true centers."""
    points, truth, _ = gaussians(n, K, D, rng=0)
    np.save(path, points.astype(np.float32))
    return truth


def run(X: np.ndarray, what: str, engine: object, progress: Progress, kill: int | None = None) -> np.ndarray:
    """The centers, after saying how long they took; ``kill``: a worker, when a third of the machines have answered."""
    bar, shares = progress.add_task(what, total=1.0), []

    def show(share: float) -> None:
        progress.update(bar, completed=share)
        shares.append(share)
        if kill is not None and share >= 1 / 3 > ([0.0, *shares])[-2]:
            os.kill(kill, signal.SIGKILL)
            progress.print(f"worker {kill} killed")

    model = ByzantineKMedians(
        K,
        t=T,
        assignment=lambda n: fractional_repetition(M, n, COPIES),
        byzantine=T,
        attack="shift",
        engine=replace(engine, progress=show),
        random_state=0,
    )
    start = time.monotonic()
    with Watched() as memory:
        model.fit(X)
    seconds = time.monotonic() - start
    memory_of = (
        f"{human(memory.client)} here, {human(memory.worker)} in a worker, {human(memory.workers)} in all workers"
    )
    kept = f"{len(set(model.kept_) & set(model.byzantine_))} of {len(model.kept_)} kept are Byzantine"
    progress.print(f"{what}: {seconds:.0f} s; at most {memory_of}")
    progress.print(f"  cost {model.inertia_:.8g}; {kept}; malformed: {model.malformed_ or 'none'}")
    return model.cluster_centers_


def main(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        path = Path(folder, "points.npy")
        truth = write(path, n)
        X = np.load(path, mmap_mode="r")
        progress.print(
            f"{len(X):,} x {X.shape[1]} {X.dtype} ({human(X.nbytes)}), k = {K}, m = {M}, t = {T}, s = {COPIES}"
        )
        centers = {}
        with local_workers(2) as dask:
            centers["two workers"] = run(X, "two workers", dask, progress)
            victim = next(iter(dask.client.run(os.getpid).values()))
            centers["one killed"] = run(X, "two workers, one killed", dask, progress, kill=victim)
        centers["none"] = run(X, "no workers", Local(), progress)
        found = match(centers["none"], truth, 1e6).sum()
        progress.print(f"{found} of {K} true centers found")
        same = all(np.array_equal(centers["none"], other) for other in centers.values())
        progress.print("the same centers" if same else "DIFFERENT centers")
    sys.exit(not same)


if __name__ == "__main__":
    main(N // 10 if "--quick" in sys.argv else N)
