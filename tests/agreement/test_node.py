"""A node: whatever arrives, it goes on, and nothing that Byzantine nodes send makes it keep more than it must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robustcore as rc
from robustcore.agreement import PROTOCOLS, Limits, Node, Setting, Vector, decode
from robustcore.agreement.messages import LAST, WILLING, Content, Echo, Init, Ready, Report
from robustcore.agreement.network import Run
from robustcore.agreement.protocols import Box


def content(*values, ending=0, dtype=float):
    return Content(Vector(np.array(values, dtype)), ending)


def node(synchronous=True, n=4, rounds=20, protocol="box"):
    setting = Setting(n, (n - 1) // 3, 1, 0.1, synchronous)
    return Node(0, setting, np.array([0.0]), PROTOCOLS[protocol](), limits=Limits(n, 1, rounds))


def deliver(one, origin, what, at):
    """All of the broadcast of one origin."""
    one.receive(origin, Init(at, what))
    for sender in range(1, one.setting.n):
        one.receive(sender, Echo(origin, at, what))
        one.receive(sender, Ready(origin, at, what.key))


bad = [
    content(np.nan),
    content(np.inf),
    content(1.0, 2.0),
    content(),
    content(1.0, dtype=np.float32),
]


@pytest.mark.parametrize("what", bad)
def test_a_vector_that_cannot_be_used_counts_as_not_sent(what):
    one = node()
    one.start()
    assert one.receive(1, Init(1, what)) == []
    for sender in (1, 2, 3):
        assert one.receive(sender, Echo(1, 1, what)) == []
    deliver(one, 2, content(2.0), 1)
    deliver(one, 3, content(4.0), 1)
    deliver(one, 0, content(0.0), 1)
    one.end_of_round()
    assert one.vector.values == pytest.approx(2.0)  # the mean of n - t vectors


@pytest.mark.parametrize("synchronous", [True, False])
def test_floods_are_not_kept(synchronous):
    one = node(synchronous, rounds=5)
    one.start()
    for at in [*range(-3, 40), 2**31]:
        for origin in (-1, 0, 1, 2, 3, 4, 99):
            for value in range(5):
                what = content(float(value))
                for message in (Init(at, what), Echo(origin, at, what), Ready(origin, at, what.key)):
                    one.receive(3, message)
    kept = one._broadcasts
    assert set(kept) <= ({1} if synchronous else set(range(1, 7)))
    assert all(set(by_origin) <= {0, 1, 2, 3} for by_origin in kept.values())
    stored = sum(len(b._contents) for by_origin in kept.values() for b in by_origin.values() if b is not None)
    assert stored <= len(kept) + 1  # what the node has echoed as well: of the liar in each round, and its own


def test_what_is_no_message_is_ignored():
    one = node()
    one.start()
    what = content(1.0)
    odd = [Init("x", what), Init(1, None), Init(1, Content(None)), Init(1, Content(what.vector, 3)), Init(1.0, what)]
    odd += [Echo("0", 1, what), Echo(0, 1, 7), Ready(1, 1, [1]), Ready(None, 1, what.key), Ready(1, 1, b"short")]
    odd += [Report(1, "1", 4), Report(1, -1, 4)]
    for garbage in (None, 7, b"", "Init", object(), [Init(1, what)], *odd):
        assert one.receive(1, garbage) == []
    for sender in (-1, 4):  # nobody is called so
        assert one.receive(sender, Init(1, what)) == one.receive(sender, Echo(1, 1, what)) == []
    assert not one._broadcasts[1].get(1)


small = st.integers(0, 5)
anything = st.one_of(
    st.builds(Init, small, st.builds(content, st.sampled_from([0.0, 1.0]), ending=st.integers(0, 2))),
    st.builds(Echo, small, small, st.builds(content, st.sampled_from([0.0, 1.0]), ending=st.integers(0, 2))),
    st.builds(Ready, small, small, st.sampled_from([content(0.0).key, content(1.0).key])),
    st.builds(Report, small, st.integers(0, 31), st.just(4)),
)


@settings(max_examples=100, deadline=None)
@given(st.booleans(), st.lists(st.tuples(st.just(3), anything), max_size=60))
def test_one_liar_alone_decides_nothing(synchronous, received):
    one = node(synchronous)
    one.start()
    for sender, message in received:
        one.receive(sender, message)
    assert one.output is None and one.round == 1 and one.vector.values == 0 and not one.first
    if synchronous:
        one.end_of_round()
        assert one.output is None and one.round == 2 and one.vector.values == 0


def test_reports_have_to_come_true():
    """A node waits for all that n - t nodes have reported; reports of vectors that never were wait in vain."""
    one = node(synchronous=False)
    sent = [message for message in one.start() if isinstance(message, Report)]
    for origin in (0, 1, 2):
        what = content(float(origin))
        for sender in (1, 2, 3):
            sent += [m for m in one.receive(sender, Echo(origin, 1, what)) if isinstance(m, Report)]
            sent += [m for m in one.receive(sender, Ready(origin, 1, what.key)) if isinstance(m, Report)]
    assert [message.received for message in sent] == [0b0111] and one.round == 1
    one.receive(1, Report(1, 0b1111, 4))  # also of node 3, which has not been heard yet
    one.receive(3, Report(1, 0b0011, 4))  # of fewer than n - t
    one.receive(2, Report(1, 0b0111, 4))
    assert one.round == 1
    deliver(one, 3, content(3.0), 1)
    assert one.round == 2 and one.vector.values == 1.5  # of 0, 1, 2, 3


def test_the_last_vector_stands_for_all_rounds_to_come():
    one = node()
    one.start()
    for origin in range(4):
        deliver(one, origin, content(float(origin), ending=LAST if origin == 3 else 0), 1)
    one.end_of_round()
    assert one.vector.values == 1.5
    for origin in range(3):
        deliver(one, origin, content(1.5), 2)
    deliver(one, 3, content(1.0), 2)  # too late: it has had its last word
    assert {i: c.vector.values[0] for i, c in one._received(2).items()} == {0: 1.5, 1: 1.5, 2: 1.5, 3: 3.0}


def test_votes_to_end_together():
    """n = 5, t = 1: one vote is nothing, two make a node willing, three end it."""
    for votes, (willing, ends) in {1: (False, False), 2: (True, False), 3: (True, True)}.items():
        one = node(n=5, protocol="mda")
        one.start()
        for origin in range(5):
            deliver(one, origin, content(100.0 * origin, ending=WILLING if origin < votes else 0), 1)
        (sent,) = (message for message in one.end_of_round() if isinstance(message, Init))
        assert one.rounds > 1 and (one.output is not None) == ends
        assert sent.content.ending == (LAST if ends else WILLING if willing else 0)


def test_who_was_not_heard_is_not_heard_later():
    one = node()
    one.start()
    for origin in range(3):
        deliver(one, origin, content(float(origin)), 1)
    one.end_of_round()
    for origin in range(4):
        deliver(one, origin, content(1.0), 2)
    assert sorted(one._received(2)) == [0, 1, 2]


def test_asynchronous_rounds_may_arrive_in_any_order():
    one = node(synchronous=False)
    one.start()
    deliver(one, 3, content(8.0, ending=LAST), 2)
    assert 3 not in one._received(2)
    deliver(one, 3, content(3.0), 1)
    assert one._received(1)[3].vector.values == 3.0 and one._received(2)[3].vector.values == 8.0


@pytest.mark.parametrize("first", [1, 2, 9])
def test_after_its_last_vector_nothing_of_an_origin_is_kept(first):
    """Its last vector is that of round 2; those of later rounds come before it, after it, or while it is on its way."""
    one = node(synchronous=False)
    one.start()
    for at in range(first, 10):
        deliver(one, 3, content(float(at), ending=LAST if at == 2 else 0), at)
    for at in range(1, first):
        deliver(one, 3, content(float(at), ending=LAST if at == 2 else 0), at)
    one.receive(3, Init(11, content(1.0)))
    assert one._last[3][0] == 2 and not any(one._early.values())
    assert not any(by_origin.get(3) for by_origin in one._broadcasts.values())
    assert not any(3 in by_origin for at, by_origin in one._broadcasts.items() if at > 2)
    assert [at for at, by_origin in one._vectors.items() if 3 in by_origin] == [1, 2]


def test_steps_may_depend_on_the_round():
    """Nodes that share what they compute do not take that of one round for that of another."""

    class Counting(Box):
        def step(self, received, round, setting):
            return np.full(1, float(round))

    memo = {}
    setting = Setting(4, 1, 1, 1e-9)
    nodes = [Node(i, setting, np.zeros(1), Counting(), limits=Limits(4, 1, 3), memo=memo) for i in range(2)]
    for one in nodes:
        one.start()
    for at in (1, 2):
        for one in nodes:
            for origin in range(4):
                deliver(one, origin, content(9.0 * origin), at)
            one.end_of_round()
            assert one.vector.values == at


@pytest.mark.parametrize("synchronous", [True, False])
def test_the_same_run_through_bytes(monkeypatch, synchronous):
    """Nodes whose messages have been on a wire do what those do that share their vectors."""
    X = np.random.default_rng(0).normal(size=(7, 2))
    found = rc.agree(X, "rbtm", t=2, epsilon=1e-3, adversary="equivocate", synchronous=synchronous)
    links, counted = Run._links, []

    def through_bytes(self, sender, message):
        sent = [(to, one.encode()) for to, one in links(self, sender, message)]
        counted.extend(len(data) for _, data in sent)
        return [(to, decode(data, Limits(7, 2))) for to, data in sent]

    monkeypatch.setattr(Run, "_links", through_bytes)
    again = rc.agree(X, "rbtm", t=2, epsilon=1e-3, adversary="equivocate", synchronous=synchronous)
    assert {i: y.tobytes() for i, y in again.outputs.items()} == {i: y.tobytes() for i, y in found.outputs.items()}
    assert again.bytes == found.bytes == sum(counted) and again.messages == found.messages == len(counted)
