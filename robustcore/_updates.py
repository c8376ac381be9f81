"""The front door: from what callers hold to rows of segments, without copying, and back into the same structure.

An update is an array, or lists, tuples and dicts of arrays in any nesting. Its arrays are its segments (layers), in
the order of the structure. Arrays are whatever offers its memory on the CPU: numpy arrays, memory maps, torch tensors,
anything with DLPack or the buffer protocol. Python numbers in a list make a float64 row, for small examples. Torch
tensors on an accelerator stay there (robustcore/backends/torch.py).

Arrays of whole numbers and of truth values, such as the counters of a state dict, are no coordinates: rules do not see
them. Each of their entries becomes the lower median of those of the clients that were not dropped, which lies between
entries of honest clients, and is one that a client has sent.

The common case takes one walk over each update: the first one is the pattern, and the binding compares formats and
shapes. Only when something differs, `_sort_out` finds out who disagrees with the majority, and says where.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._constraints import none_left

OnMalformed = Literal["raise", "drop"]
Array = np.ndarray[Any, np.dtype[Any]]
Floats = NDArray[np.float64]
Progress = Callable[[float], object] | None

_NAMES = {
    np.dtype(order + code): name
    for order in "<>"
    for code, name in (("f4", "float32"), ("f8", "float64"), ("f2", "float16"))
}
FLOATING = ("float16", "bfloat16", "float32", "float64")
# Of these, rules see nothing.
WHOLE = ("bool", *(f"{sign}int{8 * size}" for sign in ("", "u") for size in (1, 2, 4, 8)))
_HOST_DEVICES = (1, 3, 11)  # DLPack's numbers for main memory: plain, and pinned by CUDA and ROCm
_LAYER = "layer {}".format
DEEPEST = 64
BLOCK = 1 << 16  # entries of whole numbers that are looked at together


class _Malformed(ValueError):
    """What is wrong with one client's update; ``where`` is the path of the layer within it."""

    def __init__(self, reason: str, where: str = ""):
        super().__init__(f"{where}: {reason}" if where else reason)


class Row(NamedTuple):
    """The arrays of one update, in the order of the structure."""

    arrays: list[Any]  # of numbers, without empty ones
    whole: list[Any]  # of whole numbers


@dataclass(frozen=True)
class _Leaf:
    """One array of the structure."""

    dtype: np.dtype[Any] | None  # as the arrays have it; None on an accelerator
    name: str  # float32, float64, float16, bfloat16, or that of a dtype of whole numbers
    shape: tuple[int, ...]
    finish: Callable[[Any], Any]  # from a native array of the result to what the caller gets
    device: str = ""  # the accelerator where it is

    @property
    def signature(self) -> Hashable:
        return self.name, self.shape, self.device

    @property
    def is_whole(self) -> bool:
        return self.name not in FLOATING

    def collect(self, update: Any, where: str, out: Row) -> None:
        if type(update) is np.ndarray and update.dtype is self.dtype and self.name != "bfloat16":
            array = update
        else:
            found, array = _leaf(update, where)
            if found.name != self.name:
                raise _Malformed(f"{found.name}, where the others have {self.name}", where)
            if found.device != self.device:
                place = "on {}".format
                raise _Malformed(
                    f"{place(found.device or 'cpu')}, where the others are {place(self.device or 'cpu')}", where
                )
        if (self.is_whole or self.device or 0 in self.shape) and tuple(array.shape) != self.shape:
            raise self.other_shape(tuple(array.shape), where)  # else the binding compares
        if self.is_whole:
            out.whole.append(array)
        elif 0 not in self.shape:
            out.arrays.append(array)

    def other_shape(self, shape: tuple[int, ...], where: str) -> _Malformed:
        return _Malformed(f"shape {shape}, where the others have {self.shape}", where)

    def leaves(self, where: str = "") -> Iterator[tuple[str, _Leaf]]:
        yield where, self

    def rebuild(self, arrays: Iterator[Any], whole: Iterator[Any]) -> Any:
        return self.finish(next(whole if self.is_whole else arrays))


