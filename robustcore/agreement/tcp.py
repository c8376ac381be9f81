"""The same nodes over TCP: a process each, with authenticated links.

Each pair of nodes shares a key. Either end of a link draws a nonce; from the key, both nonces and the direction follow
two keys of this link, one for each way (HMAC-SHA256). What is sent is a frame: its length (u32, little-endian), so many
bytes, and 32 bytes of HMAC-SHA256 over the number of the frame and all of that. So what was altered, left out,
repeated, reflected, or recorded on an earlier link is not accepted. The first byte of a frame says what follows:

====  =========  ===============================================================================
0     message    as in `robustcore.agreement.messages`
1     mark       phase (u32): the sender has been through all phases before this one
2     decided    nothing: the sender has decided, and goes on only to help others
3     alive      nothing
====  =========  ===============================================================================

A link is closed, for good, when it brings anything else, a frame that is longer than the longest message, or nothing
for too long; or when the other end does not take what it is sent. Whoever is behind it is taken for Byzantine.

**Rounds.** An asynchronous protocol needs no clock. A synchronous one has rounds of three phases, one for each delay of
a message. A node that enters a phase sends what it has to say, which follows from what it received in earlier phases,
and a mark. The phase ends when the marks of all other nodes are in, except of those whose links are closed or who have
missed an earlier one; and for phase p = 0, 1, ... at the latest at ``begin + (p + 1) * delay``, a time that does not
depend on when phases before have ended. So every honest node is in phase p at ``begin + p * delay``, and its mark, and
by the order of frames all that it has sent before, arrives before the phase ends for another honest node, whoever else
sends a mark to whom and when; as long as ``delay`` exceeds what a message, the step of the protocol, and the difference
of clocks may take together. Where everybody is fast, a round takes three delays of the network, and a node that stops
costs no more than one wait.

**Processes.** `agree_over_tcp` starts a process for each node, on this machine. They end when the pipe from the process
that has started them does, so that none is left behind however that one ends.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import as_number
from robustcore._registry import make
from robustcore._threads import set_num_threads
from robustcore.agreement._trace import Trace, measured, prepared, spread
from robustcore.agreement.adversaries import Adversary
from robustcore.agreement.messages import Limits, Message, decode
from robustcore.agreement.network import DELAYS
from robustcore.agreement.node import Node
from robustcore.agreement.protocols import PROTOCOLS, Protocol, Setting

MESSAGE, MARK, DECIDED, ALIVE = range(4)  # what a frame holds

_GREETING = struct.Struct("<8sHH32s")  # of this protocol, from whom, to whom, nonce
_MAGIC = b"rbc-tcp1"
_LENGTH = struct.Struct("<I")
_NUMBER = struct.Struct("<Q")
_PHASE = struct.Struct("<I")
_TAG = 32
START = 60.0  # seconds within which a process has to be up


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes
    ----------
    connect : float
        For links to all other nodes; those that are not there by then are taken for Byzantine.
    delay : float
        Synchronous: what a message from one honest node to another, and the step of the protocol, take together.
    idle : float
        For something to arrive on a link, and for what was sent to be taken. Longer than a step takes. So long, too, a
        node that has decided helps those that have not.
    overall : float
        For everything: a node that has not decided by then gives up.

    Examples
    --------
    >>> from robustcore.agreement.tcp import Timeouts
    >>> Timeouts(delay=0.5).idle
    30.0
    """

    connect: float = 10.0
    delay: float = 2.0
    idle: float = 30.0
    overall: float = 300.0

    def __post_init__(self) -> None:
        for field in fields(self):
            as_number("Timeouts", field.name, getattr(self, field.name))


class LinkError(Exception):
    """What has come over a link is not what an honest node sends."""


