"""robustcore cluster: what a user types, what they read, and the exit code."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("click")

from robustcore.clustering import (
    ATTACKS,
    ByzantineKMeans,
    ByzantineKMedians,
    assign,
    bernoulli,
    fractional_repetition,
)
from robustcore.clustering import experiment as lab
from robustcore.clustering import mixture as known


@pytest.fixture
def run(run, monkeypatch):
    """``robustcore cluster`` with these arguments."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: run("cluster", *arguments)


@pytest.fixture
def mixture(tmp_path):
    """600 points of four clusters in a file, and their centres in another."""
    X, truth, _ = known.gaussians(600, 4)
    np.savetxt(tmp_path / "points.csv", X, delimiter=",", header="x,y", comments="", fmt="%.17g")
    np.savetxt(tmp_path / "truth.txt", truth, fmt="%.17g")
    return X, truth


def contents():
    return {path.name: path.read_bytes() for path in Path().iterdir()}


def one_sentence(code, out, err):
    return code == 2 and out == "" and err.startswith("robustcore: ") and err.count("\n") == 1


def test_whoever_just_types_it(run, mixture):
    code, out, err = run("points.csv", "-k", "4")
    assert code == 0 and err == ""
    assert "k-medians: 4 clusters of 600 points in 2 dimensions" in out
    assert "10 machines, none of them made to lie; up to t = 0" in out and "guarantee: at most 3 times" in out
    for name in (lab.CENTRALISED, lab.NO_REDUNDANCY, lab.IN_ORDER, lab.PLAIN_AVERAGE, "repetition, s = 1"):
        assert re.search(rf"^{name} +[\d.e+]+ +1\.0\d\d$", out, re.MULTILINE), name
    assert out.count("kept") == 10 and all(len(line) <= 80 for line in out.splitlines())


@pytest.mark.parametrize(("method", "estimator"), [("k-medians", ByzantineKMedians), ("k-means", ByzantineKMeans)])
def test_facts_are_those_of_the_library(run, mixture, method, estimator):
    X, truth = mixture
    arguments = ["points.csv", "-k", 4, "-t", 2, "--machines", 7, "--method", method, "--truth", "truth.txt"]
    code, out, _ = run(*arguments, "--attack", "attract", "--seed", "3", "--json", "-o", "centres.npy")
    facts = json.loads(out)
    made = lab.run(X, 4, t=2, m=7, method=method, attack="attract", seed=3)
    ours, model = made.solutions[-1], made.solutions[-1].model
    assert code == 0 and isinstance(model, estimator)
    assert (facts["n"], facts["d"], facts["k"], facts["m"], facts["t"]) == (600, 2, 4, 7, 2)
    assert facts["byzantine"] == list(made.byzantine) and len(made.byzantine) == 2
    for fact, solution in zip(facts["solutions"], made.solutions, strict=True):
        assert fact["name"] == solution.name and fact["cost"] == solution.cost
        assert fact["centers"] == solution.centers.tolist()
        assert fact["found"] == known.match(solution.centers, truth, made.extent).sum()
    fact = facts["solutions"][-1]
    assert fact["kept"] == model.kept_.tolist() and fact["costs"] == model.costs_.tolist() and fact["malformed"] == {}
    assert (fact["rho"], fact["delta"], fact["factor"]) == (model.rho_, model.delta_, model.factor_)
    assert fact["load"] == fractional_repetition(7, 600, 5).load.tolist() and fact["uncovered"] == 0
    assert np.array_equal(np.load("centres.npy"), ours.centers)
    assert ours.cost == pytest.approx((assign(X, np.load("centres.npy"))[1] ** (1 + (method == "k-means"))).sum())


def test_without_a_guarantee_it_says_why(run, mixture):
    code, out, _ = run(
        "points.csv",
        "-k",
        4,
        "-t",
        3,
        "--assignment",
        "bernoulli",
        "--p",
        0.2,
        "--plot",
        "out.png",
        "--attack",
        "random",
    )
    matrix = bernoulli(10, 600, 0.2, np.random.default_rng([0, 0]))
    few = (matrix.weights <= 3).sum()
    assert code == 0 and f"no guarantee: {few} points of 600 are on t = 3 machines or fewer" in " ".join(out.split())
    assert f"rho = {1 / (0.2 * 7):.4g}" in out and re.search(
        r"\d+ points on no machine that was kept: not counted", out
    )
    assert out.count("left aside (it lied)") == 3 and out.count("kept\n") + out.count("kept  ") == 7
    assert "picture: out.png" in out and Path("out.png").read_bytes().startswith(b"\x89PNG")


