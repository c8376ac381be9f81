"""The distances pass: the error against the exact twin, and what must not change a bit."""

import itertools
import os
import platform
import sys
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import twins
from bits import same_bits

import robustcore as rc
from robustcore import _core

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64
DTYPES = [F16, BF16, F32, F64]
STATED_ERROR = {F16: 1e-6, BF16: 1e-6, F32: 1e-6, F64: 1e-13}
LENGTHS = [1, 159, 160, 161, 799, 800, 801, 7999, 8000, 8001, 16001]  # around a run, a strip, a block, two blocks
COUNTS = [*range(1, 13), 23, 24, 25, 127, 128, 129, 131, 260]  # around tiles, packed strips, panels of rows


def far(dtype):
    return {F16: 6e4, BF16: 1e30, F32: 1e30, F64: 1e200}[dtype]


# What the rows look like: n rows of d float64 numbers, to be rounded to a dtype.
def gaussian(rng, n, d, dtype):
    return rng.normal(size=(n, d))


def constant_rows(rng, n, d, dtype):  # every square is rounded the same way
    return np.broadcast_to(rng.normal(size=(n, 1)), (n, d))


def common_offset(rng, n, d, dtype):
    return 1e4 + 1e-2 * rng.normal(size=(n, d))


def one_far_row(rng, n, d, dtype):
    X = rng.normal(size=(n, d))
    X[n // 2] = far(dtype)
    return X


def far_coordinates(rng, n, d, dtype):
    X = rng.normal(size=(n, d))
    X[rng.random((n, d)) < 2 / d] = far(dtype)
    return X


def subnormals(rng, n, d, dtype):
    return rng.normal(size=(n, d)) * {F16: 1e-6, BF16: 1e-40, F32: 1e-40, F64: 1e-100}[dtype]


def squares_are_subnormal(rng, n, d, dtype):
    return rng.normal(size=(n, d)) * (1e-6 if dtype is F16 else 1e-25)


def subnormals_among_normals(rng, n, d, dtype):
    smallest = {F16: 1e-7, BF16: 1e-39, F32: 1e-39, F64: 1e-310}[dtype]
    return np.where(rng.random((n, d)) < 0.5, 1.0, smallest) * rng.normal(size=(n, d))


def mixed_magnitudes(rng, n, d, dtype):
    widest = {F16: 4, BF16: 30, F32: 30, F64: 100}[dtype]
    return rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-widest, widest - 1, size=(n, d))


KINDS = [
    gaussian, constant_rows, common_offset, one_far_row, far_coordinates, subnormals, squares_are_subnormal,
    subnormals_among_normals, mixed_magnitudes,
]  # fmt: skip


def data(kind, n, d, dtype, seed=0):
    return kind(np.random.default_rng([seed, n, d]), n, d, dtype).astype(dtype)


def assert_within_stated_error(X, dtype):
    D, exact = rc.pairwise_sqdist(X), twins.pairwise_sqdist(X)
    assert D.dtype == np.float64
    assert np.array_equal(np.isinf(D), np.isinf(exact))
    finite = np.isfinite(exact)
    assert (np.abs(D[finite] - exact[finite]) <= STATED_ERROR[dtype] * exact[finite]).all()


# ---- accuracy --------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("d", LENGTHS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_error_at_every_length(kind, dtype, d):
    assert_within_stated_error(data(kind, 4, d, dtype), dtype)


@pytest.mark.parametrize("n", COUNTS)
@pytest.mark.parametrize("dtype", [F32, F64])
def test_error_at_every_count(dtype, n):
    assert_within_stated_error(data(one_far_row, n, 9, dtype), dtype)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_error_of_constant_rows(dtype):
    """All roundings of a lane point the same way; of the 20,000 pairs, some come close to the error bound."""
    X = np.random.default_rng(0).normal(size=(200, 1)).astype(dtype)
    exact = 8000 * twins.pairwise_sqdist(X)
    D = rc.pairwise_sqdist(np.repeat(X, 8000, axis=1))
    assert (np.abs(D - exact) <= STATED_ERROR[dtype] * exact).all()


