"""Clustering on many machines, some of which lie: redundant assignment of the points, and a fusion centre that filters.

n points are given to m machines, each point to several, by an m x n assignment matrix. Each machine sends the k centres
of its own points; up to t machines are Byzantine and send what they like. The fusion centre leaves aside the t machines
whose centres fit their own points worst, and clusters the centres of the others, each with the weight of its cluster.
"""

from robustcore.clustering.assignment import (
    Assignment,
    Expansion,
    Resilience,
    bernoulli,
    expander,
    fractional_repetition,
    resilience,
)
from robustcore.clustering.kmedians import KMedians, assign

__all__ = [
    "Assignment",
    "Expansion",
    "KMedians",
    "Resilience",
    "assign",
    "bernoulli",
    "expander",
    "fractional_repetition",
    "resilience",
]