def test_two_matrices_beside_each_other(run, mixture):
    code, out, _ = run("points.csv", "-k", 4, "-t", 1, "--p", 0.3, "--p", 0.9, "--truth", "truth.txt")
    assert code == 0 and "found of 4" in out
    assert re.search(r"^Bernoulli, p = 0.3 +\d", out, re.MULTILINE)
    assert re.search(r"^Bernoulli, p = 0.9 +\d.* +4$", out, re.MULTILINE)


def test_an_expander_says_its_lambda(run, mixture):
    pytest.importorskip("networkx")
    code, out, _ = run("points.csv", "-k", 4, "-t", 2, "--degree", 4, "--no-baselines")
    assert code == 0 and re.search(r"lambda = [\d.]+; Ramanujan graphs have at most 3.464", out)
    assert (
        "centralised" not in out
        and "With --baselines" in out
        and "guarantee: at most 6 times" in out
        and "delta = 1" in out
    )


@pytest.mark.parametrize(
    ("attack", "reason"), [("nan", "not finite"), ("silent", "sent nothing"), ("malformed", "shape|no numbers")]
)
def test_malformed_answers_are_named(run, mixture, attack, reason):
    code, out, _ = run("points.csv", "-k", 4, "-t", 2, "--byzantine", "1,4", "--attack", attack)
    assert code == 0 and f"2 of them made to lie (1, 4; attack: {attack})" in out
    for machine in (1, 4):
        assert re.search(rf"^ +{machine} +\d+ +malformed: [^\n]*({reason})", out, re.MULTILINE)
    assert out.count("malformed: ") == 2
    facts = json.loads(run("points.csv", "-k", 4, "-t", 2, "--byzantine", "1,4", "--attack", attack, "--json")[1])
    assert set(facts["solutions"][-1]["malformed"]) == {"1", "4"}
    assert facts["solutions"][-1]["costs"][1] == "infinite"


def test_more_byzantine_machines_than_withstood(run, mixture):
    code, out, _ = run("points.csv", "-k", 4, "-t", 1, "--byzantine", 3, "--attack", "shift")
    assert (
        code == 0
        and "3 of them made to lie" in out
        and "no guarantee: 3 machines lied or failed" in " ".join(out.split())
    )
    assert out.count("kept (it lied)") == 2


def test_files_of_other_kinds(run, mixture):
    X, _ = mixture
    np.save("points.npy", X)
    np.savez("points.npz", X=X)
    answers = [run(name, "-k", 4, "-t", 1, "--json") for name in ("points.csv", "points.npy", "points.npz")]
    assert answers[0][0] == 0 and answers[0] == answers[1] == answers[2]


def test_many_machines_are_not_all_listed(run, mixture):
    code, out, _ = run("points.csv", "-k", 2, "-t", 1, "--machines", 50, "--no-baselines")
    assert code == 0 and "and 10 more, " in out and len(re.findall(r"kept|left aside", out)) == 41


