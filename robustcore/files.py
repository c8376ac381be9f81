"""Updates in files, one client a file: mapped, not read, and aggregated without ever being in memory together.

.npy, .npz, .safetensors and torch checkpoints (.pt, .pth). No pickle is ever executed.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from robustcore import _updates
from robustcore._extras import extra
from robustcore._result import Aggregation
from robustcore._updates import Array, InMemory, OnMalformed, Progress, Updates, read
from robustcore.backends._local import EXHAUSTED, MEMORY, Streamed, Windows, let_go, make_room, too_many
from robustcore.rules import as_rule
from robustcore.rules._base import Rule

__all__ = ["aggregate", "load", "paths", "save", "updates"]

TORCH = (".pt", ".pth")
SUFFIXES = (".npy", ".npz", ".safetensors", *TORCH)
SAFETENSORS = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"I{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"U{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    "BOOL": "?",
}
LONGEST_HEADER = 100_000_000  # bytes, as the format's own library has it
PIECE = 1 << 24  # bytes that are written at once

Source = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def paths(source: Source) -> list[Path]:
    """The files of updates, one for each client.

    Parameters
    ----------
    source : path or sequence of paths
        Files, and folders: of these, the .npy, .npz, .safetensors, .pt and .pth files in them, by name, without hidden
        ones. A file that is given twice, or once more by its folder, is two clients.

    Returns
    -------
    list of Path
        Client i is the i-th.

    Raises
    ------
    ValueError
        When a folder holds no such file.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.npy", "a.npy"):
    ...         files.save(f"{folder}/{name}", np.zeros(3))
    ...     [path.name for path in files.paths(folder)]
    ['a.npy', 'b.npy']
    """
    given = [source] if isinstance(source, (str, os.PathLike)) else source
    found: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            if not path.suffix and not path.exists():
                raise FileNotFoundError(f"there is no {path}")
            found.append(path)
            continue
        within = sorted(
            file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not within:
            raise ValueError(f"{path} holds none of {', '.join(SUFFIXES)}")
        found += within
    return found


def updates(source: Source, malformed: OnMalformed = "raise", *, memory: int = MEMORY) -> Updates:
    """What stands for X in rules, where the updates are in files that need not fit into memory.

    Parameters
    ----------
    source : path or sequence of paths
        As in `paths`.
    malformed : {"raise", "drop"}
        What to do about files that cannot be read, or are not like the majority: raise an error that names the file, or
        drop them and count them against f.
    memory : int
        Bytes for the buffers, about.

    Returns
    -------
    Updates
        To be passed as X to any rule, to `certify`, and to others that read updates.

    Raises
    ------
    ValueError
        When a file or an update is malformed, or there is none.
    OSError
        When a file cannot be read.
    ImportError
        When a package is missing: torch for its checkpoints, ml_dtypes for bfloat16 in .safetensors files.

    Notes
    -----
    A pass reads the files window by window of the columns, the next window while one is at work, and of the last pass
    only the files of clients that have a weight. Bits are those of updates in memory. What is resident is the two
    windows, up to 320 MiB by default, beside the value, and about 60 MiB for Python. Windows are never narrower than
    8,000 columns: two take n * 128,000 bytes in float64, half of that in float32, which is more from n = 2,600 and
    5,200 on. On Linux; elsewhere files are mapped, and how much of them is resident is for the system to say. The same
    holds for layers in Fortran order, and for files whose paths have a newline. Compressed .npz members are read whole.

    Every file but a checkpoint takes a descriptor: the soft limit of the process (``ulimit -n``) is raised to the hard
    one where it would be met. Files past that are an OSError, also with ``malformed="drop"``.

    Files must not change meanwhile: one that is cut is an OSError, or ends the process where it is read as mapped. One
    that is replaced counts as it was when it was opened.

    Condition: none.

    Cost: that of the rule, and one read of the files for each pass: one for the distances, if the rule needs any, and
    one for the value.

    Examples
    --------
    >>> import numpy as np, tempfile, robustcore as rc
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(4):
    ...         files.save(f"{folder}/{i}.npz", {"w": np.full(3, float(i))})
    ...     rc.median(files.updates(folder))
    {'w': array([1.5, 1.5, 1.5])}
    """
    return _open(paths(source), malformed, memory, None)


def aggregate(
    source: Source,
    rule: str | Rule,
    *,
    out: str | os.PathLike[str] | None = None,
    malformed: OnMalformed = "raise",
    progress: Progress = None,
    **parameters: Any,
) -> Aggregation:
    """Aggregate updates in files, which need not fit into memory, by any rule behind any mixing.

    Parameters
    ----------
    source, malformed
        As in `updates`.
    rule : str or Rule
        As in `robustcore.aggregate`, with the rule's own ``parameters`` if it is a name.
    out : path, optional
        Where to write the value. The file is complete or not there.
    progress : callable, optional
        Called with the share that is done of the pass at hand, from 0 to 1. What it raises stops the work and is passed
        on.

    Returns
    -------
    Aggregation
        Its value is what `load` reads from ``out``, and in memory without it. Clients are numbered as in `paths`.

    Raises
    ------
    ConstraintError
        When n, f and the other parameters do not fit, or more updates are unusable than may be.
    ValueError, TypeError, OSError, ImportError
        As `updates`; when ``out`` cannot hold such updates, or is one of them; as far as that can be known, before any
        number is read.

    Notes
    -----
    Cost: as of `updates`, and two writes of the value. A torch checkpoint is written from memory.

    Examples
    --------
    >>> import numpy as np, tempfile, robustcore as rc
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i in range(5):
    ...         files.save(f"{folder}/client{i}.safetensors", {"w": np.full(3, float(i) ** 3)})
    ...     r = files.aggregate(folder, rc.MultiKrum(f=1), out=f"{folder}/out.safetensors")
    ...     r.selected, r.value["w"].tolist()
    (array([0, 1, 2, 3]), [9.0, 9.0, 9.0])
    """
    known = as_rule(rule, **parameters)
    clients = paths(source)
    target = None if out is None else Path(out)
    if target is not None:
        if target.exists() and any(path.exists() and target.samefile(path) for path in clients):
            raise ValueError(f"{target} is one of the updates; write the aggregate somewhere else")
        if target.suffix.lower() not in SUFFIXES:
            raise ValueError(f"{target} is none of {', '.join(SUFFIXES)}")
        check_writable(target)
    found = _open(clients, malformed, MEMORY, target and target.parent)
    if target is not None:
        check_output(target, found.rebuild(InMemory.empty(found)))
    with named(clients):
        result = known.aggregate(found, progress=progress)
    if target is None:
        return result
    save(target, result.value)
    return replace(result, value=load(target))


def _open(clients: Sequence[Path], malformed: OnMalformed, memory: int, scratch: Path | None) -> Streamed:
    opened = [load_or_why(path, malformed) for path in clients]
    with named(clients):
        found = read(opened, malformed)
        if not isinstance(found, InMemory):
            raise TypeError("files hold tensors that are on no CPU")
    core = Windows(found.rows, memory)
    return Streamed(
        found.n, found.clients, found.dropped, core, found.pattern, found.rows, found.whole, memory, scratch
    )


def load_or_why(path: Path, malformed: str, using: Callable[[Path], Any] | None = None) -> Any:
    """What `load` (or another loader) finds in a file, or, where it may be dropped, why there is nothing."""
    try:
        return (using or load)(path)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            raise
        problem = ValueError(f"cannot read {path}: {error.strerror}") if isinstance(error, OSError) else error
        if malformed == "drop":
            return problem
        raise problem from None


@contextmanager
def named(clients: Sequence[Path], others: Mapping[str, Path] | None = None) -> Iterator[None]:
    """Who knows their clients by number wants to know the file: it is added to what errors say."""
    try:
        yield
    except ValueError as error:
        message = str(error)
        for what, path in (others or {}).items():
            if message.startswith(f"{what} is"):
                raise ValueError(message.replace(what, os.fspath(path), 1)) from None
        numbered = r"(?<!['\w])(?:client|node) (\d+)(?=[:,]| is)"
        told = re.sub(
            numbered, lambda m: f"{m[0]} ({clients[int(m[1])]})" if int(m[1]) < len(clients) else m[0], message
        )
        error.args = (told,)
        raise


def load(path: str | os.PathLike[str]) -> Any:
    """One client's update, mapped: only what is used is read, and what is used need not fit into memory.

    Parameters
    ----------
    path
        A .npy file (an array), a .npz or .safetensors file (a dict of arrays), or a torch checkpoint, .pt or .pth (what
        was saved, such as a state dict).

    Raises
    ------
    ValueError
        When the file is none of these, or damaged, or holds pickled objects. The message names the file.
    OSError
        When it cannot be read, or there are too many open files.
    ImportError
        When a package is missing: torch for its checkpoints, ml_dtypes for bfloat16 in .safetensors files.

    Notes
    -----
    Arrays are read-only. Checkpoints are read with ``weights_only=True``: of their pickle, nothing is executed but what
    makes tensors and plain containers. Checksums of .npz members that are mapped are not looked at.

    Cost: headers are read. Compressed .npz members and checkpoints of torch before 1.6 are read whole.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "client.npz")
    ...     files.save(path, {"w": np.ones(2)})
    ...     files.load(path)["w"].tolist()
    [1.0, 1.0]
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is none of {', '.join(SUFFIXES)}")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for somebody to write
            raise ValueError("it is no regular file")
        with open(path, "rb") as file:
            make_room(file.fileno())
            if os.fstat(file.fileno()).st_size == 0:
                raise ValueError("it is empty")
            if kind in TORCH:
                return _load_torch(path, file)
            whole = np.memmap(file, np.uint8, "r")
            file.seek(0)
            return READ[kind](file, whole)
    except OSError as error:
        raise too_many(error, path) from None
    except ImportError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise ValueError(f"{path} is no readable {kind} file: {error}") from None


