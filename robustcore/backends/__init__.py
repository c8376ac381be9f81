"""Updates that are elsewhere: cut by columns into shards, on an engine that runs the passes where the shards are.

Rules decide by n x n numbers and by flags, and these are all that travels (`_shards`). ``dask`` reads Dask arrays,
delayed arrays and files; any other engine takes the few methods of `Engine`. What they open stands for X in every rule,
and in whatever else decides by distances::

    from robustcore.backends import dask
    dask.aggregate(X, rc.MultiKrum(f=3), ...)             # the value is a Dask array
    rc.certify(dask.updates(X), y, f=3)

``torch`` has the passes for tensors on an accelerator, which rules find by themselves; ``_local`` those for files that
memory does not hold, which `robustcore.files` opens.

Nothing is imported that is not asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

from robustcore._core import carried_sum, carry_parts
from robustcore.backends._shards import Engine, Here, open_shards, split

if TYPE_CHECKING:
    from robustcore.backends import dask, torch

__all__ = ["Engine", "Here", "carried_sum", "carry_parts", "dask", "open_shards", "split", "torch"]


def __getattr__(name: str) -> Any:
    if name in ("dask", "torch"):
        return importlib.import_module(f"robustcore.backends.{name}")
    raise AttributeError(f"module 'robustcore.backends' has no attribute {name!r}")
