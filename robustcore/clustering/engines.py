"""Where the machines' own problems are solved: in this process, or on the workers of a Dask cluster.

An engine is given one `Task` per machine and returns what each has found, in the same order, and `Missing` with a
reason where there is nothing. What is found does not depend on the engine.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from robustcore._constraints import as_number
from robustcore._extras import extra
from robustcore._geometry import Progress
from robustcore._threads import num_threads
from robustcore.clustering.fusion import Missing

__all__ = ["Dask", "Engine", "Local", "Task"]

Shard = tuple[NDArray[Any], NDArray[Any] | None]  # points, and their weights, if any
ATTEMPTS = 3  # of a task whose worker dies
PATIENCE = 60.0  # seconds for a worker to turn up, where there is no deadline
WAKE = 0.5  # seconds after which to look which workers are alive


@dataclass(frozen=True, eq=False)
class Task:
    """One machine's problem.

    Attributes
    ----------
    machine : int
        Which machine it is.
    shard : callable
        () -> (points, weights): reads the machine's points, when they are wanted.
    solve : callable
        (points, weights) -> centers; it can be pickled, and decides by its own seed. Weights may be None.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import Local, Task
    >>> task = Task(0, lambda: (np.arange(4.0), None), lambda points, weights: points.mean())
    >>> float(Local().solve([task])[0])
    1.5
    """

    machine: int
    shard: Callable[[], Shard]
    solve: Callable[[NDArray[Any], NDArray[Any] | None], Any]


class Engine(Protocol):
    """Whatever solves the machines' problems.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import ByzantineKMeans, Local, Missing, fractional_repetition
    >>> class WithoutTheFirst:
    ...     def solve(self, tasks):
    ...         return [Missing("it sleeps"), *Local().solve(tasks[1:])]
    >>> X = np.arange(8.0)[:, np.newaxis]
    >>> model = ByzantineKMeans(2, t=1, assignment=fractional_repetition(4, 8, 2), engine=WithoutTheFirst())
    >>> model.fit(X).malformed_
    {0: 'it sleeps'}
    """

    def solve(self, tasks: Sequence[Task]) -> list[Any]:
        """What each machine has found, or `Missing`, in the order of the tasks."""


class _Configuration:
    """An engine belongs to no estimator: copies of one share it, and it stays behind when one is written to a file."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self


@dataclass(frozen=True, eq=False)
class Local(_Configuration):
    """One machine after the other, in this process.

    Parameters
    ----------
    progress : callable, optional
        Called with the share of the machines that have answered.

    Notes
    -----
    The points of one machine at a time are in memory. k-means runs on one thread, k-medians on those of
    `robustcore.num_threads`. A machine whose computation raises counts as one that sent nothing.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import ByzantineKMeans, Local, fractional_repetition
    >>> shares = []
    >>> model = ByzantineKMeans(1, t=0, assignment=fractional_repetition(2, 4, 1), engine=Local(shares.append))
    >>> model.fit(np.arange(4.0)[:, np.newaxis]).cluster_centers_, shares
    (array([[1.5]]), [0.5, 1.0])
    """

    progress: Progress = None

    def solve(self, tasks: Sequence[Task]) -> list[Any]:
        replies: list[Any] = []
        for task in tasks:
            try:
                replies.append(task.solve(*task.shard()))
            except Exception as error:
                replies.append(_raised(error))
            _tell(self.progress, len(replies), len(tasks))
        return replies


def _raised(error: Exception) -> Missing:
    return Missing(f"its task raised {type(error).__name__}: {error}")


def _tell(progress: Progress, done: int, of: int) -> None:
    if progress is not None:
        progress(done / of)


@dataclass(frozen=True, eq=False)
class Dask(_Configuration):
    """One task per machine, on the workers of a Dask cluster.

    A worker is sent the points of as many machines as it has threads, and the next when one has answered. When it dies,
    its points are lost with it: they are read and sent again, to another. A machine whose task raises, or is not back
    by the deadline, or has lost its worker three times, counts as Byzantine, and the reason is kept.

    Parameters
    ----------
    client : distributed.Client
        Connected to a cluster whose workers have robustcore and its extra ``clustering``.
    deadline : float, optional
        How many seconds a machine may take, from when its points are with a worker; by default as long as it takes.
        Python cannot stop a thread: until a straggler is done, its worker has one thread less for others. If none is
        left for so many seconds, the machines that still wait count as late. (The first task of a worker also waits for
        its imports, a second or two.)
    progress : callable, optional
        Called with the share of the machines that have answered, or are given up.

    Raises
    ------
    ValueError, TypeError
        When the deadline is no positive number.

    Notes
    -----
    The centers are those of `Local`, to the last bit, on workers of the same processor and libraries: every task runs
    on one thread and has its own seed. Ctrl-C, or any other exception, cancels what is out.

    Memory: here, the points of one machine beside those of the caller; on a worker, of one machine per thread, and what
    their clustering takes, about as much again. Workers and client trust each other: whoever may answer in the place of
    a worker may also run code in the client, for Dask pickles. What is Byzantine here are the centers.

    Examples
    --------
    >>> from distributed import Client  # doctest: +SKIP
    >>> from robustcore.clustering import ByzantineKMeans, Dask, fractional_repetition  # doctest: +SKIP
    >>> engine = Dask(Client("tcp://scheduler:8786"), deadline=60.0)  # doctest: +SKIP
    >>> ByzantineKMeans(8, t=1, assignment=fractional_repetition(6, len(X), 3), engine=engine).fit(X)  # doctest: +SKIP
    """

    client: Any
    deadline: float | None = None
    progress: Progress = None

    def __post_init__(self) -> None:
        if self.deadline is not None:
            as_number("Dask", "deadline", self.deadline)

    def __reduce__(self) -> Any:
        raise TypeError("a connection to a Dask cluster cannot be pickled: set_params(engine=None) first")

    def solve(self, tasks: Sequence[Task]) -> list[Any]:
        return _Run(self, tasks).replies()


