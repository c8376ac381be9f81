"""Nodes over TCP: links that are authenticated, rounds with a deadline, processes that lie, die and leave nothing."""

import asyncio
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import robustcore as rc
from robustcore.agreement import PROTOCOLS, Node, Setting
from robustcore.agreement.tcp import LinkError, Timeouts, agree_over_tcp, greet, run_node

HOSTILE = [sys.executable, str(Path(__file__).with_name("hostile.py"))]
PATIENT = Timeouts(connect=60.0, delay=60.0, idle=60.0)


class Wire:
    """What one end writes, for the other end to read, or for somebody in between."""

    def __init__(self):
        self.reader, self.written = asyncio.StreamReader(), []

    def write(self, data):
        self.written.append(bytes(data))

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    async def drain(self):
        pass

    def write_eof(self):
        self.write(b"")

    def pass_on(self, *pieces):
        self.reader.feed_data(b"".join(pieces or self.written))


async def pair(key=b"k" * 32, other_key=None, idle=5.0):
    """Both ends of a link from node 0, who is called, and node 1, who calls; and what each has written."""
    wires = Wire(), Wire()
    called = asyncio.create_task(greet(wires[1].reader, wires[0], 0, None, {1: key}, 100, idle))
    calls = asyncio.create_task(greet(wires[0].reader, wires[1], 1, 0, {0: other_key or key}, 100, idle))
    for i in (1, 0):
        while not wires[i].written:
            await asyncio.sleep(0)
        wires[i].pass_on()
        wires[i].written.clear()
    (peer, first), (caller_peer, second) = await called, await calls
    assert (peer, caller_peer) == (1, 0)
    return (first, second), wires


async def frames(link, wire, *bodies):
    """How these look on the wire."""
    for body in bodies:
        link.send(body)
    link.finish()
    await link.deliver()
    return [piece for piece in wire.written if piece]


def test_links_carry_frames_both_ways():
    async def check():
        links, wires = await pair()
        for i in (0, 1):
            wires[i].pass_on(*await frames(links[i], wires[i], b"one", b"two", b"x" * 100))
            assert [await links[1 - i].receive() for _ in range(3)] == [b"one", b"two", b"x" * 100]

    asyncio.run(check())


@pytest.mark.parametrize(
    "change",
    [
        lambda one, two, back, old: [one[:5] + bytes([one[5] ^ 1]) + one[6:]],
        lambda one, two, back, old: [one[:-1] + bytes([one[-1] ^ 1])],
        lambda one, two, back, old: [one, one],  # replayed
        lambda one, two, back, old: [two],  # the first one is left out
        lambda one, two, back, old: [back],  # reflected
        lambda one, two, back, old: [old],  # of an earlier link with the same key
        lambda one, two, back, old: [struct.pack("<I", 101) + bytes(133)],
        lambda one, two, back, old: [struct.pack("<I", 0) + bytes(32)],
    ],
)
def test_links_bring_nothing_that_was_not_sent_now(change):
    async def check():
        earlier, old_wires = await pair()
        (old, *_) = await frames(earlier[0], old_wires[0], b"one")
        links, wires = await pair()
        one, two = await frames(links[0], wires[0], b"one", b"two")
        (back,) = await frames(links[1], wires[1], b"one")
        pieces = change(one, two, back, old)
        wires[0].pass_on(*pieces)
        for _ in pieces[:-1]:
            await links[1].receive()
        with pytest.raises(LinkError):
            await links[1].receive()

    asyncio.run(check())


def test_a_link_is_alive_when_nothing_is_said():
    async def check():
        links, wires = await pair(idle=0.4)
        delivering = asyncio.create_task(links[0].deliver())
        while not wires[0].written:
            await asyncio.sleep(0.01)
        delivering.cancel()
        wires[0].pass_on()
        assert await links[1].receive() == b"\x03"

    asyncio.run(check())


def test_an_idle_link_ends():
    async def check():
        links, _ = await pair(idle=0.05)
        with pytest.raises(TimeoutError):
            await links[0].receive()

    asyncio.run(check())


def test_a_link_needs_the_key():
    async def check():
        links, wires = await pair(b"k" * 32, b"l" * 32)
        wires[0].pass_on(*await frames(links[0], wires[0], b"one"))
        with pytest.raises(LinkError):
            await links[1].receive()

    asyncio.run(check())


@pytest.mark.parametrize(("sender", "receiver"), [(2, 0), (0, 0), (1, 1), (1, 2)])
def test_greetings_are_from_somebody_else_and_for_oneself(sender, receiver):
    async def check():
        wire = Wire()
        wire.reader.feed_data(struct.pack("<8sHH32s", b"rbc-tcp1", sender, receiver, bytes(32)))
        with pytest.raises(LinkError):
            await greet(wire.reader, Wire(), 0, None, {1: b"k"}, 100, 5.0)

    asyncio.run(check())


