"""Krum and Multi-Krum: the updates with the closest neighbours."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from robustcore import _core, theory
from robustcore._constraints import KRUM_F, KRUM_M, check_f, check_m
from robustcore._geometry import FAR, NEAR, Floats, Geometry
from robustcore._updates import OnMalformed, read
from robustcore.rules._base import LinearRule, Mixings, Weights, client_scores, face_of, own_count
from robustcore.theory.centroid import BETWEEN_CANDIDATES

Neighbors = Literal["theory", "classic"]


@dataclass(frozen=True, repr=False)
class _KrumFamily(LinearRule):
    f: int
    _: KW_ONLY
    neighbors: Neighbors = "theory"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbors not in tuple(KRUM_F):
            raise ValueError(f'neighbors must be "theory" or "classic", not {self.neighbors!r}')

    def count(self, n: int) -> int:
        """How many of n updates are averaged."""
        return 1

    def _check(self, n: int) -> None:
        check_f(self.name, KRUM_F[self.neighbors], n, self.f)
        check_m(self.name, KRUM_M[self.neighbors], n, self.f, self.count(n))

    def _guarantee(self, n: int) -> float | None:
        return theory.kappa_upper_bound(n, self.f, self.count(n)) if self.neighbors == "theory" else None

    def scores(self, geometry: Geometry, f: int) -> tuple[Floats, list[Floats]]:
        """The scores of the vectors, and keys that tell them apart on other scales too: see `_core.select_lowest`."""
        n = geometry.n
        others, divisor = (n - f - 1, n - f) if self.neighbors == "theory" else (max(n - f - 2, 0), 1)
        scores = _core.krum_scores(geometry.sqdist, others, divisor)
        keys = [scores]
        if geometry.is_wide:  # scores that float64 cannot hold are told apart on another scale
            if np.isinf(scores).any():
                keys.append(_core.krum_scores(geometry.vectors(geometry.scaled(FAR)), others, divisor))
            if (scores < _core.VANISHING).any():
                keys.insert(0, _core.krum_scores(geometry.vectors(geometry.scaled(NEAR)), others, divisor))
        return scores, keys

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        n, (scores, keys) = geometry.n, self.scores(geometry, f)
        m = self.count(n + self.f - f)  # a row that was dropped counts among the n and the f of the rule
        weights = np.zeros(n)
        weights[_core.select_lowest(keys, m)] = 1 / m
        return Weights(weights, scores)


@dataclass(frozen=True, repr=False)
class Krum(_KrumFamily):
    """The one update with the smallest Krum score.

    The score of an update is the sum of its squared distances to its nearest neighbours; ties go to the lowest index.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine.
    neighbors : {"theory", "classic"}
        ``"theory"``: the n - f nearest, the update itself among them, and the sum divided by n - f; needs n > 2f, and
        the bounds of `robustcore.theory` hold. ``"classic"``: the n - f - 2 nearest others; needs n >= 2f + 3.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers and n(n-1)/2 * d differences and multiply-adds for the distances, O(n^2) for
    scores and selection, one read of the winner.

    Guarantee: with "theory", kappa* <= `robustcore.theory.kappa_upper_bound` with m = 1; `Aggregation.guarantee` has
    the number.

    References
    ----------
    Blanchard, El Mhamdi, Guerraoui, Stainer, *Machine learning with adversaries: Byzantine tolerant gradient descent*,
    NeurIPS 2017 (classic); Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal
    notion of robustness*, Definition 1 with m = 1 (theory) and Theorem 1 (guarantee).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [90.0, -90.0]])
    >>> rc.Krum(f=1)(X)
    array([1., 1.])
    """

    name: ClassVar[str] = "krum"


@dataclass(frozen=True, repr=False)
class MultiKrum(_KrumFamily):
    """The mean of the m updates with the smallest Krum scores.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine.
    m : int, optional
        How many updates to average, 1 <= m <= n - f (``"classic"``: n - f - 2); by default as many as allowed.
    neighbors : {"theory", "classic"}
        As in `Krum`, which also states the conditions on n and f.

    Raises
    ------
    ConstraintError
        When n, f and m do not fit, or more than f updates are not finite.

    Notes
    -----
    Cost: as `Krum`, but one read of the m chosen updates.

    Guarantee: with "theory", kappa* <= `robustcore.theory.kappa_upper_bound`; `Aggregation.guarantee` has the number.
    With m = n - f, a candidate centroid itself, and so within 2 radii of `centroid_ball` of the true one.

    References
    ----------
    As `Krum`: Definition 1 of the MultiKrum paper, and Blanchard et al. (Multi-Krum).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [90.0, -90.0]])
    >>> r = rc.MultiKrum(f=1).aggregate(X)
    >>> r.value, r.selected
    (array([1.5, 1.5]), array([0, 1, 2, 3]))
    >>> round(r.guarantee, 2)
    4.43
    """

    m: int | None = None
    name: ClassVar[str] = "multi_krum"

    def __post_init__(self) -> None:
        super().__post_init__()
        own_count(self, "m", optional=True)

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return BETWEEN_CANDIDATES if self.count(n) == n - self.f else None

    def count(self, n: int) -> int:
        if self.m is not None:
            return self.m
        return n - self.f if self.neighbors == "theory" else max(n - self.f - 2, 1)


def krum(
    X: Any,
    f: int,
    *,
    neighbors: Neighbors = "theory",
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    """The update with the smallest Krum score: `Krum` as a function.

    Parameters
    ----------
    X
        n updates: an (n, d) array; a sequence of n arrays; or a sequence of n updates, each a list, tuple or dict of
        arrays (layers) of the same structure and shapes, such as a state dict. Arrays may be numpy arrays (any strides
        and byte order, memory maps), torch tensors and parameters, JAX arrays, or anything with DLPack or the buffer
        protocol, on the CPU; torch tensors also on an accelerator. float32, float64, float16 and bfloat16; every client
        the same. Nothing is copied. Lists of Python numbers count as float64 rows.

        Arrays of whole numbers or truth values among them, such as ``num_batches_tracked``, do not take part: each of
        their entries becomes the lower median of those of the clients that were not dropped.
    f : int
        How many clients may be Byzantine. A client whose update holds a NaN or an infinity is one of them.
    neighbors : {"theory", "classic"}
        Whose distances count; see `Krum`. Needs n > 2f (``"classic"``: n >= 2f + 3).
    mixing : Mixing or sequence of Mixing
        What is done to the updates first: `NNM`, `Bucketing`, `Clipping`, `ARC`, or several from left to right.
    malformed : {"raise", "drop"}
        What to do about updates that have not the structure, shapes and dtypes of the majority: raise, or drop them and
        count them against f.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input: bit for bit the winner's, where nothing is mixed.
    Named tuples and OrderedDicts stay such; other kinds of lists and dicts come back as plain ones. Tensors are new
    ones that require no gradient.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are unusable.
    ValueError
        When an update is malformed; the message names the client and the layer.
    TypeError
        When X is no collection of updates.

    Notes
    -----
    Cost and source: see `Krum`.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.krum(np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [90.0, -90.0]]), f=1)
    array([1., 1.])
    """
    return Krum(f, neighbors=neighbors, mixing=mixing)(X, malformed=malformed)


@face_of(MultiKrum)
def multi_krum(
    X: Any,
    f: int,
    m: int | None = None,
    *,
    neighbors: Neighbors = "theory",
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return MultiKrum(f, m, neighbors=neighbors, mixing=mixing)(X, malformed=malformed)


def krum_scores(
    X: Any, f: int, *, neighbors: Neighbors = "theory", malformed: OnMalformed = "raise"
) -> NDArray[np.float64]:
    """The Krum score of every update; low is good.

    Parameters
    ----------
    X, f, neighbors, malformed
        As in `krum`.

    Returns
    -------
    (n,) float64
        Squared distance, in the unit of the updates squared; NaN for clients that were dropped; infinite where float64
        rows are more than about 1e154 apart.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `Krum`, without the read of the winner.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0], [9.5]])
    >>> rc.krum_scores(X, f=1, neighbors="classic")  # the two nearest others, summed
    array([ 5.  ,  2.  ,  5.  , 49.25, 56.5 ])
    """
    rule, updates = Krum(f, neighbors=neighbors), read(X, malformed)
    rule.check(updates.n)
    geometry = rule.geometry(updates)
    return client_scores(updates, geometry, rule.scores(geometry, rule.f - len(geometry.dropped))[0])
