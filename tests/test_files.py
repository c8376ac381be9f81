"""Updates in files: what is read is what was written, hostile files are named, and bits are those of memory."""

import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from collections import OrderedDict
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc
from robustcore import _core, files
from robustcore.backends import _local

KINDS = [".npz", ".safetensors", ".pt"]
DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool", ">f4", ">i8"]


def layers(seed=0):
    """Of every dtype and shape, in no order that a format would choose."""
    rng = np.random.default_rng(seed)
    out = {f"b{i}": (rng.normal(size=(3, i)) * 9).astype(dtype) for i, dtype in enumerate(DTYPES)}
    out |= {"order": np.asfortranarray(rng.normal(size=(4, 5))), "strided": rng.normal(size=9)[::-3]}
    return out | {"a/b": rng.normal(size=())}


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


# ---- one file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".npz", ".safetensors"])
def test_named_layers_come_back(kind, tmp_path):
    files.save(tmp_path / f"u{kind}", layers())
    found = files.load(tmp_path / f"u{kind}")
    assert list(found) == list(layers())
    for key, array in layers().items():
        assert np.array_equal(found[key], array) and found[key].shape == array.shape
        assert found[key].dtype == (array.dtype if kind == ".npz" else array.dtype.newbyteorder("<"))
        assert is_mapped(found[key]) and not found[key].flags.writeable


@pytest.mark.parametrize("array", layers().values(), ids=list(layers()))
def test_arrays_come_back(array, tmp_path):
    files.save(tmp_path / "u.npy", array)
    found = files.load(tmp_path / "u.npy")
    assert np.array_equal(found, array) and found.dtype == array.dtype and is_mapped(found)
    assert same_bits(np.load(tmp_path / "u.npy"), np.asarray(array, order="C"))


def test_what_numpy_writes_is_read(tmp_path):
    named = {key.replace("/", "."): array for key, array in layers().items()}
    np.savez(tmp_path / "plain.npz", **named)
    np.savez_compressed(tmp_path / "compressed.npz", **named)
    np.save(tmp_path / "fortran.npy", named["order"])
    for name in ("plain", "compressed"):
        found = files.load(tmp_path / f"{name}.npz")
        assert list(found) == list(named)
        assert all(np.array_equal(found[key], named[key]) for key in named)
        assert is_mapped(found["strided"]) == (name == "plain")
    assert np.array_equal(files.load(tmp_path / "fortran.npy"), named["order"])


def test_safetensors_are_those_of_its_own_library(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    native = {key: np.ascontiguousarray(array, array.dtype.newbyteorder("=")) for key, array in layers().items()}
    native["bfloat16"] = np.arange(5).astype(ml_dtypes.bfloat16)
    numpy.save_file(native, tmp_path / "theirs.safetensors", {"format": "np"})
    files.save(tmp_path / "ours.safetensors", native)
    theirs, ours = files.load(tmp_path / "theirs.safetensors"), numpy.load_file(tmp_path / "ours.safetensors")
    assert theirs.keys() == ours.keys() == native.keys()
    for key in native:
        assert same_bits(np.array(theirs[key]), native[key]) and same_bits(ours[key], native[key])


def test_checkpoints(tmp_path):
    torch = pytest.importorskip("torch")
    state = OrderedDict(w=torch.arange(6.0).reshape(2, 3).T, b=torch.ones(2, dtype=torch.bfloat16), n=torch.tensor(7))
    for name, options in [("new.pt", {}), ("old.pth", {"_use_new_zipfile_serialization": False})]:
        torch.save(state, tmp_path / name, **options)
        found = files.load(tmp_path / name)
        assert type(found) is OrderedDict and all(torch.equal(found[key], state[key]) for key in state)
    nested = {"model": {"w": np.ones(3), "b": np.ones(2).astype(ml_dtypes.bfloat16)}, "steps": [np.arange(2)]}
    files.save(tmp_path / "u.pt", nested)
    found = files.load(tmp_path / "u.pt")
    assert found["model"]["b"].dtype == torch.bfloat16
    assert (found["model"]["w"].tolist(), found["steps"][0].tolist()) == ([1, 1, 1], [0, 1])


class Evil:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_no_pickle_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = np.array([Evil()], object)
    np.save("u.npy", evil, allow_pickle=True)
    np.savez("u.npz", evil)
    np.savez_compressed("c.npz", evil)
    for name in ("u.pickle.npy", "raw.npz", "raw.pt", "raw.safetensors"):
        with open(name, "wb") as file:
            pickle.dump(Evil(), file)
    names = ["u.npy", "u.npz", "c.npz", "u.pickle.npy", "raw.npz", "raw.safetensors"]
    if "torch" in sys.modules or pytest.importorskip("torch"):
        import torch

        torch.save({"w": Evil()}, "new.pt")
        torch.save({"w": Evil()}, "old.pt", _use_new_zipfile_serialization=False)
        names += ["raw.pt", "new.pt", "old.pt"]
    for name in names:
        with pytest.raises(ValueError, match=rf"^{name} is no readable"):
            files.load(name)
    assert not os.path.exists("executed")


@pytest.mark.parametrize("kind", [".npy", ".npz", ".safetensors"])
def test_files_that_are_cut_short(kind, tmp_path):
    """At every length: one sentence that names the file, or, of what comes before the end, nothing wrong."""
    update = np.arange(6.0) if kind == ".npy" else {"w": np.arange(6.0), "v": np.ones((2, 2), np.float32)}
    files.save(tmp_path / f"u{kind}", update)
    whole = (tmp_path / f"u{kind}").read_bytes()
    for length in range(len(whole)):
        (tmp_path / f"cut{kind}").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"cut{kind} is no readable {kind} file"):
            files.load(tmp_path / f"cut{kind}")