class Link:
    """One end of an authenticated connection to another node.

    Parameters
    ----------
    reader, writer
        Of the connection.
    sending, receiving : bytes
        The key of each direction.
    longest : int
        Bytes that a frame may hold.
    idle : float
        See `Timeouts`.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sending: bytes,
        receiving: bytes,
        longest: int,
        idle: float,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._keys = sending, receiving
        self._numbers = [0, 0]  # of frames sent and received
        self._longest, self._idle = longest, idle
        self._waiting: deque[bytes] = deque()
        self._wake, self._last = asyncio.Event(), False
        self.bytes = 0

    def send(self, body: bytes) -> None:
        """Put a frame behind those that are to be sent."""
        self._waiting.append(body)
        self._wake.set()

    def finish(self) -> None:
        """After those that are waiting, there are no more."""
        self._last = True
        self._wake.set()

    async def deliver(self) -> None:
        """Send what is waiting, and that this end is alive when there is nothing; until `finish`."""
        while not self._last or self._waiting:
            try:
                async with asyncio.timeout(self._idle / 4):
                    await self._wake.wait()
            except TimeoutError:
                self._waiting.append(bytes([ALIVE]))
            self._wake.clear()
            while self._waiting:
                body = self._waiting.popleft()
                head = _LENGTH.pack(len(body))
                self._writer.writelines((head, body, self._tag(0, head, body)))
                self.bytes += len(head) + len(body) + _TAG
                async with asyncio.timeout(self._idle):
                    await self._writer.drain()
        self._writer.write_eof()

    async def receive(self) -> bytes:
        """The next frame; LinkError where it is none."""
        async with asyncio.timeout(self._idle):
            head = await self._reader.readexactly(_LENGTH.size)
            (length,) = _LENGTH.unpack(head)
            if not 1 <= length <= self._longest:
                raise LinkError(f"a frame of {length} bytes, not of 1 to {self._longest}")
            body = await self._reader.readexactly(length)
            tag = await self._reader.readexactly(_TAG)
        if not hmac.compare_digest(tag, self._tag(1, head, body)):
            raise LinkError("a frame that the other end has not sent, or not now")
        return body

    def _tag(self, way: int, head: bytes, body: bytes) -> bytes:
        found = hmac.new(self._keys[way], _NUMBER.pack(self._numbers[way]) + head, "sha256")
        found.update(body)
        self._numbers[way] += 1
        return found.digest()


async def greet(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    own: int,
    other: int | None,
    keys: Mapping[int, bytes],
    longest: int,
    idle: float,
) -> tuple[int, Link]:
    """Make a link of a connection: with ``other``, who was called, or with whoever calls, who is to use its key now."""
    nonce = secrets.token_bytes(32)
    if other is not None:
        writer.write(_GREETING.pack(_MAGIC, own, other, nonce))
    magic, sender, receiver, theirs = _GREETING.unpack(await reader.readexactly(_GREETING.size))
    if magic != _MAGIC or receiver != own or sender not in keys or other not in (None, sender):
        raise LinkError("another greeting than was expected")
    if other is None:
        writer.write(_GREETING.pack(_MAGIC, own, sender, nonce))
    nonces = theirs + nonce if other is None else nonce + theirs  # those of the caller first
    sending, receiving = (
        hmac.digest(keys[sender], _MAGIC + struct.pack("<HH", *way) + nonces, "sha256")
        for way in ((own, sender), (sender, own))
    )
    return sender, Link(reader, writer, sending, receiving, longest, idle)


class Driver:
    """Drives one node over its links: within ``linked``, ``run``. See `run_node`.

    Attributes
    ----------
    links : dict of int to Link
        Those that are open.
    messages : int
        Sent so far.
    """

    def __init__(
        self,
        node: Node,
        addresses: Sequence[tuple[str, int] | None],
        keys: Mapping[int, bytes],
        timeouts: Timeouts,
        seen: Callable[[Node], None] | None = None,
    ) -> None:
        self.node, self.links, self.messages = node, dict[int, Link](), 0
        self._addresses, self._keys, self._timeouts, self._seen = addresses, keys, timeouts, seen
        self._longest = 1 + max(node.limits.bytes, _PHASE.size)
        self._linked: dict[int, Link] = {}  # and those that were
        self._marks = dict.fromkeys(range(node.setting.n), -1)
        self._late: set[int] = set()
        self._decided: set[int] = set()
        self._early: list[tuple[int, Message]] = []  # synchronous: of the next round
        self._stopped, self._help = False, 0.0
        self._started, self._news = asyncio.Event(), asyncio.Event()

    @property
    def frames(self) -> int:
        """Bytes of all frames sent so far."""
        return sum(link.bytes for link in self._linked.values())

    @asynccontextmanager
    async def linked(self, listener: socket.socket) -> AsyncIterator[None]:
        """Links to all others, as far as they are there in time: nodes with lower numbers are called, others call."""
        own, n = self.node.id, self.node.setting.n
        expected = sum(address is not None for address in self._addresses) - (self._addresses[own] is not None)
        running: set[asyncio.Task[None]] = set()

        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(running) < 4 * n:  # strangers get no more than that
                run(self._link(reader, writer, None))
            else:
                writer.close()

        async with asyncio.TaskGroup() as tasks:

            def run(coroutine: Coroutine[Any, Any, None]) -> None:
                task = tasks.create_task(coroutine)
                running.add(task)
                task.add_done_callback(running.discard)

            server = await asyncio.start_server(answer, sock=listener)
            try:
                for other, address in enumerate(self._addresses[:own]):
                    if address is not None:
                        run(self._call(address, other))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._timeouts.connect):
                        while len(self.links) < expected:
                            await self._change()
                yield
                for link in self.links.values():
                    link.finish()
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        while self.links:  # until the other ends have finished too
                            await self._change()
            finally:
                server.close()
                for task in running:
                    task.cancel()

    async def _call(self, address: tuple[str, int], other: int) -> None:
        """Again and again, until there has been a link or it is too late."""
        end = time.monotonic() + self._timeouts.connect
        while other not in self._linked and time.monotonic() < end:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._timeouts.connect):
                    reader, writer = await asyncio.open_connection(*address)
                await self._link(reader, writer, other)
            await asyncio.sleep(0.05)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: int | None) -> None:
        """All that happens on a connection, until it is closed."""
        own, idle, found = self.node.id, self._timeouts.idle, None
        try:
            async with asyncio.timeout(self._timeouts.connect):
                peer, link = await greet(reader, writer, own, other, self._keys, self._longest, idle)
            async with asyncio.TaskGroup() as both:
                both.create_task(link.deliver())
                link.send(bytes([ALIVE]))
                async with asyncio.timeout(self._timeouts.connect):
                    await link.receive()  # so it has the key
                if peer in self._linked:
                    raise LinkError("one link for each pair of nodes, once")
                self.links[peer] = self._linked[peer] = found = link
                self._news.set()
                await self._started.wait()
                while True:
                    self._take(peer, await link.receive())
        except* (LinkError, OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()
            if found is not None:
                del self.links[peer]
                self._news.set()

    async def run(self, begin: float | None = None) -> None:
        """Until the node has decided, and all others have or have had the time to; or it cannot decide."""
        loop = asyncio.get_running_loop()
        self._begin = loop.time() if begin is None else loop.time() + begin - time.time()
        self._started.set()
        self._say(self.node.start())
        phase = 0
        while not self._done():
            if not self.node.setting.synchronous:
                await self._change(self._help or None)
                continue
            self._send(bytes([MARK]) + _PHASE.pack(phase))
            await self._phase(phase)
            phase += 1
            if self.node.output is None and len(self._expected()) + 1 < self.node.setting.quorum:
                return  # more than t are Byzantine, or nothing arrives in time: there is nothing to agree on
            if phase % DELAYS == 0:
                self._say(self.node.end_of_round())
                early, self._early = self._early, []
                for peer, message in early:
                    self._say(self.node.receive(peer, message))

    def stop(self) -> None:
        """Let `run` end."""
        self._stopped = True
        self._news.set()

    def _done(self) -> bool:
        if self._stopped or self.node.output is None:
            return self._stopped
        return self._expected() <= self._decided or asyncio.get_running_loop().time() > self._help

    def _expected(self) -> set[int]:
        """Who is not known to be Byzantine."""
        return self.links.keys() - self._late

    async def _phase(self, phase: int) -> None:
        try:
            async with asyncio.timeout_at(self._begin + (phase + 1) * self._timeouts.delay):
                while not self._stopped and any(self._marks[peer] < phase for peer in self._expected()):
                    await self._change()
        except TimeoutError:
            self._late |= {peer for peer in self._expected() if self._marks[peer] < phase}

    async def _change(self, until: float | None = None) -> None:
        """Wait for anything to happen on a link, until this time at the latest."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._news.wait()

    def _take(self, peer: int, body: bytes) -> None:
        kind, rest = body[0], body[1:]
        if kind == MESSAGE:
            try:
                message = decode(rest, self.node.limits)
            except ValueError as error:
                raise LinkError(*error.args) from None
            if self.node.setting.synchronous and message.round == self.node.round + 1:
                if sum(sender == peer for sender, _ in self._early) <= 2 * self.node.setting.n:
                    self._early.append((peer, message))
            else:
                self._say(self.node.receive(peer, message))
        elif kind == MARK and len(rest) == _PHASE.size:
            self._marks[peer] = max(self._marks[peer], *_PHASE.unpack(rest))
        elif kind == DECIDED and not rest:
            self._decided.add(peer)
        elif kind != ALIVE or rest:
            raise LinkError("a frame of no known kind")
        self._news.set()

    def _say(self, messages: list[Message]) -> None:
        """Send what the node has to say, and see how far it is."""
        for message in messages:
            self._send(bytes([MESSAGE]) + message.encode())
            self.messages += len(self.links)
        if self.node.output is not None and not self._help:
            self._help = asyncio.get_running_loop().time() + self._timeouts.idle
            self._send(bytes([DECIDED]))
            self._news.set()
        if self._seen is not None and self.node.history:
            self._seen(self.node)

    def _send(self, body: bytes) -> None:
        for link in self.links.values():
            link.send(body)


