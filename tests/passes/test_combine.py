"""The combine pass: weights times rows, rounded once; and what must not change a bit."""

import sys

import ml_dtypes
import numpy as np
import pytest
import twins
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc
from robustcore import _core

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
DTYPES = [F16, BF16, F32, F64]
LENGTHS = [1, 159, 160, 161, 799, 800, 801, 3999, 4000, 4001, 8000, 8001, 16_001]  # strips, stretches of five, blocks


def combine(rows, weights, origin=-1, threads=1):
    """Sum of weights[i] * rows[i] by the kernel, in the dtype of the rows; and whether it says all sums are finite."""
    dtype = rows[0].dtype
    as_passed = np.uint16 if dtype == BF16 else dtype  # the buffer protocol has no bfloat16
    updates = _core.Updates([[row.view(as_passed)] for row in rows], [dtype.name])
    out = np.empty(rows[0].shape, as_passed)
    finite = updates.combine(np.array(weights, np.float64), origin, [out], threads)
    return out.view(dtype), finite


def small_integers(n, d, dtype, seed=0):
    """Numbers whose sums with weights of a few bits are exact in float64, whatever the order."""
    return np.random.default_rng([seed, n, d]).integers(-100, 101, size=(n, d)).astype(dtype)


def shares(n, seed=0):
    """n weights of a few bits that sum to 1, some of them zero or negative."""
    weights = np.random.default_rng([seed, n]).integers(-4, 9, size=n) / 16
    weights[-1] += 1 - weights.sum()
    return weights


def gaussian(n, d, dtype, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d)).astype(dtype)


# ---- the value -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_sums_at_every_length(dtype, d):
    X, weights = small_integers(5, d, dtype), shares(5)
    expected = twins.combine(X, weights).astype(dtype)
    assert same_bits(combine(X, weights)[0], expected)
    for origin in range(5):
        assert np.array_equal(combine(X, weights, origin)[0], expected)


@pytest.mark.parametrize("n", [*range(1, 20), 40])  # the kernel takes eight rows at a time
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_sums_at_every_count(dtype, n):
    X, weights = small_integers(n, 50, dtype), shares(n)
    expected = twins.combine(X, weights).astype(dtype)
    assert same_bits(combine(X, weights)[0], expected)
    assert np.array_equal(combine(X, weights, n // 2)[0], expected)


@pytest.mark.parametrize("origin", [-1, 0, 3])
def test_error_of_rounded_sums(origin):
    X, weights = gaussian(20, 300, F64), np.full(20, 1 / 20)
    error = np.abs(combine(X, weights, origin)[0] - twins.combine(X, weights))
    assert (error <= 40 * 2**-53 * np.abs(X).max(axis=0)).all()


def test_an_origin_saves_the_digits_that_a_common_offset_would_cost():
    noise = small_integers(16, 300, F64)
    value, _ = combine(2.0**36 + noise * 2.0**-10, np.full(16, 1 / 16), origin=3)
    assert np.array_equal(value - 2.0**36, twins.mean(noise) * 2.0**-10)


def test_an_origin_stands_for_what_the_others_leave_of_one():
    X = small_integers(3, 10, F64)
    value, _ = combine(X, [0.5, 123.0, 0.25], origin=1)
    assert np.array_equal(value, twins.combine(X, [0.5, 0.25, 0.25]))


# ---- rounding on the way out -----------------------------------------------------------------------------------


def are_finite(bits, dtype):
    """Of numbers given as unsigned integers; numpy warns about some NaN."""
    infinity = np.array(np.inf, dtype).view(bits.dtype)
    return (bits & ~np.array(-0.0, dtype).view(bits.dtype)) < infinity


def finite_numbers(dtype):
    """All finite numbers of a half-width format, in order from 0, then from -0."""
    bits = np.arange(2**16).astype(np.uint16)
    return bits[are_finite(bits, dtype)].view(dtype)


def neighbours(dtype):
    """All pairs of finite numbers next to each other, of either sign."""
    positive, negative = np.split(finite_numbers(dtype), 2)
    return [np.concatenate([positive[part], negative[part]]) for part in (slice(-1), slice(1, None))]


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_half_way_between_any_two_neighbours_goes_to_the_even_one(dtype, on_every_isa):
    low, high = neighbours(dtype)
    even = np.where(low.view(np.uint16) % 2 == 0, low, high)
    for value, finite in on_every_isa(lambda: combine([low, high], [0.5, 0.5])):
        assert np.array_equal(value, even)
        assert finite


@pytest.mark.parametrize("hair", [2.0**-30, -(2.0**-30)])
@pytest.mark.parametrize("dtype", [F16, BF16])
def test_a_hair_off_half_way_goes_to_the_nearer_neighbour(dtype, hair, on_every_isa):
    """The hair is too thin for a float32: rounding twice, to float32 and then on, would lose it."""
    low, high = neighbours(dtype)
    for value, _ in on_every_isa(lambda: combine([low, high], [0.5 - hair, 0.5 + hair])):
        assert np.array_equal(value, high if hair > 0 else low)


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_every_number_survives_unchanged(dtype, on_every_isa):
    numbers = finite_numbers(dtype)
    for origin in (-1, 0):
        for value, _ in on_every_isa(lambda origin=origin: combine([numbers], [1.0], origin)):
            assert same_bits(value, numbers)


@given(st.integers(0, 2**31 - 2**23 - 2))
def test_float32_half_way_and_a_hair_off(bits):
    low, high = np.array([[bits], [bits + 1]], np.uint32).view(F32)
    even = low if bits % 2 == 0 else high
    assert combine([low, high], [0.5, 0.5])[0] == even
    assert combine([low, high], [0.5 - 2.0**-20, 0.5 + 2.0**-20])[0] == high
    assert combine([low, high], [0.5 + 2.0**-20, 0.5 - 2.0**-20])[0] == low


@pytest.mark.parametrize("dtype", [F16, F32])
@given(weights=st.lists(st.floats(-2, 2), min_size=3, max_size=3), seed=st.integers(0, 1000))
def test_outputs_are_the_rounded_float64_sums(dtype, weights, seed):
    X = gaussian(3, 40, F64, seed).astype(dtype)
    in_float64, _ = combine(X.astype(F64), weights)
    assert np.array_equal(combine(X, weights)[0], in_float64.astype(dtype))


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(1.0, 65504), (1.0 + 1 / 4096, 65504), (1.0 + 1 / 4094, np.inf), (2.0, np.inf), (1e30, np.inf), (-2.0, -np.inf)],
)
def test_float16_overflows_to_infinity_from_half_a_unit_above_the_largest(weight, expected, on_every_isa):
    # The largest is 65504; half a unit above is 65520 = 65504 * (1 + 1/4094), and ties go to the even 65536.
    X = np.full((1, 40), 65504, F16)
    for value, finite in on_every_isa(lambda: combine(X, [weight])):
        assert (value == expected).all()
        assert finite  # the sum is