@given(kind=st.sampled_from([".npy", ".npz", ".safetensors"]), data=st.data())
def test_files_with_other_bytes(tmp_path_factory, kind, data):
    """Read, or refused with one sentence; arrays never reach beyond the file."""
    update = np.arange(6.0) if kind == ".npy" else {"w": np.arange(6.0), "v": np.ones((2, 2), np.float32)}
    path = tmp_path_factory.mktemp("bytes") / f"u{kind}"
    files.save(path, update)
    changed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(changed)
    with suppress(ValueError):
        found = files.load(path)
        for array in found.values() if isinstance(found, dict) else [found]:
            np.array(array)  # every byte can be read


HEADERS = {
    "longer than the file": (b"{}", 10**6, "longer than the file"),
    "of terabytes": (b"{}", 2**60, "longer than the file"),
    "no JSON": (b"hello", None, ""),
    "a list": (b"[]", None, "its header is a list, not a dict"),
    "beyond the end": (b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}', None, "cut short"),
    "before the beginning": (b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[-8,-4]}}', None, "shape or place"),
    "other shape": (b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', None, "4 bytes for shape"),
    "negative shape": (b'{"w":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}', None, "shape or place"),
    "a shape of floats": (b'{"w":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', None, "shape or place"),
    "huge shape": (b'{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}', None, "0 bytes for"),
    "no such dtype": (b'{"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}', None, "F8_E4M3"),
    "no dtype": (b'{"w":{"shape":[1],"data_offsets":[0,4]}}', None, "layer 'w' has no dtype, shape and data_offsets"),
    "a layer of another kind": (b'{"w":[1]}', None, "layer 'w' has no dtype, shape and data_offsets"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_of_safetensors_that_lie(kind, tmp_path):
    text, length, why = HEADERS[kind]
    path = tmp_path / "u.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + bytes(16))
    with pytest.raises(ValueError, match=f"u.safetensors is no readable.*{why}"):
        files.load(path)


@pytest.mark.parametrize("kind", files.SUFFIXES)
def test_empty_files(kind, tmp_path):
    (tmp_path / f"u{kind}").touch()
    with pytest.raises(ValueError, match=rf"u{kind} is no readable {kind} file: it is empty$"):
        files.load(tmp_path / f"u{kind}")


def test_damaged_checkpoints_are_told_in_one_sentence(tmp_path):
    pytest.importorskip("torch")
    (tmp_path / "u.pt").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"u.pt is no readable .pt file: it is damaged, or .* plain containers$"):
        files.load(tmp_path / "u.pt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_not_waited_for(small):
    os.mkfifo(small / "u5.npy")
    with pytest.raises(ValueError, match=r"u5.npy is no readable .npy file: it is no regular file$"):
        files.load(small / "u5.npy")
    assert list(files.aggregate(small, "median", f=1, malformed="drop").dropped) == [5]


def test_archives_that_hold_other_things(tmp_path):
    with zipfile.ZipFile(tmp_path / "u.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    with pytest.raises(ValueError, match=r"'notes.txt' in it is no .npy"):
        files.load(tmp_path / "u.npz")


def test_what_a_file_cannot_hold(tmp_path):
    for name, update, why in [
        ("u.npy", {"w": np.ones(1)}, "named arrays"),
        ("u.npz", np.ones(1), "write .npy"),
        ("u.npz", {"w": [np.ones(1)]}, "'w' is none"),
        ("u.npy", [np.ones(1)], "'the update' is none"),
        ("u.npz", {"w": np.ones(1, ml_dtypes.bfloat16)}, "bfloat16; write .safetensors"),
        ("u.npy", np.ones(1, ml_dtypes.bfloat16), "bfloat16; write .safetensors"),
        ("u.safetensors", {"w": np.ones(1, complex)}, "'w' is none"),
        ("u.txt", np.ones(1), "none of .npy, .npz"),
    ]:
        with pytest.raises(ValueError, match=why):
            files.save(tmp_path / name, update)
    assert not list(tmp_path.iterdir())


# ---- many files ------------------------------------------------------------------------------------------------

N = 7


def client(i, d):
    """Layers of several dtypes that no window ends with, a counter, and one far-off client."""
    x = np.random.default_rng([i, d]).normal(size=d) + 20 * (i == 2)
    return {
        "w": x[: d // 3].astype(np.float32),
        "count": np.int64(10 * i),
        "none": np.ones((0, 3), np.float32),
        "b": x[d // 3 : d // 2].astype(np.float64),
        "h": x[d // 2 : -1].astype(np.float16).reshape(-1, 1),
        "s": np.float32(x[-1]).reshape(()),
    }


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory):
    """Seven clients, more than a superblock."""
    if request.param == ".pt":
        pytest.importorskip("torch")
    where = tmp_path_factory.mktemp("updates")
    for i in range(N):
        files.save(where / f"c{i}{request.param}", client(i, _core.SUPERBLOCK + 40_003))
    (where / ".hidden.npy").write_text("no update")
    (where / "README").write_text("no update")
    return where


RULES = {
    "mean": rc.Mean(f=2),
    "krum": rc.Krum(f=2),
    "multi_krum": rc.MultiKrum(f=2),
    "nnm": rc.MDA(f=2, mixing=rc.NNM(f=2)),
    "geometric_median": rc.GeometricMedian(f=2),
    "centered_clip": rc.CenteredClip(tau=1.0, f=2),
    "clipping": rc.MultiKrum(f=2, mixing=rc.Clipping(c=5.0)),
    "median": rc.Median(f=2),
    "trimmed_mean, nnm": rc.TrimmedMean(f=2, mixing=rc.NNM(f=2)),
    "bulyan": rc.Bulyan(f=1),
}


def plain(value):
    """As numpy arrays in memory."""
    if not isinstance(value, dict):
        return np.array(value)
    return {key: np.array(part.numpy() if hasattr(part, "numpy") else part) for key, part in value.items()}


@pytest.mark.parametrize(
    ("rule", "memory"), [*((rule, 1) for rule in RULES), ("nnm", 10**7), ("krum", _local.MEMORY), ("median", 10**7)]
)
def test_bits_are_those_of_memory(folder, rule, memory):
    """With windows of one block, of several, and of a superblock."""
    expected = RULES[rule].aggregate([client(i, _core.SUPERBLOCK + 40_003) for i in range(N)])
    found = RULES[rule].aggregate(files.updates(folder, memory=memory))
    assert same_bits(plain(found.value), plain(expected.value))
    for numbers in ("scores", "weights"):
        assert same_bits(np.array(getattr(found, numbers)), np.array(getattr(expected, numbers)))
    assert found.selected.tolist() == expected.selected.tolist()


def test_aggregate_writes_what_it_returns(folder, tmp_path):
    kind = next(folder.glob("c0*")).suffix
    expected = rc.MultiKrum(f=2).aggregate([client(i, _core.SUPERBLOCK + 40_003) for i in range(N)])
    for suffix in dict.fromkeys([kind, ".npz", ".safetensors"]):
        r = files.aggregate(folder, "multi_krum", f=2, out=tmp_path / f"out{suffix}")
        assert same_bits(plain(r.value), plain(expected.value))
        assert same_bits(plain(files.load(tmp_path / f"out{suffix}")), plain(expected.value))
        assert r.value["count"] == 30
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({f"out{kind}", "out.npz", "out.safetensors"})
    in_memory = files.aggregate(folder, "multi_krum", f=2)
    assert same_bits(plain(in_memory.value), plain(expected.value))


def test_only_files_with_a_weight_are_read_again(folder, monkeypatch):
    read, actual = [], _local._read
    monkeypatch.setattr(_local, "_read", lambda *given: (read.append(given[1]), actual(*given)))
    selected = int(rc.Krum(f=2).aggregate(files.updates(folder, memory=1)).selected[0])
    counts = {path: read.count(os.fspath(path)) for path in files.paths(folder)}
    assert len(set(counts.values())) == 2
    assert max(counts, key=counts.get) == files.paths(folder)[selected]
    assert max(counts.values()) == 2 * min(counts.values())


def test_what_else_reads_updates(folder):
    X = [client(i, _core.SUPERBLOCK + 40_003) for i in range(N)]
    opened = files.updates(folder, memory=1)
    assert same_bits(rc.pairwise_sqdist(opened), rc.pairwise_sqdist(X))
    assert rc.minimum_enclosing_ball(opened).radius == rc.minimum_enclosing_ball(X).radius
    y = rc.multi_krum(X, f=2)
    found, expected = rc.certify(opened, y, 2), rc.certify(X, y, 2)
    assert found.worst["meb_factor"].high == expected.worst["meb_factor"].high
    moved = rc.centered_clip(X, tau=1.0, center=X[0])
    assert same_bits(plain(rc.centered_clip(opened, tau=1.0, center=files.load(files.paths(folder)[0]))), moved)


# ---- small ones ------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    for i in range(5):
        np.save(tmp_path / f"u{i}.npy", np.arange(3.0) + i)
    return tmp_path


def test_paths(small):
    names = [f"u{i}.npy" for i in range(5)]
    assert [path.name for path in files.paths(small)] == names
    assert [path.name for path in files.paths([small / "u3.npy", small])] == ["u3.npy", *names]
    (small / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty holds none of .npy"):
        files.paths(small / "empty")


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_any_scale(tmp_path, scale):
    """Squares beyond the range of float64."""
    X = np.random.default_rng(0).normal(size=(6, 20_000)) * scale
    for i, x in enumerate(X):
        np.save(tmp_path / f"{i}.npy", x)
    for rule in (rc.Krum(f=1), rc.MDA(f=1), rc.GeometricMedian(f=1)):
        found, expected = rule.aggregate(files.updates(tmp_path, memory=1)), rule.aggregate(X)
        assert same_bits(found.value, expected.value)
        assert found.selected.tolist() == expected.selected.tolist()


def test_malformed_files_are_named_and_may_be_dropped(small):
    (small / "u1.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(small / "u3.npy", np.ones(4))
    np.save(small / "u4.npy", np.full(3, np.nan))
    with pytest.raises(ValueError, match=r"u1.npy is no readable .npy file"):
        files.aggregate(small, "median")
    for i in (5, 6, 7, 8):
        np.save(small / f"u{i}.npy", np.arange(3.0) + i)
    r = files.aggregate(small, "median", f=3, malformed="drop", out=small / "out.npy")
    assert list(r.dropped) == [1, 3, 4]
    assert "u1.npy is no readable" in r.dropped[1] and "shape (4,)" in r.dropped[3] and r.dropped[4] == "not finite"
    os.unlink(small / "out.npy")
    os.unlink(small / "u1.npy")
    with pytest.raises(ValueError, match=r"^client 2 \(.*u3.npy\): shape \(4,\)"):
        files.aggregate(small, "median")
    os.unlink(small / "u3.npy")
    with pytest.raises(rc.ConstraintError, match=r"client 2 \(.*u4.npy\): not finite"):
        files.aggregate(small, "krum", f=0)
    with pytest.raises(ValueError, match=r"cannot read .*gone.npy: No such file"):
        files.aggregate([small / "gone.npy"], "mean")


def test_out_is_checked_before_anything_is_read(small, monkeypatch):
    monkeypatch.setattr(_local, "_read", None)
    for out, why in [
        (small / "u0.npy", "is one of the updates"),
        (small / "out.npz", "write .npy"),
        (small / "out.txt", "none of .npy"),
        (small / "no" / "out.npy", "is no folder"),
    ]:
        with pytest.raises(ValueError, match=why):
            files.aggregate(small, "mean", out=out)
    with pytest.raises(TypeError, match="already"):
        files.aggregate(small, rc.Mean(), f=1)


def test_files_that_change_meanwhile(small):
    opened = files.updates(small)
    os.truncate(small / "u2.npy", 130)
    with pytest.raises(OSError, match=r"u2.npy became shorter while it was read"):
        rc.mean(opened)


def test_files_that_are_replaced_meanwhile(small):
    """Those that were opened count."""
    opened = files.updates(small)
    np.save(small / "new.npy", np.full(3, 90.0))
    os.replace(small / "new.npy", small / "u1.npy")
    assert rc.mean(opened).tolist() == [2, 3, 4]


def test_files_that_are_replaced_in_a_pass(small, monkeypatch):
    """Those that were opened count, when it happens after the system has said which are mapped, too."""

    class Late(_local._Files):
        def __init__(self, rows):
            super().__init__(rows)
            np.save(small / "new.npy", np.full(3, 90.0))
            os.replace(small / "new.npy", small / "u1.npy")
            os.unlink(small / "u2.npy")

    opened = files.updates(small)
    monkeypatch.setattr(_local, "_Files", Late)
    assert rc.mean(opened).tolist() == [2, 3, 4]


def test_a_folder_with_a_newline_in_its_name(tmp_path):
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    for i in range(3):
        np.save(folder / f"{i}.npy", np.arange(3.0) + i)
    assert files.aggregate(folder, "mean").value.tolist() == [1, 2, 3]


MANY = """
    import resource, sys
    import robustcore as rc
    from robustcore import files
    soft, hard = map(int, sys.argv[2:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        r = rc.Median(f=20).aggregate(files.updates(sys.argv[1], "drop"))
        print(r.value.tolist(), r.dropped, resource.getrlimit(resource.RLIMIT_NOFILE))
    except OSError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("hard", "said"),
    [
        (500, "[49.5, 49.5] {} (500, 500)"),
        (130, "[49.5, 49.5] {} (130, 130)"),  # the passes go without descriptors
        (90, ".npy: this process may have 90 open files (ulimit -n), and each that is mapped takes one"),
    ],
)
def test_more_files_than_the_soft_limit(tmp_path, hard, said):
    """Nobody is dropped for the limits of this machine."""
    pytest.importorskip("resource")
    for i in range(100):
        np.save(tmp_path / f"{i:03}.npy", np.full(2, float(i)))
    arguments = [sys.executable, "-c", textwrap.dedent(MANY), os.fspath(tmp_path), "64", str(hard)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith(said)


def test_what_progress_raises_stops_the_work(small, monkeypatch):
    monkeypatch.setattr(_local, "OFTEN", 0.0)
    seen = []
    files.aggregate(small, "krum", f=1, progress=seen.append)
    assert seen[-1] == 1.0
    with pytest.raises(ZeroDivisionError):
        files.aggregate(small, "krum", f=1, out=small / "out.npy", progress=lambda share: 1 // 0)
    assert len(list(small.iterdir())) == 5  # nothing is left behind


def test_the_origin_may_have_all_the_weight(tmp_path):
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", np.zeros(5))
    assert files.aggregate(tmp_path, rc.CenteredClip(tau=1.0)).value.tolist() == [0] * 5


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux says how much was resident")
def test_memory_stays_bounded(tmp_path):
    """Eight updates of 24 MB, within little more than the buffers and Python."""
    for i in range(8):
        np.save(tmp_path / f"{i}.npy", np.full(6_000_000, i, np.float32))
    script = """
        import sys
        from robustcore import files
        from robustcore.backends import _local
        def resident():
            return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10
        before = resident()
        for rule in ("multi_krum", "trimmed_mean"):
            files.aggregate(sys.argv[1:9], rule, f=2, out=sys.argv[9])
        print(resident() - before)
    """
    arguments = [*(f"{tmp_path}/{i}.npy" for i in range(8)), f"{tmp_path}/out.npy"]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    windows = 2 * 8 * 4 * _core.SUPERBLOCK
    assert int(done.stdout) < windows + (24 << 20)  # 57 MB, where the updates have 192
    assert files.load(tmp_path / "out.npy")[:3].tolist() == [3.5] * 3