async def run_node(
    node: Node,
    addresses: Sequence[tuple[str, int] | None],
    keys: Mapping[int, bytes],
    *,
    listener: socket.socket | None = None,
    begin: float | None = None,
    timeouts: Timeouts = Timeouts(),  # immutable
    seen: Callable[[Node], None] | None = None,
) -> NDArray[Any]:
    """Run one node of an agreement over TCP, until it has decided and others no longer need its help.

    Parameters
    ----------
    node : Node
        Not started yet.
    addresses : sequence of (host, port) or None
        Of all nodes, by id; None for one that is never there.
    keys : dict of int to bytes
        The key that this node shares with each other one: 32 random bytes, known to these two only.
    listener : socket, optional
        On which others call; by default, one is bound to the own address.
    begin : float, optional
        Synchronous: when the first phase begins, in seconds since 1970, the same for all nodes; by default when all
        links are there. Then `Timeouts.delay` has to include by how much that differs between honest nodes.
    timeouts : Timeouts
    seen : callable, optional
        Called with the node whenever there is more in ``node.history``.

    Returns
    -------
    (d,) array
        What it has decided on.

    Raises
    ------
    ConnectionError
        When it has not decided in time, or hears in time of fewer than n - t nodes, itself included.
    OSError
        When its own address cannot be used.

    Notes
    -----
    Cost: that of `agree` for one node, and HMAC-SHA256 over what is sent and received.

    Examples
    --------
    >>> import asyncio, numpy as np, secrets, socket
    >>> from robustcore.agreement import PROTOCOLS, Node, Setting
    >>> from robustcore.agreement.tcp import run_node
    >>> listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    >>> addresses = [listener.getsockname() for listener in listeners]
    >>> pairs = {frozenset((i, j)): secrets.token_bytes(32) for i in range(4) for j in range(i)}
    >>> setting = Setting(n=4, t=1, d=1, epsilon=0.1, synchronous=True)
    >>> def run(i):
    ...     node = Node(i, setting, np.array([[0.0], [1.0], [6.0], [9.0]][i]), PROTOCOLS["rbtm"]())
    ...     keys = {j: pairs[frozenset((i, j))] for j in range(4) if j != i}
    ...     return run_node(node, addresses, keys, listener=listeners[i])
    >>> async def everybody():
    ...     return await asyncio.gather(*map(run, range(4)))
    >>> asyncio.run(everybody())
    [array([3.5]), array([3.5]), array([3.5]), array([3.5])]
    """
    own = addresses[node.id]
    if listener is None:
        assert own is not None
        listener = socket.create_server(own)
    driver = Driver(node, addresses, keys, timeouts, seen)
    with listener, suppress(TimeoutError):
        async with asyncio.timeout(timeouts.overall), driver.linked(listener):
            await driver.run(begin)
    if node.output is None:
        raise ConnectionError(f"node {node.id} has not decided: it has heard of {len(driver.links)} others at last")
    return node.output


