"""RobustStrategy in Flower's own Strategy.start, and on replies made by hand."""

import logging
import math
import tracemalloc
from dataclasses import fields
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc

pytest.importorskip("flwr")
pytest.importorskip("sklearn")
import federation as fed
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flowers

from robustcore.flower import RobustStrategy, Round, median_metrics
from robustcore.flower._round import Model, view

KINDS = {  # what is said of a liar's reply; nothing of those that are used
    **dict.fromkeys(("nan", "inf"), "not finite"),
    **dict.fromkeys(("shape", "keys", "dtype", "objects", "truncated", "empty", "nothing", "twice"), "malformed"),
    "error": "failed",
    "silence": "missing",
}
RULES = {
    "multi_krum": rc.MultiKrum(fed.LIARS),
    "geometric_median": rc.GeometricMedian(fed.LIARS),
    "trimmed_mean+nnm": rc.TrimmedMean(fed.LIARS, mixing=rc.NNM(fed.LIARS)),
    "centered_clip": rc.CenteredClip(1.0, fed.LIARS),
}
RNG = np.random.default_rng


def model(seed=0):
    """A model of several layers and dtypes, with counters."""
    rng = RNG(seed)
    return {
        "w": rng.normal(size=(5, 7)).astype(np.float32),
        "fortran": np.asfortranarray(rng.normal(size=(3, 4))),
        "half": rng.normal(size=3).astype(np.float16),
        "scalar": np.float32(rng.normal()),
        "none": np.zeros((0, 3), np.float32),
        "num_batches_tracked": np.int64(seed),
        "used": rng.random(4) < 0.5,
    }


def ask(strategy, arrays, n):
    """Round 1 is configured: the messages for n nodes."""
    return list(strategy.configure_train(1, fed.record(arrays), ConfigRecord(), fed.InProcess(fed.app, n)))


def answers(messages, updates, **metrics):
    """From each node its update: a dict of arrays, an ArrayRecord, a RecordDict, an Error, or None for silence."""
    replies = []
    for message, update in zip(sorted(messages, key=lambda m: m.metadata.dst_node_id), updates, strict=True):
        if isinstance(update, dict) and not isinstance(update, (ArrayRecord, RecordDict)):
            update = fed.record(update)
        if isinstance(update, ArrayRecord):
            update = fed.content(update, **metrics)
        if update is not None:
            replies.append(Message(update, reply_to=message))
    return replies


def trained(strategy, arrays, updates, order=None):
    """What the strategy makes of the updates: arrays, and what became of the round."""
    replies = answers(ask(strategy, arrays, len(updates)), updates)
    record, metrics = strategy.aggregate_train(1, replies if order is None else [replies[i] for i in order])
    metrics.deflate()  # as it would be sent
    return None if record is None else {key: array.numpy() for key, array in record.items()}, metrics


def assert_same(one, other):
    assert list(one) == list(other)
    for key in one:
        a, b = np.asarray(one[key]), np.asarray(other[key])
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


# In Strategy.start


@pytest.mark.parametrize("attack", fed.ATTACKS)
@pytest.mark.parametrize("name", ["multi_krum", "trimmed_mean+nnm"])
def test_no_attack_ends_a_run_or_ruins_the_model(attack, name):
    strategy = RobustStrategy(RULES[name])
    result, accuracy = fed.run(strategy, attack, rounds=3)
    assert accuracy > 0.4
    assert sorted(result.train_metrics_clientapp) == sorted(result.evaluate_metrics_clientapp) == [1, 2, 3]
    for number, told in strategy.rounds.items():
        assert told.failure is None and len(told.asked) == fed.CLIENTS
        liars = told.asked[: fed.LIARS] if attack in KINDS else ()
        assert {node: why.partition(":")[0] for node, why in told.dropped.items()} == dict.fromkeys(
            liars, KINDS.get(attack)
        )
        metrics = result.train_metrics_clientapp[number]
        assert metrics["robust-dropped"] == list(liars)
        assert metrics["robust-selected"] == list(told.selected)
        assert metrics["loss"] == 0.5
        assert 0.4 < result.evaluate_metrics_clientapp[number]["accuracy"] <= 1


