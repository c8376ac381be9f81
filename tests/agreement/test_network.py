"""The network in one process, adversaries of one's own, and what `agree` refuses."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import robustcore as rc
from robustcore.agreement import ADVERSARIES, PROTOCOLS, Adversary, Node
from robustcore.agreement.adversaries import Late
from robustcore.agreement.messages import Content, Echo, Init, Ready, Report, Vector
from robustcore.agreement.network import Run


def run(adversary, synchronous=True, **more):
    X = np.array([[0.0], [1.0], [4.0], [2.0]])
    return rc.agree(X, "box", t=1, epsilon=0.1, adversary=adversary, synchronous=synchronous, **more)


def test_byzantine_messages_come_first(monkeypatch):
    links, said = Run._links, {}

    def watched(self, sender, message):
        if isinstance(message, Init):
            said.setdefault(message.round, []).append(sender)
        return links(self, sender, message)

    monkeypatch.setattr(Run, "_links", watched)
    trace = run("none")
    assert trace.agreed and trace.rounds > 1
    assert len(said) >= trace.rounds and all(senders == [3, 0, 1, 2] for senders in list(said.values())[: trace.rounds])


@pytest.mark.parametrize("patience", [0, 30, 150])
def test_no_message_waits_for_longer_than_is_said(monkeypatch, patience):
    """For patience deliveries, and those of what was on its way when it was sent."""
    receive, links = Node.receive, Run._links
    now, sent, flying, longest = [0], {}, [0], [0]

    def watched(self, sender, message):
        found = links(self, sender, message)
        for receiver, one in found:
            sent.setdefault((sender, receiver, id(one)), []).append((now[0], flying[0], one))
            flying[0] += 1
        return found

    def delivered(self, sender, message):
        since, then, _ = sent[sender, self.id, id(message)].pop(0)
        flying[0] -= 1
        assert now[0] - since <= patience + then
        longest[0] = max(longest[0], now[0] - since)
        now[0] += 1
        return receive(self, sender, message)

    monkeypatch.setattr(Run, "_links", watched)
    monkeypatch.setattr(Node, "receive", delivered)
    assert run("hide_honest", synchronous=False, patience=patience).agreed
    assert longest[0] > patience  # which alone is no bound


@dataclass(frozen=True)
class Says(Adversary):
    what: Any = None

    def vector(self, world, node, round):
        return self.what


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize(
    "what",
    [np.ones(1, int), np.ones(1, np.float16), np.ones((2, 2)), np.ones(1, complex), np.array(["a"]), [[1.0], 2], "no"],
)
def test_what_is_no_vector_counts_as_not_sent(what, synchronous):
    trace, silent = run(Says(what), synchronous), run(Says(None), synchronous)
    assert trace.agreed and trace.messages == silent.messages


@dataclass(frozen=True)
class Sends(Adversary):
    what: Any = None

    def send(self, world, sender, receiver, message):
        return self.what


CONTENT = Content(Vector(np.ones(1)))


@pytest.mark.parametrize("synchronous", [True, False])
@pytest.mark.parametrize(
    "what",
    [None, b"bytes", "text", Ready(0, 1, bytes(32)), [None], [Init("x", CONTENT)], [Ready(1, 1, [1])], [Echo(0, 1, 2)]],
)
def test_what_is_no_message_is_refused(what, synchronous):
    with pytest.raises(TypeError, match=r"Sends\.send must return a sequence of messages, not"):
        run(Sends(what), synchronous)
    assert run(Sends((Report(1, 0, 4),)), synchronous).agreed


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"protocol": 42}, TypeError, "agree: protocol must be a name or an object of Protocol, not 42"),
        ({"protocol": PROTOCOLS["box"]}, TypeError, "protocol must be a name or an object of Protocol, not <class"),
        ({"adversary": 42}, TypeError, "agree: adversary must be a name or an object of Adversary, not 42"),
        ({"adversary": ADVERSARIES["late"]}, TypeError, "adversary must be a name or an"),
        ({"adversary": None}, TypeError, "adversary must be a name or an"),
        ({"synchronous": "no"}, TypeError, "agree: synchronous must be True or False, not 'no'"),
        ({"synchronous": None}, TypeError, "synchronous must be True or False"),
        ({"max_rounds": 2**32 - 1}, rc.ConstraintError, "rounds <= 4294967294"),
        ({"byzantine": 9}, rc.ConstraintError, "byzantine = 9, but there are 4 nodes"),
    ],
)
def test_bad_arguments(changed, error, text):
    arguments = {"protocol": "box", "t": 1, "epsilon": 0.1} | changed
    with pytest.raises(error, match=text):
        rc.agree(np.zeros((4, 2)), arguments.pop("protocol"), **arguments)


def test_arguments_from_numpy():
    trace = rc.agree(np.zeros((4, 2)), t=1, epsilon=0.1, byzantine=np.array(1), synchronous=np.True_)
    assert trace.byzantine == (3,) and trace.setting.synchronous is True


def test_the_trace_keeps_its_own_inputs():
    X = np.array([[0.0], [1.0], [4.0], [2.0]])
    trace = rc.agree(X, t=1, epsilon=0.1)
    X[:] = 7
    assert [x.tolist() for x in trace.inputs.values()] == [[0], [1], [4], [2]]


@dataclass(frozen=True)
class Split(Late):
    """The vector of node 0, in time for nodes 0 and 1, and too late for node 2."""

    def values(self, world, honest):
        return honest[:1]

    def send(self, world, sender, receiver, message):
        if isinstance(message, Ready) and message.origin == 3 and receiver != 3:
            return (message,) if receiver < 2 else ()
        return super().send(world, sender, receiver, message)


def test_outputs_are_near_in_all_coordinates_at_once():
    """What is proved of the edges is attained, here in 64 coordinates: epsilon is of Euclidean distances."""
    X = np.repeat([[0.0], [0.0], [1.0], [0.0]], 64, axis=1)
    trace = rc.agree(X, "rbtm", t=1, epsilon=0.1, adversary=Split())
    assert trace.edges == pytest.approx([1, 1 / 3, 1 / 9, 1 / 27, 1 / 81]) and trace.agreed