def _mapped(whole: Array, begin: int, dtype: np.dtype[Any], shape: Sequence[int], order: Any = "C") -> Array:
    """An array at a place in a mapped file."""
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= begin <= begin + size <= len(whole):
        raise ValueError("it is cut short")
    return whole[begin : begin + size].view(dtype).reshape(shape, order=order)


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran, dtype


def _load_npy(file: IO[bytes], whole: Array, begin: int = 0) -> Array:
    file.seek(begin)
    shape, fortran, dtype = _npy_header(file)
    return _mapped(whole, file.tell(), dtype, shape, "F" if fortran else "C")


def _load_npz(file: IO[bytes], whole: Array) -> dict[str, Array]:
    out = {}
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                raise ValueError(f"{member.filename!r} in it is no .npy")
            if member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1:
                file.seek(
                    member.header_offset + 26
                )  # of the local header, where the lengths of name and extra field are
                name, more = (int.from_bytes(file.read(2), "little") for _ in range(2))
                array = _load_npy(file, whole, member.header_offset + 30 + name + more)
            else:
                with archive.open(member) as inner:
                    array = npy.read_array(inner, allow_pickle=False)
            out[member.filename.removesuffix(".npy")] = array
    return out


def _load_safetensors(file: IO[bytes], whole: Array) -> dict[str, Array]:
    length = int.from_bytes(file.read(8), "little")
    if length > min(LONGEST_HEADER, len(whole) - 8):
        raise ValueError("its header is longer than the file" if length > len(whole) - 8 else "its header is too long")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError(f"its header is a {type(header).__name__}, not a dict")
    header.pop("__metadata__", None)
    out = {}
    for key, about in header.items():
        try:
            code, shape, (begin, end) = about["dtype"], about["shape"], about["data_offsets"]
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"layer {key!r} has no dtype, shape and data_offsets") from None
        if code != "BF16" and code not in SAFETENSORS:
            raise ValueError(f"layer {key!r} has dtype {code}")
        dtype = _bfloat16() if code == "BF16" else np.dtype(SAFETENSORS[code])
        if not all(type(size) is int and size >= 0 for size in (*shape, begin, end)):
            raise ValueError(f"layer {key!r} has no proper shape or place")
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"layer {key!r} has {end - begin} bytes for shape {tuple(shape)} of {dtype}")
        out[key] = _mapped(whole, 8 + length + begin, dtype, shape)
    return out