@dataclass(frozen=True)
class Processes(Adversary):
    """Whatever other programs do, and nodes whose process has ended."""

    name: ClassVar[str] = "processes"


def agree_over_tcp(
    X: Any,
    protocol: str | Protocol = "box",
    *,
    t: int,
    epsilon: float,
    byzantine: Mapping[int, Sequence[str]] | None = None,
    synchronous: bool = True,
    timeouts: Timeouts = Timeouts(),  # immutable
    max_rounds: int = 1000,
    seen: Callable[[int, int, int], None] | None = None,
) -> Trace:
    """Let n processes on this machine agree over TCP: `agree` with a process for each node.

    Parameters
    ----------
    X, protocol, t, epsilon, synchronous, max_rounds
        As in `agree`; protocols are those of ``PROTOCOLS``.
    byzantine : dict of int to sequence of str, optional
        Programs, as command lines, that run in place of nodes. Each is told what its node would be on its standard
        input, keys included: see `describe`.
    timeouts : Timeouts
    seen : callable, optional
        Called as ``seen(node, round, pid)`` when a node has been through a round (0: it has started).

    Returns
    -------
    Trace
        Byzantine are nodes in place of which another program ran, and those whose process has ended before it decided.
        Messages and bytes are those that honest nodes have sent; bytes are those of whole frames.

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `agree`.
    RuntimeError
        When more than t processes are other programs or have ended before they decided.

    Notes
    -----
    Cost: that of `agree`, and starting n interpreters. No process outlives the call, however it ends.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement.tcp import agree_over_tcp
    >>> trace = agree_over_tcp(np.array([[0.0], [1.0], [6.0], [9.0]]), "rbtm", t=1, epsilon=0.1)
    >>> trace.outputs[2], trace.rounds, trace.agreed
    (array([3.5]), 2, True)
    """
    name = "agree_over_tcp"
    if not isinstance(byzantine, Mapping | None) or any(isinstance(p, str) for p in (byzantine or {}).values()):
        raise TypeError(f"{name}: byzantine is a dict from nodes to the programs that they run (lists of words)")
    if not isinstance(timeouts, Timeouts):
        raise TypeError(f"{name}: timeouts must be Timeouts(...), not {timeouts!r}")
    programs = dict(byzantine or {})
    rows, made, setting, _, limits = prepared(name, X, protocol, t, epsilon, programs, synchronous, max_rounds)
    if PROTOCOLS.get(made.name) is not type(made):
        raise ValueError(f"{name} knows the protocols of PROTOCOLS only, not {made!r}")
    n = setting.n
    pairs = {frozenset((i, j)): secrets.token_bytes(32) for i in range(n) for j in range(i)}
    keys = [{j: pairs[frozenset((i, j))] for j in range(n) if j != i} for i in range(n)]
    told = [describe(i, rows[i], made, setting, limits, timeouts, keys[i]) for i in range(n)]
    launch = _Launch(told, rows[0].dtype.newbyteorder("<"), setting, programs, timeouts, seen)
    asyncio.run(launch.run())
    lost = sorted(programs.keys() | launch.lost.keys())
    vectors = launch.vectors
    last = max(map(len, vectors.values()))
    held = [{i: seen[min(at, len(seen) - 1)] for i, seen in vectors.items()} for at in range(last)]
    diameters, edges = zip(*(spread(list(them.values())) for them in held), strict=True)
    return measured(
        rows,
        launch.first,
        outputs={i: seen[-1] for i, seen in vectors.items()},
        rounds=last - 1,
        diameters=np.array(diameters),
        edges=np.array(edges),
        messages=launch.messages,
        bytes=launch.bytes,
        vectors=held if setting.d <= 3 else None,
        setting=setting,
        protocol=made,
        adversary=Processes(),
        byzantine=tuple(lost),
        seed=0,
    )