@dataclass(frozen=True, eq=False)
class _Out:
    """A task that a worker has."""

    at: int  # which of the tasks
    attempt: int
    worker: str
    threads: int  # of the worker, that are its own
    shard: Any  # the future of its points, which lives as long as this
    since: float


class _Run:
    """One use of the cluster. Every task is in one place: ``waiting``, ``running``, or (with a reply) done or ``late``.

    Tasks are pinned to the worker that has their points, and never to one without a free thread, so none waits there.
    """

    def __init__(self, engine: Dask, tasks: Sequence[Task]):
        with extra("dask", "Dask needs dask.distributed"):
            import distributed
        self.distributed, self.client, self.progress = distributed, engine.client, engine.progress
        self.deadline, self.tasks = engine.deadline, tasks
        self.found: dict[int, Any] = {}
        self.waiting = deque((at, 1) for at in range(len(tasks)))  # and which attempt it will be
        self.running: dict[Any, _Out] = {}
        self.late: dict[Any, _Out] = {}  # given up, but they still hold their threads
        self.moved = time.monotonic()  # when a task was last sent out, or could have been

    def replies(self) -> list[Any]:
        try:
            while self.waiting or self.running:
                alive = self.client.nthreads()
                self._settle(alive)
                self._send(alive)
                self._wait()
            return [self.found[at] for at in range(len(self.tasks))]
        finally:
            self.client.cancel([*self.running, *self.late])

    def _settle(self, alive: dict[str, int]) -> None:
        """Take what has come, send again what was lost, give up what is late."""
        now = time.monotonic()
        for future, out in list(self.running.items()):
            lost = future.status in ("cancelled", "lost") or out.worker not in alive
            if not lost and future.status == "pending":
                if self.deadline is not None and now - out.since > self.deadline:
                    self.late[future] = self.running.pop(future)
                    self._done(out.at, Missing(f"not back within {self.deadline:g} s"))
                continue
            del self.running[future]
            reply = None if lost else self._reply(future)
            if reply is None:
                self._again(out.at, out.attempt)
            else:
                self._done(out.at, reply)
        for future, out in list(self.late.items()):
            if future.status != "pending" or out.worker not in alive:
                del self.late[future]

    def _reply(self, future: Any) -> Any:
        """What has come, or what was raised; None where it was lost with its worker."""
        try:
            if future.status != "error":
                return future.result()
        except (self.distributed.CancelledError, OSError):
            return None
        try:
            error = future.exception()
        except Exception as other:  # such as one that cannot be unpickled here
            error = other
        return None if isinstance(error, self.distributed.KilledWorker) else _raised(error)

    def _again(self, at: int, attempt: int) -> None:
        if attempt < ATTEMPTS:
            self.waiting.append((at, attempt + 1))
        else:
            self._done(at, Missing(f"its worker died, {ATTEMPTS} times"))

    def _send(self, alive: dict[str, int]) -> None:
        """Send out what waits, as long as there are workers with free threads."""
        free = dict(alive)
        for out in (*self.running.values(), *self.late.values()):
            free[out.worker] = free.get(out.worker, 0) - out.threads
        while self.waiting:
            at, attempt = self.waiting[0]
            worker = max(free, key=lambda name: free[name], default=None)
            # Whoever may have killed a worker has the next to itself, so that it takes no other task along.
            threads = 1 if worker is None or attempt == 1 else alive[worker]
            if worker is None or free[worker] < threads:
                break
            self.waiting.popleft()
            self.moved = time.monotonic()
            free[worker] -= threads
            self._submit(at, attempt, worker, threads)
        if not self.waiting or self.running:
            self.moved = time.monotonic()
        patience = self.deadline if self.deadline is not None and alive else PATIENCE
        if time.monotonic() - self.moved > patience:
            for at, _ in self.waiting:
                self._done(at, Missing(f"no worker was free for it within {patience:g} s"))
            self.waiting.clear()

    def _submit(self, at: int, attempt: int, worker: str, threads: int) -> None:
        task = self.tasks[at]
        try:
            points = task.shard()
        except Exception as error:
            self._done(at, _raised(error))
            return
        try:
            [shard] = self.client.scatter([points], workers=[worker], hash=False)
        except (KeyError, OSError):  # it has died meanwhile
            self._again(at, attempt)
            return
        future = self.client.submit(
            _alone, task.solve, shard, workers=[worker], pure=False, key=f"machine-{task.machine}-{shard.key}"
        )
        self.running[future] = _Out(at, attempt, worker, threads, shard, time.monotonic())

    def _wait(self) -> None:
        """Until something may have changed."""
        patience = WAKE
        if self.deadline is not None and self.running:
            oldest = min(out.since for out in self.running.values())
            patience = min(max(oldest + self.deadline - time.monotonic(), 0.0) + 0.01, WAKE)
        if not self.running:
            time.sleep(patience if self.waiting else 0.0)
            return
        with suppress(TimeoutError, self.distributed.CancelledError):
            wait = self.distributed.wait
            wait(list(self.running), timeout=patience, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]

    def _done(self, at: int, reply: Any) -> None:
        self.found[at] = reply
        _tell(self.progress, len(self.found), len(self.tasks))


def _alone(solve: Callable[[NDArray[Any], NDArray[Any] | None], Any], shard: Shard) -> Any:
    """On a worker, whose other threads have tasks of their own."""
    with num_threads(1):
        return solve(*shard)