class Group:
    """n nodes in this process, over real sockets; some of them only have an address."""

    def __init__(self, X, t, protocol="box", synchronous=True, epsilon=1e-3):
        n, d = X.shape
        self.X, self.setting, self.protocol = X, Setting(n, t, d, epsilon, synchronous), PROTOCOLS[protocol]()
        self.listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
        self.addresses = [listener.getsockname() for listener in self.listeners]
        self.pairs = {frozenset((i, j)): secrets.token_bytes(32) for i in range(n) for j in range(i)}

    def keys(self, i):
        return {j: self.pairs[frozenset((i, j))] for j in range(self.setting.n) if j != i}

    def node(self, i, **options):
        node = Node(i, self.setting, self.X[i], self.protocol)
        return run_node(node, self.addresses, self.keys(i), listener=self.listeners[i], **options)

    def run(self, others, timeouts=PATIENT):
        """All others are driven by coroutines of (group, id)."""

        async def everybody():
            rest = [asyncio.create_task(other(self, i)) for i, other in others.items()]
            honest = [i for i in range(self.setting.n) if i not in others]
            try:
                found = await asyncio.gather(*(self.node(i, timeouts=timeouts) for i in honest))
            finally:
                for task in rest:
                    task.cancel()
                await asyncio.gather(*rest, return_exceptions=True)
            return dict(zip(honest, found, strict=True))

        try:
            return asyncio.run(everybody())
        finally:
            for listener in self.listeners:
                listener.close()


@pytest.mark.parametrize("protocol", ["box", "mda", "rbtm", "minmax_meb"])
def test_without_faults_the_outputs_are_those_of_one_process(protocol):
    X = np.random.default_rng(0).normal(size=(5, 3))
    found = Group(X, 1, protocol).run({})
    expected = rc.agree(X, protocol, t=1, byzantine=0, epsilon=1e-3).outputs
    assert all(np.array_equal(found[i], expected[i]) for i in range(5))


def test_without_synchrony():
    X = np.random.default_rng(1).normal(size=(5, 3))
    found = np.array(list(Group(X, 1, synchronous=False).run({}).values()))
    assert rc.pairwise_sqdist(found).max() <= 1e-6 and all(rc.validity.box(y, X) for y in found)


async def refuse(group, i):
    """A node that is there, and closes every connection."""
    server = await asyncio.start_server(lambda reader, writer: writer.close(), sock=group.listeners[i].dup())
    await server.serve_forever()


