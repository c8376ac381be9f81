"""The matrix that the rules are decided by, for whoever wants to look at it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore._threads import get_num_threads
from robustcore._updates import read


def pairwise_sqdist(X: Any) -> NDArray[np.float64]:
    """Squared Euclidean distances between all updates.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.

    Returns
    -------
    (n, n) float64
        Symmetric, zero on the diagonal, in the unit of the updates squared. An update with a NaN or an infinity has NaN
        in its row and column. The entry [i, j] depends on updates i and j alone: not on the others, the number of
        threads, the processor, or the structure that carries the numbers.

    Raises
    ------
    ValueError, TypeError
        When an update is malformed, as in `krum`.

    Notes
    -----
    Differences are taken before squares: the relative error is below 1e-6 for float32, float16 and bfloat16, and below
    1e-13 for float64, whatever offset the updates share, as long as float64 can hold the result: between float64
    updates that are more than about 1e154 apart it is infinite, and below 2^-900 (closer than about 1e-135) it loses
    digits.

    Cost: one read of the n*d numbers, n(n-1)/2 * d differences and multiply-adds. Source: the distances of Krum's
    definition (Blanchard et al., NeurIPS 2017).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.pairwise_sqdist(np.array([[0.0, 0.0], [3.0, 4.0]], np.float32) + 1e4)
    array([[ 0., 25.],
           [25.,  0.]])
    """
    return read(X).core.sqdist(get_num_threads())
