"""Rows cut into shards of columns: what rules ask of them, as small tasks on every shard.

A task gets a shard, an (n, width) array, and reads it as `robustcore.krum` reads an array: into a `_core.Updates` of
the rows that are asked for. Which these are goes with the task, in `_Rows`: numbers of rows, and n x n weights of a
mixing. What comes back are n x n partial sums, added in the order of the shards, and flags. What has the length of an
update stays where the shard is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._constraints import as_count, check_least
from robustcore._core import carried_sum, carry_parts
from robustcore._threads import get_num_threads
from robustcore._updates import Array, Floats, InMemory, Progress, Updates, read

Task = Callable[..., Any]
Row = Any  # one number for each column: its parts, one for each shard, as the engine has them


class Engine(Protocol):
    """Where the shards are, and who runs tasks there: on every shard ``task(shard, *parts)``, the parts those of rows.

    Tasks can be pickled, change nothing, and may be run again. They use as many threads as `get_num_threads` says.
    ``progress`` is called with the share of the shards that are done; what it raises ends the pass.
    """

    def run(self, task: Task, rows: Sequence[Row], progress: Progress) -> list[Any]:
        """What the task returns for each shard, something small, in the order of the shards."""

    def add(self, task: Task, rows: Sequence[Row], progress: Progress) -> Floats:
        """The sum of the parts that the task returns, (parts, n, n) for each shard, in the order of the shards.

        That is the `carried_sum` of what `carry_parts` makes of those of the first shard, of the second and so on.
        """

    def leave(self, task: Task, rows: Sequence[Row], progress: Progress) -> tuple[list[bool], Row]:
        """The task returns a flag and an array: the flags, and a row whose parts are the arrays."""

    def row(self, update: Any, what: str) -> Row:
        """What a caller has, as a row; ValueError or TypeError that names it where its shape or dtype does not fit."""

    def value(self, row: Row) -> Any:
        """A row as callers get it."""


class Here:
    """Shards one after the other, in this process: an `Engine`.

    Parameters
    ----------
    shards : sequence
        What ``load`` makes an (n, width) array of.
    load : callable, optional
        Called with a shard when its numbers are wanted, in each pass anew; by default shards are arrays.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> from robustcore.backends import Here, open_shards
    >>> X = np.array([[1.0, 5.0, 0.0], [2.0, 4.0, 0.0], [3.0, -1e30, 0.0]])
    >>> updates = open_shards(Here([X[:, :2], X[:, 2:]]), 3, [2, 1], X.dtype)
    >>> rc.median(updates)
    array([2., 4., 0.])
    """

    def __init__(self, shards: Sequence[Any], load: Callable[[Any], Any] = np.asarray):
        self.shards, self.load = shards, load

    def _each(self, task: Task, rows: Sequence[Row], progress: Progress) -> Iterator[Any]:
        for i, shard in enumerate(self.shards):
            yield task(self.load(shard), *(self.load(row[i]) for row in rows))
            if progress is not None:
                progress((i + 1) / len(self.shards))

    def run(self, task: Task, rows: Sequence[Row], progress: Progress) -> list[Any]:
        return list(self._each(task, rows, progress))

    def add(self, task: Task, rows: Sequence[Row], progress: Progress) -> Floats:
        carried = None
        for parts in self._each(task, rows, progress):
            carried = carry_parts(parts, carried, get_num_threads())
        assert carried is not None  # open_shards has seen one
        return carried_sum(carried)

    def leave(self, task: Task, rows: Sequence[Row], progress: Progress) -> tuple[list[bool], Row]:
        flags, parts = zip(*self._each(task, rows, progress), strict=True)
        return list(flags), list(parts)

    def row(self, update: Any, what: str) -> Row:
        widths = [self.load(shard).shape[1] for shard in self.shards]
        update = np.asarray(update)
        if update.shape != (sum(widths),):
            raise ValueError(f"{what} must be of shape ({sum(widths)},), as an update is, not {update.shape}")
        return np.split(update, np.cumsum(widths)[:-1])

    def value(self, row: Row) -> Any:
        return np.concatenate(row).astype(row[0].dtype, copy=False)  # it forgets the byte order


@dataclass(frozen=True, eq=False)
class _Rows:
    """The rows that a pass sees of every shard."""

    n: int  # in the shard
    dtype: np.dtype[Any]
    kept: NDArray[np.int64]  # of these
    extra: tuple[int | None, ...] = ()  # behind them: one of the other rows that the task gets, or the origin
    M: Floats | None = None  # combinations of all these
    relative: bool = False

    @property
    def count(self) -> int:
        return len(self.kept) + len(self.extra) if self.M is None else len(self.M)

    def read(self, shard: Any, *parts: Any) -> tuple[InMemory, _core.Updates]:
        """A shard's kept rows, and the rows that are asked for."""
        if shard.ndim != 2 or len(shard) != self.n or shard.dtype.newbyteorder("=") != self.dtype:
            said = f"({self.n}, width) array of {self.dtype}"
            raise ValueError(f"a shard is no {said}, but one of shape {shard.shape} and {shard.dtype}")
        updates = read(shard if len(self.kept) == self.n else [shard[row] for row in self.kept])
        assert isinstance(updates, InMemory)
        core = updates.core_of(None, [None if which is None else _like(updates, parts[which]) for which in self.extra])
        assert isinstance(core, _core.Updates)
        return updates, core if self.M is None else core.mixed(self.M, self.relative)


