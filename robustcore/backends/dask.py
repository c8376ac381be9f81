"""Updates on the workers of a Dask cluster (extra ``dask``)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from robustcore._core import carried_sum, carry_parts
from robustcore._extras import extra
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads, num_threads
from robustcore._updates import Floats, Progress, Updates
from robustcore.backends._shards import Engine, Here, Row, Task, open_shards, split
from robustcore.rules import as_rule
from robustcore.rules._base import Rule

with extra("dask", "robustcore.backends.dask needs Dask"):
    import cloudpickle
    import dask
    import dask.array as da
    from dask.delayed import Delayed, delayed
    from dask.highlevelgraph import HighLevelGraph

__all__ = ["aggregate", "split", "updates"]

MOST_SENT = 2**20  # bytes that may go with the tasks of a pass, in each again


def aggregate(
    X: Any, rule: str | Rule, *, client: Any = None, progress: Progress = None, **parameters: Any
) -> Aggregation:
    """Aggregate updates that are on the workers of a Dask cluster, by any rule behind any mixing.

    Parameters
    ----------
    X, client
        As in `updates`.
    rule : str or Rule
        As in `robustcore.aggregate`, with the rule's own ``parameters`` if it is a name. The center of `CenteredClip`
        may be a Dask array, so that the value of one call is the center of the next.
    progress : callable, optional
        Called with the share of the shards that are done, from 0 to 1 in each pass. What it raises cancels the tasks
        and is passed on, as Ctrl-C is.

    Returns
    -------
    Aggregation
        Its value is a Dask array of shape (d,) with a chunk for each shard. It has been computed, and its chunks stay
        with the workers; what is lost with a worker is computed again from X, as long as X is there.

    Raises
    ------
    ConstraintError
        When n, f and the other parameters do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When X or a parameter is malformed; as far as shapes and dtypes tell, before any number is read.
    RuntimeError
        When numbers of X were lost with a worker, and nothing says how to compute them again.

    Notes
    -----
    Nothing is gathered here but n x n and n numbers. A pass is a task for each shard: as a rule one for the distances,
    in which workers hand sums of n x n numbers on to each other in the order of the shards, and one for the value. Each
    reads X anew: ``X.persist()`` where there is memory for it.

    A task runs on one thread where its worker has several for tasks; a worker with one thread for tasks uses as many in
    the pass as `robustcore.get_num_threads` says on it, which is ``OMP_NUM_THREADS``: Dask sets that to 1 for the
    processes that it starts.

    For bits and errors, see `robustcore.backends.open_shards`; they do not depend on the workers, nor on whether some
    were lost. ``X @ X.T`` of Dask in float32 loses all digits where updates are 1e-3 of what they have in common.

    Cost: as the rule's; n^2 numbers between workers for each shard, and here.

    Examples
    --------
    >>> import dask.array as da, numpy as np, robustcore as rc
    >>> from robustcore.backends import dask
    >>> X = da.from_array(np.array([[1.0, 5.0, 0.0], [2.0, 4.0, 0.0], [3.0, -1e30, 0.0]]), chunks=(3, 2))
    >>> r = dask.aggregate(X, rc.Median())
    >>> r.value.chunks, r.value.compute()
    (((2, 1),), array([2., 4., 0.]))
    """
    return as_rule(rule, **parameters).aggregate(updates(X, client=client), progress=progress)


def updates(X: Any, *, client: Any = None) -> Updates:
    """What stands for X in rules, where its numbers are on the workers of a Dask cluster.

    Parameters
    ----------
    X : dask array, or sequence of delayed arrays, or of paths
        A Dask array (n, d) in chunks of columns, each of which has all rows. Or shards of it, next to each other in d:
        delayed arrays (n, width), or .npy files of such, which every worker can read. Workers map files, so that
        what is lost with a worker is read again, by another.
    client : distributed.Client, optional
        By default, the current one; if there is none, shards are computed one after the other, in this process.

    Returns
    -------
    Updates
        As from `robustcore.backends.open_shards`.

    Raises
    ------
    ValueError, TypeError
        When X is none of these, or shards have different n or dtypes; in a pass, when a shard is not as announced.

    Notes
    -----
    Delayed arrays are computed once to see their shapes, unless they are persisted.

    Condition: none on the widths. For the bits of one array, cut at the columns that `split` says.

    Examples
    --------
    >>> import dask.array as da, numpy as np, robustcore as rc
    >>> from robustcore.backends import dask
    >>> rc.pairwise_sqdist(dask.updates(da.from_array(np.array([[0.0, 0.0], [3.0, 4.0]]), chunks=(2, 1))))
    array([[ 0., 25.],
           [25.,  0.]])
    """
    if client is None and "distributed" in sys.modules:
        from distributed import get_client

        try:
            client = get_client()
        except ValueError:
            client = None
    if isinstance(X, da.Array):
        shards, n, widths, dtype = _of_array(X)
    else:
        shards = _of_sequence(X)
        n, widths, dtype = _described(_engine(client, shards, (), None))
    return open_shards(_engine(client, shards, widths, dtype.newbyteorder("=")), n, widths, dtype)


def _of_array(X: Any) -> tuple[list[Any], int, Sequence[int], np.dtype[Any]]:
    if X.ndim != 2:
        raise ValueError(f"X must have an axis for clients and one for coordinates; its shape is {X.shape}")
    if np.isnan(X.shape).any():
        raise ValueError("X has chunks of unknown size: X.compute_chunk_sizes() finds out")
    if len(X.chunks[0]) != 1:
        raise ValueError(
            f"X has its rows in {len(X.chunks[0])} chunks, and a shard needs all of them; "
            "X.rechunk({0: -1, 1: 'auto'}) moves every number once"
        )
    return list(X.to_delayed().ravel()), X.shape[0], X.chunks[1], X.dtype


def _of_sequence(X: Any) -> list[Any]:
    if not isinstance(X, (list, tuple)):
        raise TypeError(f"X must be a Dask array, or a list of delayed arrays or of paths, not a {type(X).__name__}")
    for i, shard in enumerate(X):
        if not isinstance(shard, (Delayed, str, os.PathLike)):
            raise TypeError(f"shard {i} is a {type(shard).__name__}, neither a delayed array nor a path")
        if not isinstance(shard, Delayed) and Path(shard).suffix != ".npy":
            raise ValueError(f"shard {i}, {os.fspath(shard)}, is no .npy file")
    if not X:
        raise ValueError("there are no shards")
    return [shard if isinstance(shard, Delayed) else _File(os.path.abspath(shard)) for shard in X]


@dataclass(frozen=True)
class _File:
    """A shard in a file, which whoever needs it maps."""

    path: str

    def open(self) -> NDArray[Any]:
        return np.load(self.path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _described(engine: Engine) -> tuple[int, list[int], np.dtype[Any]]:
    """n, the widths and the dtype of shards, which agree about them."""
    shapes, dtypes = zip(*engine.run(_describe, (), None), strict=True)
    for i, shape in enumerate(shapes):
        if len(shape) != 2:
            raise ValueError(f"shard {i} must have an axis for clients and one for coordinates; its shape is {shape}")
    agreed = shapes[0][0], dtypes[0]
    for i, found in enumerate((shape[0], dtype) for shape, dtype in zip(shapes, dtypes, strict=True)):
        if found != agreed:
            n, dtype = found
            raise ValueError(f"shard {i} has n = {n} and is {dtype}; shard 0 has n = {agreed[0]} and is {agreed[1]}")
    return agreed[0], [shape[1] for shape in shapes], agreed[1]


def _describe(shard: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if not isinstance(shard, np.ndarray):
        raise TypeError(f"a shard is a {type(shard).__name__}, not an array")
    return shard.shape, shard.dtype


def _engine(client: Any, shards: Sequence[Any], widths: Sequence[int], dtype: Any) -> Engine:
    return _Alone(shards, widths) if client is None else _Cluster(client, shards, widths, dtype)


def _row(update: Any, widths: Sequence[int], what: str) -> list[Delayed]:
    """An update as a row."""
    if not isinstance(update, da.Array):
        update = np.asarray(update)
    if update.shape != (sum(widths),):
        raise ValueError(f"{what} must be of shape ({sum(widths)},), as an update is, not {update.shape}")
    cut = (tuple(widths),)
    array = update.rechunk(cut) if isinstance(update, da.Array) else da.from_array(update, chunks=cut)
    return list(array.to_delayed())


class _Alone(Here):
    """No cluster: one shard after the other, each on all threads."""

    def __init__(self, shards: Sequence[Any], widths: Sequence[int]):
        super().__init__([_Sized(*pair) for pair in zip(shards, widths, strict=True)] if widths else shards, _load)
        self.widths = widths

    def row(self, update: Any, what: str) -> Row:
        return _row(update, self.widths, what)

    def value(self, row: Row) -> Any:
        return da.concatenate([da.from_array(part, chunks=-1, name=False) for part in row])


@dataclass(frozen=True)
class _Sized:
    """A shard, and the columns it should have."""

    shard: Any
    width: int


def _load(shard: Any) -> Any:
    if isinstance(shard, _Sized):
        return _of_width(_load(shard.shard), shard.width)
    return shard.compute() if isinstance(shard, Delayed) else _open(shard)


def _open(shard: Any) -> Any:
    return shard.open() if isinstance(shard, _File) else shard


def _of_width(shard: Any, width: int | None) -> Any:
    """A shard, or ValueError where it has not the columns that were announced."""
    if width is not None and shard.shape[1:] != (width,):
        raise ValueError(f"a shard should have {width} columns, and its shape is {shard.shape}")
    return shard


@dataclass(frozen=True, eq=False)
class _Cluster:
    """The workers of a cluster."""

    client: Any
    shards: Sequence[Any]
    widths: Sequence[int]
    dtype: Any

    def run(self, task: Task, rows: Sequence[Row], progress: Progress) -> list[Any]:
        return self._results(self._tasks(task, rows), progress)

    def add(self, task: Task, rows: Sequence[Row], progress: Progress) -> Floats:
        parts, name = self._tasks(task, rows), f"carry-{uuid4().hex}"
        # From worker to worker: 2 n^2 numbers, however many parts a shard has. A chain of `delayed` is quadratic.
        graph: dict[Any, Any] = {
            (name, i): (_carry, part.key, (name, i - 1) if i else None) for i, part in enumerate(parts)
        }
        graph[name] = (carried_sum, (name, len(parts) - 1))
        total = Delayed(name, HighLevelGraph.from_collections(name, graph, dependencies=parts))
        marks = [] if progress is None else [delayed(_done, pure=False)(part) for part in parts]
        found: Floats = self._results([*marks, total], progress)[-1]
        return found

    def leave(self, task: Task, rows: Sequence[Row], progress: Progress) -> tuple[list[bool], Row]:
        pairs = self._tasks(task, rows)
        flags, arrays = ([delayed(itemgetter(i), pure=False)(pair) for pair in pairs] for i in (0, 1))
        with _large_graphs():
            arrays = self.client.persist([*arrays, *flags])
        return self._results(arrays[len(pairs) :], progress, arrays), arrays[: len(pairs)]

    def row(self, update: Any, what: str) -> Row:
        return _row(update, self.widths, what)

    def value(self, row: Row) -> Any:
        pairs = zip(row, self.widths, strict=True)
        return da.concatenate([da.from_delayed(part, (width,), self.dtype) for part, width in pairs])

    def _tasks(self, task: Task, rows: Sequence[Row]) -> list[Any]:
        sent, name = task, f"shard-{uuid4().hex}"  # keys of one name: who has nothing to do takes the next
        if len(cloudpickle.dumps(task)) * len(self.shards) > MOST_SENT:
            sent = delayed(_same, pure=False)(task)  # with the n x n numbers of a mixing: to each worker once
        do = delayed(_do, pure=False)
        return [
            do(sent, self.widths[i] if self.widths else None, shard, *(row[i] for row in rows), dask_key_name=(name, i))
            for i, shard in enumerate(self.shards)
        ]

    def _results(self, tasks: list[Delayed], progress: Progress, others: Sequence[Delayed] = ()) -> list[Any]:
        """What small tasks return; these and the ``others`` are cancelled if something is raised meanwhile."""
        import distributed

        with _large_graphs():
            futures = self.client.compute(tasks)
        try:
            if progress is not None:
                for done, future in enumerate(distributed.as_completed(futures, loop=self.client.loop), 1):
                    if future.status != "finished":
                        break
                    progress(done / len(futures))
            return list(self.client.gather(futures))
        except BaseException as error:
            self.client.cancel([*futures, *distributed.futures_of(others)])
            if not isinstance(error, distributed.CancelledError):
                raise
            raise RuntimeError(
                "numbers of X were lost with a worker, and nothing says how to compute them again: scattered arrays are"
                " lost for good; files and delayed arrays are not"
            ) from error


def _large_graphs() -> Any:
    """A mixing of n = 1000 is 8 MB, and it has to go to the workers: no reason to warn."""
    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})


def _same(task: Task) -> Task:
    return task


def _done(part: Any) -> None:
    """A small sign that a part is there."""


# On a worker.


def _threads() -> int:
    """One, where other tasks have theirs."""
    from distributed import get_worker

    return get_num_threads() if get_worker().state.nthreads == 1 else 1


def _do(task: Task, width: int | None, shard: Any, *parts: Any) -> Any:
    with num_threads(_threads()):
        return task(_of_width(_open(shard), width), *parts)


def _carry(parts: Floats, carried: Floats | None) -> Floats:
    return carry_parts(parts, carried, _threads())
