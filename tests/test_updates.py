"""The front door: every structure that an update may have, nothing copied, and errors that say who and where."""

import array
import collections
import tracemalloc
import types
from collections import OrderedDict, UserList, deque

import ml_dtypes
import numpy as np
import pytest
import twins
from bits import same_bits

import robustcore as rc

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
DTYPES = [F16, BF16, F32, F64]
Pair = collections.namedtuple("Pair", "w b")


class OnlyDLPack:
    """An array of another library, of which nothing is known but the exchange protocol."""

    def __init__(self, values):
        self._values = values

    def __dlpack__(self, **options):
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._values.__dlpack_device__()


class OldDLPack(OnlyDLPack):
    """The same from before the protocol had versions."""

    def __dlpack__(self, *, stream=None):
        return self._values.__dlpack__(stream=stream)


class OnAccelerator(OnlyDLPack):
    def __dlpack_device__(self):
        return (2, 0)


class OtherArray(OnlyDLPack):
    """An array of a library that follows the array API standard."""

    def __array_namespace__(self):
        return types.SimpleNamespace(asarray=OtherArray)


def integers(n, d=12, dtype=F64):
    """Numbers whose mean over 4 is exact in every dtype."""
    return 4 * np.random.default_rng([n, d]).integers(-9, 10, size=(n, d)).astype(dtype)


# ---- what an update may be -------------------------------------------------------------------------------------

