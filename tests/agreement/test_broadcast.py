"""Reliable broadcast under equivocation, silence, replays, forged senders, and every order that Hypothesis finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustcore.agreement.broadcast import Broadcast
from robustcore.agreement.messages import Content, Echo, Init, Ready, Vector

CONTENTS = [Content(Vector(np.full(1, float(i)))) for i in range(3)]


class Net:
    """One broadcast among n nodes; only honest nodes have a machine."""

    def __init__(self, n, byzantine, origin):
        self.n, self.byzantine, self.origin = n, byzantine, origin
        t = (n - 1) // 3
        self.nodes = {i: Broadcast(n, t, origin, 1) for i in range(n) if i not in byzantine}
        self.pending = []
        if origin not in byzantine:
            self.say(origin, Init(1, CONTENTS[0]))

    def say(self, sender, message):
        self.pending += [(sender, receiver, message) for receiver in self.nodes]

    def deliver(self, place):
        sender, receiver, message = self.pending.pop(place)
        for answer in self.nodes[receiver].receive(sender, message):
            self.say(receiver, answer)

    @property
    def delivered(self):
        return [node.delivered for node in self.nodes.values()]


@st.composite
def nets(draw):
    n = draw(st.integers(4, 7))
    t = (n - 1) // 3
    byzantine = set(draw(st.permutations(range(n)))[: draw(st.integers(0, t))])
    return Net(n, byzantine, draw(st.integers(0, n - 1)))


def lie(draw, net):
    """A message of a Byzantine node to one honest node: any content, any kind."""
    sender = draw.choice(sorted(net.byzantine))
    content = draw.choice(CONTENTS)
    message = draw.choice([Init(1, content), Echo(net.origin, 1, content), Ready(net.origin, 1, content.key)])
    return sender, draw.choice(sorted(net.nodes)), message


def chaos(net, draw):
    """Lies, replays and deliveries in any order; at last, what is left is delivered."""
    seen = []
    for _ in range(draw.randrange(300)):
        kind = draw.randrange(4)
        if kind == 0 and net.byzantine:
            net.pending.append(lie(draw, net))
        elif kind == 1 and seen:  # again, and for somebody else as well
            sender, receiver, message = draw.choice(seen)
            net.pending.append((sender, receiver, message))
            if sender in net.byzantine:
                net.pending.append((sender, draw.choice(sorted(net.nodes)), message))
        elif net.pending:
            place = draw.randrange(len(net.pending))
            seen.append(net.pending[place])
            net.deliver(place)
    while net.pending:
        net.deliver(draw.randrange(len(net.pending)))


@settings(max_examples=200, deadline=None)
@given(nets(), st.randoms(use_true_random=False))
def test_consistency_totality_validity(net, draw):
    chaos(net, draw)
    delivered = net.delivered
    assert len({None if one is None else one.key for one in delivered}) == 1  # nobody, or all the same
    if net.origin not in net.byzantine:
        assert all(one is not None and one.key == CONTENTS[0].key for one in delivered)


@settings(max_examples=200, deadline=None)
@given(nets(), st.randoms(use_true_random=False), st.integers(0, 2**30))
def test_consistency_at_every_moment(net, draw, split):
    """Two stories, each to some nodes, with echoes and readies for both from all Byzantine nodes."""
    for receiver in net.nodes:
        story = CONTENTS[split >> receiver & 1]
        for sender in net.byzantine:
            kinds = [Echo(net.origin, 1, story), Ready(net.origin, 1, story.key), Init(1, story)]
            net.pending += [(sender, receiver, message) for message in kinds]
    while net.pending:
        net.deliver(draw.randrange(len(net.pending)))
        assert len({one.key for one in net.delivered if one is not None}) <= 1


def test_one_byzantine_node_too_many_breaks_consistency():
    """Four nodes, two of them Byzantine: each honest one is told its own story."""
    net = Net(4, {2, 3}, origin=3)
    for receiver in net.nodes:
        story = CONTENTS[receiver]
        net.pending.append((3, receiver, Init(1, story)))
        for sender in (2, 3):
            net.pending += [(sender, receiver, Echo(3, 1, story)), (sender, receiver, Ready(3, 1, story.key))]
    while net.pending:
        net.deliver(0)
    assert [one.key for one in net.delivered] == [CONTENTS[0].key, CONTENTS[1].key]


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_thresholds(n):
    t = (n - 1) // 3
    seen, content = Broadcast(n, t, 0, 1), CONTENTS[0]
    quorum = (n + t + 2) // 2
    assert 2 * quorum - n > t  # two quorums have an honest node in common
    assert [bool(seen.receive(i, Echo(0, 1, content))) for i in range(quorum)] == [False] * (quorum - 1) + [True]
    seen = Broadcast(n, t, 0, 1)
    assert [bool(seen.receive(i, Ready(0, 1, content.key))) for i in range(t + 1)] == [False] * t + [True]
    for i in range(t + 1, 2 * t + 1):
        seen.receive(i, Ready(0, 1, content.key))
    assert seen.delivered is None  # the content itself is missing
    seen.receive(0, Echo(0, 1, content))
    assert seen.delivered is content


def test_forged_and_repeated_messages_do_not_count():
    seen = Broadcast(4, 1, 0, 1)
    assert seen.receive(2, Init(1, CONTENTS[1])) == []  # not from its origin
    assert len(seen.receive(0, Init(1, CONTENTS[0]))) == 1
    assert seen.receive(0, Init(1, CONTENTS[1])) == []
    for content in CONTENTS * 10:
        assert seen.receive(3, Echo(0, 1, content)) == []
        assert seen.receive(3, Ready(0, 1, content.key)) == []
    assert not seen._contents  # nobody else has had any of them


@pytest.mark.parametrize("n", [4, 7, 10])
def test_what_only_liars_echo_is_not_kept(n):
    t = (n - 1) // 3
    seen, content = Broadcast(n, t, 0, 1), CONTENTS[0]
    for sender in range(t):
        seen.receive(sender, Echo(0, 1, CONTENTS[1 + sender % 2]))
    assert not seen._contents
    for sender in range(n - t, n):  # late: the content comes with the echo t + 1
        seen.receive(sender, Ready(0, 1, content.key))
    for sender in range(t, 2 * t + 1):
        assert not seen._contents
        seen.receive(sender, Echo(0, 1, content))
    assert list(seen._contents) == [content.key]
    for sender in range(t + 1):
        seen.receive(sender, Ready(0, 1, content.key))
    assert seen.delivered is not None and seen.delivered.key == content.key