@pytest.mark.parametrize("order", list(itertools.permutations([F32, F64, F16])))
def test_error_of_layers_of_several_dtypes(order):
    rng = np.random.default_rng(0)
    lengths = [701, 9005, 150]
    X = [[rng.normal(size=length).astype(dtype) for dtype, length in zip(order, lengths, strict=True)] for _ in "1234"]
    exact = sum(twins.pairwise_sqdist([layers[s] for layers in X]) for s in range(3))
    assert (np.abs(rc.pairwise_sqdist(X) - exact) <= 1e-6 * exact).all()


def test_float64_rows_beyond_1e154_apart_are_infinitely_far():
    D = rc.pairwise_sqdist(np.array([[1e200], [0.0], [1.0], [-1e200]]))
    assert D[1:3, 1:3].tolist() == [[0, 1], [1, 0]]
    assert np.isinf(D).tolist() == [[i != j and {i, j} != {1, 2} for j in range(4)] for i in range(4)]


# ---- the matrix ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", COUNTS)
def test_symmetric_with_zero_diagonal(n):
    D = rc.pairwise_sqdist(data(mixed_magnitudes, n, 803, F32))
    assert D.shape == (n, n)
    assert same_bits(D, np.ascontiguousarray(D.T))
    assert not D.diagonal().any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 803, 8001])
def test_equal_rows_are_at_exactly_zero(dtype, d):
    one, other = data(gaussian, 2, d, dtype)
    D = rc.pairwise_sqdist([one, other, one.copy(), other, one])
    assert (D == 0).tolist() == [[i % 2 == j % 2 for j in range(5)] for i in range(5)]


@pytest.mark.parametrize("dtype", [F32, F64])
def test_frozen_layers_add_exactly_zero(dtype):
    frozen, tuned = data(gaussian, 1, 20_000, dtype)[0], data(gaussian, 6, 50, dtype, seed=1)
    with_frozen = rc.pairwise_sqdist([[row, frozen] for row in tuned])
    assert same_bits(with_frozen, rc.pairwise_sqdist(tuned))


def test_zeros_of_either_sign_are_equal():
    assert not rc.pairwise_sqdist(np.array([[0.0, -0.0], [-0.0, 0.0]], F32)).any()


# ---- D[i, j] depends on rows i and j alone ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [gaussian, one_far_row, squares_are_subnormal, mixed_magnitudes])
def test_some_rows_give_the_submatrix(kind, dtype):
    X = data(kind, 140, 803, dtype)
    X[7] = X[3] = X[131]
    D = rc.pairwise_sqdist(X)
    for some in ([131, 7, 3], np.random.default_rng(1).permutation(140)[:129], range(1, 140), [5, 139], [9]):
        assert same_bits(rc.pairwise_sqdist(X[some]), D[np.ix_(some, some)])


def test_some_rows_give_the_submatrix_when_differences_vanish():
    """Next to a float32 layer, squares of float64 differences may underflow to zero for some pairs and not others."""
    X = [[np.zeros(800, F32), np.array([x])] for x in (0.0, 1.5e-162, -1.5e-162, 3e-162)]
    D = rc.pairwise_sqdist(X)
    for some in itertools.chain.from_iterable(itertools.permutations(range(4), k) for k in (2, 3, 4)):
        assert same_bits(rc.pairwise_sqdist([X[i] for i in some]), D[np.ix_(some, some)])


# ---- the structure that carries the numbers changes nothing ----------------------------------------------------


def cut(row):
    """A row as layers of odd sizes and shapes, some across strips, one in Fortran order, one empty."""
    cuts = [1, 160, 161, 162, 962, 1042, 9049]
    a, b, c, d, e, f, g, h = np.split(row, cuts)
    matrix, tensor = e.reshape(20, 40), np.asfortranarray(f.reshape(4, 4, 5))
    return [a, {"b": b, "c": (c.reshape(()), d)}, matrix, tensor, row[:0], g, h]


def strided(X):
    wide = np.empty((len(X), 3 * X.shape[1]), X.dtype)
    wide[:, 1::3] = X
    return wide[:, 1::3]


