"""The fast, exact and certified core for Byzantine-robust aggregation.

n clients send vectors of d numbers, and up to f of them lie. A rule turns the n vectors into one that can be trusted::

    import robustcore as rc

    rc.multi_krum(updates, f=3)                           # the value alone
    rc.MultiKrum(f=3).aggregate(updates)                  # with weights, scores, who was dropped and why
"""

try:
    from robustcore import _core as _core
except ImportError as error:
    raise ImportError(
        "robustcore was found without its compiled core: this is its source tree. Leave this folder, or install it in "
        "place: pip install --editable ."
    ) from error

from robustcore import attacks, theory
from robustcore._build import __version__, build_info
from robustcore._constraints import ConstraintError
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads, num_threads, set_num_threads
from robustcore.rules import RULES, aggregate
from robustcore.rules._base import Rule
from robustcore.rules.columns import (
    RBTM,
    BoxMidpoint,
    Meamed,
    Median,
    Phocas,
    TrimmedMean,
    box_midpoint,
    meamed,
    median,
    phocas,
    rbtm,
    trimmed_mean,
)
from robustcore.rules.distances import pairwise_sqdist
from robustcore.rules.krum import Krum, MultiKrum, krum, krum_scores, multi_krum
from robustcore.rules.mean import Mean, mean

__all__ = [
    "RBTM",
    "RULES",
    "Aggregation",
    "BoxMidpoint",
    "ConstraintError",
    "Krum",
    "Meamed",
    "Mean",
    "Median",
    "MultiKrum",
    "Phocas",
    "Rule",
    "TrimmedMean",
    "__version__",
    "aggregate",
    "attacks",
    "box_midpoint",
    "build_info",
    "get_num_threads",
    "krum",
    "krum_scores",
    "meamed",
    "mean",
    "median",
    "multi_krum",
    "num_threads",
    "pairwise_sqdist",
    "phocas",
    "rbtm",
    "set_num_threads",
    "theory",
    "trimmed_mean",
]
