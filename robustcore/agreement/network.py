"""A network in one process, deterministic: the same seed gives the same run, bit for bit.

- Synchronous: a round is three message delays, one each for init, echo and ready, so that what honest nodes broadcast
  has been delivered by all of them. Byzantine nodes see what honest ones send before they send themselves, and their
  messages come first.
- Asynchronous: one message at a time is delivered. The adversary says how urgent each is (`Adversary.urgency`); the
  next is drawn among the most urgent ones. Once a message has waited for ``patience`` deliveries, the oldest goes
  first: so none waits for more than these, and those of the messages that were on their way when it was sent.

Vectors are shared by reference; the bytes counted are those that would be on the wire.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robustcore.agreement.messages import Content, Init, Limits, Message, Vector, is_message
from robustcore.agreement.node import Memo, Node
from robustcore.agreement.protocols import Protocol, Setting

if TYPE_CHECKING:
    from robustcore.agreement.adversaries import Adversary

DELAYS = 3  # of messages in a synchronous round: init, echo, ready


@dataclass
class World:
    """Everything there is; the adversary sees it all.

    Attributes
    ----------
    setting : Setting
    protocol : Protocol
    inputs : list of (d,) arrays
        Of all nodes.
    nodes : dict of int to Node
        All of them; those of Byzantine nodes are puppets.
    byzantine : tuple of int
    rng : numpy.random.Generator
        For an adversary that draws.
    notes : dict
        For what an adversary wants to remember.
    """

    setting: Setting
    protocol: Protocol
    inputs: list[NDArray[Any]]
    byzantine: tuple[int, ...]
    rng: np.random.Generator
    nodes: dict[int, Node] = field(default_factory=dict)
    notes: dict[Any, Any] = field(default_factory=dict)

    @property
    def honest(self) -> list[int]:
        """The ids of the honest nodes."""
        return [i for i in range(self.setting.n) if i not in self.byzantine]

    @property
    def vectors(self) -> NDArray[Any]:
        """(h, d): what the honest nodes hold now."""
        return np.array([self.nodes[i].vector.values for i in self.honest])


class Puppet(Node):
    """A Byzantine node: it relays like an honest one, and says in each round what the adversary wants.

    It never decides, unless the adversary follows the protocol.
    """

    world: World
    adversary: Adversary

    def _announce(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # what it computes need not be a vector
            values = self.adversary.vector(self.world, self.id, self.round)
        if values is None:
            return
        try:
            vector = self.vector if values is self.vector.values else Vector(values)
        except (ValueError, TypeError):  # nothing that could be on a wire
            return
        self._send(Init(self.round, Content(vector, self._ending)))

    def _finish(self, received: dict[int, Content]) -> None:
        super()._finish(received)
        self.history.clear()
        if not self.adversary.follows:
            self.output, self.decided, self._ending = None, None, 0


class Run:
    """One run: `messages` and `bytes` count what is sent from a node to another.

    ``seen`` is called with each honest node that may have gone on.
    """

    def __init__(
        self, world: World, adversary: Adversary, seed: int, limits: Limits, seen: Callable[[Node], None], patience: int
    ) -> None:
        self.world, self.adversary, self.seen, self.patience = world, adversary, seen, patience
        self.draw = random.Random(seed)
        self.messages = self.bytes = 0
        memo: Memo = {}
        for i, values in enumerate(world.inputs):
            kind = Puppet if i in world.byzantine else Node
            node = kind(i, world.setting, values, world.protocol, limits=limits, memo=memo)
            if isinstance(node, Puppet):
                node.world, node.adversary = world, adversary
            world.nodes[i] = node
        self.honest = [world.nodes[i] for i in world.honest]
        self.puppets = [world.nodes[i] for i in world.byzantine]

    def go(self) -> None:
        """Until all honest nodes have decided, or nothing more happens."""
        if self.world.setting.synchronous:
            self._synchronous()
        else:
            self._asynchronous()

    def _decided(self) -> bool:
        return all(node.output is not None for node in self.honest)

    def _links(self, sender: int, message: Message) -> list[tuple[int, Message]]:
        """Who gets what when a node says this to all."""
        others = [i for i in range(self.world.setting.n) if i != sender]
        if sender not in self.world.byzantine:
            found = [(receiver, message) for receiver in others]
        else:
            found = [(i, one) for i in others for one in self._lies(sender, i, message)]
        self.messages += len(found)
        if sender not in self.world.byzantine:
            self.bytes += message.size * len(found)
        else:
            self.bytes += sum(one.size for _, one in found)
        return found

    def _lies(self, sender: int, receiver: int, message: Message) -> list[Message]:
        """What a Byzantine node sends in place of a message."""
        said: Any = self.adversary.send(self.world, sender, receiver, message)
        sent: list[Any] = list(said) if isinstance(said, Iterable) else [None]
        if not all(map(is_message, sent)):
            raise TypeError(f"{type(self.adversary).__name__}.send must return a sequence of messages, not {said!r}")
        return sent

    def _synchronous(self) -> None:
        nodes = self.world.nodes
        sent = [(node.id, message) for node in (*self.honest, *self.puppets) for message in node.start()]
        while True:
            for _ in range(DELAYS):
                sent.sort(key=lambda one: one[0] not in self.world.byzantine)
                arriving, sent = sent, []
                for sender, message in arriving:
                    for receiver, one in self._links(sender, message):
                        sent += [(receiver, answer) for answer in nodes[receiver].receive(sender, one)]
            for node in self.honest:
                sent += [(node.id, message) for message in node.end_of_round()]
                self.seen(node)
            if self._decided():
                return
            for node in self.puppets:
                sent += [(node.id, message) for message in node.end_of_round()]

    def _asynchronous(self) -> None:
        lanes: dict[int, list[_Flight]] = {}
        waiting: deque[_Flight] = deque()  # by age
        now = 0

        def send(sender: int, messages: list[Message]) -> None:
            for message in messages:
                for receiver, one in self._links(sender, message):
                    flight = _Flight(sender, receiver, one, now + self.patience)
                    lane = self.adversary.urgency(self.world, sender, receiver, one)
                    lanes.setdefault(lane, []).append(flight)
                    waiting.append(flight)

        for node in (*self.honest, *self.puppets):
            send(node.id, node.start())
        while not self._decided():
            while waiting and waiting[0].landed:
                waiting.popleft()
            if not waiting:
                return
            flight = waiting[0] if waiting[0].due <= now else self._pick(lanes)
            flight.landed = True
            now += 1
            node = self.world.nodes[flight.receiver]
            send(node.id, node.receive(flight.sender, flight.message))
            if len(node.history) and not isinstance(node, Puppet):
                self.seen(node)

    def _pick(self, lanes: dict[int, list[_Flight]]) -> _Flight:
        while True:
            first = min(lanes)
            lane = lanes[first]
            if not lane:
                del lanes[first]
                continue
            place = self.draw.randrange(len(lane))
            lane[place], lane[-1] = lane[-1], lane[place]
            flight = lane.pop()
            if not flight.landed:
                return flight


@dataclass(eq=False, slots=True)
class _Flight:
    """A message on its way, to be delivered at the latest when so many have been."""

    sender: int
    receiver: int
    message: Message
    due: int
    landed: bool = False
