"""Points in files: what is read, and what is said of what cannot be."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("sklearn")

from robustcore.clustering import points

TWO = [[1.0, 2.0], [3.0, 4.5]]


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4.5\n",
        "1, 2\n3 , 4.5",
        "x,y\n1,2\n3,4.5\n",
        '"a x";"a y"\n1;2\n3;4.5\n',
        "  1   2\n3\t4.5\n\n",
        "a\tb\n1\t2\n3\t4.5\n",
        "# x y\n\n1 2 # the first\n3 4.5\n",
        "\ufeffx,y\r\n1,2\r\n3,45e-1\r\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".TSV"])
def test_text_with_any_delimiter(tmp_path, text, suffix):
    path = tmp_path / f"p{suffix}"
    path.write_bytes(text.encode())
    assert points.load(path).tolist() == TWO
    assert points.load(path).dtype == np.float64


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.floats(-1e300, 1e300)))
def test_text_says_what_was_written(tmp_path_factory, X):
    path = tmp_path_factory.mktemp("points") / "p.csv"
    np.savetxt(path, X, delimiter=",", fmt="%.17g")
    assert np.array_equal(points.load(path), X)


def test_arrays(tmp_path):
    X = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.save(tmp_path / "p.npy", X)
    np.savez(tmp_path / "p.npz", anything=X)
    assert isinstance(points.load(tmp_path / "p.npy"), np.memmap)
    assert all(np.array_equal(points.load(tmp_path / name), X) for name in ("p.npy", "p.npz"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no points"),
        ("x,y\n", "holds no points"),
        ("1,2\n3\n", "no table of numbers: the number of columns changed from 2 to 1"),
        ("1,2\n3,x\n", "could not convert string 'x' to float64 in column 2 of point 1 (the first is 0)"),
        ("1,y\n3,4\n", "could not convert string 'y' to float64 in column 2 of point 0"),  # broken, and no heading
        ("1,,2\n", "could not convert string '' to float64 in column 2 of point 0"),
        ("1,2\n3,nan\n", "point 1 (the first is 0) is not finite"),
        ("1,2\n-inf,4\n", "point 1 (the first is 0) is not finite"),
    ],
)
def test_broken_text(tmp_path, text, says):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        points.load(path)
    assert str(error.value).startswith(str(path)) and says in str(error.value) and "\n" not in str(error.value)


def test_broken_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("line.npy", np.zeros(3))
    np.save("words.npy", np.array([["a", "b"]]))
    np.save("none.npy", np.zeros((0, 2)))
    np.save("far.npy", np.where(np.arange(200_000)[:, None] == 150_000, np.inf, 1.0))
    np.savez("two.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    Path("noise.csv").write_bytes(b"\xff\xfe\x00\x9c" + os.urandom(100))
    for name, says in {
        "line.npy": "must hold an (n, d) array of numbers, not float64 of shape (3,)",
        "words.npy": "must hold an (n, d) array of numbers",
        "none.npy": "holds no points",
        "far.npy": "point 150000 (the first is 0) is not finite",
        "two.npz": "must hold one array, the points; it holds 2: 'a', 'b'",
        "noise.csv": "noise.csv",
        "p.parquet": "p.parquet is none of .csv, .txt, .tsv, .npy, .npz",
    }.items():
        with pytest.raises(ValueError) as error:
            points.load(name)
        assert says in str(error.value)
    with pytest.raises(FileNotFoundError):
        points.load("nowhere.csv")


def test_a_column_of_row_numbers_is_no_dimension(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(",x,y\n0,1.5,2\n1,3,4\n")
    with pytest.raises(ValueError, match="the first column has no heading"):
        points.load(path)


def test_quoted_numbers_and_decimal_commas(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('"x","y"\n"1.5","2"\n"3","4"\n')
    assert points.load(path).tolist() == [[1.5, 2.0], [3.0, 4.0]]
    path.write_text("1,5;2\n3;4\n")
    with pytest.raises(ValueError, match="decimal commas are not read"):
        points.load(path)
