"""Updates in files: .npy (memory-mapped, never read whole), .npz and .safetensors, one client a file."""

from __future__ import annotations

import os
import tempfile
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
    try:
        if path.suffix == ".npy":
            with open(path, "rb") as file:
                np.lib.format.read_magic(file)  # else np.load takes it for a pickle
            return np.load(path, mmap_mode="r")
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return dict(arrays)
        if path.suffix == ".safetensors":
            return _safetensors().load_file(path)
    except OSError:
        raise
    except Exception as error:  # what a damaged file raises depends on where it is damaged
        raise ValueError(f"{path} is no readable {path.suffix} file: {error}") from None
    raise ValueError(f"{path} is none of {', '.join(SUFFIXES)}")


def save(path: str | os.PathLike[str], update: Any) -> None:
    """Write one update to a .npy (an array), .npz or .safetensors file (a dict of arrays).

    The file is complete or not there: a file of that name is replaced at the end.

    Raises
    ------
    ValueError
        When a file of that kind cannot hold the update.
    OSError
        When it cannot be written.

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
        ".npz": lambda name: np.savez(name, **update),
        ".safetensors": lambda name: _safetensors().save_file(update, name),
    }
    handle, unfinished = tempfile.mkstemp(suffix=path.suffix, prefix=f".{path.stem}-", dir=path.parent)
    os.close(handle)
    try:
        writers[path.suffix](unfinished)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(unfinished, 0o666 & ~mask)  # as open() would have made it; mkstemp makes it private
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


def check_output(path: Path, update: Any) -> None:
    """Raise ValueError if a file of this name cannot hold such an update."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path} is none of {', '.join(SUFFIXES)}")
    if isinstance(update, dict) and path.suffix == ".npy":
        raise ValueError(f"{path} cannot hold named arrays; write .npz or .safetensors")
    if not isinstance(update, dict) and path.suffix != ".npy":
        raise ValueError(f"{path} holds named arrays, and the updates are plain ones; write .npy")


def _safetensors() -> Any:
    with suppress(ImportError):
        import ml_dtypes  # noqa: F401  # teaches numpy what bfloat16 is
    try:
        from safetensors import numpy
    except ImportError:
        raise ValueError('.safetensors files need another package: pip install "robustcore[cli]"') from None
    return numpy
