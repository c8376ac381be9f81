"""Updates in files that memory does not hold: read window by window of columns, the next one while one is at work.

`robustcore.files` opens them. Two buffers hold the windows; files are read with plain reads, by several threads at
once, so that what is resident is bounded whatever is mapped. Windows end where blocks of the passes do: bits are those
of updates in memory.
"""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._updates import Array, Floats, InMemory, Progress
from robustcore.backends._shards import rescale

try:
    import resource
except ImportError:  # no limits, on Windows
    resource = None  # type: ignore[assignment]

MEMORY = 320 << 20  # bytes of both buffers
READERS = 8
OPEN = 256  # files
SPARE = OPEN + 64  # descriptors that are left for a pass, when files are mapped
OFTEN = 0.1  # seconds from one report of progress to the next
BLOCK = _core.BLOCK
BLOCKS = _core.SUPERBLOCK // BLOCK  # in a superblock
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of this machine, for which no file is to blame
SHARE = 8 * BLOCK  # columns for a thread, where no sums are to be added

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
        return self._add(lambda core: core.sqdist_parts(1, None, exact), threads, progress)

    def sqdist_scaled(self, out: Floats, scale: float, threads: int, progress: Progress = None) -> None:
        D = out.copy()
        rescale(out, scale, lambda _: self._add(lambda core: core.sqdist_scaled_parts(D, scale, 1), threads, progress))

    def _add(self, parts: Callable[[_core.Updates], Floats], threads: int, progress: Progress) -> Floats:
        """The sum of what is found in each block, as a pass over memory adds it."""
        outer = inner = None
        found = self._each(self._used(), BLOCK, lambda block: parts(self._opened(block)), threads, progress)
        for block, part in found:
            inner = _core.carry_parts(part, inner)
            if block.end % _core.SUPERBLOCK == 0 or block.end == self.d:
                outer, inner = _core.carry_parts(_core.carried_sum(inner)[np.newaxis], outer), None
        assert outer is not None
        return _core.carried_sum(outer)

    def finite_rows(self, threads: int, progress: Progress = None) -> NDArray[np.bool_]:
        found = self._each(self._used(), SHARE, lambda part: self._opened(part).finite_rows(1), threads, progress)
        return np.logical_and.reduce([finite for _, finite in found])  # type: ignore[no-any-return]

    def combine(
        self, weights: Floats, origin: int, outputs: list[Array], threads: int, progress: Progress = None
    ) -> bool:
        rows = self._with((weights != 0.0) | (np.arange(self.n) == origin))  # others are not read
        weights, origin = weights[rows], rows.index(origin) if origin >= 0 else -1

        def add(part: _Part) -> bool:
            return part.core().combine(weights, origin, part.of(outputs), 1)

        return min(self._write(rows, add, outputs, threads, progress))

    def columns(self, rule: str, f: int, outputs: list[Array], threads: int, progress: Progress = None) -> bool:
        def look(part: _Part) -> bool:
            return self._opened(part).columns(rule, f, part.of(outputs), 1)

        return all(self._write(self._used(), look, outputs, threads, progress))  # to the first that is not

    def _write(
        self, rows: list[int], task: Callable[[_Part], bool], outputs: list[Array], threads: int, progress: Progress
    ) -> Iterator[bool]:
        for part, finite in self._each(rows, SHARE, task, threads, progress):
            if part.end % _core.SUPERBLOCK == 0:
                let_go(outputs)
            yield finite

    def _each(
        self, rows: list[int], share: int, task: Callable[[_Part], Any], threads: int, progress: Progress
    ) -> Iterator[tuple[_Part, Any]]:
        """What the task finds in each share of the columns, in order; threads take the next one when they are done."""
        with ThreadPoolExecutor(threads) as pool:
            for window in self._windows(rows, progress):
                parts = list(window.cut(share))
                yield from zip(parts, pool.map(task, parts), strict=True)

    def _used(self) -> list[int]:
        """The rows that have a weight."""
        return self._with(np.ones(self.n, np.bool_) if self.M is None else (self.M != 0.0).any(axis=0))

    def _with(self, chosen: NDArray[np.bool_]) -> list[int]:
        """Chosen rows, one of which at least is not the origin."""
        rows: list[int] = np.flatnonzero(chosen).tolist()
        return rows if any(self.rows[i] is not None for i in rows) else sorted({*rows, self.real})

    def _opened(self, part: _Part) -> _core.Updates:
        core = part.core()
        if self.M is None:
            return core
        return core.mixed(np.ascontiguousarray(self.M[:, part.numbers]), self.relative)

    def _width(self, rows: int) -> int:
        """Of windows, for so many rows: a superblock, or as large a part of it as two of fit into memory."""
        itemsize = max(array.itemsize for array in self.like)
        blocks = max(1, self.memory // (2 * rows * BLOCK * itemsize))
        return BLOCK * min(BLOCKS, 1 << (blocks.bit_length() - 1))

    def _windows(self, used: Sequence[int], progress: Progress) -> Iterator[_Part]:
        """Window after window of these rows, each to be used before the next is asked for."""
        rows = [self.rows[i] for i in used]
        files = _Files(rows)
        width = self._width(len(rows))
        begins = range(0, self.d, width)
        size = width * max(array.itemsize for array in self.like) + 8 * len(self.like)  # pieces begin at multiples of 8
        buffers = [np.empty((len(rows), size), np.uint8) for _ in begins[:2]]

        with closing(files), ThreadPoolExecutor(READERS) as pool:

            def ahead(i: int) -> tuple[_Part, list[Future[Row]]]:
                begin, end = begins[i], min(begins[i] + width, self.d)
                pieces = _cut(self.starts, begin, end)
                window = _Part(begin, end, pieces, used, [])
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
class _Part:
    """The columns from ``begin`` to ``end``, of some rows."""

    begin: int
    end: int
    pieces: list[Piece]
    numbers: Sequence[int]  # of the rows
    rows: list[Row]  # their arrays, one for each piece

    def core(self) -> _core.Updates:
        """The rows for a pass."""
        like = next(row for row in self.rows if row is not None)
        return _core.Updates(self.rows, [NAMES[array.dtype.newbyteorder("=")] for array in like])

    def of(self, outputs: list[Array]) -> list[Array]:
        """The part of outputs that is about these columns."""
        return [outputs[s].reshape(-1)[part] for s, part in self.pieces]

    def cut(self, share: int) -> Iterator[_Part]:
        """The same in shares of so many columns."""
        starts = list(accumulate((part.stop - part.start for _, part in self.pieces), initial=0))
        for begin in range(self.begin, self.end, share):
            end = min(begin + share, self.end)
            within = _cut(starts, begin - self.begin, end - self.begin)
            rows = [None if row is None else [row[p][part] for p, part in within] for row in self.rows]
            yield _Part(begin, end, _cut_of(self.pieces, within), self.numbers, rows)


NAMES = {np.dtype(code): code for code in ("float16", "float32", "float64")} | {np.dtype(np.uint16): "bfloat16"}


def _cut(starts: Sequence[int], begin: int, end: int) -> list[Piece]:
    """The pieces of segments, which begin there, that are the columns from begin to end."""
    pieces = []
    for s in range(bisect_right(starts, begin) - 1, len(starts) - 1):
        if starts[s] >= end:
            break
        pieces.append((s, slice(max(begin, starts[s]) - starts[s], min(end, starts[s + 1]) - starts[s])))
    return pieces


def _cut_of(pieces: Sequence[Piece], within: Sequence[Piece]) -> list[Piece]:
    """Pieces of pieces, as pieces of segments."""
    return [
        (pieces[p][0], slice(pieces[p][1].start + part.start, pieces[p][1].start + part.stop)) for p, part in within
    ]


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
        self.handles: dict[str, int] = {}

    def read(self, row: Row, pieces: Sequence[Piece], into: NDArray[np.uint8]) -> Row:
        """These pieces of a row: read into a buffer where they are mapped from a file, else as they are."""
        if row is None:
            return None
        out, filled = [], 0
        for s, part in pieces:
            array = row[s]
            path, inode, offset = self._place(array) or ("", 0, 0)
            size = (part.stop - part.start) * array.itemsize
            target = into[filled : filled + size]
            with self._handle(path, inode) as handle:
                if handle is None:
                    out.append(array.reshape(-1)[part] if array.flags.c_contiguous else array.flat[part])
                    continue
                _read(handle, path, target, offset + part.start * array.itemsize)
            out.append(target.view(array.dtype))
            filled += -(-size // 8) * 8
        return out

    @contextmanager
    def _handle(self, path: str, inode: int) -> Iterator[int | None]:
        """A file that stays open, so that the system reads ahead in it; those past OPEN are opened each time.

        None where the path does not lead to the file that is mapped: it was replaced meanwhile, or its name has a
        newline, which the system writes in another way, or the file system counts inodes in two ways. Nor are there
        handles where there are too many open files.
        """
        handle = self.handles.get(path)
        if handle is not None:
            yield handle
            return
        try:
            handle = os.open(path, os.O_RDONLY) if path else None
        except OSError as error:
            if error.errno not in (*EXHAUSTED, errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            handle = None
        if handle is None:
            yield None
            return
        try:
            found = os.fstat(handle).st_ino == inode
            if found and len(self.handles) < OPEN:
                self.handles.setdefault(path, handle)
            yield handle if found else None
        finally:
            if self.handles.get(path) != handle:  # nor is it kept where another thread was faster
                os.close(handle)

    def close(self) -> None:
        for handle in self.handles.values():
            os.close(handle)
        self.handles.clear()

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


def make_room(handle: int) -> None:
    """After a file was opened: before descriptors run out, the limit is raised as far as that is allowed.

    A mapped file has a descriptor of its own, and the system gives out the lowest that is free.
    """
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft not in (resource.RLIM_INFINITY, hard) and handle + SPARE >= soft:
            with suppress(ValueError, OSError):  # some systems allow less than they say
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def too_many(error: OSError, path: str | os.PathLike[str]) -> OSError:
    """The error, or one that names the limit which many files have met."""
    if error.errno not in EXHAUSTED:
        return error
    why = os.strerror(error.errno)
    if error.errno == errno.EMFILE and resource is not None:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        why = f"this process may have {most} open files (ulimit -n), and each that is mapped takes one"
    elif error.errno == errno.ENOMEM:
        why = f"{why}, or more files are mapped than the system allows (vm.max_map_count)"
    return OSError(error.errno, f"cannot open {os.fspath(path)}: {why}")


def _read(handle: int, path: str, into: NDArray[np.uint8], offset: int) -> None:
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