READ: dict[str, Callable[[IO[bytes], Array], Any]] = {
    ".npy": _load_npy,
    ".npz": _load_npz,
    ".safetensors": _load_safetensors,
}


def _load_torch(path: Path, file: IO[bytes]) -> Any:
    torch = _torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except OSError:
        raise
    except Exception as error:
        for code in EXHAUSTED:  # torch's own errors from the system
            if isinstance(error, RuntimeError) and re.match(rf"unable to \w+ .*\({code}\)$", str(error), re.DOTALL):
                raise OSError(code, os.strerror(code)) from None
        raise ValueError("it is damaged, or holds other things than tensors, numbers and plain containers") from None


def _torch() -> Any:
    with extra("torch", "checkpoints need torch"):
        import torch
    return torch


def _bfloat16() -> np.dtype[Any]:
    with extra("cli", "bfloat16 in files needs ml_dtypes"):
        import ml_dtypes
    bfloat16: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return bfloat16


def save(path: str | os.PathLike[str], update: Any) -> None:
    """Write one update to a .npy (an array), .npz or .safetensors file (a dict of arrays), or a torch checkpoint.

    The file is complete or not there: a file of that name is replaced at the end.

    Raises
    ------
    ValueError
        When a file of that kind cannot hold the update.
    OSError
        When it cannot be written.
    ImportError
        When a package is missing: torch for its checkpoints.

    Notes
    -----
    Cost: one write of the update.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "update.npy")
    ...     files.save(path, np.zeros(3))
    ...     files.load(path).shape
    (3,)
    """
    path = Path(path)
    check_output(path, update)
    writers: dict[str, Callable[[str, Any], None]] = {
        ".npy": _save_npy,
        ".npz": _save_npz,
        ".safetensors": _save_safetensors,
        **dict.fromkeys(TORCH, _save_torch),
    }
    unfinished = _beside(path)
    try:
        writers[path.suffix.lower()](unfinished, update)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(unfinished, 0o666 & ~mask)  # as open() would have made it; mkstemp makes it private
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def _beside(path: Path) -> str:
    """A new file in the same folder, with the same ending."""
    try:
        handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem}-", dir=path.parent)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror}") from None
    os.close(handle)
    return name


