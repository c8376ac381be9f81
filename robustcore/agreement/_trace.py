"""A run of an agreement, and what it is worth."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import theory, validity
from robustcore._constraints import ConstraintError, as_count, as_number, check_f, check_least
from robustcore._registry import make
from robustcore._result import CentroidBall
from robustcore._updates import read_here
from robustcore.agreement.adversaries import ADVERSARIES, Adversary
from robustcore.agreement.messages import Limits
from robustcore.agreement.network import Run, World
from robustcore.agreement.node import Node
from robustcore.agreement.protocols import PROTOCOLS, Protocol, Setting, diameter, longest_edge
from robustcore.rules.centroids import centroid_ball

Floats = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Trace:
    """What happened in a run, and what its outputs are worth.

    Attributes
    ----------
    outputs : dict of int to (d,) array
        What each honest node has decided on; those that have not are missing.
    rounds : int
        After so many, the last of them has decided.
    diameters, edges : (rounds + 1,) float64
        The largest distance between honest nodes, and the longest edge of the box around them, after each round; at
        first of the inputs. A node that has decided stays where it is.
    messages, bytes : int
        Sent from one node to another.
    agreed : bool
        Whether all honest nodes have decided, on vectors at most epsilon apart.
    validity : dict of str to bool
        Of "weak", "strong", "box", "meb" and "convex": whether all outputs satisfy the condition. "convex" needs scipy,
        and is missing where outputs are many and long.
    ratio : float
        The largest distance of an output from the mean of the honest inputs, in radii of ``ball``; 0 where there is no
        distance, infinite where there is no radius; NaN without outputs.
    claimed : float or None
        What `theory.centroid_ratio` proves of the ratio; None where nothing is: more than t are Byzantine, or some of
        them have not broadcast in the first round of an asynchronous run.
    ball : CentroidBall
        Around the candidate centroids of all inputs.
    inputs : dict of int to (d,) array
        Of Byzantine nodes, what they broadcast in the first round, as far as an honest node has delivered it.
    vectors : list of dict of int to (d,) array, or None
        What each honest node held after each round, where it was kept.
    setting : Setting
    protocol : Protocol
    adversary : Adversary
    byzantine : tuple of int
    seed : int

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> trace = rc.agree(np.array([[0.0], [4.0], [8.0], [-99.0]]), "rbtm", t=1, epsilon=0.1)
    >>> trace.outputs[0], trace.diameters[:2], trace.byzantine
    (array([2.]), array([8., 0.]), (3,))
    """

    outputs: dict[int, Floats] = field(repr=False)
    rounds: int
    diameters: NDArray[np.float64] = field(repr=False)
    edges: NDArray[np.float64] = field(repr=False)
    messages: int
    bytes: int
    agreed: bool
    validity: dict[str, bool]
    ratio: float
    claimed: float | None
    ball: CentroidBall = field(repr=False)
    inputs: dict[int, Floats] = field(repr=False)
    vectors: list[dict[int, Floats]] | None = field(repr=False)
    setting: Setting
    protocol: Protocol
    adversary: Adversary
    byzantine: tuple[int, ...]
    seed: int


def agree(
    X: Any,
    protocol: str | Protocol = "box",
    *,
    t: int,
    epsilon: float,
    byzantine: int | Iterable[int] | None = None,
    synchronous: bool = True,
    adversary: str | Adversary = "none",
    seed: int = 0,
    max_rounds: int = 10_000,
    patience: int | None = None,
    keep_history: bool | None = None,
) -> Trace:
    """Let n nodes agree on a vector with no server, up to t of them Byzantine, and measure what comes of it.

    Parameters
    ----------
    X
        (n, d) array, or n arrays of shape (d,), float32 or float64: what each node begins with. Those of Byzantine
        nodes need not be finite.
    protocol : str or Protocol
        A name in ``PROTOCOLS``, or an object.
    t : int
        How many Byzantine nodes the protocol is to withstand.
    epsilon : float
        How far apart outputs may be. Below the last bit of the vectors, rounding decides whether they agree.
    byzantine : int or iterable of int, optional
        Who is Byzantine: ids, or how many, which are then the last; by default t. More than t are more than the
        protocol withstands: such runs show what then happens.
    synchronous : bool
        Whether what honest nodes send arrives within the round, or at any time.
    adversary : str or Adversary
        A name in ``ADVERSARIES``, or an object.
    seed : int
        Of everything that is drawn: the same seed gives the same run.
    max_rounds : int
        After so many rounds nodes decide, whether they agree or not.
    patience : int, optional
        Asynchronous: how many deliveries a message can be held back for, after which the oldest goes first; by default
        50 n^3, about 25 rounds.
    keep_history : bool, optional
        Whether to keep the vectors of each round; by default for d <= 3.

    Returns
    -------
    Trace

    Raises
    ------
    ConstraintError
        When t is too large for n and d, or an honest node has NaN or infinity.
    ValueError, TypeError
        When X is malformed, there is no such protocol or adversary, or a number is out of range.
    ImportError
        Without scipy, the extra ``geometry``, for "safe_area", "centroid_safe_area" and "mda_safe_area".

    Notes
    -----
    Cost: in each round about 2 n^3 messages, and up to n steps of the protocol; nodes that have received the same
    vectors share one. At the end, `centroid_ball`, exponential in t at worst, and the conditions of `validity`.

    Condition: that of the protocol; and enough ``max_rounds``, which nobody checks: about log(sqrt(d) D / epsilon) /
    log(1 / c), where D is the spread of the inputs, those of Byzantine nodes included, and c what is left of it after a
    round (`Protocol.contraction`). With c = 1 - 1 / (2d), as in safe areas, these are 2d log(sqrt(d) D / epsilon).

    Source: Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [2.0, 2.0], [1.0, 1.0], [9.0, 9.0], [9.0, -9.0]])
    >>> trace = rc.agree(X, "box", t=2, epsilon=1e-3, adversary="late", seed=1)
    >>> trace.agreed, trace.validity["box"], trace.ratio <= trace.claimed
    (True, True, True)
    >>> rc.agree(X, "mda", t=2, epsilon=1e-3)
    Traceback (most recent call last):
        ...
    robustcore.ConstraintError: agree: mda needs n > 4t; here n = 7 and t = 2 (with n = 7, t can be at most 1)
    """
    name = "agree"
    rows, made, setting, ids, limits = prepared(name, X, protocol, t, epsilon, byzantine, synchronous, max_rounds)
    _check_made(name, "adversary", adversary, Adversary)
    enemy = make("adversary", ADVERSARIES, adversary, {}) if isinstance(adversary, str) else adversary
    seed = as_count(name, "seed", seed)
    world = World(setting, made, rows, ids, np.random.default_rng(seed))
    recorder = _Recorder(world.honest, setting.d <= 3 if keep_history is None else keep_history)
    held_back = 50 * setting.n**3 if patience is None else as_count(name, "patience", patience)
    run = Run(world, enemy, seed, limits, recorder.see, held_back)
    run.go()
    return measured(
        rows,
        {origin: vector.values for node in run.honest for origin, vector in node.first.items()},
        outputs={node.id: node.output for node in run.honest if node.output is not None},
        rounds=max((node.decided or 0 for node in run.honest), default=0),
        diameters=np.array(recorder.diameters),
        edges=np.array(recorder.edges),
        messages=run.messages,
        bytes=run.bytes,
        vectors=recorder.vectors,
        setting=setting,
        protocol=made,
        adversary=enemy,
        byzantine=ids,
        seed=seed,
    )


def prepared(
    name: str,
    X: Any,
    protocol: str | Protocol,
    t: int,
    epsilon: float,
    byzantine: int | Iterable[int] | None,
    synchronous: bool,
    max_rounds: int,
) -> tuple[list[Floats], Protocol, Setting, tuple[int, ...], Limits]:
    """What a run needs, checked: inputs, protocol, what all nodes know, who is Byzantine, what nodes accept."""
    _check_made(name, "protocol", protocol, Protocol)
    if not isinstance(synchronous, (bool, np.bool_)):
        raise TypeError(f"{name}: synchronous must be True or False, not {synchronous!r}")
    rows = _rows(name, X)
    n, d = len(rows), len(rows[0])
    made = make("protocol", PROTOCOLS, protocol, {}) if isinstance(protocol, str) else protocol
    t = as_count(name, "t", t)
    check_f(f"{name}: {made.name}", made.needs(d, synchronous), n, t, "t")
    epsilon = as_number(name, "epsilon", epsilon)
    ids = _ids(name, n, t if byzantine is None else byzantine)
    for i in range(n):
        if i not in ids and not np.isfinite(rows[i]).all():
            raise ConstraintError(f"{name}: node {i} is honest, but its vector has NaN or infinity")
    max_rounds = as_count(name, "max_rounds", max_rounds)
    check_least(name, "max_rounds", max_rounds, 1)
    limits = Limits(n, d, max_rounds)
    return rows, made, Setting(n, t, d, epsilon, bool(synchronous)), ids, limits


def measured(rows: list[Floats], first: dict[int, Floats], **run: Any) -> Trace:
    """The trace of a run, of which all is given that is not measured here.

    ``rows`` are the inputs that nodes were given, and ``first`` what honest nodes have delivered of the first round.
    """
    setting, ids, outputs = run["setting"], run["byzantine"], run["outputs"]
    honest = [i for i in range(setting.n) if i not in ids]
    inputs = {i: rows[i] if i in honest else first[i] for i in range(setting.n) if i in honest or i in first}
    ball = centroid_ball(np.array(list(inputs.values())), max(0, len(inputs) - setting.quorum))
    X, found = np.array([rows[i] for i in honest]), list(outputs.values())
    return Trace(
        agreed=len(found) == len(honest) and bool(spread(found)[0] <= setting.epsilon),
        validity=_validity(X, found, len(ids)),
        ratio=_ratio(X, found, ball),
        claimed=_claimed(run["protocol"], setting, len(ids), len(inputs)),
        ball=ball,
        inputs=inputs,
        **run,
    )


def _check_made(name: str, kind: str, given: object, wanted: type) -> None:
    if not isinstance(given, (str, wanted)):
        shown = repr(given)
        shown = shown if len(shown) <= 60 else f"a {type(given).__name__}"
        raise TypeError(f"{name}: {kind} must be a name or an object of {wanted.__name__}, not {shown}")


def _rows(name: str, X: Any) -> list[Floats]:
    updates = read_here(X)
    rows = [np.array(row[0]) for row in updates.rows]  # copies: the trace keeps them
    for row in rows:
        row.flags.writeable = False
    if (
        len(updates.rows[0]) != 1
        or updates.whole[0]
        or rows[0].ndim != 1
        or updates.names[0] not in ("float32", "float64")
    ):
        raise ValueError(f"{name} needs one vector of float32 or float64 for each node")
    return rows


def _ids(name: str, n: int, byzantine: int | Iterable[int]) -> tuple[int, ...]:
    if isinstance(byzantine, Iterable) and not (isinstance(byzantine, np.ndarray) and byzantine.ndim == 0):
        ids = tuple(sorted({as_count(name, "byzantine", i) for i in byzantine}))
    else:
        count = as_count(name, "byzantine", byzantine)
        if count > n:
            raise ConstraintError(f"{name}: byzantine = {count}, but there are {n} nodes")
        ids = tuple(range(n - count, n))
    if ids and ids[-1] >= n:
        raise ConstraintError(f"{name}: byzantine has {ids[-1]}, but the nodes are 0 to {n - 1}")
    if len(ids) == n:
        raise ConstraintError(f"{name} needs an honest node; here all n = {n} are Byzantine")
    return ids


class _Recorder:
    """Watches the honest nodes: how far apart they are after each round, as soon as all have been through it."""

    def __init__(self, honest: list[int], keep: bool) -> None:
        self.diameters: list[float] = []
        self.edges: list[float] = []
        self.vectors: list[dict[int, Floats]] | None = [] if keep else None
        self.honest = honest
        self._behind: dict[int, deque[Floats]] = {i: deque() for i in honest}
        self._final: dict[int, Floats] = {}

    def see(self, node: Node) -> None:
        behind = self._behind[node.id]
        behind.extend(vector.values for vector in node.history)
        node.history.clear()
        if node.output is not None:
            self._final[node.id] = node.output
        while any(self._behind.values()) and all(self._behind[i] or i in self._final for i in self.honest):
            held = {i: seen.popleft() if seen else self._final[i] for i, seen in self._behind.items()}
            farthest, edge = spread(list(held.values()))
            self.diameters.append(farthest)
            self.edges.append(edge)
            if self.vectors is not None:
                self.vectors.append(held)


def spread(vectors: list[Floats]) -> tuple[float, float]:
    """The largest distance, and the longest edge of the box around the vectors."""
    different = list({id(vector): vector for vector in vectors}.values())
    return (diameter(different), longest_edge(different)) if different else (0.0, 0.0)


def _validity(honest: Floats, outputs: list[Floats], byzantine: int) -> dict[str, bool]:
    different = list({output.tobytes(): output for output in outputs}.values())
    conditions: dict[str, Callable[[Floats], bool]] = {
        "weak": lambda y: validity.weak(y, honest, f=byzantine),
        "strong": lambda y: validity.strong(y, honest),
        "box": lambda y: validity.box(y, honest),
        "meb": lambda y: validity.meb(y, honest),
        "convex": lambda y: validity.convex(y, honest),
    }
    if len(different) * honest.size > 10**7:
        del conditions["convex"]
    found = {}
    for name, holds in conditions.items():
        try:
            found[name] = all(holds(y) for y in different)
        except ImportError:  # without scipy, nothing is said of the hull
            continue
    return found


def _ratio(honest: Floats, outputs: list[Floats], ball: CentroidBall) -> float:
    if not outputs:
        return nan
    scale = float(np.abs(honest).max()) or 1.0
    X = honest / scale
    centroid = X.mean(axis=0, dtype=np.float64)
    far = max(float(np.linalg.norm(output / scale - centroid)) for output in outputs)
    # What rounding may have done to the outputs, which have the dtype of the inputs.
    if far <= 8 * float(np.finfo(honest.dtype).eps) * float(np.linalg.norm(np.abs(X).max(axis=0))):
        return 0.0
    return far / (ball.radius / scale) if ball.radius else inf


def _claimed(protocol: Protocol, setting: Setting, byzantine: int, inputs: int) -> float | None:
    if protocol.method is None or byzantine > setting.t or not setting.d:
        return None
    if not setting.synchronous and inputs < setting.n and protocol.method != "centroid_and_safe_area":
        return None  # fewer candidates make the radius smaller, and nodes leave out as many vectors all the same
    n, t, d = setting.n, setting.t, setting.d
    return float(theory.centroid_ratio(protocol.method, n, t, d, synchronous=setting.synchronous))
