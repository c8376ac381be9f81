"""A node of an agreement: messages in, messages out; no clock, no sockets."""

from __future__ import annotations

from collections import deque
from typing import Any

from numpy.typing import NDArray

from robustcore.agreement.broadcast import Broadcast
from robustcore.agreement.messages import (
    GOING,
    LAST,
    WILLING,
    Content,
    Echo,
    Init,
    Limits,
    Message,
    Report,
    Vector,
    is_message,
)
from robustcore.agreement.protocols import Protocol, Setting

Memo = dict[tuple[Any, ...], tuple[Vector, int]]


class Node:
    """The whole protocol of one node, as a machine that is driven by its messages.

    A round: broadcast the own vector reliably, receive those of others, compute the new one (`Protocol.step`).

    - Synchronous: whoever drives the node calls `end_of_round` after three message delays (init, echo, ready). By then
      the vectors of all honest nodes have been delivered; messages of other rounds are dropped. A Byzantine origin may
      time its broadcast so that it is delivered by some nodes in time, and by others too late. No fixed number of
      delays prevents that, and nothing here needs it: of the broadcast's properties, consistency is enough.
    - Asynchronous: a node that has n - t vectors of a round reports whose to all, and goes on with all that it has as
      soon as it has everything that n - t nodes have reported (its witnesses). Any two honest nodes then share an
      honest witness, and so n - t vectors.

    From what it receives in a round, a node learns how many more are needed at most (`Protocol.rounds`). When it has
    run them, it decides, and marks the vector that it decides on as its last: others use it for all rounds to come. It
    goes on relaying, as reliable broadcast and witnesses need n - t nodes that do. The driver stops it when it knows
    that all have decided, or after a time of its own. Where vectors may leave the hull of the honest
    (`Protocol.together`), nodes that have run their rounds go on until 2t + 1 are willing to end, and are willing
    themselves as soon as t + 1 are: so no two honest nodes end more than a round apart.

    A vector that is not finite, or of another dimension or dtype, counts as not sent. A node whose broadcast of an
    earlier round has not been delivered is not heard in later ones: else it could be known by its last vector here, and
    by a later one there. Broadcasts after that of its last vector are nobody's concern, and are dropped.

    Asynchronous: broadcasts of earlier rounds that have not been delivered are kept, as others may still need the node
    to relay them; and so are those of rounds to come, as others may be far ahead (`Limits.memory`).

    Parameters
    ----------
    id : int
        From 0 to n - 1.
    setting : Setting
        n, t, d, epsilon, and whether the network is synchronous: the same for all nodes.
    vector : (d,) float32 or float64
        The input.
    protocol : Protocol
    limits : Limits, optional
        Of rounds; after the last one the node decides whatever it has.
    memo : dict, optional
        Shared by nodes of one process: what has been computed from which vectors. A node is a function of what it
        receives; so those that have received the same need not all compute.

    Attributes
    ----------
    round : int
        In which it is; 0 before `start`, and after the decision that of those it still helps.
    vector : Vector
        The current one.
    rounds : int or None
        After how many it can decide, as far as it knows.
    output : (d,) array or None
        What it has decided on.
    decided : int or None
        After how many rounds.
    first : dict of int to Vector
        What has been delivered of the first round, by origin.
    history : list of Vector
        The input, and the vector after each round until the decision; for whoever drives the node to read and to clear.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement import PROTOCOLS, Setting
    >>> from robustcore.agreement.node import Node
    >>> setting = Setting(n=4, t=1, d=1, epsilon=0.1)
    >>> node = Node(0, setting, np.array([1.0]), PROTOCOLS["box"]())
    >>> [type(message).__name__ for message in node.start()], node.round, node.output
    (['Init', 'Echo'], 1, None)
    """

    def __init__(
        self,
        id: int,
        setting: Setting,
        vector: NDArray[Any],
        protocol: Protocol,
        *,
        limits: Limits | None = None,
        memo: Memo | None = None,
    ) -> None:
        self.id, self.setting, self.protocol = id, setting, protocol
        self.limits = limits or Limits(setting.n, setting.d)
        self.vector = Vector(vector)
        self.history = [self.vector]
        self.first: dict[int, Vector] = {}
        self.round = 0
        self.rounds: int | None = None
        self.output: NDArray[Any] | None = None
        self.decided: int | None = None
        self._memo = memo
        self._broadcasts: dict[int, dict[int, Broadcast | None]] = {}  # by round and origin; None once delivered
        self._early: dict[int, dict[int, Content]] = {}  # delivered before those of earlier rounds
        self._heard = [0] * setting.n  # up to which round each origin has been delivered
        self._last: dict[int, tuple[int, Content]] = {}
        self._vectors: dict[int, dict[int, Content]] = {}
        self._reports: dict[int, dict[int, int]] = {}
        self._reported = 0
        self._ending = GOING
        self._queue: deque[Message] = deque()
        self._out: list[Message] = []

    def start(self) -> list[Message]:
        """Begin; the messages to all other nodes."""
        self.round = 1
        self._announce()
        return self._flush()

    def receive(self, sender: int, message: Message) -> list[Message]:
        """Take in a message from another node, which the link has authenticated; the messages to all other nodes."""
        if 0 <= sender < self.setting.n and is_message(message):
            self._take(sender, message)
        return self._flush()

    def end_of_round(self) -> list[Message]:
        """Synchronous: compute, and begin the next round; the messages to all other nodes."""
        if self.output is None:
            self._finish(self._received(self.round))
        self._next()
        return self._flush()

    def _announce(self) -> None:
        self._send(Init(self.round, Content(self.vector, self._ending)))

    def _send(self, message: Message) -> None:
        self._out.append(message)
        self._queue.append(message)

    def _flush(self) -> list[Message]:
        """What is sent also reaches the node itself."""
        while self._queue:
            self._take(self.id, self._queue.popleft())
        out, self._out = self._out, []
        return out

    def _take(self, sender: int, message: Message) -> None:
        synchronous, at = self.setting.synchronous, message.round
        if (at != self.round) if synchronous else not 1 <= at <= self.limits.rounds + 1:
            return
        if isinstance(message, Report):
            if not synchronous and at >= self.round and message.received.bit_count() >= self.setting.quorum:
                self._reports.setdefault(at, {}).setdefault(sender, message.received)
                self._advance()
            return
        if isinstance(message, (Init, Echo)) and not self._is_usable(message.content):
            return
        origin = sender if isinstance(message, Init) else message.origin
        if not 0 <= origin < self.setting.n or (origin in self._last and at > self._last[origin][0]):
            return
        broadcasts = self._broadcasts.setdefault(at, {})
        if origin not in broadcasts:
            broadcasts[origin] = Broadcast(self.setting.n, self.setting.t, origin, at)
        broadcast = broadcasts[origin]
        if broadcast is None:
            return
        for answer in broadcast.receive(sender, message):
            self._send(answer)
        if broadcast.delivered is not None:
            broadcasts[origin] = None
            self._early.setdefault(origin, {})[at] = broadcast.delivered
            self._hear(origin)
            if not synchronous:
                self._advance()

    def _is_usable(self, content: Content) -> bool:
        values, own = content.vector.values, self.vector.values
        return values.shape == own.shape and values.dtype == own.dtype and content.vector.is_finite

    def _hear(self, origin: int) -> None:
        """What has been delivered of an origin, in the order of its rounds."""
        while origin not in self._last:
            at = self._heard[origin] + 1
            content = self._early.get(origin, {}).pop(at, None)
            if content is None:
                return
            self._heard[origin] = at
            if at == 1:
                self.first[origin] = content.vector
            if at >= self.round:
                self._vectors.setdefault(at, {})[origin] = content
            if content.ending == LAST:
                self._last[origin] = (at, content)
                self._early.pop(origin, None)
                for later in self._broadcasts:
                    if later > at:
                        self._broadcasts[later].pop(origin, None)

    def _received(self, at: int) -> dict[int, Content]:
        """The contents of this round, by node; the last one of those that have ended before."""
        found = dict(self._vectors.get(at, {}))
        for origin, (since, content) in self._last.items():
            if since <= at:
                found[origin] = content
        return dict(sorted(found.items()))

    def _advance(self) -> None:
        """Asynchronous: go on as far as what has been received allows."""
        while self.round:
            if self._reported < self.round:
                received = self._received(self.round)
                if len(received) < self.setting.quorum or self.round > self.limits.rounds:
                    return
                self._reported = self.round
                self._send(Report(self.round, sum(1 << i for i in received), self.setting.n))
            if self.output is None:
                received = self._received(self.round)
                own = sum(1 << i for i in received)
                reports = self._reports.get(self.round, {})
                if sum(not theirs & ~own for theirs in reports.values()) < self.setting.quorum:
                    return
                self._finish(received)
            elif self.round >= max(self._vectors, default=0):
                return  # nobody is known to be in a later round
            self._next()

    def _finish(self, received: dict[int, Content]) -> None:
        """Compute the new vector, and decide if it is time to."""
        protocol, setting = self.protocol, self.setting
        vectors = [content.vector for content in received.values()]
        if len(vectors) >= setting.quorum:  # always, where there are n - t honest nodes
            self.vector, needed = self._computed(vectors)
            if self.round > protocol.opening:  # the bound of every round holds; the first that is met is enough
                needed += self.round - 1
                self.rounds = needed if self.rounds is None else min(self.rounds, needed)
        self.history.append(self.vector)
        done = self.rounds is not None and self.round >= self.rounds
        if protocol.together:
            willing = sum(content.ending != GOING for content in received.values())
            if done or willing > setting.t:
                self._ending = WILLING
            done = willing > 2 * setting.t
        if done or self.round >= self.limits.rounds:
            self.output, self.decided, self._ending = self.vector.values, self.round, LAST

    def _computed(self, vectors: list[Vector]) -> tuple[Vector, int]:
        """The new vector, and how many rounds are needed from this one on."""
        key = (self.round, *(vector.digest for vector in vectors))
        memo = {} if self._memo is None else self._memo
        if key not in memo:
            received, protocol, setting = [vector.values for vector in vectors], self.protocol, self.setting
            needed = protocol.rounds(setting, protocol.spread(received))
            memo[key] = Vector(protocol.step(received, self.round, setting)), needed
            while len(memo) > 4 * setting.n:
                del memo[next(iter(memo))]
        return memo[key]

    def _next(self) -> None:
        for finished in (self._vectors, self._reports):
            finished.pop(self.round, None)
        if self.setting.synchronous:
            self._broadcasts.pop(self.round, None)
            self._early.clear()
        self.round += 1
        if self.decided in (None, self.round - 1):
            self._announce()