@pytest.mark.parametrize("name", RULES)
def test_every_rule_learns_under_flipped_signs(name):
    assert fed.run(RobustStrategy(RULES[name]), "sign", rounds=3)[1] > 0.4
    assert fed.run(flowers.FedAvg(fraction_evaluate=0.0), "sign", rounds=3)[1] < 0.3


@pytest.mark.parametrize("attack", sorted(KINDS))
def test_when_more_than_f_are_lost_the_model_stays_and_the_run_goes_on(attack, caplog):
    strategy = RobustStrategy(rc.MultiKrum(f=1))
    result, accuracy = fed.run(strategy, attack, rounds=2)
    assert accuracy == fed.accuracy(fed.record(fed.first_model()))
    assert result.arrays.keys() == fed.record(fed.first_model()).keys()
    for number, told in strategy.rounds.items():
        assert "2 of 11 updates cannot be used, more than f = 1" in told.failure
        assert told.selected == () and len(told.dropped) == 2
        assert {why.partition(":")[0] for why in told.dropped.values()} == {KINDS[attack]}
        metrics = result.train_metrics_clientapp[number]
        assert metrics["robust-kept-model"] == 1 and metrics["robust-selected"] == []


def test_a_round_that_keeps_the_model_says_so(caplog):
    logger = logging.getLogger("flwr")
    logger.setLevel(logging.INFO)
    logger.addHandler(caplog.handler)
    try:
        kept, _ = trained(RobustStrategy(rc.Krum(f=0)), model(), [model(), None, model()])
    finally:
        logger.removeHandler(caplog.handler)
    assert kept.keys() == model().keys() and all(np.array_equal(kept[key], array) for key, array in model().items())
    assert "Dropped node 102: missing" in caplog.text and "node 102: missing)" in caplog.text
    assert "round 1 keeps the model: krum: 1 of 3 updates cannot be used, more than f = 0" in caplog.text


def test_flower_waits_for_as_many_nodes_as_the_rule_needs():
    assert RobustStrategy(rc.Krum(f=2)).min_train_nodes == 5
    assert RobustStrategy(rc.Bulyan(f=2)).min_train_nodes == 11
    assert RobustStrategy(rc.Krum(f=2, mixing=rc.Bucketing(2, rng=0))).min_train_nodes == 9  # 5 buckets
    assert RobustStrategy(rc.Krum(f=2), min_train_nodes=8).min_train_nodes == 8
    assert RobustStrategy(rc.Median()).min_train_nodes == 2
    assert RobustStrategy(rc.Median(), fraction_train=0.0).min_train_nodes == 0


def test_nobody_is_asked_where_the_fraction_is_zero():
    strategy = RobustStrategy(rc.Median(), fraction_train=0.0)
    assert ask(strategy, model(), 4) == []
    assert strategy.aggregate_train(1, []) == (None, None)


# The result


@pytest.mark.parametrize(
    "rule",
    [
        rc.Mean(),
        rc.MultiKrum(2),
        rc.GeometricMedian(2),
        rc.Median(),
        rc.TrimmedMean(2, mixing=rc.NNM(2)),
        rc.Bulyan(1, mixing=[rc.NNM(1)]),
        rc.MDA(2),
    ],
    ids=repr,
)
def test_the_floating_arrays_are_what_the_rule_makes_of_them(rule):
    updates = [model(seed) for seed in range(9)]
    new, metrics = trained(RobustStrategy(rule), model(20), updates)
    floats = [key for key in updates[0] if np.asarray(updates[0][key]).dtype.kind == "f"]
    expected = rule.aggregate([{key: np.asarray(update[key]) for key in floats} for update in updates])
    assert_same({key: new[key] for key in floats}, expected.value)
    assert list(new) == list(updates[0])
    assert metrics["robust-selected"] == [101 + i for i in expected.selected]
    if expected.scores is None:
        assert "robust-scores" not in metrics
    else:
        assert metrics["robust-scores"] == expected.scores.tolist()