def test_bfloat16_and_float32_overflow_to_infinity():
    for dtype, largest in ((BF16, ml_dtypes.finfo(BF16).max), (F32, np.finfo(F32).max)):
        X = np.full((1, 3), largest, dtype)
        assert (combine(X, [1.0])[0] == largest).all()
        assert (combine(X, [-1.5])[0].astype(F64) == -np.inf).all()


# ---- equal rows ------------------------------------------------------------------------------------------------


def hostile_numbers(dtype):
    """Finite numbers of all sizes, among them the largest, the smallest and zeros."""
    size = np.dtype(dtype).itemsize
    info = ml_dtypes.finfo(dtype)
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * size) - 1, size=900, dtype=f"u{size}", endpoint=True)
    ends = np.array([0.0, info.max, -info.max, info.tiny, info.smallest_subnormal, -info.smallest_subnormal], dtype)
    return np.concatenate([bits[are_finite(bits, dtype)].view(dtype), ends])


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_of_equal_rows_is_that_row_bit_for_bit(dtype):
    row = hostile_numbers(dtype)
    for n in range(1, 41):
        assert same_bits(rc.mean([row] * n), row)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_of_zeros_of_either_sign_is_zero(dtype):
    for n in range(1, 41):
        assert not rc.mean(np.full((n, 3), -0.0, dtype)).astype(F64).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_affine_combination_of_equal_rows_on_every_instruction_set(dtype, on_every_isa):
    row = hostile_numbers(dtype)
    for value, finite in on_every_isa(lambda: combine([row] * 11, shares(11), origin=4)):
        assert same_bits(value, row)
        assert finite


# ---- what is not read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("origin", [-1, 1])
def test_rows_of_weight_zero_do_not_count(dtype, origin):
    X = small_integers(6, 1700, dtype)
    X[0], X[3, 5], X[5, -1] = np.nan, np.inf, -np.inf
    weights = [0.0, 0.75, 0.125, -0.0, 0.125, 0.0]
    value, finite = combine(X, weights, origin)
    assert finite
    assert np.array_equal(value, twins.combine(X[[1, 2, 4]], [0.75, 0.125, 0.125]).astype(dtype))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mprotect by its name in libc")
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_of_weight_zero_are_never_read(run_script, dtype):
    script = f"""
        import ctypes, mmap, numpy as np
        from robustcore import _core
        memory = mmap.mmap(-1, 1 << 20)
        forbidden = np.frombuffer(memory, "{dtype}")
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(forbidden.ctypes.data), ctypes.c_size_t(1 << 20), 0) == 0
        allowed = np.ones_like(np.broadcast_to(forbidden[:0], (1, 0)), shape=forbidden.shape)
        updates = _core.Updates([[forbidden], [allowed], [forbidden], [allowed]], ["{dtype}"])
        out = np.empty_like(allowed)
        for origin in (-1, 1):
            assert updates.combine(np.array([0, 0.5, 0, 0.5]), origin, [out], 2)
            assert (out == 1).all()
        print("not read", flush=True)
        updates.combine(np.array([0.5, 0.5, 0, 0]), -1, [out], 1)
        print("read")
    """
    answer = run_script(script)
    assert answer.stdout == "not read\n", answer.stderr  # and the last line, which does read it, died
    assert answer.returncode < 0


