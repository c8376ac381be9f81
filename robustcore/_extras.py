"""What is said where a package that only some of us need is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, need: str) -> Iterator[None]:
    """Around imports: ImportError with the need, and which extra to install, where a package is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f'{need}: pip install "robustcore[{name}]"') from error