ORIGIN = [
    rc.CenteredClip(1.0),
    rc.CenteredClip(0.5, iterations=3),
    rc.SignMajority(),
    rc.Median(mixing=rc.Clipping(0.5)),
    rc.TrimmedMean(1, mixing=[rc.ARC(1), rc.NNM(1)]),
]


@pytest.mark.parametrize("rule", ORIGIN, ids=repr)
def test_rules_that_look_at_the_origin_see_what_clients_have_changed(rule):
    rng = RNG(1)
    start = {"w": 100 * rng.normal(size=(4, 6)), "b": rng.normal(size=3), "c": np.array(7.0)}
    changes = [{key: np.asarray(rng.normal(size=start[key].shape)) for key in start} for _ in range(7)]
    updates = [{key: start[key] + change[key] for key in start} for change in changes]
    new, _ = trained(RobustStrategy(rule), start, updates)
    change = rule(changes)
    for key in start:
        np.testing.assert_allclose(new[key], start[key] + change[key], rtol=0, atol=1e-11)


def test_integers_are_the_lower_median_of_those_kept():
    updates = [model(seed) for seed in (3, 9, 5, 7, 2**40)]
    updates[0]["w"] = np.full((5, 7), np.nan, np.float32)
    new, _ = trained(RobustStrategy(rc.Median(f=1)), model(), updates)
    assert_same({"n": new["num_batches_tracked"]}, {"n": np.int64(7)})  # of 5, 7, 9 and 2**40
    assert_same({"used": new["used"]}, {"used": np.sort([u["used"] for u in updates[1:]], axis=0)[1]})


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=5, max_size=5), st.data())
def test_integers_lie_between_those_of_honest_clients(counts, data):
    liars = data.draw(st.sets(st.integers(0, 4), max_size=2))
    updates = [{"w": np.float32(1), "n": np.array([count])} for count in counts]
    new, _ = trained(RobustStrategy(rc.Median(f=2)), updates[0], updates)
    honest = [count for i, count in enumerate(counts) if i not in liars]
    assert new["n"].dtype == np.int64 and min(honest) <= new["n"][0] <= max(honest)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_neither_the_order_of_replies_nor_numbers_of_examples_matter(rule):
    strategy = RobustStrategy(rule)
    updates = [model(seed) for seed in range(9)]
    expected, _ = trained(strategy, model(20), updates)
    new, _ = trained(strategy, model(20), updates, order=RNG(0).permutation(9))
    assert_same(new, expected)
    counted = [fed.content(fed.record(update), examples=10 ** (i % 10)) for i, update in enumerate(updates)]
    assert_same(trained(strategy, model(20), counted)[0], expected)


def test_keys_may_come_in_any_order():
    updates = [model(seed) for seed in range(5)]
    shuffled = [dict(reversed(update.items())) for update in updates]
    strategy = RobustStrategy(rc.Krum(1))
    assert_same(trained(strategy, model(9), shuffled)[0], trained(strategy, model(9), updates)[0])


def test_a_tie_goes_to_the_lower_node():
    updates = [{"w": np.float32([x])} for x in (5, 5, 0, 0, 9)]
    new, metrics = trained(RobustStrategy(rc.Krum(1)), updates[0], updates, order=[3, 1, 4, 0, 2])
    assert new["w"] == 5 and metrics["robust-selected"] == [101]


def test_silent_nodes_are_counted_among_n_and_f():
    updates = [{"w": np.float32([x])} for x in (0, 1, 2, 3, 4, 100)] + [None]
    new, metrics = trained(RobustStrategy(rc.TrimmedMean(2)), updates[0], updates)
    assert new["w"] == 2.5  # f = 2 of 7, one of whom is silent: one is trimmed on either side
    assert metrics["robust-missing"] == [107]
    assert len(metrics["robust-asked"]) == 7