# ---- what is not finite ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 800, 8000, -1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("origin", [-1, 0, 1])
def test_sums_that_are_not_finite_are_told(origin, dtype, where, bad):
    X = gaussian(3, 8003, dtype)
    X[1, where] = bad
    value, finite = combine(X, [0.5, 0.25, 0.25], origin)
    assert not finite
    assert (~np.isfinite(value.astype(F64))).nonzero()[0].tolist() == [where % 8003]


@pytest.mark.parametrize("dtype", DTYPES)
def test_finite_rows_are_found(dtype):
    X = gaussian(5, 8003, dtype)
    X[1, 0], X[3, -1], X[4, 8000] = np.nan, np.inf, -np.inf
    updates = _core.Updates([[row.view(np.uint16) if dtype is BF16 else row] for row in X], [np.dtype(dtype).name])
    assert updates.finite_rows(2).tolist() == [True, False, True, False, False]


# ---- structure, threads, instruction sets ----------------------------------------------------------------------


def test_layers_of_several_dtypes_across_strips():
    rng = np.random.default_rng(0)
    dtypes, lengths = [F32, F64, F16, F32], [801, 7300, 13, 900]
    X = [[rng.integers(-9, 9, size=d).astype(t) for t, d in zip(dtypes, lengths, strict=True)] for _ in range(4)]
    value = rc.mean(X)
    for s, (dtype, layer) in enumerate(zip(dtypes, value, strict=True)):
        assert same_bits(layer, twins.mean([row[s] for row in X]).astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_memory_order_of_rows_does_not_change_a_bit(dtype):
    X = gaussian(5, 16_806, dtype)
    value = rc.mean(X)
    layers = [{"a": row[:805].reshape(5, 161), "b": row[805:]} for row in X]
    assert same_bits(rc.mean(np.asfortranarray(X)), value)
    assert same_bits(rc.mean(list(X[:, ::-1].copy()[:, ::-1])), value)
    assert same_bits(rc.mean(layers), {"a": value[:805].reshape(5, 161), "b": value[805:]})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("origin", [-1, 7])
def test_threads_do_not_change_a_bit(dtype, origin):
    X, weights = gaussian(13, 50_001, dtype), shares(13)
    one, two, seven = (combine(X, weights, origin, threads)[0] for threads in (1, 2, 7))
    assert same_bits(one, two)
    assert same_bits(one, seven)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("origin", [-1, 7])
def test_instruction_sets_do_not_change_a_bit(dtype, origin, on_every_isa):
    X, weights = gaussian(13, 4801, dtype), np.full(13, 1 / 13)
    found = on_every_isa(lambda: combine(X, weights, origin)[0])
    assert all(same_bits(value, found[0]) for value in found)


# ---- the binding -----------------------------------------------------------------------------------------------


def test_the_binding_refuses_what_does_not_fit():
    updates = _core.Updates([[np.ones(3)], [np.ones(3)]], ["float64"])
    half = np.full(2, 0.5)
    with pytest.raises(ValueError, match="one weight for each row"):
        updates.combine(np.ones(3), -1, [np.empty(3)], 1)
    for origin in (2, -2):
        with pytest.raises(ValueError, match="an origin among them"):
            updates.combine(half, origin, [np.empty(3)], 1)
    with pytest.raises(ValueError, match="one output for each segment"):
        updates.combine(half, -1, [np.empty(3), np.empty(3)], 1)
    with pytest.raises(ValueError, match="size of its segment"):
        updates.combine(half, -1, [np.empty(2)], 1)


@pytest.mark.parametrize(
    ("rows", "row", "segment"),
    [
        ([[np.ones(3)], [np.ones(4)]], 1, 0),
        ([[np.ones(3)], [np.ones((3, 1))]], 1, 0),
        ([[np.ones(3), np.ones(2)], [np.ones(3), np.ones(2, F32)]], 1, 1),
        ([[np.ones(3), np.ones(2)], [np.ones(3)]], 1, 1),
        ([[np.ones(3, np.int64)]], 0, 0),
        ([[np.ones(0)]], 0, 0),
    ],
)
def test_the_binding_says_where_rows_differ(rows, row, segment):
    with pytest.raises(_core.Mismatch, match=f"row {row}, segment {segment}") as error:
        _core.Updates(rows, ["float64"] * len(rows[0]))
    assert (error.value.row, error.value.segment) == (row, segment)
