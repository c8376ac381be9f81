"""The fast, exact and certified core for Byzantine-robust aggregation.

n clients send vectors of d numbers, and up to f of them lie. A rule turns the n vectors into one that can be trusted::

    import robustcore as rc

    rc.multi_krum(updates, f=3)                           # the value alone
    rc.MultiKrum(f=3).aggregate(updates)                  # with weights, scores, who was dropped and why
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    from robustcore import _core as _core
except ImportError as error:
    raise ImportError(
        "robustcore was found without its compiled core: this is its source tree. Leave this folder, or install it in "
        "place: pip install --editable ."
    ) from error

from robustcore import theory
from robustcore._budget import Budget
from robustcore._build import build_info
from robustcore._certify import certify
from robustcore._constraints import ConstraintError
from robustcore._result import Aggregation, Ball, BindingBall, Bound, CentroidBall, Certificate, Optimum, Worst
from robustcore._threads import get_num_threads, num_threads, set_num_threads
from robustcore.mixing import ARC, MIXINGS, NNM, Bucketing, Clipping, Mixing
from robustcore.rules import RULES, aggregate
from robustcore.rules._base import Rule
from robustcore.rules.ball import MEBCenter, meb_center, minimum_enclosing_ball, weighted_one_center
from robustcore.rules.bulyan import Bulyan, bulyan
from robustcore.rules.centroids import centroid_ball
from robustcore.rules.clip import CenteredClip, centered_clip
from robustcore.rules.columns import (
    RBTM,
    BoxMidpoint,
    Meamed,
    Median,
    Phocas,
    SignMajority,
    TrimmedMean,
    box_midpoint,
    meamed,
    median,
    phocas,
    rbtm,
    sign_majority,
    trimmed_mean,
)
from robustcore.rules.diameter import MDA, mda, minimum_diameter_subset
from robustcore.rules.distances import pairwise_sqdist
from robustcore.rules.filter import CAF, caf
from robustcore.rules.krum import Krum, MultiKrum, krum, krum_scores, multi_krum
from robustcore.rules.mean import Mean, mean
from robustcore.rules.medians import GeometricMedian, Medoid, geometric_median, medoid
from robustcore.rules.minmax import MinMaxMEB, SafeMEB, minmax_meb, safe_meb
from robustcore.rules.nearest import MoNNA, monna
from robustcore.rules.variance import SMEA, smea

if TYPE_CHECKING:
    from robustcore import agreement, attacks, backends, validity
    from robustcore import clustering as clustering
    from robustcore import files as files
    from robustcore import flower as flower
    from robustcore.agreement import Trace, agree

    __version__: str

__all__ = [
    "ARC",
    "CAF",
    "MDA",
    "MIXINGS",
    "NNM",
    "RBTM",
    "RULES",
    "SMEA",
    "Aggregation",
    "Ball",
    "BindingBall",
    "Bound",
    "BoxMidpoint",
    "Bucketing",
    "Budget",
    "Bulyan",
    "CenteredClip",
    "CentroidBall",
    "Certificate",
    "Clipping",
    "ConstraintError",
    "GeometricMedian",
    "Krum",
    "MEBCenter",
    "Meamed",
    "Mean",
    "Median",
    "Medoid",
    "MinMaxMEB",
    "Mixing",
    "MoNNA",
    "MultiKrum",
    "Optimum",
    "Phocas",
    "Rule",
    "SafeMEB",
    "SignMajority",
    "Trace",
    "TrimmedMean",
    "Worst",
    "__version__",
    "aggregate",
    "agree",
    "agreement",
    "attacks",
    "backends",
    "box_midpoint",
    "build_info",
    "bulyan",
    "caf",
    "centered_clip",
    "centroid_ball",
    "certify",
    "geometric_median",
    "get_num_threads",
    "krum",
    "krum_scores",
    "mda",
    "meamed",
    "mean",
    "meb_center",
    "median",
    "medoid",
    "minimum_diameter_subset",
    "minimum_enclosing_ball",
    "minmax_meb",
    "monna",
    "multi_krum",
    "num_threads",
    "pairwise_sqdist",
    "phocas",
    "rbtm",
    "safe_meb",
    "set_num_threads",
    "sign_majority",
    "smea",
    "theory",
    "trimmed_mean",
    "validity",
    "weighted_one_center",
]


# What is entered when it is asked for: rooms that not everybody needs, some of which need packages beside numpy.
ROOMS = ("agreement", "attacks", "backends", "clustering", "files", "flower", "validity")
WHERE = {"Trace": "agreement", "agree": "agreement", "__version__": "_build"}


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return importlib.import_module(f"robustcore.{name}")
    if name in WHERE:
        return getattr(importlib.import_module(f"robustcore.{WHERE[name]}"), name)
    raise AttributeError(f"module 'robustcore' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