def describe(
    id: int,
    vector: NDArray[Any],
    protocol: Protocol,
    setting: Setting,
    limits: Limits,
    timeouts: Timeouts,
    keys: Mapping[int, bytes],
) -> bytes:
    """What a process is told first: a line of JSON, and the vector as little-endian numbers."""
    row = vector.astype(vector.dtype.newbyteorder("<"))
    told = {
        "id": id,
        "setting": asdict(setting),
        "protocol": [protocol.name, asdict(protocol)],  # type: ignore[call-overload]  # all protocols are dataclasses
        "rounds": limits.rounds,
        "timeouts": asdict(timeouts),
        "keys": {j: key.hex() for j, key in keys.items()},
        "dtype": row.dtype.str,
        "size": row.nbytes,
    }
    return json.dumps(told).encode() + b"\n" + row.tobytes()


class _Launch:
    """All processes of a run, and what they say."""

    def __init__(
        self,
        told: list[bytes],
        dtype: np.dtype[Any],
        setting: Setting,
        programs: Mapping[int, Sequence[str]],
        timeouts: Timeouts,
        seen: Callable[[int, int, int], None] | None,
    ) -> None:
        self._told, self._dtype, self._setting, self._timeouts = told, dtype, setting, timeouts
        self._programs, self._seen = programs, seen
        self.vectors: dict[int, list[NDArray[Any]]] = {i: [] for i in range(setting.n) if i not in programs}
        self.lost: dict[int, str] = {}  # and why
        self.first: dict[int, NDArray[Any]] = {}
        self.messages = self.bytes = 0
        self._processes: list[asyncio.subprocess.Process] = []
        self._ports: dict[int, int] = {}
        self._linked: set[int] = set()
        self._decided: set[int] = set()
        self._ended: set[int] = set()
        self._failure: BaseException | None = None
        self._news = asyncio.Event()

    async def run(self) -> None:
        """From the start of the processes to their end."""
        own = [sys.executable, "-m", "robustcore.agreement.tcp"]
        pipe = asyncio.subprocess.PIPE
        listening = []
        try:
            for i, told in enumerate(self._told):
                process = await asyncio.create_subprocess_exec(
                    *self._programs.get(i, own), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
                )
                self._processes.append(process)
                self._tell(i, told)
                listening.append(asyncio.create_task(self._listen(i, process)))
            await self._until(self._ports, START)
            await self._until(self._ports, self._timeouts.connect, self._programs)
            ports = [self._ports.get(i) for i in range(self._setting.n)]
            self._tell_all([port and ("127.0.0.1", port) for port in ports])
            await self._until(self._linked, START + self._timeouts.connect)
            self._tell_all(time.time())
            await self._until(self._decided, self._timeouts.overall)
            self._tell_all(sorted({*self._programs, *self.lost}))
            await self._until(self._ended, START)
        finally:
            for i in range(len(self._processes)):
                self._kill(i)
            await asyncio.gather(*listening, return_exceptions=True)

    async def _until(self, told: Collection[int], wait: float, whose: Collection[int] | None = None) -> None:
        """Wait for these nodes, or all that are not lost, to have told; those that have not in time are lost then."""

        def missing() -> set[int]:
            return {*(self.vectors if whose is None else whose)} - {*told} - self._ended

        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while missing():
                    self._news.clear()
                    self._check()
                    await self._news.wait()
        if whose is None:
            for i in missing():
                self._lose(i, f"nothing was heard of it for {wait:g} seconds")
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
        if len(self.lost) + len(self._programs) > self._setting.t:
            nodes = [*(f"node {i}: {why}" for i, why in sorted(self.lost.items()))]
            nodes += [f"node {i}: another program" for i in self._programs]
            raise RuntimeError(f"agree_over_tcp: more than t = {self._setting.t} are lost; {'; '.join(nodes)}")

    def _lose(self, i: int, why: str) -> None:
        if i not in self._decided and i not in self._programs:
            self.lost.setdefault(i, why)
            self.vectors.pop(i, None)
            self._kill(i)

    def _kill(self, i: int) -> None:
        with suppress(ProcessLookupError):
            self._processes[i].kill()

    def _tell_all(self, what: Any) -> None:
        for i in range(self._setting.n):
            self._tell(i, json.dumps(what).encode() + b"\n")

    def _tell(self, i: int, what: bytes) -> None:
        stdin = self._processes[i].stdin
        if stdin is not None and not stdin.is_closing():
            stdin.write(what)

    async def _listen(self, i: int, process: asyncio.subprocess.Process) -> None:
        """What a process says, until it ends."""
        assert process.stdout is not None and process.stderr is not None
        errors = asyncio.create_task(process.stderr.read(2**16))
        try:
            while line := await process.stdout.readline():
                said = json.loads(line)
                vector = np.frombuffer(await process.stdout.readexactly(said.get("size", 0)), self._dtype)
                self._hear(i, process.pid, said, vector)
                self._news.set()
        except EOFError:  # it was killed while it said something
            pass
        except Exception as error:
            if i not in self._programs:
                self._failure = error
        code = await process.wait()
        why = (await errors).decode(errors="replace").strip().splitlines()
        self._ended.add(i)
        self._lose(i, why[-1] if why else f"it ended with code {code}")
        self._news.set()

    def _hear(self, i: int, pid: int, said: dict[str, Any], vector: NDArray[Any]) -> None:
        if "port" in said:
            self._ports[i] = said["port"]
        elif i in self._programs or i in self.lost:
            return
        elif "linked" in said:
            self._linked.add(i)
        elif "round" in said:
            self.vectors[i].append(vector)
            if self._seen is not None:
                self._seen(i, said["round"], pid)
        elif "decided" in said:
            self._decided.add(i)
        elif "first" in said:
            self.first[said["first"]] = vector
        else:
            self.messages += said["messages"]
            self.bytes += said["bytes"]


