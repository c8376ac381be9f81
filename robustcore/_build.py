"""Which build this is, and what it runs on."""

from __future__ import annotations

from typing import Any, TypedDict

from robustcore import _core
from robustcore._threads import get_num_threads


class BuildInfo(TypedDict):
    """What `build_info` returns."""

    version: str
    isa: str
    isas: list[str]
    compiler: str
    openmp: int
    threads: int


def build_info() -> BuildInfo:
    """What this build of robustcore is and runs on; worth pasting into a bug report.

    Returns
    -------
    dict
        ``version``; ``isa``, the instruction set in use, among ``isas``, those that this processor can run, slowest
        first ("baseline" everywhere, "v3" for AVX2 and "v4" for AVX-512 on x86-64); ``compiler``; ``openmp``, the date
        of its version; ``threads``, how many a call made here would use.

    Notes
    -----
    The environment variable ``ROBUSTCORE_ISA``, read when the library is first used, forces an instruction set. It
    changes how long things take, never the result.

    Examples
    --------
    >>> import robustcore as rc
    >>> rc.build_info()["isa"] in ("baseline", "v3", "v4")
    True
    """
    return {
        "version": __getattr__("__version__"),
        "isa": _core.isa(),
        "isas": _core.available_isas(),
        **_core.build_facts(),
        "threads": get_num_threads(),
    }


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # which takes as long as a third of the library

        return version("robustcore")
    raise AttributeError(f"module 'robustcore._build' has no attribute {name!r}")