# Replies


def test_arrays_are_read_where_they_lie():
    for array in (
        RNG(0).normal(size=(300, 7)),
        np.asfortranarray(np.ones((4, 5), np.float32)),
        np.int64(3),
        np.ones(0),
    ):
        sent = Array(np.asarray(array))
        seen = view(sent)
        np.testing.assert_array_equal(seen, array)
        assert not seen.flags.writeable
        assert np.shares_memory(seen, np.frombuffer(sent.data, np.uint8)) or not seen.size


def test_nothing_is_copied_or_stacked():
    n, d = 20, 200_000
    start = {"w": np.zeros(d, np.float32)}
    strategy = RobustStrategy(rc.MultiKrum(5))
    replies = answers(ask(strategy, start, n), [{"w": RNG(i).random(d, np.float32)} for i in range(n)])
    tracemalloc.start()
    try:
        strategy.aggregate_train(1, replies)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 6 * 4 * d  # the result, and what Flower does to serialize it; n = 20 would be 20


def npy(array, version=None):
    file = BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version=version)
    return file.getvalue()


def with_header(text, payload=b"\0" * 8, version=b"\x01\x00"):
    header = text.encode("latin1")
    return b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + payload


GOOD = np.zeros(2, np.float32)
HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}}}\n".format
BAD_BYTES = {
    "nothing": b"",
    "no .npy": b"\x80\x04]q\x00.",
    "only magic": b"\x93NUMPY\x01\x00",
    "header cut": npy(GOOD)[:40],
    "one byte less": npy(GOOD)[:-1],
    "one byte more": npy(GOOD) + b"\0",
    "twice as many": npy(np.zeros(4, np.float32)),
    "version 3": npy(GOOD, (3, 0)),
    "version 9": b"\x93NUMPY\x09\x00" + npy(GOOD)[8:],
    "objects": with_header(HEADER("'|O'", "(1,)")),
    "pickled": with_header(HEADER("'|O'", "(2,)"), b"\x80\x04cos\nsystem\n"),
    "foreign byte order": npy(GOOD.astype(">f4")),
    "structured": with_header(HEADER("[('a', '<f4')]", "(2,)")),
    "strings": npy(np.array(["ab"])),
    "empty items": with_header(HEADER("'|V0'", "(2,)"), b""),
    "huge": with_header(HEADER("'<f4'", f"({2**62}, 4)")),
    "negative": with_header(HEADER("'<f4'", "(-2,)")),
    "negative twice": with_header(HEADER("'<f4'", "(-1, -2)")),
    "no shape": with_header("{'descr': '<f4', 'fortran_order': False}\n"),
    "Python 2": with_header(HEADER("'<f4'", "(2L,)")),
    "a call": with_header("__import__('os').abort()\n"),
    "deep": with_header("(" * 5000 + ")" * 5000 + "\n"),
    "long header": with_header(HEADER("'<f4'", "(2,)") + " " * 70_000, version=b"\x02\x00"),
    "a complex one": npy(np.zeros(1, np.complex64)),
    "integers": npy(np.zeros(2, np.int32)),
    "a day": npy(np.zeros(1, "M8[D]")),
}


@pytest.mark.filterwarnings("ignore:Reading `.npy`:UserWarning")  # Python 2
@pytest.mark.parametrize("name", BAD_BYTES)
def test_bytes_that_are_no_array_like_the_models_are_malformed(name):
    bad = ArrayRecord({"w": Array("float32", (2,), fed.SERIALIZED, BAD_BYTES[name])})
    if name == "Python 2":  # numpy reads it, with a warning
        assert view(bad["w"]).shape == (2,)
        return
    updates = [{"w": np.float32([i, 1])} for i in range(4)]
    new, metrics = trained(RobustStrategy(rc.Mean(f=1)), updates[0], [*updates, bad])
    assert_same(new, {"w": np.float32([1.5, 1])})
    assert metrics["robust-malformed"] == [105]


