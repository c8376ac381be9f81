"""Messages: their bytes say all, and nothing else is a message."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc
from robustcore.agreement import PROTOCOLS, Limits, Node, Setting, Vector, decode
from robustcore.agreement.messages import Content, Echo, Init, Ready, Report

LIMITS = Limits(n=9, d=3, rounds=5)
vectors = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: st.lists(st.floats(width=32), min_size=3, max_size=3).map(lambda x: Vector(np.array(x, dtype)))
)
contents = st.builds(Content, vectors, st.integers(0, 2))
rounds, nodes = st.integers(1, 6), st.integers(0, 8)
messages = st.one_of(
    st.builds(Init, rounds, contents),
    st.builds(Echo, nodes, rounds, contents),
    st.builds(Ready, nodes, rounds, st.binary(min_size=32, max_size=32)),
    st.builds(Report, rounds, st.integers(0, 511), st.just(9)),
)


@given(messages)
def test_bytes_and_back(message):
    data = message.encode()
    back = decode(data, LIMITS)
    assert len(data) == message.size <= LIMITS.bytes
    assert type(back) is type(message) and back.encode() == data
    if isinstance(message, (Init, Echo)):
        assert back.content.key == message.content.key
        assert back.content.vector.values.dtype == message.content.vector.values.dtype


@given(messages, st.data())
def test_changed_bytes_are_another_message_or_none(message, data):
    changed = bytearray(message.encode())
    where = data.draw(st.integers(0, len(changed) - 1))
    changed[where] ^= data.draw(st.integers(1, 255))
    cut = bytes(changed[: data.draw(st.integers(0, len(changed)))])
    for found in (bytes(changed), cut, bytes(changed) + b"\0"):
        try:
            back = decode(found, LIMITS)
        except ValueError:
            continue
        assert back.encode() == found != message.encode()


@given(st.binary(max_size=80))
def test_garbage_is_no_message(data):
    try:
        message = decode(data, LIMITS)
    except ValueError:
        return
    assert message.encode() == data


def test_beyond_the_limits():
    content = Content(Vector(np.zeros(3)))
    for message in (
        Init(7, content),
        Init(0, content),
        Init(1, Content(Vector(np.zeros(4)))),
        Echo(9, 1, content),
        Report(1, 1 << 9, 10),
    ):
        with pytest.raises(ValueError):
            decode(message.encode(), LIMITS)


def test_a_vector_is_not_changed_by_its_owner():
    values = np.zeros(3)
    vector = Vector(values)
    values[0] = 1
    assert vector.values[0] == 0 and not vector.values.flags.writeable


def test_a_vector_is_not_changed_through_what_it_is_a_view_of():
    values = np.zeros(3)
    view = values[:]
    view.flags.writeable = False
    vector = Vector(view)
    values[0] = 1
    assert vector.values[0] == 0
    assert Vector(vector.values).values is vector.values  # what nobody can change is not copied
    frozen = np.frombuffer(bytes(24))
    assert Vector(frozen).values is frozen


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"n": 2**16}, "n <= 65535; here n = 65536"),
        ({"d": 2**32}, "d <= 4294967295"),
        ({"rounds": 2**32 - 1}, "rounds <= 4294967294"),
        ({"rounds": 0}, "rounds >= 1"),
        ({"n": 0}, "n >= 1"),
    ],
)
def test_limits_fit_into_the_fields(changed, text):
    with pytest.raises(rc.ConstraintError, match=text):
        Limits(**{"n": 4, "d": 1, "rounds": 5} | changed)
    last = Limits(2**16 - 1, 0, 2**32 - 2)
    message = Ready(last.n - 1, last.rounds + 1, bytes(32))
    assert decode(message.encode(), last) == message


@pytest.mark.parametrize("n", [4, 7, 16])
def test_memory_is_bounded_as_stated(n):
    """t Byzantine origins tell as many stories as honest nodes can be made to echo, in all rounds."""
    t, d = (n - 1) // 3, 300
    limits = Limits(n, d, rounds=8)
    node = Node(0, Setting(n, t, d, 0.1, False), np.zeros(d), PROTOCOLS["box"](), limits=limits)
    node.start()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for at in range(1, limits.rounds + 2):
            for origin in range(n):
                for sender in range(1, n):
                    lies = float(sender // (t + 1) if origin >= n - t else sender if sender >= n - t else 0)
                    node.receive(sender, Echo(origin, at, Content(Vector(np.full(d, lies)))))
                    node.receive(sender, Ready(origin, at, bytes([sender] * 32)))
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert limits.memory / 20 < kept < limits.memory


@pytest.mark.parametrize("values", [np.zeros(3, np.float16), np.zeros((3, 1)), np.zeros(3, int)])
def test_what_is_no_vector(values):
    with pytest.raises(ValueError):
        Vector(values)


def test_the_key_tells_contents_apart():
    zero, one = Vector(np.zeros(2)), Vector(np.ones(2))
    keys = {Content(vector, ending).key for vector in (zero, one, Vector(np.zeros(4, np.float32))) for ending in (0, 1)}
    assert len(keys) == 6 and Content(Vector(np.zeros(2))).key in keys