def _like(updates: InMemory, part: Any) -> list[Any]:
    return updates.like(part, "a row that was given", finite=False)


# The tasks.


def _sqdist(rows: _Rows, exact: bool, shard: Any, *parts: Any) -> Floats:
    return rows.read(shard, *parts)[1].sqdist_parts(get_num_threads(), None, exact)


def _sqdist_scaled(rows: _Rows, D: Floats, scale: float, shard: Any, *parts: Any) -> Floats:
    return rows.read(shard, *parts)[1].sqdist_scaled_parts(D, scale, get_num_threads())


def _finite_rows(rows: _Rows, shard: Any, *parts: Any) -> NDArray[np.bool_]:
    return rows.read(shard, *parts)[1].finite_rows(get_num_threads())


def _combine(rows: _Rows, weights: Floats, origin: int, shard: Any, *parts: Any) -> tuple[bool, Array]:
    updates, core = rows.read(shard, *parts)
    outputs = updates.empty()
    finite = core.combine(weights, origin, outputs, get_num_threads())
    return finite, updates.rebuild(outputs)


def _columns(rows: _Rows, rule: str, f: int, shard: Any, *parts: Any) -> tuple[bool, Array]:
    updates, core = rows.read(shard, *parts)
    outputs = updates.empty()
    finite = core.columns(rule, f, outputs, get_num_threads())
    return finite, updates.rebuild(outputs)


def _check(rows: _Rows, what: str, finite: bool, shard: Any, part: Any) -> None:
    rows.read(shard)[0].like(part, what, finite)


def _find(rows: _Rows, find: Callable[..., Any], shard: Any, *parts: Any) -> Any:
    updates, _ = rows.read(shard)
    return find(updates, *(_like(updates, part) for part in parts))


@dataclass(frozen=True, eq=False)
class Shards:
    """What `_core.Updates` is for rows in one memory.

    The sums of shards that begin at multiples of `_core.SUPERBLOCK` columns are those of one memory to the last bit.
    How many threads a pass has is for the engine to say.
    """

    engine: Engine
    d: int
    rows: _Rows
    given: tuple[Row, ...] = ()  # other rows, which tasks get

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.rows.count

    def mixed(self, M: Floats, relative: bool = False) -> Shards:
        assert self.rows.M is None  # as in _core.Updates
        return replace(self, rows=replace(self.rows, M=M, relative=relative))

    def sqdist(self, threads: int, progress: Progress = None, exact: bool = False) -> Floats:
        return self.engine.add(partial(_sqdist, self.rows, exact), self.given, progress)

    def sqdist_scaled(self, out: Floats, scale: float, threads: int, progress: Progress = None) -> None:
        task = partial(_sqdist_scaled, self.rows, out.copy(), scale)
        rescale(out, scale, lambda _: self.engine.add(task, self.given, progress))

    def finite_rows(self, threads: int, progress: Progress = None) -> NDArray[np.bool_]:
        found = self.engine.run(partial(_finite_rows, self.rows), self.given, progress)
        return np.asarray(np.all(found, axis=0))

    def combine(
        self, weights: Floats, origin: int, outputs: list[Left], threads: int, progress: Progress = None
    ) -> bool:
        return self._leave(partial(_combine, self.rows, weights, origin), outputs, progress)

    def columns(self, rule: str, f: int, outputs: list[Left], threads: int, progress: Progress = None) -> bool:
        return self._leave(partial(_columns, self.rows, rule, f), outputs, progress)

    def _leave(self, task: Task, outputs: list[Left], progress: Progress) -> bool:
        flags, outputs[0].row = self.engine.leave(task, self.given, progress)
        return all(flags)


def rescale(out: Floats, scale: float, form: Callable[[NDArray[np.bool_]], Floats]) -> None:
    """What `sqdist_scaled` does, where ``form`` has scaled distances of chosen pairs."""
    chosen = out < _core.VANISHING if scale > 1.0 else np.isinf(out)
    np.fill_diagonal(chosen, False)
    anew = form(chosen) if chosen.any() else None
    with np.errstate(all="ignore"):
        out *= scale
        out *= scale
    if anew is not None:
        out[chosen] = anew[chosen]