@dataclass(frozen=True)
class _Branch:
    """A list, tuple or dict of parts."""

    kind: type
    keys: tuple[Any, ...]  # of a dict, in the order of the client that gave the pattern; else 0, 1, ...
    parts: tuple[_Leaf | _Branch, ...]

    @property
    def signature(self) -> Hashable:
        pairs = zip(self.keys, (part.signature for part in self.parts), strict=True)
        return (self.is_dict, frozenset(pairs) if self.is_dict else tuple(pairs))

    @cached_property
    def key_set(self) -> frozenset[Any]:
        return frozenset(self.keys)

    @property
    def is_dict(self) -> bool:
        return issubclass(self.kind, Mapping)

    def path(self, where: str, key: Any) -> str:
        return f"{where}[{key!r}]" if where else _LAYER(repr(key))

    def collect(self, update: Any, where: str, out: Row) -> None:
        if isinstance(update, Mapping) != self.is_dict or not isinstance(update, (Mapping, list, tuple)):
            raise _Malformed(f"a {type(update).__name__}, where the others have a {self.kind.__name__}", where)
        if isinstance(update, Mapping):
            if update.keys() != self.key_set:
                for key in self.keys:
                    if key not in update:
                        raise _Malformed(f"no key {key!r}, which the others have", where)
                extra = next(key for key in update if key not in self.key_set)
                raise _Malformed(f"a key {extra!r}, which the others do not have", where)
        elif len(update) != len(self.parts):
            raise _Malformed(f"{len(update)} layers, where the others have {len(self.parts)}", where)
        for key, part in zip(self.keys, self.parts, strict=True):
            part.collect(update[key], self.path(where, key), out)

    def leaves(self, where: str = "") -> Iterator[tuple[str, _Leaf]]:
        for key, part in zip(self.keys, self.parts, strict=True):
            yield from part.leaves(self.path(where, key))

    def rebuild(self, arrays: Iterator[Any], whole: Iterator[Any]) -> Any:
        values = [part.rebuild(arrays, whole) for part in self.parts]
        if self.is_dict:
            return self.kind(zip(self.keys, values, strict=True))
        return self.kind(*values) if hasattr(self.kind, "_fields") else self.kind(values)


def _describe(update: Any, where: str = "", depth: int = 0) -> _Leaf | _Branch:
    """The structure of one update, or _Malformed."""
    if depth > DEEPEST:
        raise _Malformed(f"nested more than {DEEPEST} deep")
    if isinstance(update, Mapping):
        kind: type = type(update) if type(update) is OrderedDict else dict
        keys: tuple[Any, ...] = tuple(update)
    elif isinstance(update, (list, tuple)) and not _is_numbers(update):
        plain = tuple if isinstance(update, tuple) else list
        kind, keys = type(update) if hasattr(update, "_fields") else plain, tuple(range(len(update)))
    else:
        return _leaf(update, where)[0]
    branch = _Branch(kind, keys, ())
    return _Branch(kind, keys, tuple(_describe(update[key], branch.path(where, key), depth + 1) for key in keys))


def _is_numbers(update: Sequence[Any]) -> bool:
    return len(update) > 0 and all(isinstance(x, numbers.Real) for x in update)


@dataclass(frozen=True)
class _Seen:
    """The memory of an array of any library."""

    array: Any  # numpy's view of it, or a tensor on an accelerator
    finish: Callable[[Any], Any] | None = None  # how to give the result back as an array of that library
    name: str | None = None  # of the dtype, where the array's own is another
    device: str = ""


