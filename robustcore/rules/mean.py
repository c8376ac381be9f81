"""The plain mean: no protection beyond dropping what is not finite; the baseline (FedAvg with equal weights)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import MAJORITY, check_dropped, check_f
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed, Updates
from robustcore.rules._base import NOT_FINITE, Progress, Rule, Weights, combine, own_count


@dataclass(frozen=True)
class Mean(Rule):
    """The mean of all updates; one Byzantine client can move it anywhere.

    Parameters
    ----------
    f : int, optional
        How many updates may be unusable; n > 2f. Without it, a minority may be.

    Raises
    ------
    ConstraintError
        When more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers, and a few more where some are not finite.

    References
    ----------
    McMahan, Moore, Ramage, Hampson, Aguera y Arcas, *Communication-efficient learning of deep networks from
    decentralized data*, AISTATS 2017 (federated averaging, here with equal weights).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Mean()(np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, 0.0]]))
    array([2., 3.])
    """

    f: int | None = None
    name: ClassVar[str] = "mean"

    def __post_init__(self) -> None:
        own_count(self, "f", optional=True)

    def check(self, n: int) -> None:
        if self.f is not None:
            check_f(self.name, MAJORITY, n, self.f)

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        check_dropped(self.name, updates.n, self.f, updates.dropped)
        clients = updates.clients
        answer, finite = combine(self, updates, clients, _equal(clients), updates.dropped, progress)
        if finite:
            return answer
        good = updates.core.finite_rows(get_num_threads(), progress)
        if good.all():  # finite float64 rows may have an infinite sum
            return answer
        dropped = updates.dropped | dict.fromkeys(clients[~good].tolist(), NOT_FINITE)
        check_dropped(self.name, updates.n, self.f, dropped)
        return combine(self, updates, clients[good], _equal(clients[good]), dropped, progress)[0]


def _equal(clients: NDArray[np.int64]) -> Weights:
    return Weights(np.full(len(clients), 1 / len(clients)))


def mean(X: Any, f: int | None = None, *, malformed: OnMalformed = "raise") -> Any:
    """The mean of all finite updates: `Mean` as a function.

    Parameters
    ----------
    X, malformed
        As in `krum`.
    f : int, optional
        How many updates may be unusable; n > 2f. Without it, a minority may be.

    Returns
    -------
    One update, in the structure, shapes and dtype of the input, summed in float64. The mean of equal updates is
    exactly that update.

    Raises
    ------
    ConstraintError
        When the numbers do not fit, or more updates are unusable than may be.
    ValueError, TypeError
        When an update is malformed, or X is no collection of updates.

    Notes
    -----
    Cost: see `Mean`. It is the baseline: federated averaging (McMahan et al., AISTATS 2017) with equal weights.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.mean([np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)])
    array([2., 3.], dtype=float32)
    """
    return Mean(f)(X, malformed=malformed)