def _numbers(leaf: Any) -> tuple[str, Array]:
    """An array of any library: the name of its dtype, and its memory."""
    found, array = _updates._leaf(leaf, "")
    return found.name, array


def _write(file: IO[bytes], array: Array) -> None:
    """The numbers in C order; what is mapped does not stay in memory."""
    step = max(1, PIECE // array.itemsize)
    for begin in range(0, array.size, step):
        part = array.reshape(-1)[begin : begin + step] if array.flags.c_contiguous else array.flat[begin : begin + step]
        file.write(part.data if part.dtype.isnative else part.tobytes())
        let_go([array])


def _write_npy(file: IO[bytes], array: Array) -> None:
    header = {"descr": npy.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    npy.write_array_header_1_0(file, header)
    _write(file, array)


def _save_npy(name: str, update: Any) -> None:
    with open(name, "wb") as file:
        _write_npy(file, _numbers(update)[1])


def _save_npz(name: str, update: Mapping[str, Any]) -> None:
    """As np.savez, which would take layers of some names for its own arguments."""
    with zipfile.ZipFile(name, "w") as archive:
        for key, leaf in update.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                _write_npy(file, _numbers(leaf)[1])


def _save_safetensors(name: str, update: Mapping[str, Any]) -> None:
    codes = {np.dtype(code).name: short for short, code in SAFETENSORS.items()} | {"bfloat16": "BF16"}
    arrays = {key: _numbers(leaf) for key, leaf in update.items()}
    header, end = {}, 0
    order = sorted(arrays, key=lambda key: -arrays[key][1].itemsize)  # so that all begin at multiples of their size
    for key in order:
        (dtype, array), begin = arrays[key], end
        end += array.nbytes
        header[key] = {"dtype": codes[dtype], "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps({key: header[key] for key in arrays}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(name, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for key in order:
            array = arrays[key][1]
            _write(file, array if array.dtype.str[0] != ">" else array.astype(array.dtype.newbyteorder("<")))


def _save_torch(name: str, update: Any) -> None:
    torch = _torch()

    def tensors(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {key: tensors(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return [tensors(value) for value in part]
        if isinstance(part, torch.Tensor):
            return part
        dtype, array = _numbers(part)
        tensor = torch.from_numpy(np.array(array.view(np.int16) if dtype == "bfloat16" else array, order="C"))
        return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor

    torch.save(tensors(update), name)


def check_writable(path: Path) -> None:
    """Raise ValueError or OSError if a file of this name cannot be written, before there is anything to write."""
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is no folder")
    if path.is_dir():
        raise ValueError(f"{path} is a folder")
    os.unlink(_beside(path))


def check_output(path: Path, update: Any) -> None:
    """Raise ValueError if a file of this name cannot hold such an update."""
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is none of {', '.join(SUFFIXES)}")
    if kind in TORCH:
        _torch()
        return
    if isinstance(update, Mapping):
        if kind == ".npy":
            raise ValueError(f"{path} cannot hold named arrays; write .npz or .safetensors")
    elif kind != ".npy":
        raise ValueError(f"{path} holds named arrays, and the updates are plain ones; write .npy")
    for key, leaf in update.items() if isinstance(update, Mapping) else [("the update", update)]:
        try:
            if not isinstance(key, str) or isinstance(leaf, (Mapping, list, tuple)):
                raise ValueError
            dtype, _ = _numbers(leaf)
        except ValueError:
            what = "arrays by name" if isinstance(update, Mapping) else "an array"
            raise ValueError(f"{path} holds {what}, and {key!r} is none") from None
        if dtype == "bfloat16" and kind != ".safetensors":
            raise ValueError(f"{path} cannot hold bfloat16; write .safetensors")