def _leaf(leaf: Any, where: str) -> tuple[_Leaf, Any]:
    """One array of an update, as a leaf of the structure and as numpy sees its memory."""
    try:
        seen = _as_array(leaf, where)
    except _Malformed:
        raise
    except Exception as error:  # foreign objects raise what they like, and this one may be hostile
        raise _Malformed(f"a {type(leaf).__name__} that cannot be read ({error})", where) from None
    array, finish, name = seen.array, seen.finish, seen.name
    dtype: np.dtype[Any] | None = None
    if name is None:
        dtype = array.dtype
        name = _NAMES.get(dtype) or dtype.name
        if name not in (*FLOATING, *WHOLE):
            hint = "Python objects" if dtype.hasobject else "none of float16, bfloat16, float32 and float64"
            raise _Malformed(f"dtype {name} ({hint})", where)
        if name == "bfloat16":
            array = array.view(np.uint16)  # the buffer protocol has no letter for bfloat16: its bits go
            finish = _viewer(dtype, finish or _same)
        elif finish is None and not dtype.isnative:
            finish = _caster(dtype)
    return _Leaf(dtype, name, tuple(array.shape), finish or _same, seen.device), array


def _same(array: Any) -> Any:
    return array


def _viewer(dtype: np.dtype[Any], finish: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda array: finish(array.view(dtype))


def _caster(dtype: np.dtype[Any]) -> Callable[[Array], Any]:
    return lambda array: array.astype(dtype)


def _as_array(leaf: Any, where: str) -> _Seen:
    if isinstance(leaf, np.ndarray):
        if isinstance(leaf, np.ma.MaskedArray):
            raise _Malformed("a masked array; fill or drop what is masked first", where)
        return _Seen(np.asarray(leaf))
    if isinstance(leaf, _Seen):
        return leaf
    if leaf is None:
        raise _Malformed("nothing (None)", where)
    if isinstance(leaf, Exception):  # why there is no update, from whoever tried to get it
        raise _Malformed(str(leaf) or type(leaf).__name__, where)
    if type(leaf).__module__.partition(".")[0] == "torch":
        return _from_torch(leaf, where)
    if isinstance(leaf, (list, tuple)) and _is_numbers(leaf):
        return _Seen(np.array(leaf, np.float64))
    if hasattr(leaf, "__dlpack__"):
        if leaf.__dlpack_device__()[0] not in _HOST_DEVICES:
            raise _Malformed("the array is on an accelerator; move it to the CPU first", where)
        namespace = getattr(leaf, "__array_namespace__", None)
        finish = None if namespace is None else namespace().asarray
        try:
            return _Seen(np.from_dlpack(leaf), finish)
        except (BufferError, RuntimeError, TypeError):
            if hasattr(leaf, "__array__"):  # bfloat16 has no DLPack in numpy
                return _Seen(np.asarray(leaf), finish)
            raise _Malformed("numpy cannot read its DLPack", where) from None
    try:
        return _Seen(np.asarray(memoryview(leaf)))
    except (TypeError, ValueError):
        raise _Malformed(f"a {type(leaf).__name__}, not an array", where) from None


def _from_torch(tensor: Any, where: str) -> _Seen:
    import torch

    if tensor.layout != torch.strided:
        raise _Malformed(f"a {tensor.layout} tensor; make it dense first", where)
    if tensor.device.type == "meta":
        raise _Malformed("the tensor is on the device meta, where there are no numbers", where)
    tensor = tensor.detach().resolve_conj().resolve_neg()  # which torch may have put off
    if tensor.device.type != "cpu":
        name = str(tensor.dtype).removeprefix("torch.")
        if name not in (*FLOATING, *WHOLE):
            raise _Malformed(f"dtype {name} (none of float16, bfloat16, float32 and float64)", where)
        return _Seen(tensor, None, name, str(tensor.device))
    if tensor.dtype != torch.bfloat16:
        return _Seen(tensor.numpy(), torch.from_numpy)
    array = tensor.view(torch.int16).numpy().view(np.uint16)
    return _Seen(array, lambda out: torch.from_numpy(out.view(np.int16)).view(torch.bfloat16), "bfloat16")


class Core(Protocol):
    """Rows for a pass: `_core.Updates`, or what stands for it where the rows are elsewhere (robustcore/backends)."""

    @property
    def n(self) -> int: ...
    @property
    def d(self) -> int: ...
    def mixed(self, M: Floats, relative: bool = False) -> Core: ...
    def sqdist(self, threads: int, progress: Progress = None, exact: bool = False) -> Floats: ...
    def sqdist_scaled(self, out: Floats, scale: float, threads: int, progress: Progress = None) -> None: ...
    def finite_rows(self, threads: int, progress: Progress = None) -> NDArray[np.bool_]: ...
    def combine(
        self, weights: Floats, origin: int, outputs: list[Any], threads: int, progress: Progress = None
    ) -> bool: ...
    def columns(self, rule: str, f: int, outputs: list[Any], threads: int, progress: Progress = None) -> bool: ...


@dataclass(frozen=True)
class Updates(ABC):
    """n updates, read: all that rules know of the data.

    ``core`` holds the rows of ``clients``; ``dropped`` says why the others are missing.
    """

    n: int
    clients: NDArray[np.int64]
    dropped: dict[int, str]
    core: Core

    @abstractmethod
    def core_of(self, rows: NDArray[np.int64] | None, extra: Sequence[Any] = ()) -> Core:
        """Some of the rows (None: all), and behind them extra ones: None, the origin, or what `like` returned."""

    @abstractmethod
    def like(self, update: Any, what: str, finite: bool = True) -> Any:
        """One more update as a row; ValueError that names it if it is not like these, or not ``finite``."""

    @abstractmethod
    def each(self, find: Callable[..., Any], *rows: Any) -> list[Any]:
        """``find(updates, *rows)`` for each part of the coordinates, where they are; both as `InMemory` has them."""

    @property
    @abstractmethod
    def is_wide(self) -> bool:
        """Whether any array is float64."""

    @abstractmethod
    def empty(self) -> list[Any]:
        """What a pass writes one update into."""

    @abstractmethod
    def rebuild(self, outputs: list[Any], dropped: Container[int] = ()) -> Any:
        """The caller's structure around what a pass has written; clients that were dropped count for nothing in it."""

    @abstractmethod
    def _only(self, good: NDArray[np.bool_]) -> Self:
        """These updates with the good rows alone, at least one."""

    def keep(self, good: NDArray[np.bool_], why: str) -> Self:
        """These updates without the rows that are not good, which are dropped for that reason."""
        dropped = self.dropped | dict.fromkeys(self.clients[~good].tolist(), why)
        rest = self._only(good) if good.any() else self  # with nobody left, check_dropped has the last word
        return replace(rest, clients=self.clients[good], dropped=dropped)


@dataclass(frozen=True)
class Structured(Updates):
    """Updates whose rows are at hand, array by array: ``rows[i]`` has those of row i, ``whole[i]`` its counters."""

    pattern: _Leaf | _Branch
    rows: list[list[Any]]
    whole: list[list[Any]]

    @cached_property
    def leaves(self) -> list[_Leaf]:
        """The arrays of one update that rules see, in order."""
        return [leaf for _, leaf in self.pattern.leaves() if not leaf.is_whole]

    @property
    def names(self) -> list[str]:
        """The dtypes of those that are not empty."""
        return [leaf.name for leaf in self.leaves if 0 not in leaf.shape]

    @property
    def is_wide(self) -> bool:
        return any(leaf.name == "float64" for leaf in self.leaves)

    @abstractmethod
    def _open(self, rows: Sequence[list[Any] | None]) -> Core:
        """Rows for a pass."""

    @staticmethod
    @abstractmethod
    def lower_median(arrays: Sequence[Any]) -> Any:
        """Of each entry the lower median."""

    def core_of(self, rows: NDArray[np.int64] | None, extra: Sequence[list[Any] | None] = ()) -> Core:
        if rows is None and not extra:
            return self.core
        chosen = self.rows if rows is None else [self.rows[row] for row in rows]
        return self._open([*chosen, *extra])

    def like(self, update: Any, what: str, finite: bool = True) -> list[Any]:
        try:
            row = Row([], [])
            self.pattern.collect(update, "", row)
            core = self._open([self.rows[0], row.arrays])
        except (_Malformed, _core.Mismatch):
            _, wrong = _sort_out([self.rebuild(self.empty()), self.rebuild(self.empty()), update])
            why = wrong.get(2, "another structure")
            hint = f"; {what.rpartition(' ')[2]}.astype(...) converts it" if " where the others have " in why else ""
            raise ValueError(f"{what} is not like the updates: {why}{hint if 'float' in why else ''}") from None
        if finite and not core.finite_rows(1)[1]:
            raise ValueError(f"{what} is not finite")
        return row.arrays

    def rebuild(self, outputs: list[Any], dropped: Container[int] = ()) -> Any:
        left = [row for client, row in zip(self.clients.tolist(), self.whole, strict=True) if client not in dropped]
        medians = [self.lower_median(arrays) for arrays in zip(*left, strict=True)]
        return self.pattern.rebuild(iter(outputs), iter(medians))

    def _only(self, good: NDArray[np.bool_]) -> Self:
        rows, whole = (
            [row for row, stays in zip(part, good, strict=True) if stays] for part in (self.rows, self.whole)
        )
        return replace(self, rows=rows, whole=whole, core=self._open(rows))


@dataclass(frozen=True)
class InMemory(Structured):
    """Updates whose numbers are all here, in main memory."""

    def _open(self, rows: Sequence[list[Any] | None]) -> Core:
        return _core.Updates(rows, self.names)

    @staticmethod
    def lower_median(arrays: Sequence[Array]) -> Array:
        middle = (len(arrays) - 1) // 2
        out = np.empty(arrays[0].shape, arrays[0].dtype.newbyteorder("="))
        flat = out.reshape(-1)
        for begin in range(0, out.size, BLOCK):
            block = np.array([array.flat[begin : begin + BLOCK] for array in arrays])
            flat[begin : begin + BLOCK] = np.partition(block, middle, axis=0)[middle]
        return out

    def each(self, find: Callable[..., Any], *rows: list[Any]) -> list[Any]:
        return [find(self, *rows)]

    def empty(self) -> list[Array]:
        kinds = {"bfloat16": "uint16"}
        return [np.empty(leaf.shape, kinds.get(leaf.name, leaf.name)) for leaf in self.leaves]


def read(X: Any, malformed: OnMalformed = "raise") -> Updates:
    """Read n updates.

    Raises
    ------
    TypeError
        If X is no collection of updates at all.
    ValueError
        If there are no updates, or one is malformed (unless it may be dropped); the message names the client and the
        layer.
    """
    if malformed not in ("raise", "drop"):
        raise ValueError(f'malformed must be "raise" or "drop", not {malformed!r}')
    if isinstance(X, Updates):  # from a backend
        return X
    clients = _clients(X)
    n = len(clients)
    if n == 0:
        raise ValueError("no updates: X is empty")
    try:
        pattern = _describe(clients[0])
        return _opened(n, np.arange(n), {}, clients, pattern)
    except (_Malformed, _core.Mismatch):
        pattern, dropped = _sort_out(clients)
        if malformed == "raise":
            i, why = next(iter(dropped.items()))
            more = "" if len(dropped) == 1 else f" (and {len(dropped) - 1} more malformed updates)"
            raise ValueError(f"client {i}{', ' if why.startswith('layer') else ': '}{why}{more}") from None
    kept = [i for i in range(n) if i not in dropped]
    if not kept:
        raise none_left(n, dropped)
    return _opened(n, np.array(kept), dropped, [clients[i] for i in kept], pattern)


def read_here(X: Any) -> InMemory:
    """Read n updates, for what looks at their numbers itself."""
    updates = read(X)
    if not isinstance(updates, InMemory):
        raise TypeError("this needs all numbers of the updates in one memory, and they are in several")
    return updates


def _clients(X: Any) -> list[Any]:
    """The n updates that X holds."""
    if isinstance(X, (list, tuple)):
        return list(X)
    if isinstance(X, (Mapping, str, bytes)) or X is None:
        raise TypeError(f"X must be an (n, d) array or a sequence of n updates, not a {type(X).__name__}")
    if isinstance(X, np.ndarray) and X.ndim == 1 and X.dtype.hasobject:
        return list(X)
    if isinstance(X, Sequence) and not isinstance(X, memoryview):
        return list(X)
    try:
        seen = _as_array(X, "")
    except _Malformed as error:
        raise TypeError(f"X must be an (n, d) array or a sequence of n updates: {error}") from None
    if seen.array.ndim < 2:
        raise ValueError(
            f"X must have an axis for clients and one for coordinates; its shape is {tuple(seen.array.shape)}"
        )
    return (
        list(seen.array)
        if seen.finish is None and not seen.device
        else [replace(seen, array=row) for row in seen.array]
    )


def _opened(
    n: int, clients: NDArray[np.int64], dropped: dict[int, str], updates: Sequence[Any], pattern: _Leaf | _Branch
) -> Updates:
    """The updates of these clients, or _Malformed or _core.Mismatch."""
    found = [Row([], []) for _ in updates]
    for row, update in zip(found, updates, strict=True):
        pattern.collect(update, "", row)
    leaves = [leaf for _, leaf in pattern.leaves()]
    names = [leaf.name for leaf in leaves if not leaf.is_whole and 0 not in leaf.shape]
    if not names:
        for leaf in leaves:
            if leaf.is_whole:
                raise ValueError(
                    f"the updates are of dtype {leaf.name} alone, and no rule is for that; convert them to float32"
                )
        raise ValueError("the updates are empty: they have no coordinates")
    rows, whole = [row.arrays for row in found], [row.whole for row in found]
    devices = {leaf.device for leaf in leaves}
    if devices != {""}:
        from robustcore.backends.torch import open_rows

        return open_rows(n, clients, dropped, pattern, rows, whole)
    return InMemory(n, clients, dropped, _core.Updates(rows, names), pattern, rows, whole)


def _sort_out(clients: Sequence[Any]) -> tuple[_Leaf | _Branch, dict[int, str]]:
    """The structure that most clients share (the first of several), and what is wrong with the others."""
    found: dict[int, _Leaf | _Branch] = {}
    wrong: dict[int, str] = {}
    for i, client in enumerate(clients):
        try:
            found[i] = _describe(client)
        except _Malformed as error:
            wrong[i] = str(error)
    if not found:
        return _Branch(list, (), ()), wrong
    ((shared, _),) = Counter(structure.signature for structure in found.values()).most_common(1)
    pattern = next(structure for structure in found.values() if structure.signature == shared)
    for i, structure in found.items():
        if structure.signature != shared:
            wrong[i] = _difference(clients[i], structure, pattern)
    return pattern, dict(sorted(wrong.items()))


def _difference(client: Any, structure: _Leaf | _Branch, pattern: _Leaf | _Branch) -> str:
    """The first place where one client's structure is not the pattern."""
    try:
        pattern.collect(client, "", Row([], []))
    except _Malformed as error:
        return str(error)
    own = dict(structure.leaves())
    return next(
        (
            str(leaf.other_shape(own[where].shape, where))
            for where, leaf in pattern.leaves()
            if where in own and own[where].shape != leaf.shape
        ),
        "another structure than the others have",
    )
