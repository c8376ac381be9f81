"""Points in files: text with any delimiter, .npy (memory-mapped, never read whole) and .npz."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import files

TEXT = (".csv", ".txt", ".tsv")
BLOCK = 1 << 16  # rows that are looked at together


def load(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The points of a file, one in each row.

    Parameters
    ----------
    path : str or Path
        Text (.csv, .txt, .tsv): numbers between commas, semicolons, blanks or tabs, a point in each line, perhaps below
        a line of headings; what follows a # is a comment. Or a .npy file with an (n, d) array, which is memory-mapped,
        or an .npz file with one such array.

    Returns
    -------
    (n, d) array of numbers
        float64 from text, else what the file holds.

    Raises
    ------
    ValueError
        When there are no points in it, or something that is no finite number. The message names the file.
    OSError
        When it cannot be read.

    Notes
    -----
    Cost: one read of the file, in which finiteness is checked; text takes about a second for 10^7 numbers.

    Examples
    --------
    >>> import pathlib
    >>> from robustcore.clustering import points
    >>> path = pathlib.Path("some.csv")
    >>> _ = path.write_text("x;y 1;2 3;4".replace(" ", chr(10)))
    >>> points.load(path).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind in TEXT:
        found = _read_text(path)
    elif kind in (".npy", ".npz"):
        found = _one(path, files.load(path))
    else:
        raise ValueError(f"{path} is none of {', '.join((*TEXT, '.npy', '.npz'))}")
    if found.ndim == 2 and not len(found):
        raise ValueError(f"{path} holds no points")
    if found.ndim != 2 or 0 in found.shape or found.dtype.kind not in "fiu":
        raise ValueError(f"{path} must hold an (n, d) array of numbers, not {found.dtype} of shape {found.shape}")
    for start in range(0, len(found), BLOCK):
        bad = ~np.isfinite(found[start : start + BLOCK]).all(axis=1)
        if bad.any():
            raise ValueError(f"{path}: point {start + int(bad.argmax())} (the first is 0) is not finite")
    return found


def _read_text(path: Path) -> NDArray[Any]:
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = ((at, line.partition("#")[0].strip()) for at, line in enumerate(file))
        at, first = next(((at, line) for at, line in lines if line), (0, ""))
    delimiter = next((mark for mark in ";," if mark in first), None)
    fields = [field.strip(" \t\"'") for field in first.split(delimiter)]
    heading = first and not any(map(_is_number, fields))  # one that is broken is no heading
    if heading and not fields[0] and len(fields) > 1:
        raise ValueError(f"{path}: the first column has no heading, as numbers of rows have none; leave it out")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that there is nothing
            return np.loadtxt(
                path,
                delimiter=delimiter,
                skiprows=at + 1 if heading else 0,
                ndmin=2,
                encoding="utf-8-sig",
                quotechar='"',
            )
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text") from None
    except ValueError as error:
        text = re.sub(r" at row (\d+), column (\d+)\.", r" in column \2 of point \1 (the first is 0)", str(error))
        text = re.sub(r" at row .*", "", text, flags=re.DOTALL)
        hint = " (decimal commas are not read)" if delimiter == ";" and "," in text else ""
        raise ValueError(f"{path} is no table of numbers: {text}{hint}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _one(path: Path, held: Any) -> NDArray[Any]:
    if not isinstance(held, dict):
        return np.asanyarray(held)
    if len(held) != 1:
        raise ValueError(f"{path} must hold one array, the points; it holds {len(held)}: {', '.join(map(repr, held))}")
    (found,) = held.values()
    return np.asanyarray(found)