async def _process() -> None:
    """A node that is told on its standard input what it is, and says on its standard output how far it is."""
    loop, pipe = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(pipe), sys.stdin.buffer)

    async def hear() -> Any:
        return json.loads(await pipe.readuntil())

    told = await hear()
    vector = np.frombuffer(await pipe.readexactly(told["size"]), told["dtype"])
    vector = vector.astype(vector.dtype.newbyteorder("="))
    setting, timeouts = Setting(**told["setting"]), Timeouts(**told["timeouts"])
    name, parameters = told["protocol"]
    limits = Limits(setting.n, setting.d, told["rounds"])
    node = Node(told["id"], setting, vector, make("protocol", PROTOCOLS, name, parameters), limits=limits)
    set_num_threads(max(1, (os.cpu_count() or 1) // setting.n))
    counts = [0]

    def say(values: NDArray[Any] | None = None, **what: Any) -> None:
        raw = b"" if values is None else values.astype(told["dtype"]).tobytes()
        sys.stdout.buffer.write(json.dumps(what | {"size": len(raw)}).encode() + b"\n" + raw)
        sys.stdout.buffer.flush()

    def seen(node: Node) -> None:
        for held in node.history:
            say(held.values, round=counts[0])
            counts[0] += 1
        node.history.clear()
        if node.output is not None:
            say(decided=node.decided)

    with socket.create_server(("127.0.0.1", 0), backlog=4 * setting.n) as listener:
        say(port=listener.getsockname()[1])
        addresses = await hear()
        keys = {int(i): bytes.fromhex(key) for i, key in told["keys"].items()}
        driver = Driver(node, [at and tuple(at) for at in addresses], keys, timeouts, seen)
        async with asyncio.timeout(START + timeouts.connect + timeouts.overall), driver.linked(listener):
            say(linked=sorted(driver.links))
            begin = await hear()
            async with asyncio.TaskGroup() as both:
                running = both.create_task(driver.run(begin))
                wanted = await hear()
                for origin in wanted:
                    if origin in node.first:
                        say(node.first[origin].values, first=origin)
                say(messages=driver.messages, bytes=driver.frames)
                driver.stop()
                await running


if __name__ == "__main__":
    try:
        asyncio.run(_process())
    except* (EOFError, KeyboardInterrupt):  # whoever has started it is gone
        sys.exit(1)