def test_another_serialization_is_malformed():
    bad = ArrayRecord({"w": Array("float32", (2,), "torch.save", npy(GOOD))})
    assert trained(RobustStrategy(rc.Mean(f=1)), {"w": GOOD}, [{"w": GOOD}] * 2 + [bad])[1]["robust-malformed"] == [103]


def test_numbers_may_lie_at_any_address():
    payload = np.float32([3, 4]).tobytes()
    odd = ArrayRecord(
        {"w": Array("float32", (2,), fed.SERIALIZED, with_header(" " + HEADER("'<f4'", "(2,)"), payload))}
    )
    assert not view(odd["w"]).flags.aligned
    new, metrics = trained(RobustStrategy(rc.MultiKrum(0)), {"w": GOOD}, [odd, {"w": np.float32([5, 6])}])
    assert_same(new, {"w": np.float32([4, 5])})
    assert metrics["robust-dropped"] == []


@pytest.mark.filterwarnings("ignore")
@given(st.data())
def test_whatever_the_bytes_a_round_ends_with_a_finite_model(data):
    sent = bytearray(npy(np.float32([1, 2])))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(sent) - 1))
        change = data.draw(st.binary(max_size=3))
        sent[at : at + data.draw(st.integers(0, 3))] = change
        sent = sent or bytearray(b"\0")
    bad = ArrayRecord({"w": Array("float32", (2,), fed.SERIALIZED, bytes(sent))})
    updates = [{"w": np.float32([i, 1])} for i in range(4)]
    new, metrics = trained(RobustStrategy(rc.Median(f=1)), updates[0], [bad, *updates])
    assert np.isfinite(new["w"]).all() and new["w"].dtype == np.float32 and metrics["robust-kept-model"] == 0