# From a row of 12 numbers to an update, and to what the result must be for a row of 12 numbers.
AS_GIVEN = {
    "array": lambda x: x,
    "matrix": lambda x: x.reshape(3, 4),
    "tensor": lambda x: x.reshape(2, 1, 3, 2),
    "list of layers": lambda x: [x[:5], x[5:].reshape(7, 1)],
    "tuple of layers": lambda x: (x[:5], x[5:]),
    "named tuple": lambda x: Pair(w=x[:6].reshape(2, 3), b=x[6:]),
    "dict": lambda x: {"w": x[:6].reshape(2, 3), "b": x[6:]},
    "ordered dict": lambda x: OrderedDict(w=x[:6].reshape(2, 3), b=x[6:]),
    "nested": lambda x: {"a": [x[:2], {"b": (x[2:5], x[5:6].reshape(1, 1))}], 7: OrderedDict({(0, 1): x[6:]})},
    "one layer": lambda x: [x],
    "layers of one number": lambda x: [x[k : k + 1] for k in range(12)],
    "layers without axes": lambda x: {"scale": x[:1].reshape(()), "rest": x[1:]},
    "empty layers": lambda x: [x[:0], x.reshape(3, 4), {"none": x[:0].reshape(3, 0, 2)}, x[:0]],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", AS_GIVEN)
def test_result_has_the_structure_shapes_and_dtype_of_an_update(form, dtype):
    make, X = AS_GIVEN[form], integers(4, dtype=dtype)
    updates = [make(x) for x in X]
    assert same_bits(rc.mean(updates), make(twins.mean(X).astype(dtype)))
    assert same_bits(rc.mean(tuple(updates)), rc.mean(updates))
    assert same_bits(rc.krum(updates, f=1), make(X[twins.krum(twins.pairwise_sqdist(X), 1)]))
    assert same_bits(rc.pairwise_sqdist(updates), rc.pairwise_sqdist(X))


AS_NUMPY = {
    "numbers": lambda x: x.tolist(),
    "tuple of numbers": lambda x: tuple(x.tolist()),
    "layers of numbers": lambda x: [x[:5].tolist(), x[5:].tolist()],
    "array.array": lambda x: array.array("d", x.tolist()),
    "memoryview": lambda x: memoryview(x.reshape(3, 4)),
    "bytes of a larger buffer": lambda x: memoryview(bytearray(x.tobytes() * 2)).cast("d")[:12],
    "DLPack": OnlyDLPack,
    "DLPack of old": OldDLPack,
    "DLPack layers": lambda x: {"a": OnlyDLPack(x[:5]), "b": [OnlyDLPack(x[5:].reshape(7, 1))]},
    "strided": lambda x: np.repeat(x, 3)[::3],
    "negative strides": lambda x: x[::-1].copy()[::-1],
    "fortran": lambda x: np.asfortranarray(x.reshape(3, 4)),
    "transposed tensor": lambda x: x.reshape(2, 2, 3).transpose(2, 0, 1).copy().transpose(1, 2, 0),
    "read-only": lambda x: np.frombuffer(x.tobytes()),
    "unaligned": lambda x: np.frombuffer(b"???" + x.tobytes(), F64, offset=3),
    "broadcast": lambda x: np.broadcast_to(x, (5, 12)),
    "subclass": lambda x: x.view(np.recarray),
}


def as_numpy(update):
    """The same structure of plain numpy arrays."""
    if isinstance(update, dict):
        return {key: as_numpy(part) for key, part in update.items()}
    if isinstance(update, (list, tuple)) and not isinstance(update[0], float):
        return [as_numpy(part) for part in update]
    if isinstance(update, OnlyDLPack):
        update = update._values
    return np.array(update)


@pytest.mark.parametrize("form", AS_NUMPY)
def test_other_holders_of_memory_come_back_as_numpy_arrays(form):
    make, X = AS_NUMPY[form], integers(4)
    updates = [make(x) for x in X]
    plain = [as_numpy(update) for update in updates]
    assert same_bits(rc.mean(updates), rc.mean(plain))
    assert same_bits(rc.pairwise_sqdist(updates), rc.pairwise_sqdist(plain))
    mixed = [plain[0], updates[1], plain[2], updates[3]]  # the first client gives the pattern
    assert same_bits(rc.mean(mixed), rc.mean(plain))


def test_arrays_of_another_library_come_back_as_such():
    X = integers(4)
    for value in (rc.mean([OtherArray(x) for x in X]), rc.mean([{"w": OtherArray(x)} for x in X])["w"]):
        assert isinstance(value, OtherArray)
        assert np.array_equal(np.from_dlpack(value), twins.mean(X))


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_tensors(dtype):
    torch = pytest.importorskip("torch")
    X = integers(4)
    tensors = torch.tensor(X).to(getattr(torch, np.dtype(dtype).name))
    expected = torch.tensor(twins.mean(X)).to(tensors.dtype)
    for value in (
        rc.mean(tensors),
        rc.mean(list(tensors.requires_grad_())),
        rc.mean([OrderedDict(w=t.reshape(3, 4).T) for t in tensors])["w"].T.reshape(12),
    ):
        assert value.dtype == tensors.dtype
        assert torch.equal(value, expected)
    assert same_bits(rc.pairwise_sqdist(tensors), rc.pairwise_sqdist(X.astype(dtype)))


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_byte_order_is_kept(dtype):
    X, swapped = integers(4, dtype=dtype), np.dtype(dtype).newbyteorder(">")
    value = rc.mean(X.astype(swapped))
    assert value.dtype == swapped
    assert np.array_equal(value, twins.mean(X))
    mixed = rc.mean([X[0], X[1].astype(swapped), X[2], X[3].astype(swapped)])  # as the first client has it
    assert same_bits(mixed, twins.mean(X).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_maps(dtype, tmp_path):
    X = integers(4, dtype=dtype)
    X.tofile(tmp_path / "all")
    assert same_bits(rc.mean(np.memmap(tmp_path / "all", dtype, "r", shape=X.shape)), twins.mean(X).astype(dtype))
    for i, x in enumerate(X):
        x.tofile(tmp_path / f"{i}")
    value = rc.mean([[np.memmap(tmp_path / f"{i}", dtype, "r", shape=(3, 4))] for i in range(4)])
    assert same_bits(value, [twins.mean(X).astype(dtype).reshape(3, 4)])


@pytest.mark.parametrize("shape", [(4, 12), (4, 3, 4), (4, 2, 1, 6), (4, 12, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_one_array_for_all_clients(shape, order):
    X = integers(4)
    value = rc.mean(np.array(X.reshape(shape), order=order))
    assert same_bits(value, twins.mean(X).reshape(shape[1:]))


def test_other_collections_of_clients():
    X = integers(4)
    of_objects = np.empty(4, object)
    of_objects[:] = list(X)
    for clients in (UserList(X), deque(X), of_objects, OnlyDLPack(X), memoryview(X)):
        assert same_bits(rc.mean(clients), twins.mean(X))


def test_dicts_are_matched_by_key_in_the_order_of_the_first_client():
    X = integers(4)
    updates = [{"w": x[:5], "b": x[5:]} if i % 3 == 0 else {"b": x[5:], "w": x[:5]} for i, x in enumerate(X)]
    expected = twins.mean(X)
    assert same_bits(rc.mean(updates), {"w": expected[:5], "b": expected[5:]})


def test_lists_and_tuples_are_the_same_structure():
    X = integers(4)
    updates = [[x[:5], x[5:]] if i % 2 == 0 else (x[:5], x[5:]) for i, x in enumerate(X)]
    assert isinstance(rc.mean(updates), list)
    assert isinstance(rc.mean(updates[1:]), tuple)


def test_dicts_with_a_default_are_dicts():
    X = integers(4)
    updates = [collections.defaultdict(list, w=x) for x in X]
    value = rc.mean(updates)
    assert dict(value).keys() == {"w"}
    assert same_bits(value["w"], twins.mean(X))


def test_a_missing_key_is_not_made_up_in_the_client_s_own_dict():
    updates = [collections.defaultdict(list, w=np.ones(2)) for _ in range(3)]
    updates[1]["v"] = updates[1].pop("w")
    with pytest.raises(ValueError, match=r"client 1.*'w'"):
        rc.mean(updates)
    assert list(updates[1]) == ["v"]


def test_nothing_of_the_caller_s_is_changed_or_given_back():
    X = integers(5)
    before = X.copy()
    for value in (rc.krum(X, 1), rc.mean(X), rc.multi_krum(list(X), 1), rc.krum([x[:4] for x in X], 0)):
        assert not np.shares_memory(value, X)
        value[:] = -1
    assert same_bits(X, before)


# ---- nothing is copied -----------------------------------------------------------------------------------------

LARGE = 1_000_000
COPYLESS = {
    "array": lambda X: X,
    "rows": list,
    "layers": lambda X: [[x[:10], x[10:].reshape(-1, 10)] for x in X],
    "dicts": lambda X: [{"w": x[: LARGE // 2], "b": x[LARGE // 2 :]} for x in X],
    "strided": lambda X: [x[::-2] for x in X],
    "DLPack": lambda X: [OnlyDLPack(x) for x in X],
    "big-endian": lambda X: X.view(">f4"),
    "bfloat16": lambda X: X.view(BF16),
}


@pytest.mark.parametrize("form", COPYLESS)
def test_nothing_is_copied(form):
    """Six clients of 4 MB: what Python allocates meanwhile is less than a hundredth of one."""
    updates = COPYLESS[form](np.zeros((6, LARGE + 20), F32))
    tracemalloc.start()
    try:
        rc.pairwise_sqdist(updates)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000


def test_only_the_result_is_allocated():
    X = np.zeros((6, LARGE), F32)
    tracemalloc.start()
    try:
        rc.multi_krum(X, f=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert X[0].nbytes <= peak < X[0].nbytes + 40_000


# ---- errors ----------------------------------------------------------------------------------------------------


def good(k=1.0):
    """A client's update, in which to spoil something."""
    return {"w": np.full((2, 3), k), "b": [np.full(4, k), {"c": np.full(1, k)}]}


def endless():
    """A list in itself."""
    layers = []
    layers.append(layers)
    return layers


def changed(w=None, first=None, c=None):
    update = good()
    if w is not None:
        update["w"] = w
    if first is not None:
        update["b"][0] = first
    if c is not None:
        update["b"][1]["c"] = c
    return update


# The malformed update, and what the message says after the number of the client.
MALFORMED = {
    "other dtype": (changed(w=np.ones((2, 3), F32)), r"layer 'w': .*float32.*float64"),
    "other dtype deep down": (changed(c=np.ones(1, F16)), r"layer 'b'\[1\]\['c'\]: .*float16.*float64"),
    "bfloat16": (changed(first=np.ones(4, BF16)), r"layer 'b'\[0\]: .*bfloat16.*float64"),
    "transposed": (changed(w=np.ones((3, 2))), r"layer 'w': .*\(3, 2\).*\(2, 3\)"),
    "flattened": (changed(w=np.ones(6)), r"layer 'w': .*\(6,\).*\(2, 3\)"),
    "longer": (changed(first=np.ones(5)), r"layer 'b'\[0\]: .*\(5,\).*\(4,\)"),
    "empty": (changed(first=np.ones(0)), r"layer 'b'\[0\]: .*\(0,\).*\(4,\)"),
    "without axes": (changed(c=np.array(1.0)), r"layer 'b'\[1\]\['c'\]: .*\(\).*\(1,\)"),
    "objects": (changed(first=np.array([None] * 4)), r"layer 'b'\[0\]: .*object"),
    "object numbers": (changed(first=np.array([1.0] * 4, object)), r"layer 'b'\[0\]: .*object"),
    "integers": (changed(w=np.ones((2, 3), np.int64)), r"layer 'w': .*int64.*float64"),
    "booleans": (changed(w=np.ones((2, 3), np.bool_)), r"layer 'w': .*bool.*float64"),
    "complex": (changed(w=np.ones((2, 3), np.complex128)), r"layer 'w': .*complex128.*float32"),
    "records": (changed(first=np.ones(4, "f8,f8")), r"layer 'b'\[0\]: .*void.*float32"),
    "dates": (changed(first=np.zeros(4, "M8[s]")), r"layer 'b'\[0\]: .*datetime64.*float32"),
    "text array": (changed(first=np.array(["a"] * 4)), r"layer 'b'\[0\]: .*str.*float32"),
    "masked": (changed(w=np.ma.ones((2, 3))), r"layer 'w': .*masked"),
    "None": (good() | {"w": None}, r"layer 'w': .*None"),
    "string": (changed(w="weights"), r"layer 'w': .*str"),
    "bytes": (changed(w=b"weights"), r"layer 'w': "),
    "number": (changed(w=1.5), r"layer 'w': .*float"),
    "number too large": (changed(first=[1.0, 10**400, 1.0, 1.0]), r"layer 'b'\[0\]: .*large"),
    "list in itself": (changed(w=endless()), r".*(nested|list)"),
    "function": (changed(w=len), r"layer 'w': "),
    "on an accelerator": (changed(first=OnAccelerator(np.ones(4))), r"layer 'b'\[0\]: .*accelerator.*CPU"),
    "list for an array": (changed(w=[np.ones(3), np.ones(3)]), r"layer 'w'"),
    "dict for an array": (changed(first={"x": np.ones(4)}), r"layer 'b'\[0\]"),
    "array for a list": (good() | {"b": np.ones(5)}, r"layer 'b': .*ndarray.*list"),
    "list for a dict": (good() | {"b": [np.ones(4), [np.ones(1)]]}, r"layer 'b'\[1\]: .*list.*dict"),
    "too few layers": (good() | {"b": [np.ones(4)]}, r"layer 'b': .*1.*2"),
    "too many layers": (good() | {"b": [np.ones(4), good()["b"][1], np.ones(1)]}, r"layer 'b': .*3.*2"),
    "wrong key": ({"w": np.ones((2, 3)), "bias": good()["b"]}, r".*'b'"),
    "wrong key deep down": (good() | {"b": [np.ones(4), {"C": np.ones(1)}]}, r"layer 'b'\[1\]: .*'c'"),
    "missing key": ({"w": np.ones((2, 3))}, r".*'b'"),
    "additional key": (good() | {"extra": np.ones(1)}, r".*'extra'"),
    "no keys": ({}, r".*'w'"),
    "nothing at all": (None, r".*None"),
    "why there is nothing": (TimeoutError("no reply"), r".*no reply"),
    "an array for a dict": (np.ones(11), r".*ndarray.*dict"),
    "a list for a dict": ([np.ones((2, 3)), good()["b"]], r".*list.*dict"),
    "a string for a dict": ("update", r".*str"),
}


@pytest.mark.parametrize("i", [0, 1, 4])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_update_is_named_whoever_sent_it(kind, i):
    update, where = MALFORMED[kind]
    X = [good() for _ in range(4)]
    X.insert(i, update)
    for call in (rc.mean, rc.pairwise_sqdist, lambda X: rc.krum(X, 1), lambda X: rc.krum_scores(X, 1)):
        with pytest.raises(ValueError, match=rf"^client {i}(, |: ){where}"):
            call(X)


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_update_may_be_dropped(kind):
    X = [good(1.0), MALFORMED[kind][0], good(2.0), good(3.0), good(9.0)]
    r = rc.MultiKrum(f=1).aggregate(X, malformed="drop")
    assert list(r.dropped) == [1]
    assert same_bits(r.value, rc.multi_krum([X[i] for i in (0, 2, 3, 4)], f=0))
    with pytest.raises(rc.ConstraintError, match=r"1 of 5 updates .* f = 0 .*client 1: "):
        rc.krum(X, 0, malformed="drop")


def test_dropped_says_who_where_and_why():
    X = [MALFORMED["transposed"][0], good(), good(), MALFORMED["None"][0], good(), good(), good()]
    X[5]["w"][0, 0] = np.nan
    r = rc.Krum(f=3).aggregate(X, malformed="drop")
    assert list(r.dropped) == [0, 3, 5]
    assert "layer 'w'" in r.dropped[0]
    assert "(3, 2)" in r.dropped[0]
    assert "layer 'w'" in r.dropped[3]
    assert r.dropped[5] == "not finite"
    assert np.isnan(r.scores).nonzero()[0].tolist() == [0, 3, 5]
    assert not r.weights[[0, 3, 5]].any()


def test_several_malformed_updates_are_counted():
    X = [good(), MALFORMED["None"][0], good(), MALFORMED["transposed"][0], good()]
    with pytest.raises(ValueError, match=r"^client 1, layer 'w'.*1 more"):
        rc.mean(X)
    with pytest.raises(rc.ConstraintError, match=r"2 of 5 updates .* f = 1 .*client 1.*client 3"):
        rc.krum(X, 1, malformed="drop")


def test_all_malformed():
    X = [None, "update", 3.0]
    with pytest.raises(ValueError, match=r"^client 0"):
        rc.mean(X)
    with pytest.raises(rc.ConstraintError, match=r"3 of 3 updates"):
        rc.mean(X, malformed="drop")
    with pytest.raises(rc.ConstraintError, match=r"3 of 3 updates"):
        rc.krum(X, 1, malformed="drop")


def test_without_a_majority_the_first_structure_counts():
    with pytest.raises(ValueError, match=r"^client 1: .*\(3,\).*\(2,\)"):
        rc.mean([np.ones(2), np.ones(3)])


@pytest.mark.parametrize("malformed", ["ignore", None, True])
def test_malformed_is_a_choice_of_two(malformed):
    with pytest.raises(ValueError, match=r"malformed.*raise.*drop"):
        rc.mean(integers(4), malformed=malformed)


@pytest.mark.parametrize(
    "X",
    [None, "update", b"update", 3, 2.5, {"a": np.ones(3)}, OrderedDict(a=[1.0]), {1.0, 2.0}, object(), len,
     (x for x in [np.ones(3)]), np.ma.ones((3, 3)), OnAccelerator(np.ones((3, 3)))],
    ids=lambda X: type(X).__name__,
)  # fmt: skip
def test_what_is_no_collection_of_updates(X):
    with pytest.raises(TypeError, match=r"X must be an \(n, d\) array or a sequence of n updates"):
        rc.mean(X)


@pytest.mark.parametrize("X", [np.ones(3), np.array(1.0), OnlyDLPack(np.ones(3)), memoryview(b"abc")])
def test_arrays_need_an_axis_for_clients_and_one_for_coordinates(X):
    with pytest.raises(ValueError, match=r"axis for clients.*\((3,)?\)"):
        rc.mean(X)


@pytest.mark.parametrize("X", [[], (), np.ones((0, 3)), deque()])
def test_no_clients(X):
    with pytest.raises(ValueError, match="no updates"):
        rc.mean(X)


@pytest.mark.parametrize("update", [[], (), {}, [[], {}], np.ones(0), np.ones((3, 0)), {"w": np.ones((0, 2))}])
def test_no_coordinates(update):
    with pytest.raises(ValueError, match=r"no coordinates"):
        rc.mean([update] * 3)


@pytest.mark.parametrize("dtype", [object, np.complex64, np.longdouble, "U3", "M8[s]"])
def test_one_array_of_another_dtype(dtype):
    with pytest.raises(ValueError, match=r"^client 0: .*dtype"):
        rc.mean(np.zeros((3, 2)).astype(dtype))


def test_bfloat16_of_another_library_comes_back_as_that_library_s():
    """As JAX has it: no bfloat16 through DLPack, but through __array__, and a namespace that makes its arrays."""
    ml_dtypes = pytest.importorskip("ml_dtypes")

    class Namespace:
        @staticmethod
        def asarray(array):
            return Foreign(array)

    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **_):
            raise BufferError

        def __dlpack_device__(self):
            return (1, 0)

        def __array__(self, *_, **__):
            return self.array

        def __array_namespace__(self):
            return Namespace

    value = rc.mean([Foreign(np.full(3, x, ml_dtypes.bfloat16)) for x in (1, 2, 3)])
    assert type(value) is Foreign
    assert value.array.dtype == ml_dtypes.bfloat16 and value.array.tolist() == [2.0] * 3


# ---- whole numbers ---------------------------------------------------------------------------------------------


def counted(x, *counters):
    """An update with counters before, in and behind its layers."""
    first, second, third = counters
    return {"steps": first, "w": x[:5], "more": [second, x[5:], third]}


WHOLE = ["int8", "uint8", "int32", ">i4", "int64", "uint64", "bool"]


@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_whole_numbers_become_the_lower_median_in_their_dtype(n, dtype):
    rng, X = np.random.default_rng(n), integers(n)
    counters = [
        rng.integers(0, 2 if dtype == "bool" else 100, (n, *shape)).astype(dtype) for shape in ((), (2, 3), (0,))
    ]
    value = rc.mean([counted(x, *(c[i, ...] for c in counters)) for i, x in enumerate(X)])
    plain = rc.mean([counted(x, x[:1], x[:1], x[:1]) for x in X])
    assert same_bits([value["w"], value["more"][1]], [plain["w"], plain["more"][1]])
    for found, given in zip((value["steps"], value["more"][0], value["more"][2]), counters, strict=True):
        assert found.dtype == given.dtype
        assert np.array_equal(found, np.sort(given, axis=0)[(n - 1) // 2])


def test_rules_do_not_see_whole_numbers():
    X = integers(7)
    updates = [counted(x, np.int64(10**15 * i), np.full(3, i), np.bool_(i % 2)) for i, x in enumerate(X)]
    assert same_bits(rc.pairwise_sqdist(updates), rc.pairwise_sqdist(X))
    assert same_bits(rc.krum_scores(updates, 2), rc.krum_scores(X, 2))
    for rule in (rc.Krum(f=2), rc.Median(f=2), rc.MultiKrum(f=2, mixing=rc.NNM(f=2)), rc.MEBCenter(), rc.Bulyan(f=1)):
        value = rule(updates)
        assert same_bits(np.concatenate([value["w"], value["more"][1]]), rule(X))
        assert value["steps"] == 3 * 10**15
        assert value["more"][0].tolist() == [3, 3, 3]


@pytest.mark.parametrize("rule", [rc.Mean(f=2), rc.Krum(f=2), rc.Median(f=2), rc.TrimmedMean(f=2, mixing=rc.NNM(f=2))])
def test_whole_numbers_of_dropped_clients_do_not_count(rule):
    """Two of seven may lie: one says NaN, one has another dtype; the median is that of the five others."""
    X = integers(7)
    X[1, 3] = np.nan
    updates = [counted(x, np.int64(i), np.full(2, i), np.int8(i)) for i, x in enumerate(X)]
    updates[0]["steps"] = np.int32(0)
    r = rule.aggregate(updates, malformed="drop")
    assert list(r.dropped) == [0, 1]
    assert "int32, where the others have int64" in r.dropped[0]
    assert (r.value["steps"], r.value["more"][0].tolist(), r.value["more"][2]) == (4, [4, 4], 4)


def test_whole_numbers_are_between_those_of_the_honest():
    """Whatever f clients say, for f < n / 2."""
    for n, f, lie in [(5, 2, -(2**63)), (5, 2, 2**63 - 1), (4, 1, -(2**63)), (4, 1, 2**63 - 1)]:
        updates = [{"w": np.ones(1), "steps": np.int64(lie if i < f else 10 + i)} for i in range(n)]
        assert 10 + f <= rc.krum(updates, f=f)["steps"] < 10 + n


WHOLE_MALFORMED = {
    "another shape": (np.ones((2, 1), np.int64), r"shape \(2, 1\), where the others have \(2,\)"),
    "broadcast": (np.ones(1, np.int64), r"shape \(1,\), where the others have \(2,\)"),
    "another dtype": (np.ones(2, np.int32), r"int32, where the others have int64"),
    "unsigned": (np.ones(2, np.uint64), r"uint64, where the others have int64"),
    "truth values": (np.ones(2, np.bool_), r"bool, where the others have int64"),
    "numbers": (np.ones(2), r"float64, where the others have int64"),
    "dates": (np.ones(2, "M8[s]"), r"dtype datetime64"),
}


@pytest.mark.parametrize("i", [0, 1, 3])
@pytest.mark.parametrize("kind", WHOLE_MALFORMED)
def test_whole_numbers_that_are_not_like_the_others(kind, i):
    wrong, why = WHOLE_MALFORMED[kind]
    updates = [{"w": np.ones(3), "steps": wrong if k == i else np.ones(2, np.int64)} for k in range(4)]
    with pytest.raises(ValueError, match=rf"^client {i}, layer 'steps': {why}"):
        rc.krum(updates, 1)
    assert rc.krum(updates, 1, malformed="drop")["steps"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "update", [np.ones(3, np.int32), {"a": np.ones(2, np.bool_)}, [np.ones(0), np.ones(2, np.int8)]]
)
def test_updates_of_whole_numbers_alone_are_refused(update):
    with pytest.raises(ValueError, match=r"(int32|bool|int8) alone.*convert"):
        rc.mean([update] * 3)


def test_blocks_of_whole_numbers():
    """More than are looked at together, in arrays that are not contiguous."""
    counters = np.random.default_rng(0).integers(-99, 99, (3, 70_001, 2), np.int16)
    value = rc.mean([{"w": np.ones(1), "ids": c.T[::-1]} for c in counters])["ids"]
    assert np.array_equal(value, np.median(counters, axis=0).T[::-1])


def test_more_than_updates_may_have_whole_numbers():
    """A center, an output to be judged, a box."""
    X = [counted(x, np.int64(i), np.full(2, i), np.int8(i)) for i, x in enumerate(integers(5))]
    assert rc.centered_clip(X, tau=1e9, center=X[0])["steps"] == 2
    assert rc.certify(X, rc.mean(X), 1).n == 5
    assert rc.validity.trusted_box(X, 1).midpoint["steps"] == 2
    with pytest.raises(ValueError, match=r"center is not like the updates: layer 'steps': shape \(2,\)"):
        rc.centered_clip(X, tau=1e9, center=X[0] | {"steps": np.ones(2, np.int64)})
