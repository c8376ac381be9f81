"""Updates in files: .npy (memory-mapped, never read whole), .npz and .safetensors, one client a file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".npy", ".npz", ".safetensors")


def load(path: str | os.PathLike[str]) -> Any:
    """One client's update.

    Parameters
    ----------
    path
        A .npy file (an array, memory-mapped: only what is used is read, and what is used need not fit into memory), or
        a .npz or .safetensors file (a dict of arrays).

    Raises
    ------
    ValueError
        When the file is none of these, or damaged, or holds pickled objects. The message names the file.
    OSError
        When it cannot be read.
    ImportError
        When the safetensors package is missing.

    Notes
    -----
    Cost: nothing is read of a .npy file but its header; .npz and .safetensors files are read whole.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib
    >>> from robustcore import files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "client.npz")
    ...     files.save(path, {"w": np.ones(2)})
    ...     files.load(path)
    {'w': array([1., 1.])}
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        raise ValueError(f"{path} is none of {', '.join(SUFFIXES)}")
    try:
        if kind == ".npy":
            with open(path, "rb") as file:
                np.lib.format.read_magic(file)  # else np.load takes it for a pickle
            return np.load(path, mmap_mode="r")
        if kind == ".npz":
            with open(path, "rb") as file, zipfile.ZipFile(file):
                pass  # else np.load takes it for a pickle
            with np.load(path) as arrays:
                return dict(arrays)
        return _safetensors().load_file(path)
    except (OSError, ImportError):
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise ValueError(f"{path} is no readable {kind} file: {error}") from None


def save(path: str | os.PathLike[str], update: Any) -> None:
    """Write one update to a .npy (an array), .npz or .safetensors file (a dict of arrays).

    The file is complete or not there: a file of that name is replaced at the end.

    Raises
    ------
    ValueError
        When a file of that kind cannot hold the update.
    OSError
        When it cannot be written.
    ImportError
        When the safetensors package is missing.

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
    writers: dict[str, Callable[[str], None]] = {
        ".npy": lambda name: np.save(name, update, allow_pickle=False),
        ".npz": lambda name: _write_npz(name, update),
        ".safetensors": lambda name: _safetensors().save_file(
            {key: np.ascontiguousarray(array) for key, array in update.items()}, name
        ),
    }
    unfinished = _beside(path)
    try:
        writers[path.suffix.lower()](unfinished)
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


def _write_npz(name: str, update: dict[str, Any]) -> None:
    """As np.savez, which would take layers of some names for its own arguments."""
    with zipfile.ZipFile(name, "w") as archive:
        for key, array in update.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


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
    if isinstance(update, dict):
        if kind == ".npy":
            raise ValueError(f"{path} cannot hold named arrays; write .npz or .safetensors")
        if kind == ".npz" and any(
            getattr(getattr(array, "dtype", None), "name", "") == "bfloat16" for array in update.values()
        ):
            raise ValueError(f"{path} cannot hold bfloat16; write .safetensors")
        for key, array in update.items():
            if not isinstance(key, str) or not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise ValueError(f"{path} holds arrays by name, and {key!r} is none")
    elif kind != ".npy":
        raise ValueError(f"{path} holds named arrays, and the updates are plain ones; write .npy")


def _safetensors() -> Any:
    with suppress(ImportError):
        import ml_dtypes  # noqa: F401  # teaches numpy what bfloat16 is
    try:
        from safetensors import numpy
    except ImportError:
        raise ImportError('.safetensors files need another package: pip install "robustcore[cli]"') from None
    return numpy