CONTENTS = {
    "two ArrayRecords": lambda good: RecordDict({"a": good, "b": good}),
    "none": lambda good: RecordDict({"m": MetricRecord({"num-examples": 1})}),
    "nothing at all": lambda good: RecordDict(),
    "an empty one": lambda good: fed.content(ArrayRecord()),
    "one array less": lambda good: fed.content(ArrayRecord({key: good[key] for key in list(good)[1:]})),
    "one array more": lambda good: fed.content(ArrayRecord({**good, "more": Array(GOOD)})),
    "another name": lambda good: fed.content(ArrayRecord({key.upper(): array for key, array in good.items()})),
    "another integer": lambda good: fed.content(ArrayRecord({**good, "num_batches_tracked": Array(np.array(1.5))})),
    "an error": lambda good: Error(code=7, reason="x" * 10_000 + "\n[ROUND 3/3]"),
    "an error without a word": lambda good: Error(code=7),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_replies_without_a_model_count_against_f(name):
    updates = [model(seed) for seed in range(5)]
    updates[3] = CONTENTS[name](fed.record(updates[3]))
    strategy = RobustStrategy(rc.Median(f=1))
    new, metrics = trained(strategy, model(9), updates)
    assert new is not None and metrics["robust-dropped"] == [104]
    why = strategy.rounds[1].dropped[104]
    assert why.partition(":")[0] == ("failed" if "error" in name else "malformed")
    assert "\n" not in why and len(why) < 250


def test_two_replies_of_one_node_are_no_reply_and_those_of_strangers_nothing():
    strategy = RobustStrategy(rc.Median(f=1))
    updates = [{"w": np.float32([x])} for x in (1, 2, 3, 100)]
    replies = answers(ask(strategy, updates[0], 4), updates)
    stranger = answers(ask(RobustStrategy(rc.Median()), updates[0], 9), updates[:1] * 9)[-1]
    record, _ = strategy.aggregate_train(1, [*replies, replies[-1], stranger])
    assert record["w"].numpy() == 2
    assert strategy.rounds[1].dropped == {104: "malformed: 2 replies"}


def test_a_difference_that_overflows_is_not_finite():
    start = {"w": np.float32([-3e38])}
    updates = [{"w": np.float32([x])} for x in (-3e38, -2.9e38, 3e38)]
    new, metrics = trained(RobustStrategy(rc.CenteredClip(1e38, f=1)), start, updates)
    assert metrics["robust-not-finite"] == [103] and np.isfinite(new["w"])


# Metrics


def test_certificates_are_those_of_the_library():
    updates = [{"w": RNG(i).normal(size=30)} for i in range(7)]
    updates[2] = None
    strategy = RobustStrategy(rc.MultiKrum(2), certify=True)
    _, metrics = trained(strategy, {"w": np.zeros(30)}, updates)
    kept = [update for update in updates if update]
    rows = [Exception("missing") if update is None else update for update in updates]
    result = rc.MultiKrum(2).aggregate(rows, malformed="drop")
    expected = rc.certify(rows, result, f=2, malformed="drop")
    for name, worst in expected.worst.items():
        assert metrics[f"robust-{name.replace('_', '-')}"] == worst.high
    assert strategy.rounds[1].certificate.dropped == {2: "missing"} and len(kept) == 6
    bounded = RobustStrategy(rc.MultiKrum(2), certify=rc.Budget(steps=1))
    assert trained(bounded, {"w": np.zeros(30)}, updates)[1]["robust-kappa"] >= metrics["robust-kappa"]


def test_without_asking_there_is_no_certificate():
    strategy = RobustStrategy(rc.MultiKrum(1))
    assert "robust-kappa" not in trained(strategy, {"w": GOOD}, [{"w": GOOD}] * 4)[1]
    assert strategy.rounds[1].certificate is None


@pytest.mark.parametrize(("rule", "dtype"), [(rc.GeometricMedian(f=2), np.float64), (rc.Mean(f=2), np.float32)])
def test_no_liar_ends_a_run_that_certifies(rule, dtype):
    """At the ends of a dtype's range, there may be no certificate."""
    updates = [{"w": np.ones(5, dtype) + i} for i in range(9)]
    updates += [{"w": np.full(5, sign * np.finfo(dtype).max)} for sign in (1, -1)]
    strategy = RobustStrategy(rule, certify=0.5)
    trained(strategy, {"w": np.ones(5, dtype)}, updates)
    assert len(strategy.rounds[1].asked) == 11


@pytest.mark.parametrize("mixing", [None, "nnm", "arc"])
def test_every_rule_says_how_many_clients_it_needs(mixing):
    for name, rule in rc.RULES.items():
        known = {field.name: field for field in fields(rule)}
        own = {key: value for key, value in (("f", 2), ("tau", 1.0)) if key in known}
        made = rc.RULES[name](**own, mixing=() if mixing is None else rc.MIXINGS[mixing](f=2))
        least = RobustStrategy(made).min_train_nodes
        made.check(least)
        if least > 2:
            with pytest.raises(rc.ConstraintError):
                made.check(least - 1)


def test_too_many_clients_for_a_certificate_are_no_reason_to_stop():
    strategy = RobustStrategy(rc.Mean(f=1), certify=True)
    new, metrics = trained(strategy, {"w": GOOD}, [{"w": GOOD}] * 513)
    assert new is not None and "robust-kappa" not in metrics


numbers = st.floats() | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(numbers, min_size=1, max_size=9), st.data())
def test_the_median_metric_is_one_that_an_honest_client_may_report(values, data):
    n = len(values)
    liars = data.draw(st.sets(st.integers(0, n - 1), max_size=(n - 1) // 2))
    records = [RecordDict({"m": MetricRecord({"loss": value, "num-examples": 10**9})}) for value in values]
    found = median_metrics(records, "num-examples")
    honest = np.array([float(value) for i, value in enumerate(values) if i not in liars])
    ordered = np.sort(np.array([float(value) for value in values]))
    middle = ordered[(n - 1) // 2]
    assert found == ({"loss": middle} if math.isfinite(middle) else {})
    if np.isfinite(honest).all():
        assert honest.min() <= found["loss"] <= honest.max()


def test_metrics_that_few_report_are_left_out():
    records = [RecordDict({"m": MetricRecord({"loss": 1.0} | {f"mine{i}": 9.0})}) for i in range(4)]
    records.append(RecordDict())
    records.append(RecordDict({"a": MetricRecord({"loss": [1.0, 2.0]}), "b": MetricRecord({"loss": 3})}))
    assert median_metrics(records, "num-examples") == {"loss": 1.0}
    assert median_metrics([], "num-examples") == {}


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_what_metrics_functions_raise_ends_no_run(name):
    def boom(records, key):
        assert key == "num-examples" and records
        raise ZeroDivisionError

    strategy = RobustStrategy(rc.Median(), **{f"{name}_metrics_aggr_fn": boom})
    result, _ = fed.run(strategy, rounds=1)
    told = result.train_metrics_clientapp[1] if name == "train" else result.evaluate_metrics_clientapp[1]
    assert "loss" not in told and "accuracy" not in told


def test_clients_cannot_write_into_the_strategys_own_metrics():
    lies = MetricRecord({"robust-kept-model": 1, "robust-dropped": 7, "loss": 2.0})
    contents = [RecordDict({"a": fed.record({"w": GOOD}), "m": lies}) for _ in range(3)]
    _, metrics = trained(RobustStrategy(rc.Median()), {"w": GOOD}, contents)
    assert (metrics["robust-kept-model"], metrics["robust-dropped"], metrics["loss"]) == (0, [], 2.0)


def test_a_round_shows_what_matters():
    told = Round((1, 2), {2: "missing"}, selected=(1,), scores={1: 0.0, 2: math.nan})
    assert told.metrics()["robust-failed"] == [] and told.metrics()["robust-missing"] == [2]


# What is given


def test_rules_by_name():
    assert RobustStrategy("multi_krum", f=2).rule == rc.MultiKrum(2)
    assert RobustStrategy("krum+nnm", f=1).rule == rc.Krum(1, mixing=rc.NNM(1))
    assert RobustStrategy("median").rule == rc.Median()


@pytest.mark.parametrize(
    ("given_", "error", "says"),
    [
        ({"rule": rc.krum}, TypeError, "rule must be a rule such as"),
        ({"rule": rc.Krum(1), "f": 2}, TypeError, "has its parameters already"),
        ({"rule": "crumb", "f": 1}, ValueError, "there is no rule 'crumb'"),
        ({"rule": rc.Median(), "certify": True}, ValueError, "certify needs a rule with an f"),
        ({"rule": rc.Krum(1), "certify": -1.0}, ValueError, "certify: budget must be"),
        ({"rule": rc.Krum(1, neighbors="classic"), "weights": 3}, TypeError, "weights"),
    ],
)
def test_what_does_not_fit_is_said_at_once(given_, error, says):
    with pytest.raises(error, match=says):
        RobustStrategy(**given_)


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"w": np.zeros(2, np.complex64)}, "the array 'w' of the model is of complex64"),
        ({"w": np.zeros(2, np.longdouble)}, "the array 'w' of the model is of"),
        ({"w": np.zeros(2, ">f4")}, "the array 'w' of the model is of >f4"),
        ({"n": np.zeros(2, np.int64)}, "the model has no array of floating-point numbers"),
        ({}, "the model has no array"),
    ],
)
def test_a_model_that_cannot_be_aggregated_is_said_before_anybody_trains(arrays, says):
    with pytest.raises(TypeError, match=says):
        Model(fed.record(arrays))
