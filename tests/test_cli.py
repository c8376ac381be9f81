"""The command line: what a user types, what they read, and the exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import robustcore as rc
from robustcore import files


@pytest.fixture
def updates(tmp_path):
    """Ten clients in files; the fourth lies."""
    X = np.random.default_rng(0).standard_normal((10, 200)).astype(np.float32)
    X[3] += 50
    for i, x in enumerate(X):
        np.save(tmp_path / f"u{i}.npy", x)
    return X, [f"u{i}.npy" for i in range(10)]


def contents():
    return {path.name: path.read_bytes() for path in Path().iterdir()}


def one_sentence(code, out, err):
    return code == 2 and out == "" and err.startswith("robustcore: ") and err.count("\n") == 1


def test_aggregate_writes_what_the_library_computes(run, updates):
    X, names = updates
    code, out, _ = run("aggregate", *names, "--rule", "multi_krum", "-f", "2", "-m", "5", "-o", "out.npy")
    assert code == 0
    assert np.array_equal(np.load("out.npy"), rc.multi_krum(X, f=2, m=5))
    assert "u3.npy" in out and out.count("selected") == 5
    assert os.stat("out.npy").st_mode & 0o777 == os.stat("u0.npy").st_mode & 0o777


def test_json_says_the_same_as_the_result(run, updates):
    X, names = updates
    np.save("nan.npy", np.full(200, np.nan, np.float32))
    code, out, _ = run("aggregate", *names, "nan.npy", "--rule", "krum", "-f", "3", "--json")
    assert code == 0
    facts = json.loads(out)
    expected = rc.Krum(3).aggregate(np.vstack([X, np.full((1, 200), np.nan, np.float32)]))
    assert facts["rule"] == {"name": "krum", "f": 3, "neighbors": "theory"}
    assert [c["selected"] for c in facts["clients"]] == [i in expected.selected for i in range(11)]
    assert [c["score"] for c in facts["clients"]][:10] == expected.scores[:10].tolist()
    assert facts["clients"][10]["score"] is None and facts["clients"][10]["dropped"] == "not finite"
    assert facts["guarantee"] == expected.guarantee


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["centered_clip", "--tau", "2", "--iterations", "3"], rc.CenteredClip(2.0, iterations=3)),
        (["monna", "-f", "2", "--pivot", "5"], rc.MoNNA(2, pivot=5)),
        (["geometric_median", "--smoothing", "0.5"], rc.GeometricMedian(smoothing=0.5)),
        (
            ["trimmed_mean", "-f", "2", "--mixing", "clipping:c=20", "--mixing", "nnm"],
            rc.TrimmedMean(2, mixing=[rc.Clipping(c=20.0), rc.NNM(f=2)]),
        ),
        (["krum", "-f", "1", "--mixing", "bucketing:s=2,rng=0"], rc.Krum(1, mixing=rc.Bucketing(s=2, rng=0))),
    ],
)
def test_parameters_and_mixings_reach_the_rule(run, updates, arguments, rule):
    X, names = updates
    code, out, _ = run("aggregate", *names, "--rule", *arguments, "-o", "out.npy", "--json")
    assert code == 0
    assert np.array_equal(np.load("out.npy"), rule(X))
    assert json.loads(out)["mixing"] == [repr(mixing) for mixing in rule.mixings]


def test_the_options_name_their_rules(run):
    text = " ".join(run("aggregate", "--help")[1].split())
    assert "Needed by krum, multi_krum," in text
    for parameter, rules in {"--tau": "centered_clip", "--pivot": "monna", "--smoothing": "geometric_median"}.items():
        assert re.search(rf"{parameter} \w+ {rules}", text)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_named_layers_go_in_and_come_out(run, suffix):
    rng = np.random.default_rng(1)
    clients = [{"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(2)} for _ in range(4)]
    names = [f"c{i}{suffix}" for i in range(4)]
    for name, client in zip(names, clients, strict=True):
        files.save(name, client)
    code, _, _ = run("aggregate", *names, "--rule", "mean", "-o", "out" + suffix)
    assert code == 0
    result, expected = files.load("out" + suffix), rc.mean(clients)
    assert result.keys() == expected.keys()
    assert all(np.array_equal(result[key], expected[key]) for key in expected)


def test_bfloat16_files(run):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for i in range(3):
        files.save(f"c{i}.safetensors", {"w": np.full(4, i, ml_dtypes.bfloat16)})
    code, _, _ = run(
        "aggregate", "c0.safetensors", "c1.safetensors", "c2.safetensors", "--rule", "mean", "-o", "out.safetensors"
    )
    assert code == 0
    assert files.load("out.safetensors")["w"].tolist() == [1.0] * 4


def test_a_folder_of_checkpoints(run):
    """As a server leaves them: counters come back whole, a file that is cut short is dropped."""
    torch = pytest.importorskip("torch")
    Path("round").mkdir()
    for i in range(5):
        torch.save({"w": torch.full((3,), float(i)), "num_batches_tracked": torch.tensor(i)}, f"round/c{i}.pt")
    Path("round/c9.pt").write_bytes(Path("round/c0.pt").read_bytes()[:200])
    code, out, err = run("aggregate", "round", "--rule", "median", "-f", "1", "-o", "out.pt")
    assert one_sentence(code, out, err) and "c9.pt is no readable .pt file" in err
    code, out, _ = run(
        "aggregate", "round", "--rule", "median", "-f", "1", "-o", "out.pt", "--malformed", "drop", "--json"
    )
    assert code == 0
    told = json.loads(out)["clients"]
    assert [Path(client["file"]).name for client in told if client["dropped"]] == ["c9.pt"]
    value = torch.load("out.pt", weights_only=True)
    assert value["w"].tolist() == [2, 2, 2] and value["num_batches_tracked"] == torch.tensor(2)


def test_npy_is_mapped_not_loaded(tmp_path):
    np.save(tmp_path / "u.npy", np.zeros(10))
    assert isinstance(files.load(tmp_path / "u.npy"), np.memmap)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["u0.npy", "short.npy", "u1.npy", "--rule", "mean"], ["client 1 (short.npy)", "(5,)", "(200,)"]),
        (["u0.npy", "bad.npy", "--rule", "mean"], ["bad.npy"]),
        (["u0.npy", "pickle.npy", "--rule", "mean"], ["pickle.npy"]),
        (["u0.npy", "bad.npz", "--rule", "mean"], ["bad.npz"]),
        (["u0.npy", "bad.safetensors", "--rule", "mean"], ["bad.safetensors"]),
        (["u0.npy", "nowhere.npy", "--rule", "mean"], ["nowhere.npy", "No such file"]),
        (["u0.npy", "notes.txt", "--rule", "mean"], ["notes.txt", ".npz"]),
        (["u0.npy", "u1.npy", "--rule", "krum", "-f", "1"], ["n > 2f", "n = 2", "at most 0"]),
        (["u0.npy", "u1.npy", "--rule", "krum"], ["krum needs f"]),
        (["u0.npy", "u1.npy", "--rule", "krum", "-f", "0", "-m", "1"], ["no parameter 'm'"]),
        (["u0.npy", "u1.npy", "--rule", "nonsense"], ["nonsense", "multi_krum"]),
        (["u0.npy", "u1.npy", "--rule", "centered_clip"], ["centered_clip needs tau"]),
        (["u0.npy", "u1.npy", "--rule", "centered_clip", "--tau", "-1"], ["tau", "> 0"]),
        (["u0.npy", "u1.npy", "--rule", "monna", "-f", "0", "--pivot", "7"], ["pivot < n", "n = 2", "pivot = 7"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "--tau", "1"], ["mean has no parameter 'tau'"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "--mixing", "nmn"], ["no mixing 'nmn'", "nnm"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "--mixing", "nnm"], ["nnm needs f"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "--mixing", "clipping:c"], ["name:key=number"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "--mixing", "clipping:d=1"], ["clipping has no parameter 'd'"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "-f", "x"], ["-f", "x"]),
        (["--rule", "mean"], ["UPDATES"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "-o", "u1.npy"], ["u1.npy is one of the updates"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "-o", "no/out.npy"], ["no is no folder"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "-o", "out.txt"], ["out.txt"]),
        (["u0.npy", "u1.npy", "--rule", "mean", "-o", "out.npz"], ["out.npz", ".npy"]),
        (["u0.npy", "nan.npy", "--rule", "mean"], ["client 1 (nan.npy): not finite"]),
    ],
)
def test_wrong_input_ends_with_one_sentence(run, updates, arguments, words):
    np.save("short.npy", np.ones(5, np.float32))
    np.save("nan.npy", np.full(200, np.nan, np.float32))
    np.save("pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("bad.npy", "bad.npz", "bad.safetensors", "notes.txt"):
        Path(name).write_text("hello")
    before = contents()
    code, out, err = run("aggregate", *arguments)
    assert one_sentence(code, out, err), (code, out, err)
    assert all(word in err for word in words), err
    assert contents() == before  # nothing lost, nothing left behind


def test_unreadable_files_can_be_dropped(run, updates):
    X, names = updates
    Path("empty.npy").touch()
    code, out, _ = run(
        "aggregate",
        *names,
        "empty.npy",
        "gone.npy",
        "--rule",
        "krum",
        "-f",
        "3",
        "--malformed",
        "drop",
        "--json",
        "-o",
        "out.npy",
    )
    assert code == 0
    clients = json.loads(out)["clients"]
    assert "empty.npy" in clients[10]["dropped"] and "No such file" in clients[11]["dropped"]
    assert np.array_equal(np.load("out.npy"), rc.krum([*X, None, None], f=3, malformed="drop"))


def test_certify_prints_what_the_library_certifies(run, updates):
    X, names = updates
    np.save("y.npy", rc.krum(X, 3))
    expected = rc.certify(X, rc.krum(X, 3), 3)
    code, out, err = run("certify", *names, "--output", "y.npy", "-f", "3")
    assert code == 0 and err == ""
    assert "10 clients (0 to 9) of 200 numbers each, up to 3 of them Byzantine" in out
    for what in ("meb_factor", "kappa", "centroid_ratio"):
        assert f" {getattr(expected, what):.4g} " in out
    assert re.search(r"the worst, if [-\d, ]+ lie", out)
    assert re.search(rf"multi_krum +[\d.]+ +{rc.theory.kappa_upper_bound(10, 3, 7):.4g} ", out)
    facts = json.loads(run("certify", *names, "--output", "y.npy", "-f", "3", "--json")[1])
    assert facts["exact"] and (facts["n"], facts["f"], facts["d"]) == (10, 3, 200)
    for what, worst in expected.worst.items():
        assert (facts[what]["low"], facts[what]["high"]) == (worst.low, worst.high)
        assert facts[what]["honest"] == [names[i] for i in worst.honest]
        assert sorted(facts[what]["honest"] + facts[what]["lying"]) == sorted(names)
    assert facts["bounds"][0] == vars(expected.bounds[0])


def test_certify_says_what_it_could_not_read_and_what_it_did_not_finish(run, updates):
    X, names = updates
    np.save("y.npy", X[3])
    np.save("nan.npy", np.full(200, np.nan, np.float32))
    code, out, _ = run("certify", *names, "nan.npy", "--output", "y.npy", "-f", "4", "--budget", "1e-9")
    assert code == 0 and "10 (nan.npy) dropped: not finite" in out and "the worst that was found is" in out
    facts = json.loads(run("certify", *names, "nan.npy", "--output", "y.npy", "-f", "4", "--json")[1])
    assert facts["dropped"] == {"nan.npy": "not finite"}


@pytest.mark.parametrize(
    ("values", "y", "f", "words"),
    [
        ([1.0, 1.0, 1.0], 1.0, 1, ["kappa", "-", "all updates are equal"]),
        ([1.0, 1.0, 3.0], 2.0, 1, ["infinite", "if 2 lies"]),
        ([1.0, 2.0, 3.0], 1.0, 0, ["of 1 number each", "centroid ratio  infinite", "there is but one mean"]),
    ],
)
def test_certify_of_few_numbers(run, values, y, f, words):
    for i, value in enumerate(values):
        np.save(f"u{i}.npy", np.array([value]))
    np.save("y.npy", np.array([y]))
    code, out, _ = run("certify", "u0.npy", "u1.npy", "u2.npy", "--output", "y.npy", "-f", str(f))
    assert code == 0 and all(word in out for word in words), out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["u0.npy", "u1.npy", "-f", "0"], ["--output"]),
        (["u0.npy", "u1.npy", "--output", "u0.npy", "-f", "1"], ["certify needs n > 2f; here n = 2 and f = 1"]),
        (["u0.npy", "u1.npy", "--output", "gone.npy", "-f", "0"], ["cannot read gone.npy"]),
        (["u0.npy", "u1.npy", "--output", "short.npy", "-f", "0"], ["short.npy is not like the updates", "(5,)"]),
        (["u0.npy", "short.npy", "--output", "u0.npy", "-f", "0"], ["client 1 (short.npy)", "shape"]),
        (["u0.npy", "u1.npy", "--output", "u0.npy", "-f", "0", "--budget", "-1"], ["budget"]),
    ],
)
def test_certify_ends_wrong_input_with_one_sentence(run, updates, arguments, words):
    np.save("short.npy", np.ones(5, np.float32))
    code, out, err = run("certify", *arguments)
    assert one_sentence(code, out, err), (code, out, err)
    assert all(word in err for word in words), err


def test_rules_lists_everything(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("rules")
    assert code == 0
    assert all(len(line) <= 80 for line in out.splitlines())
    for name in (*rc.RULES, *rc.MIXINGS, *rc.attacks.ATTACKS):
        assert re.search(rf"^  {name}  .", out, re.MULTILINE), name
    assert re.search(r"^  bulyan  n >= 4f \+ 3$", out, re.MULTILINE)


@pytest.mark.parametrize("name", [*rc.RULES, *rc.MIXINGS, *rc.attacks.ATTACKS])
def test_rules_shows_one_in_full(run, name):
    code, out, _ = run("rules", name)
    assert code == 0
    assert all(word in out for word in (name, "Condition:", "Cost:", "Reference:", ">>> "))
    assert ("Guarantee:" in out) == (name not in rc.attacks.ATTACKS)
    assert "`" not in out


def test_rules_knows_what_there_is_not(run):
    code, out, err = run("rules", "krumm")
    assert one_sentence(code, out, err)
    assert "krumm" in err and "multi_krum" in err


def test_demo_prints_the_table_and_draws(run):
    pytest.importorskip("sklearn")
    code, out, _ = run("demo", "--rounds", "1", "--rule", "krum", "--attack", "ipm", "--alpha", "0.5")
    assert code == 0 and "krum" in out and "ipm" in out and "Dirichlet(0.5)" in out
    assert Path("demo.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [["--rule", "krumm"], ["--attack", "flip"], ["--alpha", "0"], ["--alpha", "x"]])
def test_demo_refuses_what_there_is_not(run, arguments):
    pytest.importorskip("sklearn")
    assert one_sentence(*run("demo", "--rounds", "1", *arguments))


@pytest.mark.parametrize("picture", ["p.txt", "no/p.png"])
def test_demo_refuses_the_picture_before_it_trains(run, picture):
    assert one_sentence(*run("demo", "--picture", picture))


@pytest.mark.parametrize("name", ["[/bold]", "[red]x", "client 99", "allow_pickle", "file"])
def test_a_hostile_layer_name_is_only_a_name(run, name):
    for i in range(4):
        files.save(f"c{i}.npz", {"w": np.ones(2)})
    files.save("c4.npz", {"w": np.ones(2), name: np.ones(1)})
    names = [f"c{i}.npz" for i in range(5)]
    code, out, _ = run("aggregate", *names, "--rule", "mean", "--malformed", "drop", "-o", "out.npz")
    assert code == 0
    assert name in "".join(out.replace("│", " ").split()) or name in out
    assert one_sentence(*run("aggregate", *names, "--rule", "mean"))


def test_files_keep_what_they_are_given(tmp_path):
    update = {"allow_pickle": np.arange(6.0).reshape(2, 3).T, "file": np.arange(4.0)[::2]}
    for suffix in (".npz", ".safetensors", ".NPZ"):
        files.save(tmp_path / f"u{suffix}", update)
        back = files.load(tmp_path / f"u{suffix}")
        assert back.keys() == update.keys()
        assert all(np.array_equal(back[key], update[key]) for key in update)
    for wrong in ({"a": {"b": np.ones(1)}}, {"a": np.array([{}])}, {1: np.ones(1)}):
        with pytest.raises(ValueError, match="holds arrays by name"):
            files.save(tmp_path / "w.npz", wrong)


def test_help_and_version(run):
    assert "aggregate" in run()[1]
    assert rc.__version__ in run("--version")[1]


def test_ctrl_c_stops_with_130(tmp_path):
    """A pass of minutes, interrupted: no traceback, no output file."""
    rows = np.lib.format.open_memmap(tmp_path / "u.npy", mode="w+", dtype=np.float64, shape=(4_000_000,))
    rows[::1000] = 1.0
    rows.flush()
    script = "import sys; from robustcore import cli; print('ready', flush=True); cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "aggregate", *["u.npy"] * 200, "--rule", "krum", "-f", "3", "-o", "out.npy"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "ROBUSTCORE_ISA": "baseline"},
    )
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped" in err and "Traceback" not in err
    assert not (tmp_path / "out.npy").exists()


# ---- agree -----------------------------------------------------------------------------------------------------


@pytest.fixture
def vectors(tmp_path):
    """Seven nodes in files; the last two may lie."""
    X = np.random.default_rng(3).normal(size=(7, 2))
    for i, x in enumerate(X):
        np.save(tmp_path / f"v{i}.npy", x)
    return X, [f"v{i}.npy" for i in range(7)]


def test_agree_says_what_the_library_finds(run, vectors):
    X, names = vectors
    expected = rc.agree(X, "box", t=2, epsilon=1e-3, adversary="late", seed=4)
    arguments = [*names, "-t", "2", "--epsilon", "1e-3", "--adversary", "late", "--seed", "4"]
    code, out, _ = run("agree", *arguments, "--json")
    assert code == 0
    facts = json.loads(out)
    for name in ("rounds", "messages", "bytes", "agreed", "ratio", "claimed", "validity"):
        assert facts[name] == getattr(expected, name)
    assert facts["diameters"] == expected.diameters.tolist() and facts["byzantine"] == [5, 6]
    assert facts["outputs"] == {str(i): y.tolist() for i, y in expected.outputs.items()}
    code, out, _ = run("agree", *arguments)
    assert code == 0
    assert "box, synchronous, epsilon = 0.001" in out and "7 nodes, 2 Byzantine (adversary: late)" in out
    assert f"agreed after {expected.rounds} rounds" in out and f"{expected.messages:,} messages" in out
    assert f"centroid ratio {expected.ratio:.4g} (proved: at most {2 * np.sqrt(2):.4g})" in out
    for at, diameter in enumerate(expected.diameters):
        assert re.search(rf"^ +{at} +{diameter:.4g} ", out, re.MULTILINE)
    assert re.search(r"^ *box +holds +yes", out, re.MULTILINE) and re.search(r"^ *meb +holds *$", out, re.MULTILINE)


def test_agree_draws_inputs_of_its_own(run):
    pytest.importorskip("matplotlib")
    arguments = ["agree", "--random", "8", "3", "--protocol", "mda", "-t", "1", "--async", "--byzantine", "4,"]
    code, out, _ = run(*arguments, "--plot", "run.png")
    assert code == 0 and "mda, asynchronous" in out and "8 nodes, 1 Byzantine" in out and "picture: run.png" in out
    assert Path("run.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads(run(*arguments, "--json")[1])
    assert facts["byzantine"] == [4] and facts["d"] == 3 and facts == json.loads(run(*arguments, "--json")[1])
    assert facts["outputs"] != json.loads(run(*arguments, "--json", "--seed", "1")[1])["outputs"]


def test_more_byzantine_nodes_than_withstood(run):
    for i, x in enumerate([0.0, 1.0, 0.0, 0.0]):
        np.save(f"x{i}.npy", np.array([x]))
    names = [f"x{i}.npy" for i in range(4)]
    code, out, _ = run("agree", *names, "-t", "1", "--byzantine", "2", "--adversary", "equivocate", "--epsilon", "0.1")
    assert code == 0 and "not agreed after" in out and "1 apart" in out and "nothing proved" in out


def test_agree_prints_the_table(run, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("scipy")
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("agree", "--table", "--runs", "2", "--plot", "table.png")
    assert code == 0 and "…" not in out
    rows = [line.split() for line in out.splitlines()]
    for name in rc.agreement.PROTOCOLS:
        assert [row[1] for row in rows if row[:1] == [name]] == ["sync", "async"]
    assert ["box", "sync", "n", ">", "3t", "2/2", "box"] in [row[:7] for row in rows]
    assert Path("table.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["FILES", "-t", "3"], ["box needs n > 3t; here n = 7 and t = 3 (with n = 7, t can be at most 2)"]),
        (["FILES", "-t", "2", "--protocol", "mda"], ["mda needs n > 4t", "t can be at most 1"]),
        (["FILES", "-t", "2", "--protocol", "paxos"], ["'paxos'", "centroid_safe_area"]),
        (["FILES", "-t", "2", "--adversary", "nice"], ["'nice'", "worst_case"]),
        (["FILES", "-t", "2", "--epsilon", "0"], ["epsilon", "> 0"]),
        (["FILES", "-t", "2", "--epsilon", "nan"], ["epsilon", "> 0"]),
        (["FILES", "short.npy", "-t", "2"], ["client 7 (short.npy)", "(3,)", "(2,)"]),
        (["nan.npy", "FILES", "-t", "2"], ["node 0 (nan.npy) is honest", "NaN"]),
        (["FILES", "layers.npz", "-t", "2"], ["client 7 (layers.npz)", "dict"]),
        (["FILES", "gone.npy", "-t", "2"], ["cannot read gone.npy"]),
        (["FILES"], ["-t"]),
        (["-t", "1"], ["--random N D"]),
        (["FILES", "--random", "4", "2", "-t", "1"], ["--random N D"]),
        (["--random", "0", "2", "-t", "1"], ["above 0", "0 and 2"]),
        (["FILES", "-t", "2", "--byzantine", "some"], ["'some'"]),
        (["FILES", "-t", "2", "--byzantine", "9,"], ["byzantine has 9", "0 to 6"]),
        (["FILES", "-t", "2", "--byzantine", "7"], ["honest node"]),
        (["FILES", "-t", "2", "--seed", "-1"], ["seed >= 0"]),
        (["FILES", "-t", "2", "--plot", "run.txt"], ["run.txt", ".png"]),
        (["FILES", "-t", "2", "--runs", "3"], ["--table"]),
        (["--table", "--runs", "0"], ["runs >= 1"]),
        (["--table", "-t", "0"], ["t >= 1"]),
        (["--table", "FILES"], ["runs of its own", "VECTORS"]),
        (["--table", "--protocol", "mda", "--async"], ["--protocol, --async cannot be given"]),
    ],
)
def test_agree_ends_wrong_input_with_one_sentence(run, vectors, arguments, words):
    np.save("short.npy", np.zeros(3))
    np.save("nan.npy", np.array([0.0, np.nan]))
    np.savez("layers.npz", w=np.zeros(2))
    places = [name for argument in arguments for name in (vectors[1] if argument == "FILES" else [argument])]
    code, out, err = run("agree", *places)
    assert one_sentence(code, out, err), (code, out, err)
    assert all(word in err for word in words), err


def test_ctrl_c_stops_the_table(tmp_path):
    pytest.importorskip("scipy")
    script = "from robustcore import cli; print('ready', flush=True); cli.main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "agree", "--table", "--runs", "100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "stopped" in err and "Traceback" not in err
