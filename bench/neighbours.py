"""Other processes: waiting until they rest, and saying how much they took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PAUSE = 0.05  # seconds


class Neighbours:
    """Whatever else runs on this machine; where there is no /proc/stat, it is taken to rest."""

    def __init__(self, patience: float):
        self._patience = patience  # seconds
        self._taken = self._watched = 0.0  # seconds of cores
        self.known = _busy() is not None

    def wait(self) -> None:
        """Until the cores have rested for a moment, our own spinning threads among them, or patience is at its end."""
        resting = False
        while not resting:
            before = _busy()
            time.sleep(PAUSE)
            after = _busy()
            self._patience -= PAUSE
            resting = not self.known or after - before < 0.2 * PAUSE * os.cpu_count() or self._patience < 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Count what others take meanwhile."""
        if not self.known:
            yield
            return
        busy, own, start = _busy(), sum(os.times()[:2]), time.monotonic()
        yield
        self._taken += _busy() - busy - (sum(os.times()[:2]) - own)
        self._watched += (time.monotonic() - start) * os.cpu_count()

    def share(self) -> float | None:
        """The share of all cores that others took while watched."""
        return max(0.0, self._taken / self._watched) if self._watched else None


def _busy() -> float | None:
    """Seconds for which the machine's cores have been busy since it started."""
    try:
        user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().split()[1:9]
    except OSError:
        return None
    return sum(map(int, (user, nice, system, *interrupts))) / os.sysconf("SC_CLK_TCK")
