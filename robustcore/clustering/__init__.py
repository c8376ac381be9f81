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
from robustcore.clustering.attacks import ATTACKS, Attack, Scene, make_attack
from robustcore.clustering.byzantine import ByzantineKMeans, ByzantineKMedians
from robustcore.clustering.engines import Dask, Engine, Local, Task
from robustcore.clustering.fusion import Missing, Summary, approximation, summarise
from robustcore.clustering.kmedians import KMedians, assign

__all__ = [
    "ATTACKS",
    "Assignment",
    "Attack",
    "ByzantineKMeans",
    "ByzantineKMedians",
    "Dask",
    "Engine",
    "Expansion",
    "KMedians",
    "Local",
    "Missing",
    "Resilience",
    "Scene",
    "Summary",
    "Task",
    "approximation",
    "assign",
    "bernoulli",
    "expander",
    "fractional_repetition",
    "make_attack",
    "resilience",
    "summarise",
]
