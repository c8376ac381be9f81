"""Bracha's reliable broadcast: what one node makes of one broadcast, message by message.

Of n nodes up to t are Byzantine, n > 3t. Whatever they do, and in whichever order messages arrive:

- **validity**: what an honest origin broadcasts, all honest nodes deliver;
- **consistency**: no two honest nodes deliver different contents of one origin and round;
- **totality**: if one honest node delivers, all do.

A node that has the content from its origin echoes it to all. After ceil((n + t + 1) / 2) echoes, of which two quorums
share an honest node, or after t + 1 readies, of which one is honest, it is ready, and says so to all. After 2t + 1
readies, of which t + 1 are honest and so make everybody ready, it delivers. A ready names a content by its hash: of
those that are honest the first has seen a quorum of echoes, so that more than t honest nodes have echoed the content
itself to everybody. So a node need not keep those of its first t echoes: it will have another one of any that matters.
"""

from __future__ import annotations

from robustcore.agreement.messages import Content, Echo, Init, Message, Ready


class Broadcast:
    """One reliable broadcast as one node sees it; no clock, no network.

    Messages come in with their sender, which authenticated links vouch for; those that come out go to all nodes, the
    node itself included. Each sender counts once for each kind of message.

    Parameters
    ----------
    n, t : int
        Nodes, and Byzantine nodes, n > 3t.
    origin, round : int
        Whose content it is, and of which round.

    Attributes
    ----------
    delivered : Content or None

    Notes
    -----
    Cost: a handful of operations for each message, and the hash of each content once. Memory: until the delivery, a
    reference to each content that t + 1 nodes have echoed or are ready for, and so an honest one: at most n // (t + 1),
    and at most one where the origin is honest; then to the one delivered. Of other contents, the hash.

    References
    ----------
    Bracha, *Asynchronous Byzantine agreement protocols*, Information and Computation 75, 1987; Srikanth, Toueg,
    *Simulating authenticated broadcasts to derive simple fault-tolerant algorithms*, Distributed Computing 2, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement.broadcast import Broadcast
    >>> from robustcore.agreement.messages import Content, Echo, Init, Ready, Vector
    >>> content, seen = Content(Vector(np.ones(2))), Broadcast(n=4, t=1, origin=0, round=1)
    >>> [type(message).__name__ for message in seen.receive(0, Init(1, content))]
    ['Echo']
    >>> for sender in (0, 1, 2):
    ...     print([type(message).__name__ for message in seen.receive(sender, Echo(0, 1, content))])
    []
    []
    ['Ready']
    >>> for sender in (0, 1, 2):
    ...     seen.receive(sender, Ready(0, 1, content.key)), seen.delivered is content
    ([], False)
    ([], False)
    ([], True)
    """

    __slots__ = ("_contents", "_counts", "_heard", "_ready", "delivered", "n", "origin", "round", "t")

    def __init__(self, n: int, t: int, origin: int, round: int) -> None:
        self.n, self.t, self.origin, self.round = n, t, origin, round
        self.delivered: Content | None = None
        self._heard: dict[type, set[int]] = {Init: set(), Echo: set(), Ready: set()}
        self._contents: dict[bytes, Content] = {}
        self._counts: dict[tuple[type, bytes], int] = {}
        self._ready = False

    def receive(self, sender: int, message: Message) -> list[Message]:
        """Take in a message of this broadcast; what is to be sent to all nodes because of it."""
        if self.delivered is not None or (isinstance(message, Init) and sender != self.origin):
            return []
        kind = type(message)
        if kind not in self._heard or sender in self._heard[kind]:
            return []
        self._heard[kind].add(sender)
        if isinstance(message, Init):
            return [Echo(self.origin, self.round, message.content)]
        if isinstance(message, Echo):
            key = message.content.key
        else:
            assert isinstance(message, Ready)
            key = message.key
        count = self._counts[kind, key] = self._counts.get((kind, key), 0) + 1
        if isinstance(message, Echo) and max(count, self._counts.get((Ready, key), 0)) > self.t:
            self._contents.setdefault(key, message.content)
        answer: list[Message] = []
        if not self._ready and count >= ((self.n + self.t + 2) // 2 if kind is Echo else self.t + 1):
            self._ready = True
            answer.append(Ready(self.origin, self.round, key))
        if self._counts.get((Ready, key), 0) >= 2 * self.t + 1 and key in self._contents:
            # With 2t + 1 readies, this node is ready too: nothing is left to be sent.
            self.delivered = self._contents[key]
            self._contents.clear()
            self._counts.clear()
        return answer