async def listen(group, i, told):
    """A node that is linked to all others: those that are told get an endless series of marks."""
    delivering = []

    async def keep(reader, writer, other=None):
        try:
            peer, link = await greet(reader, writer, i, other, group.keys(i), 2**20, 60.0)
            link.send(bytes([3]))
            delivering.append(asyncio.create_task(link.deliver()))
            for phase in range(1000 if peer in told else 0):
                link.send(b"\x01" + struct.pack("<I", phase))
                await asyncio.sleep(0.01)
            while await reader.read(2**16):
                pass
        finally:
            writer.close()

    server = await asyncio.start_server(keep, sock=group.listeners[i].dup())
    called = [await asyncio.open_connection(*address) for address in group.addresses[:i]]
    try:
        await asyncio.gather(server.serve_forever(), *(keep(*pair, j) for j, pair in enumerate(called)))
    finally:
        for task in delivering:
            task.cancel()
        await asyncio.gather(*delivering, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.parametrize("told", [(), (0, 1), (0, 1, 2)])
def test_marks_for_some_only_do_not_separate_nodes(told):
    """Those who have marks of all are through with a phase at once, and wait in the next for those who have not."""
    X = np.random.default_rng(2).normal(size=(4, 2))
    found = Group(X, 1).run({3: lambda group, i: listen(group, i, told)}, Timeouts(connect=60.0, delay=3.0, idle=3.0))
    expected = rc.agree(X, "box", t=1, epsilon=1e-3, adversary=Silence()).outputs
    assert all(np.array_equal(found[i], expected[i]) for i in range(3))


class Silence(rc.agreement.Adversary):
    def vector(self, world, node, round):
        return None


@pytest.mark.parametrize("synchronous", [True, False])
def test_a_node_that_is_not_there(synchronous):
    X = np.random.default_rng(3).normal(size=(4, 2))
    found = Group(X, 1, synchronous=synchronous).run({3: refuse}, Timeouts(connect=1.0, delay=60.0, idle=60.0))
    assert np.ptp([found[i] for i in range(3)], axis=0).max() <= 1e-3


@pytest.mark.parametrize("synchronous", [True, False])
def test_more_than_t_that_are_not_there(synchronous):
    group = Group(np.zeros((4, 1)), 1, synchronous=synchronous)
    with pytest.raises(ConnectionError, match=r"node . has not decided: it has heard of . others at last"):
        group.run({2: refuse, 3: refuse}, Timeouts(connect=0.3, delay=0.3, overall=1.0))


def test_strangers_are_ignored():
    async def stranger(group, i):
        calls = [(await asyncio.open_connection(*address))[1] for address in 5 * group.addresses]
        try:
            for writer in calls:
                writer.write(secrets.token_bytes(1000))
            await refuse(group, i)
        finally:
            for writer in calls:
                writer.close()

    X = np.random.default_rng(4).normal(size=(4, 2))
    found = Group(X, 1).run({3: stranger}, Timeouts(connect=1.0, delay=60.0))
    assert len(found) == 3


# ---- processes -------------------------------------------------------------------------------------------------


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z" if Path("/proc").exists() else False


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [True, False])
def test_one_is_killed_another_sends_garbage_and_the_rest_agree(synchronous):
    n, t, d = 7, 2, 20_000
    X = np.random.default_rng(5).normal(size=(n, d))
    pids = {}

    def seen(node, round, pid):
        pids[node] = pid
        if node == 2 and round == 0:
            os.kill(pid, signal.SIGKILL)

    trace = agree_over_tcp(
        X, "box", t=t, epsilon=1e-3, byzantine={6: HOSTILE}, synchronous=synchronous, timeouts=Timeouts(), seen=seen
    )
    assert trace.byzantine == (2, 6) and sorted(trace.outputs) == [0, 1, 3, 4, 5]
    assert trace.agreed and trace.validity["box"]
    assert trace.ratio <= trace.claimed if synchronous else trace.claimed is None  # nobody has heard of two of them
    assert trace.diameters[0] > 1 and trace.diameters[-1] <= 1e-3 and trace.rounds >= 2
    assert trace.messages > 0 and trace.bytes > trace.messages * 32
    assert len(pids) == n - 1 and all(map(is_gone, pids.values()))


@pytest.mark.slow
def test_too_many_lost_ends_with_the_reason():
    with pytest.raises(RuntimeError, match=r"more than t = 1 are lost; node 0: it ended with code -9; node 3: another"):
        agree_over_tcp(
            np.random.default_rng(6).normal(size=(4, 20_000)),
            t=1,
            epsilon=1e-3,
            byzantine={3: HOSTILE},
            seen=lambda node, round, pid: os.kill(pid, signal.SIGKILL) if node == 0 else None,
        )


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_behind(how):
    """Ctrl-C, and worse, for whoever has started the nodes."""
    script = (
        "import numpy as np, sys, time\n"
        "from robustcore.agreement.tcp import Timeouts, agree_over_tcp\n"
        "def seen(node, round, pid):\n"
        "    print(pid, flush=True)\n"
        f"silent = {[*HOSTILE, 'silent']}\n"
        "agree_over_tcp(np.eye(4), t=1, epsilon=1, byzantine={3: silent}, seen=seen, timeouts=Timeouts(delay=100))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        pids = [int(process.stdout.readline()) for _ in range(3)]
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and ("KeyboardInterrupt" in err or how == signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not all(map(is_gone, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"t": 2}, rc.ConstraintError, "agree_over_tcp: box needs n > 3t; here n = 4 and t = 2"),
        ({"byzantine": {4: HOSTILE}}, rc.ConstraintError, "byzantine has 4"),
        ({"protocol": "paxos"}, ValueError, "there is no protocol 'paxos'"),
    ],
)
def test_bad_input(changed, error, text):
    with pytest.raises(error, match=text):
        agree_over_tcp(np.zeros((4, 2)), **({"t": 1, "epsilon": 0.1} | changed))


@pytest.mark.parametrize("wrong", [{"delay": 0}, {"idle": -1}, {"connect": np.nan}])
def test_timeouts_are_positive(wrong):
    with pytest.raises(ValueError, match=r"Timeouts: \w+ must be"):
        Timeouts(**wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"byzantine": {6}}, "byzantine is a dict"),
        ({"byzantine": 1}, "byzantine is a dict"),
        ({"byzantine": {3: "true"}}, "byzantine is a dict"),
        ({"timeouts": 2.0}, "timeouts must be Timeouts"),
    ],
)
def test_arguments_that_make_no_sense(wrong, words):
    with pytest.raises(TypeError, match=words):
        agree_over_tcp(np.eye(4), t=1, epsilon=1.0, **wrong)