@pytest.mark.slow
def test_workers_find_the_same(run, mixture):
    pytest.importorskip("distributed")
    arguments = ["points.csv", "-k", "4", "-t", "1", "--machines", "5", "--json"]
    script = "import sys\nfrom robustcore import cli\nif __name__ == '__main__':\n    cli.main()\n"
    Path("main.py").write_text(script)
    found = subprocess.run(
        [sys.executable, "main.py", "cluster", *arguments, "--workers", "2", "--deadline", "60"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == json.loads(run(*arguments)[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["points.csv"], ["-k"]),
        (["nowhere.csv", "-k", 4], ["cannot read nowhere.csv", "No such file"]),
        (["words.csv", "-k", 4], ["words.csv", "'x'", "column 2 of point 1"]),
        (["nan.npy", "-k", 2], ["nan.npy", "point 3", "not finite"]),
        (["pickle.npy", "-k", 2], ["pickle.npy"]),
        (["points.doc", "-k", 2], ["points.doc is none of", ".csv"]),
        (["points.csv", "-k", 0], ["k must be from 1 to n", "n = 600", "k = 0"]),
        (["points.csv", "-k", 601], ["k must be from 1 to n"]),
        (["points.csv", "-k", 4, "-t", 10], ["t", "m = 10", "at most 9"]),
        (["points.csv", "-k", 4, "-t", -1], ["t >= 0", "t = -1"]),
        (["points.csv", "-k", 4, "--machines", 0], ["m >= 1"]),
        (["points.csv", "-k", 4, "--s", 11], ["s <= m"]),
        (["points.csv", "-k", 4, "--assignment", "bernoulli"], ["bernoulli needs p"]),
        (["points.csv", "-k", 4, "--assignment", "square"], ["square", "bernoulli"]),
        (["points.csv", "-k", 4, "--p", 1.5], ["0 < p <= 1"]),
        (["points.csv", "-k", 4, "--p", 0.5, "--s", 3], ["s is for fractional_repetition"]),
        (["points.csv", "-k", 4, "--degree", 11], ["expander needs"]),
        (["points.csv", "-k", 4, "-t", 2, "--attack", "lie"], ["no attack 'lie'", "attract"]),
        (["points.csv", "-k", 4, "-t", 2, "--byzantine", "x"], ["--byzantine", "'x'"]),
        (["points.csv", "-k", 4, "--attack", "nan"], ["attack 'nan' needs machines", "-t or --byzantine"]),
        (["points.csv", "-k", 4, "--seed", -1], ["--seed"]),
        (["points.csv", "-k", 4, "-t", 2, "--byzantine", "1,10"], ["0 to 9"]),
        (["points.csv", "-k", 4, "-t", 1, "--byzantine", 2, "--attack", "nan"], ["more than t = 1"]),
        (["points.csv", "-k", 4, "--truth", "nan.npy"], ["nan.npy"]),
        (["points.csv", "-k", 4, "--truth", "space.txt"], ["as many numbers as points; here 3"]),
        (["points.csv", "-k", 4, "--deadline", 1], ["deadline needs workers"]),
        (["points.csv", "-k", 4, "--workers", 0], ["--workers"]),
        (["points.npy", "-k", 4, "-o", "points.npy"], ["points.npy is what is to be read"]),
        (["points.csv", "-k", 4, "--truth", "points.npy", "-o", "points.npy"], ["points.npy is what is to be read"]),
        (["points.csv", "-k", 4, "-o", "out.csv"], ["out.csv", ".npy"]),
        (["points.csv", "-k", 4, "-o", "no/out.npy"], ["no is no folder"]),
        (["points.csv", "-k", 4, "--plot", "out.gif"], ["out.gif", ".png"]),
        (["points.csv", "-k", 4, "--plot", "no/out.png"], ["no is no folder"]),
        (["points.csv", "-k", 4, "--p", 0.1, "--p", 0.2, "-o", "out.npy"], ["-o", "several --p"]),
    ],
)
def test_wrong_input_ends_with_one_sentence(run, mixture, arguments, words):
    X, _ = mixture
    np.save("points.npy", X)
    np.save("nan.npy", np.where(np.arange(8)[:, None] == 3, math.nan, 1.0) * np.ones(2))
    np.save("pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savetxt("space.txt", np.ones((4, 3)))
    Path("words.csv").write_text("1,2\n3,x\n")
    Path("points.doc").write_text("1,2\n")
    before = contents()
    code, out, err = run(*arguments)
    assert one_sentence(code, out, err), (code, out, err)
    assert all(word in err for word in words), err
    assert contents() == before  # nothing lost, nothing left behind


def test_the_options_name_what_there_is(run):
    text = " ".join(run("--help")[1].split())
    assert ", ".join(ATTACKS) in text and all(method in text for method in lab.METHODS)


@pytest.mark.slow
def test_a_bar_is_for_terminals(run, mixture):
    """And there only."""
    assert run("points.csv", "-k", 4)[2] == ""
    pty = pytest.importorskip("pty")
    master, terminal = pty.openpty()
    script = "import sys; from robustcore import cli; cli.main()"
    with open(master, "rb", buffering=0) as screen:
        subprocess.run(
            [sys.executable, "-c", script, "cluster", "points.csv", "-k", "4"],
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            check=True,
            timeout=60,
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(terminal)
        assert b"working" in screen.read(4096)


def test_a_hostile_name_is_only_a_name(run, mixture):
    os.rename("points.csv", "[red]points.csv")
    code, out, _ = run("[red]points.csv", "-k", 2, "-t", 1, "-o", "[bold]x.npy")
    assert code == 0 and "written: [bold]x.npy" in out


@pytest.mark.slow
def test_ctrl_c_stops_with_130(tmp_path):
    """Work of minutes, interrupted: no traceback, and no output."""
    np.save(tmp_path / "points.npy", np.random.default_rng(0).standard_normal((1_000_000, 16)))
    script = "import sys; from robustcore import cli; print('ready', flush=True); cli.main()"
    arguments = ["cluster", "points.npy", "-k", "100", "-t", "4", "--machines", "20", "-o", "out.npy", "--baselines"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=4)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in err and "Traceback" not in err
    assert not (tmp_path / "out.npy").exists()
