"""The front door: from what callers hold to rows of segments, without copying, and back into the same structure.

An update is an array, or lists, tuples and dicts of arrays in any nesting. Its arrays are its segments (layers), in
the order of the structure. Arrays are whatever offers its memory on the CPU: numpy arrays, memory maps, torch tensors,
anything with DLPack or the buffer protocol. Python numbers in a list make a float64 row, for small examples.

The common case takes one walk over each update: the first one is the pattern, and the binding compares formats and
shapes. Only when something differs, `_sort_out` finds out who disagrees with the majority, and says where.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol, Self

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
_HOST_DEVICES = (1, 3, 11)  # DLPack's numbers for main memory: plain, and pinned by CUDA and ROCm
_LAYER = "layer {}".format
DEEPEST = 64


class _Malformed(ValueError):
    """What is wrong with one client's update; ``where`` is the path of the layer within it."""

    def __init__(self, reason: str, where: str = ""):
        super().__init__(f"{where}: {reason}" if where else reason)


@dataclass(frozen=True)
class _Leaf:
    """One array of the structure."""

    dtype: np.dtype[Any]  # as the arrays have it
    name: str  # float32, float64, float16 or bfloat16
    shape: tuple[int, ...]
    finish: Callable[[Array], Any]  # from a native array of the result to what the caller gets

    @property
    def signature(self) -> Hashable:
        return self.name, self.shape

    def collect(self, update: Any, where: str, out: list[Any]) -> None:
        if type(update) is np.ndarray and update.dtype is self.dtype and self.name != "bfloat16":
            array = update
        else:
            found, array = _leaf(update, where)
            if found.name != self.name:
                raise _Malformed(f"{found.name}, where the others have {self.name}", where)
        if 0 not in self.shape:
            out.append(array)
        elif array.shape != self.shape:
            raise self.other_shape(array.shape, where)

    def other_shape(self, shape: tuple[int, ...], where: str) -> _Malformed:
        return _Malformed(f"shape {shape}, where the others have {self.shape}", where)

    def leaves(self, where: str = "") -> Iterator[tuple[str, _Leaf]]:
        yield where, self

    def rebuild(self, arrays: Iterator[Array]) -> Any:
        return self.finish(next(arrays))


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

    def collect(self, update: Any, where: str, out: list[Any]) -> None:
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

    def rebuild(self, arrays: Iterator[Array]) -> Any:
        values = [part.rebuild(arrays) for part in self.parts]
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


def _leaf(leaf: Any, where: str) -> tuple[_Leaf, Array]:
    """One array of an update, as a leaf of the structure and as numpy sees its memory."""
    try:
        array, finish = _as_array(leaf, where)
    except _Malformed:
        raise
    except Exception as error:  # foreign objects raise what they like, and this one may be hostile
        raise _Malformed(f"a {type(leaf).__name__} that cannot be read ({error})", where) from None
    dtype = array.dtype
    name = _NAMES.get(dtype)
    if name is None:
        name = dtype.name
        if name != "bfloat16":
            hint = "Python objects" if dtype.hasobject else "none of float16, bfloat16, float32 and float64"
            raise _Malformed(f"dtype {name} ({hint})", where)
        array = array.view(np.uint16)  # the buffer protocol has no letter for bfloat16: its bits go
    if name == "bfloat16":
        finish = _viewer(dtype, finish or _same)
    elif finish is None:
        finish = _same if dtype.isnative else _caster(dtype)
    return _Leaf(dtype, name, array.shape, finish), array


def _same(array: Array) -> Any:
    return array


