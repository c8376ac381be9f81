"""Which machine holds which points: assignment matrices, and how far they withstand Byzantine machines.

An assignment is an m x n matrix of zeros and ones: row i says which of the n points machine i holds, and a point is
held by as many machines as its column has ones, its weight. `fractional_repetition`, `bernoulli` and `expander` make
such matrices; `resilience` says what is left of them when t machines are removed: the rho and delta of (t,
delta)-Byzantine resilience (Bulusu et al., Property III.1), which decide how good the clustering is::

    A = clustering.fractional_repetition(m=10, n=5000, s=7)
    rho, delta, exact = clustering.resilience(A, t=3)  # every point counts between once and 1 + delta times
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import ConstraintError, as_count, as_number, check_least
from robustcore._extras import extra

with extra("clustering", "clustering needs scipy, scikit-learn and networkx"):
    import scipy.sparse as sp
    from scipy.sparse.linalg import LinearOperator, eigsh
    from scipy.special import bdtr, betaincinv

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
SHOWN = 5  # columns that an error message names


@dataclass(frozen=True)
class Expansion:
    """How well a d-regular graph expands: its largest |eigenvalue| but the first, against the best of large graphs.

    Attributes
    ----------
    degree : int
        d, the largest eigenvalue.
    achieved : float
        lambda, the larger of |lambda_2| and |lambda_m|. Where it is less than d, the graph is connected and not
        bipartite.
    bound : float
        2 sqrt(d - 1): no large graph has much less, and one with at most that is a Ramanujan graph.

    Examples
    --------
    >>> from robustcore import clustering
    >>> clustering.expander(m=5, degree=4).spectrum  # the complete graph
    Expansion(degree=4, achieved=1.0, bound=3.4641016151377544)
    """

    degree: int
    achieved: float
    bound: float


@dataclass(frozen=True, eq=False, repr=False)
class Assignment:
    """Which of m machines holds which of n points: an m x n matrix of zeros and ones.

    Parameters
    ----------
    matrix : (m, n) scipy.sparse array or matrix, or array of 0 and 1
        Row i says what machine i holds. Kept as a ``scipy.sparse.csr_array`` of uint8 in canonical format.
    kind : {"custom", "fractional_repetition", "bernoulli", "expander"}
        How it was made.
    p : float, optional
        The probability of a one, where the entries were drawn.
    spectrum : Expansion, optional
        Of the graph that it was made of.

    Raises
    ------
    ValueError
        When the matrix has not two dimensions, or entries other than 0 and 1.
    ConstraintError
        When it has no rows or no columns.

    Notes
    -----
    Cost: one pass over the matrix; 5 bytes for each one, 9 where there are more than 2^31.

    Examples
    --------
    >>> from robustcore import clustering
    >>> A = clustering.Assignment([[1, 1, 0], [0, 1, 1]])
    >>> A
    Assignment(custom, m=2, n=3, load 2, weight 1 to 2)
    >>> A.load, A.weights, A.points(1)
    (array([2, 2]), array([1, 2, 1]), array([1, 2]))
    """

    matrix: Any
    kind: str = "custom"
    p: float | None = None
    spectrum: Expansion | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _canonical(self.matrix))

    @classmethod
    def of(cls, A: Any, n: int | None = None) -> Assignment:
        """What is an assignment already, or a matrix of 0 and 1 as one; ValueError unless it is for n points."""
        made = A if isinstance(A, Assignment) else cls(A)
        if n is not None and made.n != n:
            raise ValueError(f"assignment: the matrix is for {made.n} points (columns), and there are {n}")
        return made

    @property
    def m(self) -> int:
        """How many machines there are."""
        return int(self.matrix.shape[0])

    @property
    def n(self) -> int:
        """How many points there are."""
        return int(self.matrix.shape[1])

    @property
    def load(self) -> Ints:
        """How many points each machine holds, (m,)."""
        load: Ints = np.diff(self.matrix.indptr).astype(np.int64)
        return load

    @property
    def weights(self) -> Ints:
        """How many machines hold each point, (n,)."""
        return np.bincount(self.matrix.indices, minlength=self.n).astype(np.int64, copy=False)

    def points(self, i: int) -> Ints:
        """The points that machine i holds, sorted."""
        i = as_count("points", "i", i)
        if i >= self.m:
            raise IndexError(f"points: there is no machine {i} among {self.m}")
        start, stop = self.matrix.indptr[i : i + 2]
        held: Ints = self.matrix.indices[start:stop].astype(np.int64)
        return held

    def __repr__(self) -> str:
        made = [self.kind, f"m={self.m}", f"n={self.n}"]
        made += [f"p={self.p:g}"] if self.p is not None else []
        made += [f"load {_span(self.load)}", f"weight {_span(self.weights)}"]
        made += [f"lambda {self.spectrum.achieved:.4g}"] if self.spectrum is not None else []
        return f"Assignment({', '.join(made)})"


def _span(counts: Ints) -> str:
    low, high = counts.min(), counts.max()
    return str(low) if low == high else f"{low} to {high}"


def _canonical(matrix: Any) -> Any:
    """The matrix as a csr_array of uint8 ones, rows sorted, nothing else stored."""
    if not sp.issparse(matrix):
        try:
            matrix = np.asarray(matrix)
        except ValueError:
            raise ValueError("assignment: the matrix must have rows of one length") from None
    if matrix.dtype.kind not in "biuf":
        raise ValueError(f"assignment: the matrix must hold 0 and 1, not entries of type {matrix.dtype}")
    if matrix.ndim != 2:
        raise ValueError(f"assignment: the matrix must have two dimensions, machines and points, not {matrix.ndim}")
    _sizes("assignment", *matrix.shape)
    rows = sp.csr_array(matrix.astype(np.float64))  # where entries stored twice add up as numbers
    rows.sum_duplicates()
    if not ((rows.data == 0) | (rows.data == 1)).all():  # NaN is neither
        raise ValueError("assignment: the matrix must hold nothing but 0 and 1")
    rows.eliminate_zeros()
    index = _index(max(rows.shape[1], rows.nnz))
    places = (rows.indices.astype(index, copy=False), rows.indptr.astype(index, copy=False))
    return sp.csr_array((rows.data.astype(np.uint8), *places), shape=rows.shape)


def _index(largest: int) -> type[np.int32 | np.int64]:
    return np.int32 if largest < 2**31 else np.int64


def _held_by(holders: Ints, m: int, n: int) -> Any:
    """The m x n matrix with ones in column j at holders[j mod g], which are different machines; (g, w)."""
    g, w = holders.shape
    index = _index(n * w)
    rows = holders.astype(index)[np.arange(n) % g].ravel()
    columns = sp.csc_array((np.ones(n * w, np.uint8), rows, np.arange(0, n * w + 1, w, dtype=index)), shape=(m, n))
    return columns.tocsr()


def fractional_repetition(m: int, n: int, s: int) -> Assignment:
    """Every point at s machines, and all machines equally loaded: machines in groups of s, points dealt to the groups.

    Point j is held by the s machines that follow one another from machine j s on, around the circle of all m. Where s
    divides m, these are m / s groups of s machines that hold the same points, the fractional repetition code (point j
    in group j mod m / s, so that data sorted by cluster is spread over all); else the groups overlap.

    Parameters
    ----------
    m, n : int
        Machines, and points.
    s : int
        Machines that hold a point, 1 <= s <= m.

    Returns
    -------
    Assignment
        The loads of two machines differ by at most one point.

    Raises
    ------
    ConstraintError
        When m or n is 0, or s is not from 1 to m.
    TypeError
        When they are not whole.

    Notes
    -----
    Cost: O(n s) time and memory.

    Condition: 1 <= s <= m.

    Guarantee: for s > t it is (t, delta)-resilient whoever the t Byzantine machines are, with rho = 1 / (s - t) and
    1 + delta = min(s, m - t) / (s - t). With s >= t (1 + delta) / delta that is a load of O(t) for m points and m
    machines, and no assignment with delta and fewer copies of some point exists, unless each is held by more than
    m - t machines: what Theorems IV.2 and IV.3 ask for (O(t log m), O(t^2 log log m)) is more.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Section IV.A and eq. (2), where s divides m = n.

    Examples
    --------
    >>> from robustcore import clustering
    >>> clustering.fractional_repetition(m=4, n=4, s=2).matrix.toarray()
    array([[1, 0, 1, 0],
           [1, 0, 1, 0],
           [0, 1, 0, 1],
           [0, 1, 0, 1]], dtype=uint8)
    >>> clustering.fractional_repetition(m=10, n=5000, s=7)
    Assignment(fractional_repetition, m=10, n=5000, load 3500, weight 7)
    """
    m, n = _sizes("fractional_repetition", m, n)
    s = as_count("fractional_repetition", "s", s)
    if not 1 <= s <= m:
        raise ConstraintError(f"fractional_repetition needs 1 <= s <= m; here m = {m} and s = {s}")
    holders = (np.arange(m // math.gcd(m, s))[:, None] * s + np.arange(s)) % m
    return Assignment(_held_by(holders, m, n), "fractional_repetition")


def bernoulli(m: int, n: int, p: float, rng: int | np.random.Generator | None = None) -> Assignment:
    """Every machine holds every point with probability p, independently.

    Parameters
    ----------
    m, n : int
        Machines, and points.
    p : float
        0 < p <= 1.
    rng : int or numpy.random.Generator, optional
        Where the entries come from; by default another matrix in each call.

    Returns
    -------
    Assignment
        With its p. The load is n p and the weight m p on average; some points may be held by no machine.

    Raises
    ------
    ConstraintError
        When m or n is 0, or p is more than 1.
    ValueError, TypeError
        When m or n is not whole, p no positive number, or rng no seed.

    Notes
    -----
    Cost: m n random numbers; memory for one machine's n, and for the m n p ones.

    Condition: 0 < p <= 1.

    Guarantee: whatever `resilience` says of the matrix drawn: its lightest column decides.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Section IV.B and Theorem IV.2, where m = n.

    Examples
    --------
    >>> from robustcore import clustering
    >>> clustering.bernoulli(m=10, n=5000, p=0.2, rng=0)  # doctest: +ELLIPSIS
    Assignment(bernoulli, m=10, n=5000, p=0.2, load ..., weight 0 to ...)
    """
    m, n = _sizes("bernoulli", m, n)
    p = as_number("bernoulli", "p", p)
    if p > 1:
        raise ConstraintError(f"bernoulli needs 0 < p <= 1; here p = {p}")
    drawn = as_generator("bernoulli", rng)
    rows = [np.flatnonzero(drawn.random(n) < p).astype(_index(n)) for _ in range(m)]
    held = np.concatenate(rows)
    ends = np.cumsum([0, *map(len, rows)]).astype(_index(len(held)))
    return Assignment(sp.csr_array((np.ones(len(held), np.uint8), held, ends), shape=(m, n)), "bernoulli", p=p)


def _sizes(rule: str, m: Any, n: Any) -> tuple[int, int]:
    m, n = as_count(rule, "m", m), as_count(rule, "n", n)
    check_least(rule, "m", m, 1)
    check_least(rule, "n", n, 1)
    return m, n


def as_generator(rule: str, rng: Any) -> np.random.Generator:
    """The generator itself, or one from a seed, or a fresh one for None."""
    if rng is not None and not isinstance(rng, np.random.Generator):
        try:
            rng = as_count(rule, "rng", rng)
        except (TypeError, ConstraintError):
            raise TypeError(f"{rule}: rng must be a seed >= 0, a numpy Generator or None, not {rng!r}") from None
    return np.random.default_rng(rng)


FLIPS = 50  # edges of a lift that change sides to bring its spectral radius down, each once
BASES = 20  # graphs that are tried where there must be one to begin with; the best is taken
DENSE = 40  # nodes up to which LAPACK finds eigenvalues sooner than ARPACK


def expander(m: int, degree: int, n: int | None = None, rng: int | np.random.Generator = 0) -> Assignment:
    """Machines that share points as the nodes of an expander share edges: few of them hold all copies of few points.

    The double cover of a d-regular graph of m nodes: node v of it is machine v, and the points of group v, which the d
    neighbours of v hold; point j is in group j mod m. The graph is grown by 2-lifts: each doubles the nodes, and to
    every edge (u, v) gives either (u, v) and (u', v') or (u, v') and (u', v). The new eigenvalues are those of the
    signed adjacency matrix; signs are drawn at random, and then, one at a time, the edge is flipped that to first order
    lowers the largest |eigenvalue| most: the one with the largest product of the eigenvector's entries at its ends.

    Parameters
    ----------
    m, degree : int
        Machines, and d, how many of them hold a point.
    n : int, optional
        Points; m of them by default.
    rng : int or numpy.random.Generator
        Where the signs, and the graph to begin with where it is none of d + 1 nodes, come from.

    Returns
    -------
    Assignment
        With its ``spectrum``: the lambda that was achieved, to be held against 2 sqrt(d - 1). The graph is simple,
        connected and not bipartite, so that lambda < d, unless d is 1, or 2 with even m, where there is only the cycle.

    Raises
    ------
    ConstraintError
        When there is no such graph.
    TypeError
        When numbers are not whole, or rng is no seed.
    ImportError
        When networkx is missing.

    Notes
    -----
    The first graph is the complete one of d + 1 nodes where m is that times a power of two; else the best of 20 random
    ones of the smallest m / 2^k >= d + 1 nodes that can be d-regular.

    Cost: log2(m) lifts of 50 eigenvectors of sparse m x m matrices. From 5 nodes to 320 with d = 4 takes 0.15 s, to
    lambda = 3.3 against 2 sqrt(3) = 3.46; 1000 nodes with d = 8 take 0.4 s.

    Condition: 1 <= d < m and m d even; d = 1 needs m = 2.

    Guarantee: as `fractional_repetition` with s = d: whoever is Byzantine, only the weights of columns count, not which
    machines share points. Expansion counts where t >= d machines are lost: no t of them hold all copies of more than
    t (lambda / d)^2 / (1 - t / m)^2 groups. The same seed gives the same matrix with the same libraries.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Section IV.C and Theorem IV.3. Bilu, Linial, *Lifts, discrepancy and nearly optimal spectral gap*,
    Combinatorica 26, 2006.

    Examples
    --------
    >>> from robustcore import clustering
    >>> A = clustering.expander(m=40, degree=4, n=1000)
    >>> A  # doctest: +ELLIPSIS
    Assignment(expander, m=40, n=1000, load 100, weight 4, lambda ...)
    >>> A.spectrum.achieved < A.spectrum.bound
    True
    """
    m, d = as_count("expander", "m", m), as_count("expander", "degree", degree)
    m, n = _sizes("expander", m, m if n is None else n)
    possible = f"any {'even ' if d % 2 else ''}number from {d + 1} on" if d != 1 else "2 only"
    if d < 1 or d >= m or m * d % 2 or (d == 1 and m > 2):
        valid = f" (with degree = {d}, m can be {possible})" if d else ""
        raise ConstraintError(
            f"expander needs a connected graph of m nodes with 1 <= degree < m edges each; "
            f"here m = {m} and degree = {d}{valid}"
        )
    draws = as_generator("expander", rng)
    bound = 2 * math.sqrt(d - 1)
    if d <= 2:
        graph, achieved = _cycle(m), 2 * math.cos(math.pi / m) if m % 2 else float(d)
    else:
        graph, achieved = _lifted(m, d, draws)
    starts, ends = np.concatenate([graph, graph[:, ::-1]]).T
    neighbours = ends[np.argsort(starts, kind="stable")].reshape(m, d)
    return Assignment(_held_by(neighbours, m, n), "expander", spectrum=Expansion(d, achieved, bound))


def _cycle(m: int) -> Ints:
    """The edges of the cycle, or the one edge of two nodes."""
    around = np.arange(m)
    return np.stack([around, (around + 1) % m], axis=1)[: m if m > 2 else 1]


def _lifted(m: int, d: int, rng: np.random.Generator) -> tuple[Ints, float]:
    """The edges (m d / 2, 2) of a d-regular graph, d > 2, grown by 2-lifts, and its lambda."""
    size = m
    while size % 2 == 0 and size // 2 > d and size // 2 * d % 2 == 0:
        size //= 2
    edges, achieved = _base(size, d, rng)
    while size < m:
        signs, radius = _signs(edges, size, rng)
        u, v = edges.T
        crossed = size * (signs < 0)
        edges = np.concatenate([np.stack([u, v + crossed], axis=1), np.stack([u + size, v + size - crossed], axis=1)])
        achieved = max(achieved, radius)
        size *= 2
    return edges, achieved


def _base(size: int, d: int, rng: np.random.Generator) -> tuple[Ints, float]:
    """A connected d-regular graph that is not bipartite: the complete one, or the best of several at random."""
    with extra("clustering", "expander needs networkx"):
        import networkx as nx
    few = min(d, size - 1 - d)  # a graph with many edges is drawn by those that it lacks
    best, least = np.empty((0, 2), np.int64), math.inf
    for _ in range(BASES if few else 1):
        graph = nx.random_regular_graph(few, size, seed=int(rng.integers(2**32)))
        edges = np.array((graph if few == d else nx.complement(graph)).edges(), dtype=np.int64)
        found = abs(_extreme(edges, np.ones(len(edges)), size, rng, shift=d / size)[0])
        if found < least - 1e-9:
            best, least = edges, found
    return best, least


def _signs(edges: Ints, size: int, rng: np.random.Generator) -> tuple[Floats, float]:
    """A sign for each edge, and the spectral radius of the signed adjacency matrix."""
    u, v = edges.T
    signs = rng.choice([-1.0, 1.0], len(edges))
    flipped = np.zeros(len(edges), bool)
    best, least = signs, math.inf
    while True:
        value, vector = _extreme(edges, signs, size, rng)
        if abs(value) < least:
            best, least = signs.copy(), abs(value)
        if flipped.sum() == min(FLIPS, len(edges)):
            return best, least
        # The value is x'Sx; the edge's share of it, 2 s x_u x_v, changes sign with s.
        share = np.where(flipped, -math.inf, math.copysign(1.0, value) * signs * vector[u] * vector[v])
        edge = share.argmax()
        signs[edge] *= -1
        flipped[edge] = True


def _extreme(
    edges: Ints, signs: Floats, size: int, rng: np.random.Generator, shift: float = 0.0
) -> tuple[float, Floats]:
    """The eigenvalue that is largest in size, and its eigenvector, of a signed graph, less the shift in all entries."""
    u, v = edges.T
    matrix = sp.csr_array(
        (np.concatenate([signs, signs]), (np.concatenate([u, v]), np.concatenate([v, u]))), shape=(size, size)
    )
    if size <= DENSE:
        values, vectors = np.linalg.eigh(matrix.toarray() - shift)
        at = 0 if -values[0] > values[-1] else -1
    else:
        operator = LinearOperator((size, size), lambda x: matrix @ x - shift * x.sum(), dtype=np.float64)
        values, vectors = eigsh(operator, k=1, which="LM", v0=rng.standard_normal(size), tol=1e-5)
        at = 0
    return float(values[at]), vectors[:, at]


@dataclass(frozen=True)
class Resilience:
    """The rho and delta of (t, delta)-Byzantine resilience; ``rho, delta, exact = resilience(A, t)``.

    Attributes
    ----------
    rho : float
        What weights are scaled by: rho times how many of the machines that are left hold a point is between 1 and
        1 + delta.
    delta : float
        Infinite where the matrix is not resilient: then nothing is guaranteed.
    exact : bool
        Whether these are the best there are: not where sets of machines were drawn, nor where delta is infinite.
    least, most : int
        How many of the machines that are left hold a point: rho = 1 / least and 1 + delta = most / least. 0 is the
        least where the matrix is not resilient.
    failure : tuple of float
        From where to where the probability is that some point is held by fewer or by more. Equal, where that is known;
        else the ends of a 95 % confidence interval (Clopper and Pearson). In the adversarial model, 0 or 1.
    uncovered : array of int64
        The points that may be lost: t machines or fewer hold them.

    Examples
    --------
    >>> from robustcore import clustering
    >>> clustering.resilience([[1, 1, 0], [1, 1, 1], [1, 1, 1]], t=1)
    Resilience(rho=1.0, delta=1.0, exact=True, least=1, most=2, failure=(0.0, 0.0))
    """

    rho: float
    delta: float
    exact: bool
    least: int
    most: int
    failure: tuple[float, float]
    uncovered: Ints = field(compare=False, repr=False)

    def __iter__(self) -> Iterator[float | bool]:
        """Give rho, delta, exact."""
        yield from (self.rho, self.delta, self.exact)


TAIL = 0.025  # of the confidence interval, on either side
BLOCK = 256  # columns that are looked at together


def resilience(
    A: Any,
    t: int,
    model: Literal["adversarial", "random"] = "adversarial",
    *,
    strict: bool = True,
    failure: float = 0.05,
    draws: int = 10_000,
    rng: int | np.random.Generator | None = 0,
) -> Resilience:
    """The best rho and delta of (t, delta)-Byzantine resilience: how evenly points count when t machines are left out.

    1 <= rho * (how many of the m - t machines that are left hold a point) <= 1 + delta, for all points: whichever t
    machines are left out, or, in the random model, with probability 1 - failure when all sets of t are equally likely.

    Parameters
    ----------
    A : Assignment or (m, n) array, or scipy.sparse array or matrix, of 0 and 1
        Which machine holds which point.
    t : int
        How many machines are left out, t < m.
    model : {"adversarial", "random"}
        Whether the worst t machines are left out, or t at random.
    strict : bool
        Whether a matrix that is not resilient is refused; else rho is m / (m - t) / (the mean weight of columns), or
        1 / (p (m - t)) where entries were drawn with probability p: points count once on average, and delta is
        infinite.
    failure : float
        In the random model, how probable it may be that the bounds do not hold, 0 <= failure < 1.
    draws : int
        In the random model, how many sets of machines are drawn; where there are no more, all are looked at.
    rng : int or numpy.random.Generator, optional
        Where they come from.

    Returns
    -------
    Resilience
        Unpacks as rho, delta, exact.

    Raises
    ------
    ConstraintError
        When t is not less than m; when the matrix is not resilient, with the columns that may be lost; when no machine
        holds any point; when there are too few draws to be sure of any bound.
    ValueError, TypeError
        When the matrix has not two dimensions or entries other than 0 and 1, or another argument is malformed.

    Notes
    -----
    In the adversarial model, columns can be looked at one by one: of the w machines that hold a point, the worst set
    takes away min(w, t), and the one that leaves most leaves min(w, m - t). So rho = 1 / (min w - t) and 1 + delta =
    rho max min(w, m - t), and there are no better ones. Nothing but the weights of the columns counts: an expander
    (Theorem IV.3) is as resilient as any matrix with the same weights, and what the mixing lemma says of the t machines
    that hold most copies of a point, that they hold w t / m + lambda sqrt(t) at most, is never less than min(w, t).

    In the random model, least is the largest for which a point is held by fewer with probability <= failure; then most
    is the smallest for which points are held by fewer or by more with that probability. Of sets that are drawn, the
    first half decides about least, the second about most, each so that it is right with probability 97.5 %, whatever
    the matrix.

    Cost: one pass over the matrix; in the random model, besides, sorting of the columns, and for each draw as many
    operations as the columns have ones that differ and may be the lightest or heaviest: 0.1 s for m = 100, n = 5000,
    p = 0.2, t = 20.

    Condition: t < m, and min w > t; in the random model, every point on some machine that is left with probability
    1 - failure.

    Source: Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant
    data assignment*, Property III.1. In Theorem IV.1 each machine is Byzantine with some probability, and then t
    machines are; here t are. In the proof of Theorem IV.2 rho is printed upside down.

    Examples
    --------
    >>> from robustcore import clustering
    >>> A = clustering.fractional_repetition(m=10, n=5000, s=5)
    >>> rho, delta, exact = clustering.resilience(A, t=3)
    >>> rho, delta, exact
    (0.5, 1.5, True)
    >>> chance = clustering.resilience(A, t=3, model="random", failure=0.2)
    >>> chance.least, chance.most, chance.failure  # in 20 of 120 cases all three are of one group
    (3, 4, (0.16666666666666666, 0.16666666666666666))
    >>> clustering.resilience([[1, 1, 0], [1, 1, 1], [0, 1, 1]], t=2)  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
        ...
    robustcore.ConstraintError: resilience needs every point on more than t machines; here t = 2, and
    2 of 3 columns weigh t or less (0, 2)
    """
    A = Assignment.of(A)
    t = as_count("resilience", "t", t)
    if t >= A.m:
        raise ConstraintError(f"resilience needs m > t; here m = {A.m} and t = {t} (t can be at most {A.m - 1})")
    weights = A.weights
    lost = np.flatnonzero(weights <= t)
    if model == "adversarial":
        least, most = max(int(weights.min()) - t, 0), min(int(weights.max()), A.m - t)
        exact, failures = True, (float(not least),) * 2
        need = "more than t machines"
    elif model == "random":
        failure = as_number("resilience", "failure", failure, ">= 0")
        if failure >= 1:
            raise ConstraintError(f"resilience needs failure < 1; here failure = {failure:g}")
        draws = as_count("resilience", "draws", draws)
        check_least("resilience", "draws", draws, 1)
        left, exact = _left(A.m, t, draws, as_generator("resilience", rng))
        least, most, failures = _likely(
            *_held(A.matrix, weights, left), failure, exact, min(int(weights.max()), A.m - t)
        )
        need = f"some machine that is left, with probability {1 - failure:g}"
    else:
        raise ValueError(f'resilience: model must be "adversarial" or "random", not {model!r}')
    if least:
        return Resilience(1 / least, (most - least) / least, exact, least, most, failures, lost)
    if strict:
        named = ", ".join(map(str, lost[:SHOWN])) + (", ..." if len(lost) > SHOWN else "")
        raise ConstraintError(
            f"resilience needs every point on {need}; here t = {t}, and {len(lost)} of {A.n} columns weigh t or less "
            f"({named})"
        )
    share = A.p if A.p is not None else float(weights.mean()) / A.m
    if share == 0:
        raise ConstraintError("resilience needs points on machines; here no machine holds any")
    return Resilience(1 / (share * (A.m - t)), math.inf, False, least, most, failures, lost)


def _left(m: int, t: int, draws: int, rng: np.random.Generator) -> tuple[NDArray[Any], bool]:
    """Sets of m - t machines, as columns of ones (m, sets), and whether these are all that there are."""
    count = math.comb(m, t)
    every = count <= draws
    left = np.ones((count if every else draws, m), np.int16 if m < 2**15 else np.int32)
    if every:
        gone = np.array(list(combinations(range(m), t)), np.int64)
        left[np.arange(count)[:, None], gone] = 0
    else:
        left[:, :t] = 0
        rng.permuted(left, axis=1, out=left)
    return np.ascontiguousarray(left.T), every


def _held(matrix: Any, weights: Ints, left: NDArray[Any]) -> tuple[Ints, Ints]:
    """How many machines of each set hold the point that fewest of them hold, and that most hold."""
    columns = matrix.T.tocsr().astype(left.dtype)
    different = _different(columns)
    ordered = different[np.argsort(weights[different], kind="stable")]
    blocks = np.split(ordered, range(BLOCK, len(ordered), BLOCK))
    t = len(left) - left[:, 0].sum(dtype=np.int64)
    least = np.full(left.shape[1], weights.min())
    for block in blocks:
        if weights[block[0]] - t >= least.max():
            break  # from here on no column can lose enough
        np.minimum(least, (columns[block] @ left).min(axis=0), out=least)
    most = np.zeros(left.shape[1], np.int64)
    for block in reversed(blocks):
        if weights[block[-1]] <= most.min():
            break
        np.maximum(most, (columns[block] @ left).max(axis=0), out=most)
    return least, most


def _different(columns: Any) -> Ints:
    """One of each kind of columns, which are the rows of this matrix."""
    n, m = columns.shape
    bits = np.zeros((n, -(-m // 64) * 8), np.uint8)
    step = max(2**24 // m, 1)  # as ones and zeros for a moment
    for start in range(0, n, step):
        packed = np.packbits(columns[start : start + step].toarray().astype(bool), axis=1)
        bits[start : start + step, : packed.shape[1]] = packed
    words = bits.view(np.uint64)
    order = np.lexsort(words.T)
    new = np.append(True, (words[order[1:]] != words[order[:-1]]).any(axis=1))
    one_of_each: Ints = order[new]
    return one_of_each


def _likely(least: Ints, most: Ints, failure: float, exact: bool, ceiling: int) -> tuple[int, int, tuple[float, float]]:
    """Bounds that hold but with this probability, of what was counted for sets; and how probable it is that not.

    What is decided by draws is tested by others: bounds on the least by the first half, and then on the most, given
    the least, by the second. As the events are nested, the first bound that passes is enough to test.
    """
    half = len(least) if exact else len(least) // 2
    first, second = slice(0, half), slice(0 if exact else half, None)
    allowed = _allowed(half, failure, exact)
    low = int(np.sort(least[first])[allowed])
    below = least < max(low, 1)
    spare = allowed - int(below[second].sum())
    if low and spare >= 0:
        high = int(np.sort(np.where(below, 0, most)[second])[-1 - spare])
        failing = (below | (most > high))[second]
    else:
        high, failing = ceiling, below[first]
    return low, high, _interval(int(failing.sum()), len(failing), exact)


def _allowed(draws: int, failure: float, exact: bool) -> int:
    """In how many of so many sets bounds may fail, for the probability that they do to be at most this, surely."""
    counts = np.arange(draws)
    passed = counts / draws <= failure if exact else bdtr(counts, draws, failure) <= TAIL
    if not passed.any():
        least = "draws for all sets of t machines, or a larger failure"
        if failure > 1e-9:
            least = f"draws >= {2 * math.ceil(math.log(TAIL) / math.log1p(-failure))}"
        raise ConstraintError(f"resilience in the random model needs {least}; here failure = {failure:g}")
    return int(passed.sum()) - 1


def _interval(failed: int, draws: int, exact: bool) -> tuple[float, float]:
    """The probability of what failed so often, or its 95 % confidence interval."""
    if exact:
        return (failed / draws,) * 2
    low = betaincinv(failed, draws - failed + 1, TAIL) if failed else 0.0
    high = betaincinv(failed + 1, draws - failed, 1 - TAIL) if failed < draws else 1.0
    return float(low), float(high)
