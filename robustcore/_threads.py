"""How many threads a call runs on: one number for the process, and one for the code inside a ``with``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from robustcore import _core

MOST = 4096

_default = _core.default_threads()
_here: ContextVar[int | None] = ContextVar("robustcore_threads", default=None)


def get_num_threads() -> int:
    """How many threads a call made here would use; a forked child uses one, whatever this says.

    Examples
    --------
    >>> import robustcore as rc
    >>> with rc.num_threads(2):
    ...     rc.get_num_threads()
    2
    """
    return _here.get() or _default


def set_num_threads(threads: int) -> None:
    """Set the number of threads that every later call of this process uses.

    The default is the number of cores that the process may run on, or ``OMP_NUM_THREADS``. The number of threads
    never changes a result. After a fork, a child process runs on one thread, whatever is set: the threads of
    OpenMP do not survive a fork.

    Parameters
    ----------
    threads : int
        From 1 to 4096.

    Raises
    ------
    ValueError
        When it is no such number.

    Examples
    --------
    >>> import robustcore as rc
    >>> rc.set_num_threads(rc.get_num_threads())
    """
    global _default
    _default = _checked(threads)


@contextmanager
def num_threads(threads: int) -> Iterator[None]:
    """Use this number of threads inside the ``with`` block, in this thread or task of Python alone.

    Parameters
    ----------
    threads : int
        From 1 to 4096.

    Raises
    ------
    ValueError
        When it is no such number.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> with rc.num_threads(1):
    ...     rc.mean(np.eye(2))
    array([0.5, 0.5])
    """
    token = _here.set(_checked(threads))
    try:
        yield
    finally:
        _here.reset(token)


def _checked(threads: int) -> int:
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MOST:
        raise ValueError(f"the number of threads must be a whole number from 1 to {MOST}, not {threads!r}")
    return int(threads)