def _viewer(dtype: np.dtype[Any], finish: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda array: finish(array.view(dtype))


def _caster(dtype: np.dtype[Any]) -> Callable[[Array], Any]:
    return lambda array: array.astype(dtype)


def _as_array(leaf: Any, where: str) -> tuple[Array, Callable[[Array], Any] | None]:
    """The memory of an array of any library, and how to give the result back as one of that library."""
    if isinstance(leaf, np.ndarray):
        if isinstance(leaf, np.ma.MaskedArray):
            raise _Malformed("a masked array; fill or drop what is masked first", where)
        return np.asarray(leaf), None
    if leaf is None:
        raise _Malformed("nothing (None)", where)
    if isinstance(leaf, Exception):  # why there is no update, from whoever tried to get it
        raise _Malformed(str(leaf) or type(leaf).__name__, where)
    if type(leaf).__module__.partition(".")[0] == "torch":
        return _from_torch(leaf, where)
    if isinstance(leaf, (list, tuple)) and _is_numbers(leaf):
        return np.array(leaf, np.float64), None
    if hasattr(leaf, "__dlpack__"):
        if leaf.__dlpack_device__()[0] not in _HOST_DEVICES:
            raise _Malformed("the array is on an accelerator; move it to the CPU first", where)
        namespace = getattr(leaf, "__array_namespace__", None)
        finish = None if namespace is None else namespace().asarray
        try:
            return np.from_dlpack(leaf), finish
        except (BufferError, RuntimeError, TypeError):
            if hasattr(leaf, "__array__"):  # bfloat16 has no DLPack in numpy
                return np.asarray(leaf), finish
            raise _Malformed("numpy cannot read its DLPack", where) from None
    try:
        return np.asarray(memoryview(leaf)), None
    except (TypeError, ValueError):
        raise _Malformed(f"a {type(leaf).__name__}, not an array", where) from None


def _from_torch(tensor: Any, where: str) -> tuple[Array, Callable[[Array], Any] | None]:
    import torch

    if tensor.device.type != "cpu":
        raise _Malformed(f"the tensor is on {tensor.device}; move it to the CPU first", where)
    if tensor.layout != torch.strided:
        raise _Malformed(f"a {tensor.layout} tensor; make it dense first", where)
    tensor = tensor.detach()
    if tensor.dtype != torch.bfloat16:
        return tensor.numpy(), torch.from_numpy
    try:
        import ml_dtypes
    except ImportError:
        raise _Malformed("bfloat16 tensors need another package: pip install ml_dtypes", where) from None
    array = tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return array, lambda out: torch.from_numpy(out.view(np.int16)).view(torch.bfloat16)


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
    def rebuild(self, outputs: list[Any]) -> Any:
        """The caller's structure around what a pass has written."""

    @abstractmethod
    def _only(self, good: NDArray[np.bool_]) -> Self:
        """These updates with the good rows alone, at least one."""

    def keep(self, good: NDArray[np.bool_], why: str) -> Self:
        """These updates without the rows that are not good, which are dropped for that reason."""
        dropped = self.dropped | dict.fromkeys(self.clients[~good].tolist(), why)
        rest = self._only(good) if good.any() else self  # with nobody left, check_dropped has the last word
        return replace(rest, clients=self.clients[good], dropped=dropped)


@dataclass(frozen=True)
class InMemory(Updates):
    """Updates whose numbers are all here.

    ``rows[i]`` holds the arrays of row i, in the order of the structure, ``pattern``.
    """

    core: _core.Updates
    pattern: _Leaf | _Branch
    rows: list[list[Any]]

    @cached_property
    def leaves(self) -> list[_Leaf]:
        """The arrays of one update, in order."""
        return [leaf for _, leaf in self.pattern.leaves()]

    @property
    def names(self) -> list[str]:
        """The dtypes of the arrays that are not empty."""
        return [leaf.name for leaf in self.leaves if 0 not in leaf.shape]

    @property
    def is_wide(self) -> bool:
        return any(leaf.name == "float64" for leaf in self.leaves)

    def core_of(self, rows: NDArray[np.int64] | None, extra: Sequence[list[Any] | None] = ()) -> _core.Updates:
        if rows is None and not extra:
            return self.core
        chosen = self.rows if rows is None else [self.rows[row] for row in rows]
        return _core.Updates([*chosen, *extra], self.names)

    def like(self, update: Any, what: str, finite: bool = True) -> list[Any]:
        try:
            leaves: list[Any] = []
            self.pattern.collect(update, "", leaves)
            core = _core.Updates([self.rows[0], leaves], self.names)
        except (_Malformed, _core.Mismatch):
            _, wrong = _sort_out([self.rebuild(self.empty()), self.rebuild(self.empty()), update])
            why = wrong.get(2, "another structure")
            hint = f"; {what.rpartition(' ')[2]}.astype(...) converts it" if " where the others have " in why else ""
            raise ValueError(f"{what} is not like the updates: {why}{hint if 'float' in why else ''}") from None
        if finite and not core.finite_rows(1)[1]:
            raise ValueError(f"{what} is not finite")
        return leaves

    def each(self, find: Callable[..., Any], *rows: list[Any]) -> list[Any]:
        return [find(self, *rows)]

    def empty(self) -> list[Array]:
        kinds = {"bfloat16": "uint16"}
        return [np.empty(leaf.shape, kinds.get(leaf.name, leaf.name)) for leaf in self.leaves]

    def rebuild(self, outputs: list[Array]) -> Any:
        return self.pattern.rebuild(iter(outputs))

    def _only(self, good: NDArray[np.bool_]) -> Self:
        rows = [row for row, stays in zip(self.rows, good, strict=True) if stays]
        return replace(self, rows=rows, core=_core.Updates(rows, self.names))


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
        return InMemory(n, np.arange(n), {}, *_rows(clients, pattern))
    except (_Malformed, _core.Mismatch):
        pattern, dropped = _sort_out(clients)
        if malformed == "raise":
            i, why = next(iter(dropped.items()))
            more = "" if len(dropped) == 1 else f" (and {len(dropped) - 1} more malformed updates)"
            raise ValueError(f"client {i}{', ' if why.startswith('layer') else ': '}{why}{more}") from None
    kept = [i for i in range(n) if i not in dropped]
    if not kept:
        raise none_left(n, dropped)
    return InMemory(n, np.array(kept), dropped, *_rows([clients[i] for i in kept], pattern))


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
        array, finish = _as_array(X, "")
    except _Malformed as error:
        raise TypeError(f"X must be an (n, d) array or a sequence of n updates: {error}") from None
    if array.ndim < 2:
        raise ValueError(f"X must have an axis for clients and one for coordinates; its shape is {array.shape}")
    if finish is None:
        return list(array)
    return list(X)  # rows of the library X came from, so that the result is one of its arrays too


def _rows(clients: Sequence[Any], pattern: _Leaf | _Branch) -> tuple[_core.Updates, _Leaf | _Branch, list[list[Any]]]:
    rows: list[list[Any]] = []
    for client in clients:
        leaves: list[Any] = []
        pattern.collect(client, "", leaves)
        rows.append(leaves)
    names = [leaf.name for _, leaf in pattern.leaves() if 0 not in leaf.shape]
    if not names:
        raise ValueError("the updates are empty: they have no coordinates")
    return _core.Updates(rows, names), pattern, rows


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
        pattern.collect(client, "", [])
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