def reversed_memory(X):
    return X[::-1, ::-1].copy()[::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def unaligned(X):
    return np.frombuffer(b"x" + X.tobytes(), X.dtype, offset=1).reshape(X.shape)


FORMS = {
    "list of rows": list,
    "tuple of rows": tuple,
    "layers": lambda X: [cut(row) for row in X],
    "single numbers": lambda X: [{k: row[k : k + 1] for k in range(300)} | {"rest": row[300:]} for row in X],
    "dict": lambda X: [{"w": row[:5000], "b": row[5000:]} for row in X],
    "dict in different orders": lambda X: [
        dict(sorted({"w": row[:5000], "b": row[5000:]}.items(), reverse=i % 2 == 0)) for i, row in enumerate(X)
    ],
    "matrices": lambda X: X.reshape(len(X), 2, -1),
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": reversed_memory,
    "read-only": read_only,
    "unaligned": unaligned,
    "one of each": lambda X: [read_only(X)[0], strided(X)[1], reversed_memory(X)[2], unaligned(X)[3], *X[4:]],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [5, 30])  # many rows are packed side by side, a few are read where they lie
def test_structure_does_not_change_a_bit(form, dtype, n):
    X = data(gaussian, n, 16_806, dtype)
    assert same_bits(rc.pairwise_sqdist(FORMS[form](X)), rc.pairwise_sqdist(X))


@pytest.mark.parametrize("dtype", [F16, F32, F64])
def test_byte_order_does_not_change_a_bit(dtype):
    X = data(gaussian, 5, 16_806, dtype)
    swapped = X.astype(np.dtype(dtype).newbyteorder(">"))
    assert same_bits(rc.pairwise_sqdist(swapped), rc.pairwise_sqdist(X))
    assert same_bits(rc.pairwise_sqdist([*X[:3], *strided(swapped)[3:]]), rc.pairwise_sqdist(X))


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_map_does_not_change_a_bit(dtype, tmp_path):
    X = data(gaussian, 5, 16_806, dtype)
    X.tofile(tmp_path / "updates")
    mapped = np.memmap(tmp_path / "updates", dtype, mode="r", shape=X.shape)
    assert same_bits(rc.pairwise_sqdist(mapped), rc.pairwise_sqdist(X))
    assert same_bits(rc.pairwise_sqdist(list(mapped)), rc.pairwise_sqdist(X))


def test_broadcast_rows_are_read_through_their_strides():
    X = np.broadcast_to(data(gaussian, 6, 1, F32), (6, 8803))
    assert same_bits(rc.pairwise_sqdist(X), rc.pairwise_sqdist(X.copy()))


# ---- float64 numbers whose squares float64 cannot hold ----------------------------------------------------------


def scaled(X, scale, threads=1):
    updates = _core.Updates([[row] for row in X], ["float64"])
    D = updates.sqdist(threads)
    updates.sqdist_scaled(D, scale, threads)
    return D


@pytest.mark.parametrize(("n", "d"), [(1, 3), (5, 1), (7, 8801), (130, 17)])
@pytest.mark.parametrize(("size", "exponent"), [(1e-200, 600), (1e-300, 600), (1e200, -600), (1e300, -600)])
def test_scaled_distances_are_the_distances_of_scaled_rows(size, exponent, n, d):
    X = size * data(gaussian, n, d, F64)
    expected = rc.pairwise_sqdist(np.ldexp(X, exponent))
    for threads in (1, 2, 7):
        assert same_bits(scaled(X, 2.0**exponent, threads), expected)


@pytest.mark.parametrize(
    ("places", "scale"),
    [
        ([0.0, 1e-200, 3e-200, 5e-324, 2e-125], 2.0**600),
        ([0.0, 1e200, -3e200, 2e100], 2.0**-600),
        ([1.7e308, -1.7e308, 1e300], 2.0**-600),  # even the differences are beyond float64
    ],
)
def test_scaled_distances_next_to_those_that_need_no_scale(places, scale, on_every_isa):
    expected = [[float((Fraction(scale) * (Fraction(x) - Fraction(y))) ** 2) for y in places] for x in places]
    for D in on_every_isa(lambda: scaled(np.array([[x, 5.0] for x in places]), scale)):
        assert np.allclose(D, expected, rtol=1e-14, atol=0)


# ---- neither do threads and instruction sets -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "d"), [(24, 40_001), (131, 16_001), (300, 900)])
def test_threads_do_not_change_a_bit(dtype, n, d):
    X = data(one_far_row, n, d, dtype)
    found = []
    for threads in (1, 2, 7):
        with rc.num_threads(threads):
            found.append(rc.pairwise_sqdist(X))
    assert same_bits(found[0], found[1])
    assert same_bits(found[0], found[2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [gaussian, one_far_row, squares_are_subnormal, subnormals_among_normals])
def test_instruction_sets_do_not_change_a_bit(kind, dtype, on_every_isa):
    for n, d in ((1, 5), (2, 801), (7, 163), (11, 1600), (131, 3), (5, 8001)):
        X = data(kind, n, d, dtype)
        found = on_every_isa(lambda X=X: rc.pairwise_sqdist(X))
        assert all(same_bits(D, found[0]) for D in found)


@pytest.mark.slow
def test_instruction_set_from_the_environment(run_script):
    script = """
        import numpy as np, robustcore as rc
        X = np.random.default_rng(0).normal(size=(3, 1000)).astype(np.float32)
        print(rc.build_info()["isa"], rc.pairwise_sqdist(X).tobytes().hex())
    """
    plain, baseline = run_script(script), run_script(script, ROBUSTCORE_ISA="baseline")
    assert plain.returncode == baseline.returncode == 0
    assert baseline.stdout.split()[0] == "baseline"
    assert plain.stdout.split()[1] == baseline.stdout.split()[1]


@pytest.mark.slow
def test_unknown_instruction_set_in_the_environment_is_an_error(run_script):
    script = "import numpy as np, robustcore as rc; print(rc.pairwise_sqdist(np.eye(3)))"
    answer = run_script(script, ROBUSTCORE_ISA="nonsense")
    assert answer.returncode == 1
    last = answer.stderr.strip().splitlines()[-1]
    assert "Error" in last
    assert "nonsense" in last
    assert all(name in last for name in _core.available_isas())


def test_unknown_instruction_set_is_an_error():
    with pytest.raises(ValueError, match=r"nonsense.*baseline"):
        _core.use_isa("nonsense")


ARITHMETIC = {"subnormals are zero": 0x8040, "rounds down": 0x2000, "rounds up": 0x4000, "rounds to zero": 0x6000}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="pokes into glibc's fenv_t")
@pytest.mark.parametrize("setting", ARITHMETIC)
def test_arithmetic_that_a_caller_has_set_up_does_not_change_a_bit(setting, run_script):
    """As a library built with -ffast-math may leave it behind, here and in the threads of the pool."""
    script = """
        import ctypes, hashlib, numpy as np, robustcore as rc
        X = np.random.default_rng(0).normal(size=(12, 30_000)).astype(np.float32)
        X[:, ::2] *= 1e-40
        tiny = 1e-20 * X
        ties = 2.0**-540 * np.random.default_rng(1).integers(-9, 10, size=(9, 4))
        libm, environment = ctypes.CDLL("libm.so.6"), (ctypes.c_uint8 * 64)()
        libm.fegetenv(environment)
        mxcsr = int.from_bytes(environment[28:32], "little") | SETTING
        environment[28:32] = mxcsr.to_bytes(4, "little")
        libm.fesetenv(environment)
        rc.set_num_threads(2)
        for found in (rc.pairwise_sqdist(X), rc.pairwise_sqdist(tiny), rc.krum(X, 3), rc.krum(ties, 2)):
            print(hashlib.sha256(found.tobytes()).hexdigest())
    """
    plain, other = (run_script(script.replace("SETTING", str(bits))) for bits in (0, ARITHMETIC[setting]))
    assert plain.returncode == 0, plain.stderr
    assert other.stdout.split() == plain.stdout.split()


# ---- NaN and infinity ------------------------------------------------------------------------------------------


def assert_only_row_is_nan(D, clean, i):
    others = [j for j in range(len(D)) if j != i]
    assert np.isnan(D[i]).all()
    assert np.isnan(D[:, i]).all()
    assert same_bits(D[np.ix_(others, others)], clean[np.ix_(others, others)])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 799, 4242, 8000, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_one_bad_number_makes_its_row_nan_and_no_other(dtype, where, bad):
    X = data(gaussian, 7, 8805, dtype)
    clean = rc.pairwise_sqdist(X)
    for i in (0, 3, 6):
        Y = X.copy()
        Y[i, where] = bad
        assert_only_row_is_nan(rc.pairwise_sqdist(Y), clean, i)


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_number_in_any_layer(layer, bad):
    X = [list(np.split(row, [1, 100, 905])) for row in data(gaussian, 130, 1000, F32)]
    clean = rc.pairwise_sqdist(X)
    X[129][layer] = X[129][layer].copy()
    X[129][layer][-1] = bad
    assert_only_row_is_nan(rc.pairwise_sqdist(X), clean, 129)


def test_bad_rows_against_each_other():
    X = data(gaussian, 6, 300, F32)
    X[1, 5], X[4, 5] = np.inf, np.inf  # their difference is NaN
    X[2, 7], X[3, 7] = np.inf, -np.inf  # and theirs infinite
    assert np.isnan(rc.pairwise_sqdist(X)).tolist() == [[not {i, j} <= {0, 5} for j in range(6)] for i in range(6)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 2, 3, 130])
