"""Updates in files that memory does not hold: read window by window of columns, the next one while one is at work.

`robustcore.files` opens them. Two buffers hold the windows; files are read with plain reads, by several threads at
once, so that what is resident is bounded whatever is mapped. Windows end where blocks of the passes do: bits are those
of updates in memory.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._updates import Array, Floats, InMemory, Progress
from robustcore.backends._shards import rescale

MEMORY = 320 << 20  # bytes of both buffers
READERS = 4
OFTEN = 0.1  # seconds from one report of progress to the next
BLOCK = _core.BLOCK
BLOCKS = _core.SUPERBLOCK // BLOCK  # in a superblock

Row = list[Array] | None
Piece = tuple[int, slice]  # of a segment


@dataclass(frozen=True)
class Streamed(InMemory):
    """Updates in files, of which a window is in memory at a time."""

    memory: int = MEMORY
    scratch: Path | None = None  # the folder for the value; else it is in memory

    def _open(self, rows: Sequence[Row]) -> Windows:
        return Windows(rows, self.memory)

    def empty(self) -> list[Array]:
        if self.scratch is None:
            return super().empty()
        shapes = super().empty()  # which nobody has written to yet: no memory
        ends = list(accumulate((-(-array.nbytes // 64) * 64 for array in shapes), initial=0))
        with tempfile.TemporaryFile(dir=self.scratch) as file:
            os.truncate(file.fileno(), max(ends[-1], 1))
            if hasattr(os, "posix_fallocate"):  # a full disk is an error now, and a crash later
                os.posix_fallocate(file.fileno(), 0, max(ends[-1], 1))
            whole = np.memmap(file, np.uint8, "r+")
        pairs = zip(shapes, ends, strict=False)
        return [whole[begin : begin + like.nbytes].view(like.dtype).reshape(like.shape) for like, begin in pairs]


class Windows:
    """What `_core.Updates` is for rows in memory: rows of arrays, mapped or not, or None, the origin."""

    def __init__(self, rows: Sequence[Row], memory: int, M: Floats | None = None, relative: bool = False):
        self.rows, self.memory, self.M, self.relative = rows, memory, M, relative
        self.real, self.like = next((i, row) for i, row in enumerate(rows) if row is not None)
        for i, row in enumerate(rows):
            for s, (array, like) in enumerate(zip(row or (), self.like, strict=row is not None)):
                if array.shape != like.shape:
                    raise _core.Mismatch(i, s)
        self.n = len(rows) if M is None else len(M)
        self.starts = list(accumulate((array.size for array in self.like), initial=0))
        self.d = self.starts[-1]

    def mixed(self, M: Floats, relative: bool = False) -> Windows:
        return Windows(self.rows, self.memory, M, relative)

    def sqdist(self, threads: int, progress: Progress = None, exact: bool = False) -> Floats:
        return self._add(lambda core, threads: core.sqdist_parts(threads, None, exact), threads, progress)

    def sqdist_scaled(self, out: Floats, scale: float, threads: int, progress: Progress = None) -> None:
        D = out.copy()

        def parts(core: _core.Updates, threads: int) -> Floats:
            return core.sqdist_scaled_parts(D, scale, threads)

        rescale(out, scale, lambda _: self._add(parts, threads, progress))

    def finite_rows(self, threads: int, progress: Progress = None) -> NDArray[np.bool_]:
        finite = np.ones(self.n, np.bool_)
        for window in self._windows(self._used(), progress):
            finite &= self._opened(window).finite_rows(threads)
        return finite

    def combine(
        self, weights: Floats, origin: int, outputs: list[Array], threads: int, progress: Progress = None
    ) -> bool:
        rows = self._with((weights != 0.0) | (np.arange(self.n) == origin))  # others are not read
        weights, origin = weights[rows], rows.index(origin) if origin >= 0 else -1
        finite = True
        for window in self._windows(rows, progress):
            targets = window.of(outputs)
            finite &= window.core(self.like).combine(weights, origin, targets, threads)
            let_go(outputs)
        return finite

    def columns(self, rule: str, f: int, outputs: list[Array], threads: int, progress: Progress = None) -> bool:
        for window in self._windows(self._used(), progress):
            if not self._opened(window).columns(rule, f, window.of(outputs), threads):
                return False
            let_go(outputs)
        return True

    def _used(self) -> list[int]:
        """The rows that have a weight."""
        return self._with(np.ones(self.n, np.bool_) if self.M is None else (self.M != 0.0).any(axis=0))

    def _with(self, chosen: NDArray[np.bool_]) -> list[int]:
        """Chosen rows, one of which at least is not the origin."""
        rows: list[int] = np.flatnonzero(chosen).tolist()
        return rows if any(self.rows[i] is not None for i in rows) else sorted({*rows, self.real})

    def _opened(self, window: _Window) -> _core.Updates:
        core = window.core(self.like)
        if self.M is None:
            return core
        return core.mixed(np.ascontiguousarray(self.M[:, window.numbers]), self.relative)

    def _add(self, parts: Callable[[_core.Updates, int], Floats], threads: int, progress: Progress) -> Floats:
        """The sum of what the passes over superblocks return, or over the blocks of windows that are narrower."""
        outer = inner = None
        with ThreadPoolExecutor(threads) as pool:
            for window in self._windows(self._used(), progress):
                if window.width % _core.SUPERBLOCK == 0 or (window.begin == 0 and window.end == self.d <= window.width):
                    outer = _core.carry_parts(parts(self._opened(window), threads), outer)
                    continue
                for part in pool.map(lambda block: parts(self._opened(block), 1), window.blocks()):
                    inner = _core.carry_parts(part, inner)
                if window.end % _core.SUPERBLOCK == 0 or window.end == self.d:
                    assert inner is not None
                    outer, inner = _core.carry_parts(_core.carried_sum(inner)[np.newaxis], outer), None
        assert outer is not None
        return _core.carried_sum(outer)

    def _width(self, rows: int) -> int:
        """Of windows, for so many rows: a superblock, or as large a part of it as two of fit into memory."""
        itemsize = max(array.itemsize for array in self.like)
        blocks = max(1, self.memory // (2 * rows * BLOCK * itemsize))
        return BLOCK * min(BLOCKS, 1 << (blocks.bit_length() - 1))

    def _windows(self, used: Sequence[int], progress: Progress) -> Iterator[_Window]:
        """Window after window of these rows, each to be used before the next is asked for."""
        rows = [self.rows[i] for i in used]
        files = _Files(rows)
        width = self._width(len(rows))
        begins = range(0, self.d, width)
        size = width * max(array.itemsize for array in self.like) + 8 * len(self.like)  # pieces begin at multiples of 8
        buffers = [np.empty((len(rows), size), np.uint8) for _ in begins[:2]]

        with ThreadPoolExecutor(READERS) as pool:

            def ahead(i: int) -> tuple[_Window, list[Future[Row]]]:
                begin, end = begins[i], min(begins[i] + width, self.d)
                pieces = _cut(self.starts, begin, end)
                window = _Window(begin, end, width, pieces, used, [])
                into = buffers[i % 2]
                return window, [pool.submit(files.read, row, pieces, into[k]) for k, row in enumerate(rows)]

            coming, told = ahead(0), time.monotonic()
            for i in range(len(begins)):
                window, reads = coming
                try:
                    window.rows.extend(read.result() for read in reads)
                    if i + 1 < len(begins):
                        coming = ahead(i + 1)
                    yield window
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
                if progress is not None and time.monotonic() > told + OFTEN:
                    progress((i + 1) / len(begins))
                    told = time.monotonic()


@dataclass
class _Window:
    """The columns from ``begin`` to ``end``, of some rows."""

    begin: int
    end: int
    width: int  # of windows that are not the last
    pieces: list[Piece]
    numbers: Sequence[int]  # of the rows
    rows: list[Row]  # their arrays, one for each piece

    def core(self, like: Sequence[Array]) -> _core.Updates:
        """The rows for a pass."""
        return _core.Updates(self.rows, [NAMES[like[s].dtype.newbyteorder("=")] for s, _ in self.pieces])

    def of(self, outputs: list[Array]) -> list[Array]:
        """The part of outputs that is about these columns."""
        outputs = [out for out in outputs if out.size]
        return [outputs[s].reshape(-1)[part] for s, part in self.pieces]

    def blocks(self) -> Iterator[_Window]:
        """The same, block by block."""
        starts = list(accumulate((part.stop - part.start for _, part in self.pieces), initial=0))
        for begin in range(0, self.end - self.begin, BLOCK):
            end = min(begin + BLOCK, self.end - self.begin)
            cut = _cut(starts, begin, end)
            rows = [None if row is None else [row[p][part] for p, part in cut] for row in self.rows]
            pieces = [self.pieces[p] for p, _ in cut]
            yield _Window(self.begin + begin, self.begin + end, self.width, pieces, self.numbers, rows)


NAMES = {np.dtype(code): code for code in ("float16", "float32", "float64")} | {np.dtype(np.uint16): "bfloat16"}


def _cut(starts: Sequence[int], begin: int, end: int) -> list[Piece]:
    """The pieces of segments, which begin there, that are the columns from begin to end."""
    pieces = []
    for s in range(bisect_right(starts, begin) - 1, len(starts) - 1):
        if starts[s] >= end:
            break
        pieces.append((s, slice(max(begin, starts[s]) - starts[s], min(end, starts[s + 1]) - starts[s])))
    return pieces


class _Files:
    """Which files are mapped where, and reads from them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        found = []
        if os.path.exists("/proc/self/maps"):
            with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
                for line in file:
                    part = line.rstrip("\n").split(maxsplit=5)
                    if len(part) == 6 and part[5].startswith("/"):
                        begin, end = (int(address, 16) for address in part[0].split("-"))
                        found.append((begin, end, int(part[2], 16), int(part[4]), part[5]))
        self.maps = sorted(found)
        self.begins = [begin for begin, *_ in self.maps]

    def read(self, row: Row, pieces: Sequence[Piece], into: NDArray[np.uint8]) -> Row:
        """These pieces of a row: read into a buffer where they are mapped from a file, else as they are."""
        if row is None:
            return None
        out, filled, handles = [], 0, dict[str, int]()
        try:
            for s, part in pieces:
                array = row[s]
                place = self._place(array)
                if place is None:
                    out.append(array.reshape(-1)[part] if array.flags.c_contiguous else array.flat[part])
                    continue
                path, inode, offset = place
                if path not in handles:
                    handles[path] = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
                    if os.fstat(handles[path]).st_ino != inode:
                        raise OSError(f"{path} was replaced while it was read")
                size = (part.stop - part.start) * array.itemsize
                target = into[filled : filled + size]
                _read(handles[path], path, target, offset + part.start * array.itemsize)
                out.append(target.view(array.dtype))
                filled += -(-size // 8) * 8
        finally:
            for handle in handles.values():
                os.close(handle)
        return out

    def _place(self, array: Array) -> tuple[str, int, int] | None:
        """The file that an array is mapped from, and where in it; None where it is in memory, or in another order."""
        if not array.flags.c_contiguous:
            return None
        address: int = array.__array_interface__["data"][0]
        i = bisect_right(self.begins, address) - 1
        if i < 0:
            return None
        begin, end, offset, inode, path = self.maps[i]
        if address + array.nbytes > end or path.endswith(" (deleted)"):
            return None
        return path, inode, offset + address - begin


def _read(handle: int, path: str, into: NDArray[np.uint8], offset: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(handle, offset, into.size, os.POSIX_FADV_WILLNEED)
    done = 0
    while done < into.size:
        count = os.preadv(handle, [into[done:].data], offset + done)
        if count == 0:
            raise OSError(f"{path} became shorter while it was read")
        done += count


def let_go(arrays: Sequence[Array]) -> None:
    """What has been written to or read from mapped arrays need not stay in memory."""
    seen = set()
    for array in arrays:
        base: Any = array
        while base is not None and not isinstance(base, mmap.mmap):
            base = getattr(base, "base", None)
        if base is not None and id(base) not in seen and hasattr(mmap, "MADV_DONTNEED"):
            seen.add(id(base))
            base.madvise(mmap.MADV_DONTNEED)
