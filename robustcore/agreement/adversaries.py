"""Adversaries: what Byzantine nodes broadcast, what they send on each link, and which messages are late.

=============  =============  ==================================================================================
"none"         `Nobody`       follow the protocol, with the inputs that they have
"crash"        `Crash`        follow it, and stop while they broadcast
"silent"       `Silent`       broadcast nothing in some rounds
"equivocate"   `Equivocate`   tell each half of the honest nodes another story, through the broadcast
"late"         `Late`         are delivered by some honest nodes in time, and by others too late
"worst_case"   `WorstCase`    are where the paper's lower bounds want them
"hide_honest"  `HideHonest`   asynchronously, keep t honest nodes from being heard
"alie"         `ALIE`         deviate by a few standard deviations
"random"       `Random`       broadcast and send anything
=============  =============  ==================================================================================

What a reliable broadcast has once delivered, all honest nodes deliver or nothing else: equivocation among at most t
Byzantine nodes leads to nothing, and to disagreement among more. What hurts is to be late.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import ConstraintError
from robustcore.agreement.messages import LAST, Content, Echo, Init, Message, Ready, Report, Vector
from robustcore.attacks import ALittleIsEnough

if TYPE_CHECKING:
    from robustcore.agreement.network import World

Floats = NDArray[Any]

KEPT = 8  # rounds for which an adversary remembers what it has said


@dataclass(frozen=True)
class Adversary:
    """Controls all Byzantine nodes, knows everything, and in an asynchronous network decides on the order of messages.

    By default, Byzantine nodes do what honest ones do. An adversary of one's own overrides some of the three methods;
    what it wants to remember goes into ``world.notes``.

    Attributes
    ----------
    name : str
        What it is called in ``ADVERSARIES``.
    follows : bool
        Whether Byzantine nodes end when the protocol says so; else they go on for as long as anybody does.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np, robustcore as rc
    >>> @dataclass(frozen=True)
    ... class High(rc.agreement.Adversary):
    ...     def vector(self, world, node, round):
    ...         return world.vectors.max(axis=0)  # of what the honest nodes hold now
    >>> rc.agree(np.array([[0.0], [1.0], [4.0], [0.0]]), "box", t=1, epsilon=0.1, adversary=High()).outputs[0]
    array([2.33333333])
    """

    name: ClassVar[str] = "none"
    follows: ClassVar[bool] = False

    def vector(self, world: World, node: int, round: int) -> Floats | None:
        """What this Byzantine node broadcasts in this round; None for nothing.

        Of any shape and dtype: what is no vector of floats cannot be sent, and that of another dimension, or one that
        is not finite, counts as not sent.
        """
        found: Floats = world.nodes[node].vector.values
        return found

    def send(self, world: World, sender: int, receiver: int, message: Message) -> Sequence[Message]:
        """What is sent on this link when a Byzantine node has this to say to all: any messages, or none."""
        return (message,)

    def urgency(self, world: World, sender: int, receiver: int, message: Message) -> int:
        """How late a message is delivered, asynchronously: the lowest first."""
        return 0


@dataclass(frozen=True)
class Nobody(Adversary):
    """Byzantine nodes follow the protocol, with the inputs that they have."""

    follows: ClassVar[bool] = True


@dataclass(frozen=True)
class Crash(Adversary):
    """Byzantine nodes follow the protocol, and stop while they broadcast: some nodes still get the last message.

    Parameters
    ----------
    round : int
        In which the first of them crashes; the next one a round later, and so on.
    """

    round: int = 2
    name: ClassVar[str] = "crash"
    follows: ClassVar[bool] = True

    def send(self, world: World, sender: int, receiver: int, message: Message) -> Sequence[Message]:
        crash = self.round + world.byzantine.index(sender)
        last = message.round == crash and isinstance(message, Init) and receiver < world.setting.n // 2
        return (message,) if message.round < crash or last else ()


@dataclass(frozen=True)
class Silent(Adversary):
    """Byzantine nodes relay, but broadcast nothing of their own in some rounds; after that, they are not heard.

    Parameters
    ----------
    every : int
        Silent in the rounds that this number divides.
    """

    every: int = 2
    name: ClassVar[str] = "silent"

    def vector(self, world: World, node: int, round: int) -> Floats | None:
        return None if round % self.every == 0 else super().vector(world, node, round)


@dataclass(frozen=True)
class Equivocate(Adversary):
    """Two stories: each half of the honest nodes is told another vector, by all Byzantine nodes and at once.

    Each half is told what its first node holds. All Byzantine nodes echo both stories, and are ready for both.
    """

    name: ClassVar[str] = "equivocate"

    def send(self, world: World, sender: int, receiver: int, message: Message) -> Sequence[Message]:
        if isinstance(message, Report):
            return (message,)
        origin = sender if isinstance(message, Init) else message.origin
        if origin not in world.byzantine:
            return (message,)
        if receiver in world.byzantine or not isinstance(message, Init):
            return ()
        content = self._story(world, receiver, message)
        told: list[Message] = [Init(message.round, content)]
        for origin in world.byzantine:
            told += [Echo(origin, message.round, content), Ready(origin, message.round, content.key)]
        return told

    def _story(self, world: World, receiver: int, message: Init) -> Content:
        honest = world.honest
        first = honest[0] if honest.index(receiver) < len(honest) // 2 else honest[len(honest) // 2]
        key = "story", message.round, first
        if key not in world.notes:
            world.notes[key] = Content(world.nodes[first].vector)
            world.notes.pop(("story", message.round - KEPT, first), None)
        found: Content = world.notes[key]
        return found


class _Values(Adversary):
    """Byzantine nodes that lie in what they broadcast only, all of them at once when the first does in a round."""

    def vector(self, world: World, node: int, round: int) -> Floats | None:
        key = "values", round
        if key not in world.notes:
            honest = world.vectors
            world.notes[key] = np.asarray(self.values(world, honest)).astype(honest.dtype)
            world.notes.pop(("values", round - KEPT), None)
        found: Floats = world.notes[key][world.byzantine.index(node)]
        return found

    def values(self, world: World, honest: Floats) -> Floats:
        """(number of Byzantine nodes, d): what they broadcast, given what the honest nodes hold."""
        raise NotImplementedError


def _farthest(world: World, place: Callable[[Floats], Floats], count: int) -> list[int]:
    """The honest nodes whose inputs are farthest from a place among them."""
    X = np.array([world.inputs[i] for i in world.honest], float)
    with np.errstate(over="ignore", invalid="ignore"):
        far = np.linalg.norm(X - place(X), axis=1)
    return [world.honest[i] for i in np.argsort(-far, kind="stable")[:count]]


def _is_of(message: Message, sender: int, hidden: Sequence[int]) -> bool:
    if isinstance(message, Report):
        return False
    return (sender if isinstance(message, Init) else message.origin) in hidden


@dataclass(frozen=True)
class Late(_Values):
    """Broadcasts that some honest nodes deliver in the round, and others too late: they see different sets.

    Byzantine nodes show their vector, a corner of the box around the honest ones, to as many as are needed for it. In
    an asynchronous network, the messages about it are late for the others.
    """

    name: ClassVar[str] = "late"

    def values(self, world: World, honest: Floats) -> Floats:
        ends = [honest.min(axis=0), honest.max(axis=0)]
        return np.array([ends[i % 2] for i in range(len(world.byzantine))])

    def _early(self, world: World, origin: int) -> list[int]:
        """The honest nodes, beginning with those that are in time."""
        honest = world.honest
        start = world.byzantine.index(origin) * max(1, len(honest) // 2)
        return [honest[(start + i) % len(honest)] for i in range(len(honest))]

    def send(self, world: World, sender: int, receiver: int, message: Message) -> Sequence[Message]:
        if isinstance(message, Report) or not world.setting.synchronous or receiver in world.byzantine:
            return (message,)
        origin = sender if isinstance(message, Init) else message.origin
        if origin not in world.byzantine:
            return (message,)
        n, t, early = world.setting.n, world.setting.t, self._early(world, origin)
        # With the echoes of those told and of t Byzantine nodes, t honest nodes have a quorum and are ready. Too few to
        # make others ready, unless these get the readies of Byzantine nodes as well: then they have 2t + 1, with their
        # own.
        told = early[: (n + t + 2) // 2 - len(world.byzantine)]
        echoed = early[len(early) - t :]
        ready = early[: len(early) // 2]
        reached = {Init: told, Echo: echoed, Ready: ready}[type(message)]
        return (message,) if receiver in reached else ()

    def urgency(self, world: World, sender: int, receiver: int, message: Message) -> int:
        if isinstance(message, Report) or receiver in world.byzantine:
            return 0
        origin = sender if isinstance(message, Init) else message.origin
        hidden = world.byzantine
        if origin in hidden:
            order = self._early(world, origin)
            return int(receiver not in order[: len(order) // 2])
        # Those who are not to see the vectors of Byzantine nodes need those of all honest ones; others do without some.
        honest = world.honest
        half = honest.index(receiver) < len(honest) // 2
        return int(half and origin in honest[-world.setting.t :] and world.setting.t > 0)


@dataclass(frozen=True)
class WorstCase(_Values):
    """The placements of the paper's lower bounds, around whatever the honest nodes hold.

    Parameters
    ----------
    placement : {"crowd", "lone", "outside"}
        - "crowd": at the honest vector that is nearest to all others, so that those who are elsewhere look Byzantine
          (Lemmas 4.13 and 5.10).
        - "lone": at the honest vector that is farthest from the mean (Theorems 4.1 and 5.3).
        - "outside": as far from the crowd as its farthest honest neighbour, in a direction that no honest node has, so
          that minimum-diameter subsets take them in (Lemma 4.12).

    Asynchronously, t honest nodes that are far from there are not heard.
    """

    placement: Literal["crowd", "lone", "outside"] = "crowd"
    name: ClassVar[str] = "worst_case"

    def values(self, world: World, honest: Floats) -> Floats:
        return np.tile(self._place(honest), (len(world.byzantine), 1))

    def _place(self, honest: Floats) -> Floats:
        X = honest.astype(float)
        away = np.linalg.norm(X - X.mean(axis=0), axis=1)
        if self.placement == "lone":
            return np.asarray(X[away.argmax()])
        crowd: Floats = X[np.argmin([np.linalg.norm(X - x, axis=1).sum() for x in X])]
        if self.placement == "crowd":
            return crowd
        seen = X - crowd
        reach = np.linalg.norm(seen, axis=1).max()
        axis = np.abs(seen).sum(axis=0).argmin()
        return np.asarray(crowd + 0.999 * reach * np.eye(X.shape[1])[axis])

    def urgency(self, world: World, sender: int, receiver: int, message: Message) -> int:
        if "hidden" not in world.notes:
            world.notes["hidden"] = _farthest(world, self._place, world.setting.t)
        return int(_is_of(message, sender, world.notes["hidden"]))


@dataclass(frozen=True)
class HideHonest(Adversary):
    """Asynchronously, t honest nodes are not heard for as long as possible: other ones by each half of the nodes."""

    name: ClassVar[str] = "hide_honest"

    def urgency(self, world: World, sender: int, receiver: int, message: Message) -> int:
        if "hidden" not in world.notes:
            far = _farthest(world, lambda X: np.asarray(X.mean(axis=0)), 2 * world.setting.t)
            world.notes["hidden"] = far[::2], far[1::2]
        return int(_is_of(message, sender, world.notes["hidden"][receiver % 2]))


@dataclass(frozen=True)
class ALIE(_Values):
    """Small deviations, a few standard deviations from the mean of what the honest nodes hold: `attacks`' "alie"."""

    name: ClassVar[str] = "alie"

    def values(self, world: World, honest: Floats) -> Floats:
        try:
            return ALittleIsEnough()(honest, len(world.byzantine))
        except ConstraintError:  # too few honest nodes for its choice of strength
            return ALittleIsEnough(1.0)(honest, len(world.byzantine))