class Left:
    """The output of a pass, which stays where the shards are."""

    size = 1  # as much as rules want to know of an output: that it is not empty
    row: Row = None


@dataclass(frozen=True)
class _Sharded(Updates):
    """Updates whose numbers are in shards."""

    core: Shards

    @property
    def is_wide(self) -> bool:
        return self.core.rows.dtype.itemsize == 8

    def core_of(self, rows: NDArray[np.int64] | None, extra: Sequence[Row | None] = ()) -> Shards:
        given = tuple(row for row in extra if row is not None)
        places = iter(range(len(given)))
        seen = replace(
            self.core.rows,
            kept=self.core.rows.kept if rows is None else self.core.rows.kept[rows],
            extra=tuple(None if row is None else next(places) for row in extra),
        )
        return replace(self.core, rows=seen, given=given)

    def like(self, update: Any, what: str, finite: bool = True) -> Row:
        row = self.core.engine.row(update, what)
        self.core.engine.run(partial(_check, self.core.rows, what, finite), [row], None)
        return row

    def each(self, find: Callable[..., Any], *rows: Row) -> list[Any]:
        return self.core.engine.run(partial(_find, self.core.rows, find), rows, None)

    def empty(self) -> list[Left]:
        return [Left()]

    def rebuild(self, outputs: list[Left], dropped: Container[int] = ()) -> Any:
        return self.core.engine.value(outputs[0].row)

    def _only(self, good: NDArray[np.bool_]) -> Self:
        return replace(self, core=self.core_of(np.flatnonzero(good)))


def open_shards(engine: Engine, n: int, widths: Sequence[int], dtype: Any) -> Updates:
    """What stands for X in rules, where the updates are in shards of columns.

    Parameters
    ----------
    engine : Engine
        Who has the shards, and runs tasks on them.
    n : int
        The number of updates.
    widths : sequence of int
        The number of columns of each shard, in order.
    dtype : dtype
        float16, bfloat16, float32 or float64.

    Returns
    -------
    Updates
        To be passed as X to any rule, to `certify`, `pairwise_sqdist`, `minimum_enclosing_ball`, and others that decide
        by distances.

    Raises
    ------
    ValueError, TypeError
        When there are no updates, a shard is empty, or the dtype is none of these.

    Notes
    -----
    A row that is not finite in one shard is dropped everywhere.

    Where every shard begins at a multiple of 512,000 columns, as `split` cuts them, distances, and with them whatever
    rules decide, are those of one array to the last bit. Elsewhere they are sums of other parts, in other bits: still
    within 1e-6 of the true ones for float32 and shorter, 1e-13 for float64, as `pairwise_sqdist` says. Values are
    formed column by column, and know nothing of shards.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> from robustcore.backends import Here, open_shards
    >>> X = np.array([[1.0, 5.0, 0.0], [2.0, 4.0, np.nan], [2.0, 5.0, 0.0], [3.0, 5.0, 1.0]])
    >>> rc.Krum(f=1).aggregate(open_shards(Here([X[:, :2], X[:, 2:]]), 4, [2, 1], X.dtype)).dropped
    {1: 'not finite'}
    """
    n, dtype = as_count("open_shards", "n", n), np.dtype(dtype).newbyteorder("=")
    check_least("open_shards", "n", n, 1)
    for i, width in enumerate(widths):
        if width < 1:
            raise ValueError(f"shard {i} has no columns")
    if not len(widths):
        raise ValueError("there are no shards")
    if dtype.name not in ("float16", "bfloat16", "float32", "float64"):
        raise TypeError(f"shards are of {dtype}, none of float16, bfloat16, float32 and float64")
    everyone = np.arange(n)
    return _Sharded(n, everyone, {}, Shards(engine, int(sum(widths)), _Rows(n, dtype, everyone)))


def split(d: int, parts: int) -> tuple[int, ...]:
    """The widths of shards that begin where a pass begins to add anew: every 512,000 columns.

    Parameters
    ----------
    d : int
        The number of columns.
    parts : int
        How many shards are wanted, of about the same width.

    Returns
    -------
    tuple of int
        The widths: fewer than ``parts`` where d has not as many times 512,000 columns. For a Dask array,
        ``X.rechunk({0: -1, 1: split(d, parts)})``.

    Raises
    ------
    ValueError, TypeError
        When d or parts is no positive whole number.

    Examples
    --------
    >>> from robustcore.backends import split
    >>> split(2_000_000, 3)
    (512000, 512000, 976000)
    >>> split(1000, 3)
    (1000,)
    """
    d, parts = as_count("split", "d", d), as_count("split", "parts", parts)
    check_least("split", "d", d, 1)
    check_least("split", "parts", parts, 1)
    units = math.ceil(d / _core.SUPERBLOCK)
    count = min(parts, units)
    ends = [min(units * (i + 1) // count * _core.SUPERBLOCK, d) for i in range(count)]
    return tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))