def test_all_rows_are_bad(n, bad):
    X = data(gaussian, n, 9000, F32)
    X[:, 8500] = bad
    assert np.isnan(rc.pairwise_sqdist(X)).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_in_different_blocks(bad):
    X = data(gaussian, 5, 24_001, F64)
    clean = rc.pairwise_sqdist(X)
    X[2, [3, 9000, 24_000]] = bad
    assert_only_row_is_nan(rc.pairwise_sqdist(X), clean, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_single_row_is_checked_too(dtype):
    X = data(gaussian, 1, 8001, dtype)
    assert rc.pairwise_sqdist(X).tolist() == [[0.0]]
    X[0, -1] = np.inf
    assert np.isnan(rc.pairwise_sqdist(X)).tolist() == [[True]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_bad_rows_on_every_instruction_set(dtype, bad, on_every_isa):
    X = data(gaussian, 7, 803, dtype)
    clean = rc.pairwise_sqdist(X)
    X[4, 801] = bad
    for D in on_every_isa(lambda: rc.pairwise_sqdist(X)):
        assert_only_row_is_nan(D, clean, 4)


# ---- long work: progress, Ctrl-C, fork, memory -----------------------------------------------------------------


def long_rows(n, d):
    """n different rows of d float32 numbers that share their memory."""
    numbers = np.random.default_rng(0).normal(size=d + n).astype(F32)
    return [numbers[i : i + d] for i in range(n)]


@pytest.mark.slow
def test_progress_is_told_in_shares_from_zero_to_one():
    told = []
    with rc.num_threads(1):
        rc.MultiKrum(1).aggregate(long_rows(150, 900_000), progress=told.append)
    assert len(told) > 0
    assert all(0 <= share <= 1 for share in told)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit])
