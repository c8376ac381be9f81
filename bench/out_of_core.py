"""Updates on disk that memory does not hold: ``python -m bench.out_of_core [FOLDER] [CLIENTS] [MB]``.

Writes 64 updates of 200 MB, 12.8 GB, reads them as fast as the disk gives them, one file after the other, aggregates
them in a fresh process, and prints a line of Markdown for each rule: seconds, bytes read and how many of them came from
the disk, their rate against the plain read's, and how much was resident at most. What the system has cached of the
files is dropped before each; a rule's second pass may find some of them cached again. All take turns, three times, and
the shortest time of each counts, as of all benches here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np

ROUNDS = 3
RULES = {"multi_krum": 12, "trimmed_mean": 12, "mean": 12}
CHILD = """
    import sys, time
    import robustcore as rc
    from robustcore import files
    rule, f, out, *paths = sys.argv[1:]
    begin = time.perf_counter()
    files.aggregate(paths, rule, f=int(f), out=out)
    seconds = time.perf_counter() - begin
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    counts = dict(line.split(": ") for line in open("/proc/self/io"))
    print(seconds, int(peak) / 1024, int(counts["rchar"]), int(counts["read_bytes"]))
"""


def write(folder: Path, clients: int, megabytes: int) -> list[Path]:
    """Standard normal float32 updates around a common vector."""
    rng, paths = np.random.default_rng(0), []
    common = rng.standard_normal(megabytes * 250_000, dtype=np.float32)
    for i in range(clients):
        paths.append(folder / f"client{i:03}.npy")
        np.save(paths[-1], np.roll(common, 1009 * i))
    os.sync()
    return paths


def drop(paths: list[Path]) -> None:
    """What the system has cached of these files."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def plain(paths: list[Path]) -> float:
    """Bytes a second of reading the files one after the other."""
    drop(paths)
    buffer, begin = bytearray(1 << 22), time.perf_counter()
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return sum(path.stat().st_size for path in paths) / (time.perf_counter() - begin)


def main(where: str | None = None, clients: int = 64, megabytes: int = 200) -> None:
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        paths = write(folder, clients, megabytes)
        print(f"{clients} updates of {megabytes} MB, float32, on {os.cpu_count()} cores\n")
        plainly, found = 0.0, dict[str, tuple[float, ...]]()
        for _ in range(ROUNDS):
            plainly = max(plainly, plain(paths))
            for rule, f in RULES.items():
                drop(paths)
                arguments = [rule, str(min(f, (clients - 1) // 3)), str(folder / "out.npy"), *map(str, paths)]
                done = subprocess.run(
                    [sys.executable, "-c", textwrap.dedent(CHILD), *arguments],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                one = tuple(map(float, done.stdout.split()))
                found[rule] = min(found.get(rule, one), one)
        print(f"plain read: {plainly / 1e9:.3g} GB/s\n")
        print("| rule | seconds | GB read | from disk | GB/s | share of the plain read | MiB resident |")
        print("|---|---|---|---|---|---|---|")
        for rule, (seconds, peak, read, disk) in found.items():
            shown = (seconds, read / 1e9, disk / 1e9, read / seconds / 1e9, read / seconds / plainly)
            cells = (rule, *(f"{x:.3g}" for x in shown), f"{peak:.0f}")
            print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:]))
