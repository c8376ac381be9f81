"""Closed-form guarantees, what a rule is worth before any data is seen, and the inputs that show what none can promise.

``kappa``: robustness coefficients. ``meb``: relaxation factors of validity in enclosing balls. ``centroid``: ratios and
resilience in approximating the centroid. These take whole numbers or arrays of them. ``worst``: worst-case inputs.
``search``: the worst inputs that can be found. All are here as ``robustcore.theory.NAME``.
"""

from robustcore.theory.centroid import box_centroid_ratio, centroid_ratio, resilience
from robustcore.theory.kappa import (
    allouah_upper_bound,
    kappa_1,
    kappa_2,
    kappa_upper_bound,
    krum_lower_bound,
    multi_krum_lower_bound,
    nnm_upper_bound,
    sharp_upper_bound,
    smea_upper_bound,
    transition_m,
    transition_m_bounds,
    two_point_lower_bound,
    universal_lower_bound,
)
from robustcore.theory.meb import (
    box_meb_factor,
    geometric_median_meb_factor,
    kappa_meb_factor,
    mda_meb_factor,
    medoid_meb_factor,
    minmax_meb_factor,
)
from robustcore.theory.search import Place, WorstFound, rows, search_kappa
from robustcore.theory.worst import (
    WorstCase,
    centroid_ball_worst_case,
    convexity_worst_case,
    geometric_median_worst_case,
    krum_worst_case,
    mda_worst_case,
    medoid_worst_case,
    multi_krum_worst_case,
    safe_area_worst_case,
    safe_meb_worst_case,
    strong_validity_worst_case,
)

__all__ = [
    "Place",
    "WorstCase",
    "WorstFound",
    "allouah_upper_bound",
    "box_centroid_ratio",
    "box_meb_factor",
    "centroid_ball_worst_case",
    "centroid_ratio",
    "convexity_worst_case",
    "geometric_median_meb_factor",
    "geometric_median_worst_case",
    "kappa_1",
    "kappa_2",
    "kappa_meb_factor",
    "kappa_upper_bound",
    "krum_lower_bound",
    "krum_worst_case",
    "mda_meb_factor",
    "mda_worst_case",
    "medoid_meb_factor",
    "medoid_worst_case",
    "minmax_meb_factor",
    "multi_krum_lower_bound",
    "multi_krum_worst_case",
    "nnm_upper_bound",
    "resilience",
    "rows",
    "safe_area_worst_case",
    "safe_meb_worst_case",
    "search_kappa",
    "sharp_upper_bound",
    "smea_upper_bound",
    "strong_validity_worst_case",
    "transition_m",
    "transition_m_bounds",
    "two_point_lower_bound",
    "universal_lower_bound",
]