def test_what_progress_raises_is_passed_on(error, threads):
    def progress(share):
        raise error("enough")

    X = long_rows(300, 900_000)
    with rc.num_threads(threads):
        with pytest.raises(error, match="enough"):
            rc.Krum(1).aggregate(X, progress=progress)
        assert rc.Krum(1)(X[:3]).tolist() == X[twins.krum(rc.pairwise_sqdist(X[:3]), 1)].tolist()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_stops_long_work(ctrl_c, threads):
    script = f"""
import numpy as np, robustcore as rc
numbers = np.random.default_rng(0).normal(size=2_000_200).astype(np.float32)
X = [numbers[i : i + 2_000_000] for i in range(200)]
rc.pairwise_sqdist(X[:3])
print("started", flush=True)
try:
    with rc.num_threads({threads}):
        rc.pairwise_sqdist(X)
    print("finished")
except KeyboardInterrupt:
    print("interrupted", rc.pairwise_sqdist(X[:3])[0, 0])
"""
    # Slow: this would take a minute.
    ctrl_c(script, 0.3, "interrupted 0.0\n", ROBUSTCORE_ISA="baseline")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("pool", ["used", "not used"])
def test_a_forked_child_computes_the_same(run_script, pool):
    script = """
        import os, numpy as np, robustcore as rc
        X = np.random.default_rng(0).normal(size=(40, 20_000)).astype(np.float32)
        rc.set_num_threads(2)
        if POOL_USED:
            rc.pairwise_sqdist(X), rc.mean(X)
        child = os.fork()
        found = rc.pairwise_sqdist(X).tobytes() + rc.mean(X).tobytes()
        with open(f"found-{'parent' if child else 'child'}", "wb") as file:
            file.write(found)
        if not child:
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert open("found-child", "rb").read() == found
    """
    answer = run_script(script.replace("POOL_USED", str(pool == "used")), timeout=30)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_memory_does_not_grow_with_the_length(run_script, dtype):
    """Nothing is stacked, widened or copied: a pass needs far less than the numbers it reads."""
    script = f"""
        import numpy as np, robustcore as rc

        def most_memory_so_far():
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))

        X = [[np.full(3_000_000, i, "{dtype}"), np.full((3, 1_000_000), -i, "{dtype}")[:, ::-1]] for i in range(10)]
        rc.set_num_threads(2)
        rc.pairwise_sqdist([[layer[..., :10_000] for layer in row] for row in X])
        before = most_memory_so_far()
        rc.pairwise_sqdist(X)
        print(most_memory_so_far() - before)
    """
    answer = run_script(script)
    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) < 8 * 1024  # kibibytes; one update alone has 12 MB or more


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="sets the control register of x86")
def test_a_caller_who_flushes_subnormals_elects_the_same(run_script):
    """As torch.set_flush_denormal(True) does, and libraries built with -ffast-math."""
    script = """
        import ctypes, mmap
        import numpy as np, robustcore as rc

        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("897c24f8" "0fae5424f8" "c3"))  # ldmxcsr edi
        set_mxcsr = ctypes.CFUNCTYPE(None, ctypes.c_uint32)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        rng = np.random.default_rng(0)
        inputs = [(rng.standard_normal((7, 20_000)) * scale).astype(dtype)
                  for dtype, scale in (("f2", 1e-6), ("f4", 1e-44), ("f8", 1e-310), ("f4", 1.0))]

        def answers():
            return [(rc.pairwise_sqdist(X).tobytes(), rc.multi_krum(X, 2).tobytes()) for X in inputs]

        before = answers()
        set_mxcsr(0x9FC0)
        flushing = np.float32(1e-40) * np.float32(1) == 0
        after = answers()
        set_mxcsr(0x1F80)
        print(flushing, before == after)
    """
    result = run_script(script)
    assert result.stdout == "True True\n", result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shares_of_the_coordinates_add_up_to_the_same_bits(dtype):
    step, scale = _core.SUPERBLOCK, 1.0 if dtype == "float32" else 1e160
    X = (np.random.default_rng(0).standard_normal((3, 2 * step + 999)) * scale).astype(dtype)
    X[2, -1] = np.nan

    def rows(X):
        return _core.Updates([[np.ascontiguousarray(x)] for x in X], [dtype])

    D = rows(X).sqdist(2)
    shares = [rows(X[:, begin:end]) for begin, end in ((0, step), (step, X.shape[1]))]
    parts = [share.sqdist_parts(threads) for share, threads in zip(shares, (1, 2), strict=True)]
    assert [part.shape for part in parts] == [(1, 3, 3), (2, 3, 3)]
    assert np.array_equal(
        _core.carried_sum(_core.carry_parts(parts[1], _core.carry_parts(parts[0]))), D, equal_nan=True
    )
    if dtype == "float64":
        D, small = D[:2, :2].copy(), 2.0**-600
        parts = np.concatenate(
            [rows(X[:2, b:e]).sqdist_scaled_parts(D, small, 1) for b, e in ((0, step), (step, None))]
        )
        assert np.isinf(D[0, 1])
        rows(X[:2]).sqdist_scaled(D, small, 2)
        assert _core.carried_sum(_core.carry_parts(parts))[0, 1] == D[0, 1]
