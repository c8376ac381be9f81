"""What Byzantine clients send, for demonstrations, tests and benches.

An attack knows all honest updates and answers with what the f Byzantine clients send. All attacks are called
alike, and are found by name::

    byzantine = ATTACKS["sign_flip"](honest, f, rng)   # (h, d), int, Generator -> (f, d), dtype of honest

A strength is a keyword with a default. An attack that draws nothing takes the generator all the same and
leaves it alone, so that a new attack is one function and one line of the registry.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import as_count

T = TypeVar("T", bound=np.floating[Any])


class Attack(Protocol):
    """How every attack is called."""

    def __call__(self, honest: NDArray[T], f: int, rng: np.random.Generator) -> NDArray[T]:
        """Return what the f Byzantine clients send, (f, d), when the others send ``honest``, (h, d)."""
        ...


def random(honest: NDArray[T], f: int, rng: np.random.Generator, *, scale: float = 100.0) -> NDArray[T]:
    """Gaussian noise, much larger than the honest updates.

    Parameters
    ----------
    honest : (h, d) floating
        The honest updates, h >= 1.
    f : int
        How many Byzantine updates to make.
    rng : numpy.random.Generator
        Where the noise comes from; the same state gives the same updates.
    scale : float
        Norm of a Byzantine update, relative to the mean norm of the honest ones. It is met up to a relative
        deviation of about ``1 / sqrt(2 d)``.

    Returns
    -------
    (f, d), dtype of ``honest``
        Independent rows with independent entries of mean 0.

    Raises
    ------
    ValueError
        When ``honest`` is not an (h, d) array with h >= 1, or f is negative.

    Notes
    -----
    Cost: one read of the h*d numbers and f*d draws in float64.

    References
    ----------
    The Gaussian attack of Blanchard, El Mhamdi, Guerraoui, Stainer, *Machine learning with adversaries:
    Byzantine tolerant gradient descent*, NeurIPS 2017, with the deviation relative to the honest updates.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore import attacks
    >>> honest = np.ones((8, 10_000), np.float32)  # of norm 100
    >>> byzantine = attacks.random(honest, 2, np.random.default_rng(0), scale=50)
    >>> byzantine.shape, byzantine.dtype
    ((2, 10000), dtype('float32'))
    >>> np.linalg.norm(byzantine, axis=1).round(-2)
    array([5000., 5000.], dtype=float32)
    """
    f = _check("random", honest, f)
    d = honest.shape[1]
    # Sums in float64: the squares of float32 updates may leave the range of a float32.
    norms = np.sqrt(np.einsum("ij,ij->i", honest, honest, dtype=np.float64))
    noise = rng.standard_normal((f, d))
    noise *= scale * norms.mean() / max(d, 1) ** 0.5
    return noise.astype(honest.dtype)


def sign_flip(
    honest: NDArray[T],
    f: int,
    rng: np.random.Generator | None = None,
    *,
    scale: float = 10.0,
) -> NDArray[T]:
    """The mean of the honest updates, reversed and enlarged: every Byzantine client sends the same.

    Parameters
    ----------
    honest : (h, d) floating
        The honest updates, h >= 1.
    f : int
        How many Byzantine updates to make.
    rng : numpy.random.Generator, optional
        Not used.
    scale : float
        Factor of the reversed mean. The mean of all h + f updates is ``(h - f * scale) / (h + f)`` times the
        honest one: it points the wrong way when ``scale > h / f``.

    Returns
    -------
    (f, d), dtype of ``honest``
        f times the row ``-scale * mean(honest)``, summed in float64.

    Raises
    ------
    ValueError
        When ``honest`` is not an (h, d) array with h >= 1, or f is negative.

    Notes
    -----
    Cost: one read of the h*d numbers, one write of f*d.

    References
    ----------
    Blanchard, El Mhamdi, Guerraoui, Stainer, *Machine learning with adversaries: Byzantine tolerant gradient
    descent*, NeurIPS 2017 (the omniscient attack); Li, Xu, Chen, Giannakis, Ling, *RSA: Byzantine-robust
    stochastic aggregation methods for distributed learning from heterogeneous datasets*, AAAI 2019 (of each
    client's own update instead of the mean).

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore import attacks
    >>> attacks.sign_flip(np.array([[1.0, -2.0], [3.0, -4.0]]), f=2, scale=5)
    array([[-10.,  15.],
           [-10.,  15.]])
    """
    f = _check("sign_flip", honest, f)
    row = -scale * honest.mean(axis=0, dtype=np.float64)
    return np.tile(row.astype(honest.dtype), (f, 1))


ATTACKS: dict[str, Attack] = {"random": random, "sign_flip": sign_flip}


def _check(attack: str, honest: NDArray[Any], f: int) -> int:
    if honest.ndim != 2 or not len(honest):
        raise ValueError(f"{attack} needs honest updates of shape (h, d), h >= 1; here it is {honest.shape}")
    return as_count(attack, "f", f)