@dataclass(frozen=True)
class Random(Adversary):
    """Anything: vectors of any size and shape, messages lost, repeated, or forged.

    Parameters
    ----------
    scale : float
        Of the vectors, in spreads of the honest ones.
    """

    scale: float = 10.0
    name: ClassVar[str] = "random"

    def vector(self, world: World, node: int, round: int) -> Floats | None:
        rng, X = world.rng, world.vectors
        kind = rng.integers(12)
        if kind == 0:
            return None
        if kind == 1:
            return np.full(X.shape[1], np.nan, X.dtype)
        if kind == 2:
            return np.zeros(X.shape[1] + 1, X.dtype)
        spread = X.max(axis=0) - X.min(axis=0)
        drawn: Floats = (X.mean(axis=0) + self.scale * spread * rng.normal(size=X.shape[1])).astype(X.dtype)
        return drawn

    def send(self, world: World, sender: int, receiver: int, message: Message) -> Sequence[Message]:
        rng, n = world.rng, world.setting.n
        kind = rng.integers(10)
        if kind == 0:
            return ()
        if kind == 1:
            return (message, message)
        if kind == 2:
            content = Content(Vector(world.vectors[0]), int(rng.integers(LAST + 1)))
            origin, at = int(rng.integers(n)), message.round
            return message, Init(at, content), Echo(origin, at, content), Ready(origin, at, content.key)
        if kind == 3:
            forged = Report(message.round, int(rng.integers(1 << min(n, 62))), n)
            return message, forged, Ready(int(rng.integers(n)), message.round + 1, bytes(32))
        return (message,)


ADVERSARIES: dict[str, type[Adversary]] = {
    adversary.name: adversary
    for adversary in (Nobody, Crash, Silent, Equivocate, Late, WorstCase, HideHonest, ALIE, Random)
}
