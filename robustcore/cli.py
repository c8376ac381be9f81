"""The command line: aggregate files, look rules and their guarantees up, run the demonstration."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

try:
    import click
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.markup import escape
    from rich.padding import Padding
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Table
except ImportError:
    print('robustcore: the command line needs more packages: pip install "robustcore[cli]"', file=sys.stderr)
    raise SystemExit(2) from None

import numpy as np

import robustcore as rc
from robustcore import _docs, files
from robustcore.rules import make_rule


def main() -> None:
    """Run the command line: wrong input ends with one sentence and exit code 2, Ctrl-C with 130."""
    try:
        commands(sys.argv[1:] or ["--help"], standalone_mode=False)
    except click.exceptions.Abort:
        print("robustcore: stopped", file=sys.stderr)
        sys.exit(130)
    except (click.ClickException, ValueError, TypeError, OSError, ImportError) as error:
        sentence = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"robustcore: {' '.join(sentence.split())}", file=sys.stderr)
        sys.exit(2)


def _rules_with(parameter: str, *, needed: bool = False) -> str:
    """The rules that have a parameter, or that cannot do without it."""
    own = {name: {field.name: field for field in fields(rule)} for name, rule in rc.RULES.items()}
    takes = {name: known[parameter] for name, known in own.items() if parameter in known}
    return ", ".join(name for name, field in takes.items() if not needed or field.default is MISSING)


_MALFORMED = click.option(
    "--malformed",
    type=click.Choice(["raise", "drop"]),
    default="raise",
    show_default=True,
    help="Drop unreadable or malformed updates, counted against f, or give up.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
_THREADS = click.option("--threads", type=click.IntRange(1, 4096), help="By default as many as there are cores.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rc.__version__, prog_name="robustcore")
def commands() -> None:
    """Byzantine-robust aggregation: turn n updates, some of them lies, into one that can be trusted."""


@commands.command()
@click.argument("updates", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--rule",
    "name",
    required=True,
    type=click.Choice(sorted(rc.RULES)),
    metavar="NAME",
    help="How to aggregate: see `robustcore rules`.",
)
@click.option(
    "-f", "f", type=int, help=f"How many clients may be Byzantine. Needed by {_rules_with('f', needed=True)}."
)
@click.option("-m", "m", type=int, help=f"{_rules_with('m')}: how many updates to average; by default all that may be.")
@click.option(
    "--neighbors",
    type=click.Choice(["theory", "classic"]),
    help=f"{_rules_with('neighbors')}: the n - f nearest (default), or the n - f - 2 nearest others.",
)
@click.option("--tau", type=float, help=f"{_rules_with('tau')}, which needs it: the largest length of a difference.")
@click.option("--iterations", type=int, help=f"{_rules_with('iterations')}: how many steps; 1 by default.")
@click.option("--pivot", type=int, help=f"{_rules_with('pivot')}: the client that is trusted; 0 by default.")
@click.option(
    "--smoothing", type=float, help=f"{_rules_with('smoothing')}: distances below count as squares; 0 by default."
)
@click.option(
    "--budget",
    type=float,
    help=f"{_rules_with('budget')}: seconds for the search; then the best found, and what is proved of it.",
)
@click.option(
    "--mixing",
    multiple=True,
    metavar="NAME[:KEY=NUMBER,...]",
    help=f"Mix the updates first: {', '.join(rc.MIXINGS)}, e.g. nnm or clipping:c=10; repeatable, in this order.",
)
@_MALFORMED
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the aggregate.")
@_JSON
@_THREADS
def aggregate(
    updates: tuple[Path, ...],
    name: str,
    malformed: str,
    output: Path | None,
    as_json: bool,
    threads: int | None,
    **parameters: Any,
) -> None:
    """Aggregate UPDATES, one file a client, or folders of them: .npy, .npz, .safetensors, or torch checkpoints.

    They need not fit into memory.

    \b
    robustcore aggregate updates/ --rule multi_krum -f 3 -o out.safetensors
    """  # noqa: D301  # click's mark for a line that is not to be wrapped
    rule = make_rule(name, **{key: value for key, value in parameters.items() if value not in (None, ())})
    clients = files.paths(updates)
    with rc.num_threads(threads or rc.get_num_threads()), _bar() as progress:
        result = files.aggregate(
            clients, rule, out=output, malformed="drop" if malformed == "drop" else "raise", progress=progress
        )
    if as_json:
        print(json.dumps(_facts(result, clients, output), indent=2))
    else:
        _print(result, clients, output)


@commands.command()
@click.argument("updates", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    "aggregate",
    required=True,
    type=click.Path(path_type=Path),
    help="The aggregate to judge: a file like the updates, which is read.",
)
@click.option("-f", "f", type=int, required=True, help="How many clients may be Byzantine.")
@click.option("--budget", type=float, help="Seconds for the searches; then what is proved by then.")
@_MALFORMED
@_JSON
@_THREADS
def certify(
    updates: tuple[Path, ...],
    aggregate: Path,
    f: int,
    budget: float | None,
    malformed: str,
    as_json: bool,
    threads: int | None,
) -> None:
    """Say how wrong an aggregate of UPDATES may be, whoever of the clients is honest.

    \b
    robustcore certify updates/ --output aggregate.npy -f 3
    """  # noqa: D301  # as above
    clients = files.paths(updates)
    X = files.updates(clients, "drop" if malformed == "drop" else "raise")
    y = files.load_or_why(aggregate, "raise")
    named = files.named(clients, {"certify: y": aggregate})
    with named, rc.num_threads(threads or rc.get_num_threads()), _bar() as progress:
        certificate = rc.certify(X, y, f, budget=budget, progress=progress)
    if as_json:
        print(json.dumps(_certificate(certificate, clients), indent=2))
    else:
        _print_certificate(certificate, clients)


@commands.command()
@click.argument("name", required=False)
def rules(name: str | None) -> None:
    """List the rules, mixings and attacks, or show all that is known of the one called NAME."""
    console, known = Console(), _docs.entries()
    if name is None:
        for kind in _docs.REGISTRIES:
            console.print(f"[bold]{kind.capitalize()}[/bold]")
            for entry in (entry for entry in known if entry.kind == kind):
                condition, _, _ = entry.condition.partition(";")
                console.print(f"  [bold]{entry.name}[/bold]  [dim]{escape(condition)}[/dim]", highlight=False)
                lines = [entry.summary, f"Cost: {entry.cost}", f"Reference: {entry.reference}"]
                lines[2:2] = [] if kind == "attacks" else [f"Guarantee: {entry.guarantee}"]
                for line in lines:
                    console.print(Padding(escape(line.replace("`", "")), (0, 0, 0, 6)), highlight=False)
        console.print("[bold]Parts[/bold]")
        console.print(f"  {', '.join(_docs.PARTS)}", highlight=False)
        console.print("\nParameters and an example: robustcore rules NAME")
        return
    if name in _docs.PARTS:
        console.print(Markdown(_docs.part(name, {}), hyperlinks=False))
        return
    found = [entry for entry in known if name in (entry.name, entry.made.__name__)]
    if not found:
        there = sorted([*(entry.name for entry in known), *_docs.PARTS])
        raise ValueError(f"there is no {name!r}; there are {', '.join(there)}")
    for entry in found:
        console.print(Markdown(_docs.page(entry, links=False), hyperlinks=False))


@commands.command()
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Rounds of training.")
@click.option(
    "--alpha",
    type=float,
    help="Skew the labels: each client's share of each digit is drawn from Dirichlet(alpha); the smaller, the more.",
)
@click.option("--rule", "rules", multiple=True, metavar="NAME", help="Only this rule, e.g. krum+nnm; repeatable.")
@click.option("--attack", "attacks", multiple=True, metavar="NAME", help="Only this attack, or none; repeatable.")
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=Path("demo.png"),
    show_default=True,
    help="Where to draw the heat map.",
)
def demo(rounds: int, picture: Path, **choices: Any) -> None:
    """Train on real images with 20 clients, four of them Byzantine, for every attack and rule."""
    from robustcore import demo as demonstration

    _check_picture(picture)
    with _bar() as progress:
        result = demonstration.run(
            rounds, progress=progress, **{key: value for key, value in choices.items() if value not in (None, ())}
        )
    demonstration.print_table(result, Console())
    demonstration.plot(result, picture)
    print(f"heat map: {picture}")


@commands.command()
@click.option("-n", "--n", "n", type=int, required=True, help="How many clients there are.")
@click.option("-f", "--f", "f", type=int, required=True, help="How many of them may be Byzantine.")
@click.option("-d", "--dimensions", "d", type=int, default=10**6, show_default=True, help="Numbers in an update.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Where to draw the bounds on Multi-Krum.")
def bounds(n: int, f: int, d: int, picture: Path | None) -> None:
    """Print how wrong every rule can be for n clients, f of them Byzantine, before any data is seen."""
    from robustcore import bounds as known

    if picture is not None:
        _check_picture(picture)
        known.plot(n, f, picture)
    known.print_tables(n, f, d, Console())
    if picture is not None:
        print(f"picture: {picture}")


@commands.command()
@click.argument("vectors", nargs=-1, type=click.Path(path_type=Path))
@click.option("--random", "drawn", type=int, nargs=2, metavar="N D", help="Draw N vectors of D numbers instead.")
@click.option("--protocol", default="box", metavar="NAME", show_default=True, help=", ".join(rc.agreement.PROTOCOLS))
@click.option("-t", "t", type=int, help="How many Byzantine nodes the protocol is to withstand.")
@click.option(
    "--byzantine",
    metavar="WHO",
    help="Who is Byzantine: how many (the last ones), or which, with commas (0,4; a single one: 4,). By default t.",
)
@click.option(
    "--adversary", default="none", metavar="NAME", show_default=True, help=", ".join(rc.agreement.ADVERSARIES)
)
@click.option(
    "--epsilon", type=float, help="How far apart outputs may be; by default a thousandth of the honest inputs' spread."
)
@click.option("--async", "asynchronous", is_flag=True, help="Messages arrive at any time, in the adversary's order.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of all that is drawn.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Where to draw the run, or the table.")
@click.option("--table", is_flag=True, help="Run all protocols against all adversaries instead (t = 1 by default).")
@click.option("--runs", type=int, help="For the table: how many, of each protocol and network; 88 by default.")
@_JSON
def agree(
    vectors: tuple[Path, ...],
    drawn: tuple[int, int] | None,
    protocol: str,
    t: int | None,
    byzantine: str | None,
    adversary: str,
    epsilon: float | None,
    asynchronous: bool,
    seed: int,
    picture: Path | None,
    table: bool,
    runs: int | None,
    as_json: bool,
) -> None:
    """Let nodes agree on a vector with no server: VECTORS are their inputs, one file a node.

    \b
    robustcore agree vectors/*.npy --protocol box -t 2 --adversary late
    robustcore agree --random 7 2 -t 2 --adversary late --async --plot run.png
    robustcore agree --table
    """  # noqa: D301  # as above
    from robustcore.agreement import pictures, report
    from robustcore.agreement.table import measure

    if picture is not None:
        _check_picture(picture)
    if table:
        context = click.get_current_context()
        given = [
            option.opts[0] if option.opts[0].startswith("-") else option.human_readable_name
            for option in context.command.params
            if option.name not in ("table", "runs", "t", "seed", "picture")
            and context.get_parameter_source(option.name or "") is click.core.ParameterSource.COMMANDLINE
        ]
        if given:
            raise ValueError(f"agree: --table has runs of its own, for which {', '.join(given)} cannot be given")
        with _bar() as progress:
            rows = measure(88 if runs is None else runs, 1 if t is None else t, seed=seed, progress=progress)
        report.print_table(rows, Console())
        if picture is not None:
            pictures.plot_table(rows, picture)
            print(f"picture: {picture}")
        return
    if runs is not None:
        raise ValueError("agree: --runs is for --table")
    if t is None:
        raise ValueError("agree needs -t, how many Byzantine nodes to withstand")
    if bool(vectors) == (drawn is not None):
        several = ", not both" if vectors else ""
        raise ValueError(f"agree needs the vectors of nodes, in files or as --random N D{several}")
    who = t if byzantine is None else _who(byzantine)
    X = [files.load_or_why(path, "raise") for path in vectors] if drawn is None else _draw(*drawn, who, seed)
    with files.named(vectors):
        trace = rc.agree(
            X,
            protocol,
            t=t,
            epsilon=_thousandth(X, who) if epsilon is None else epsilon,
            byzantine=who,
            synchronous=not asynchronous,
            adversary=adversary,
            seed=seed,
        )
    if picture is not None:
        pictures.plot(trace, picture)
    if as_json:
        print(json.dumps(report.facts(trace), indent=2))
        return
    report.print_run(trace, Console())
    if picture is not None:
        print(f"picture: {picture}")


@commands.command()
@click.argument("points", type=click.Path(path_type=Path))
@click.option("-k", "k", type=int, required=True, help="How many clusters.")
@click.option("-t", "t", type=int, default=0, show_default=True, help="How many Byzantine machines to withstand.")
@click.option("--machines", "m", type=int, default=10, show_default=True, help="How many machines there are.")
@click.option(
    "--method",
    type=click.Choice(["k-medians", "k-means"]),
    default="k-medians",
    show_default=True,
    help="Minimise distances or their squares.",
)
@click.option(
    "--assignment",
    "kind",
    type=click.Choice(["fractional_repetition", "bernoulli", "expander"]),
    help="Which machine has which points; by default fractional_repetition, unless --p or --degree is given.",
)
@click.option("--s", type=int, help="fractional_repetition: machines that have a point; by default 2t + 1.")
@click.option(
    "--p", "p", type=float, multiple=True, help="bernoulli: probability that a machine has a point; repeatable."
)
@click.option("--degree", type=int, help="expander: machines that have a point.")
@click.option(
    "--byzantine",
    metavar="WHO",
    help="For experiments, who is made to lie: how many machines, which are drawn, or which, with commas (0,4; a "
    "single one: 4,). By default none, or t with --attack.",
)
@click.option(
    "--attack",
    metavar="NAME",
    help="For experiments, what they send: random, shift, borrow, attract, nan, silent, malformed.",
)
@click.option("--truth", type=click.Path(path_type=Path), help="The true centres, in a file like POINTS.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Where to draw points and centres.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the centres: .npy.")
@click.option(
    "--baselines/--no-baselines",
    default=None,
    help="Also without redundancy, and on one machine; by default for up to 5 million numbers.",
)
@click.option("--workers", type=click.IntRange(1), help="Let so many processes work (Dask), not this one.")
@click.option("--deadline", type=float, help="With --workers: seconds after which a machine counts as Byzantine.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn.")
@_JSON
@_THREADS
def cluster(
    points: Path,
    truth: Path | None,
    picture: Path | None,
    output: Path | None,
    byzantine: str | None,
    as_json: bool,
    threads: int | None,
    **choices: Any,
) -> None:
    """Cluster POINTS on machines of which t may lie: .csv, .txt, .npy (memory-mapped) or .npz, a point in each row.

    \b
    robustcore cluster points.csv -k 15
    robustcore cluster points.csv -k 15 -t 3 --machines 10 -o centres.npy
    robustcore cluster points.csv -k 15 -t 3 --attack random --p 0.1 --p 0.2 --truth centres.csv --plot out.png
    """  # noqa: D301  # as above
    from robustcore.clustering import experiment, pictures, report
    from robustcore.clustering.points import load

    if picture is not None:
        _check_picture(picture)
    if output is not None:
        files.check_writable(output)
        files.check_output(output, np.empty(0))
    for path in filter(None, (picture, output)):
        if path.exists() and any(given.exists() and path.samefile(given) for given in (points, truth) if given):
            raise ValueError(f"{path} is what is to be read; write somewhere else")
    if output is not None and len(choices["p"]) > 1:
        raise ValueError("cluster: -o is for the centres of one assignment, and there are several --p")
    X = files.load_or_why(points, "raise", load)
    true = None if truth is None else files.load_or_why(truth, "raise", load)
    with rc.num_threads(threads or rc.get_num_threads()), _bar() as progress:
        made = experiment.run(
            X, truth=true, byzantine=None if byzantine is None else _who(byzantine), progress=progress, **choices
        )
    ours = made.solutions[-1]
    if output is not None:
        files.save(output, ours.centers)
    if picture is not None:
        pictures.plot(X, made, picture, truth=true)
    if as_json:
        print(json.dumps(report.facts(made, true), indent=2))
        return
    report.print_comparison(made, Console(), true)
    for what, written in (("written", output), ("picture", picture)):
        if written is not None:
            print(f"{what}: {written}")


def _who(byzantine: str) -> int | list[int]:
    try:
        return [int(i) for i in byzantine.split(",") if i] if "," in byzantine else int(byzantine)
    except ValueError:
        raise ValueError(f"--byzantine takes a number, or numbers with commas, not {byzantine!r}") from None


def _draw(n: int, d: int, byzantine: int | list[int], seed: int) -> Any:
    """Inputs that are normally distributed, those of Byzantine nodes farther to one side."""
    if n < 1 or d < 1:
        raise ValueError(f"agree: --random takes two numbers above 0, not {n} and {d}")
    X = np.random.default_rng(seed).normal(size=(n, d))
    ids = byzantine if isinstance(byzantine, list) else range(max(0, n - byzantine), n)
    X[[i for i in ids if 0 <= i < n]] += 3 / math.sqrt(d)
    return X


def _thousandth(X: Any, byzantine: int | list[int]) -> float:
    """Of the longest edge of the box around honest inputs."""
    lies = byzantine if isinstance(byzantine, list) else range(len(X) - byzantine, len(X))
    rows = [np.asarray(row) for i, row in enumerate(X) if i not in lies]
    if len({row.shape for row in rows}) != 1 or rows[0].dtype.kind != "f" or not rows[0].size:
        return 1.0  # there can be no agreement on these, as will be said
    with np.errstate(invalid="ignore", over="ignore"):
        edge = float((np.max(rows, axis=0) - np.min(rows, axis=0)).max())
    return edge / 1000 if 0 < edge < math.inf else 1e-3


def _check_picture(path: Path) -> None:
    files.check_writable(path)
    if path.suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"{path} is none of .png, .pdf, .svg")


@contextmanager
def _bar() -> Iterator[Callable[[float], None]]:
    """A progress bar on stderr, if that is a terminal, which appears only when the work takes long enough to report."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)

    def show(fraction: float) -> None:
        if not bar.console.is_terminal:
            return
        if not bar.tasks:
            bar.start()
            bar.add_task("working", total=1.0)
        bar.update(bar.tasks[0].id, completed=fraction)

    try:
        yield show
    finally:
        if bar.tasks:
            bar.stop()


def _facts(result: rc.Aggregation, updates: list[Path], output: Path | None) -> dict[str, Any]:
    chosen = set(result.selected.tolist())
    parameters = {key: value for key, value in vars(result.rule).items() if key not in ("mixing", "center", "budget")}
    if budget := getattr(result.rule, "budget", None):
        parameters["budget"] = budget.seconds
    return {
        "rule": {"name": result.rule.name, **parameters},
        "mixing": [repr(mixing) for mixing in result.rule.mixings],
        "n": len(updates),
        "guarantee": result.guarantee,
        "gap": result.gap,
        "optimum": None if result.optimum is None else _optimum(result.optimum),
        "output": None if output is None else os.fspath(output),
        "clients": [
            {
                "file": os.fspath(path),
                "score": None if result.scores is None else _number(result.scores[i]),
                "weight": None if result.weights is None else float(result.weights[i]),
                "selected": i in chosen,
                "dropped": result.dropped.get(i),
            }
            for i, path in enumerate(updates)
        ],
    }


def _optimum(optimum: rc.Optimum) -> dict[str, Any]:
    return {"value": optimum.value, "bound": optimum.bound, "exact": optimum.exact}


def _number(score: float) -> float | str | None:
    """JSON has neither NaN (a dropped client has no score) nor infinity (minus that: there is nothing to compare)."""
    return None if math.isnan(score) or score == -math.inf else "infinite" if math.isinf(score) else float(score)


def _print(result: rc.Aggregation, updates: list[Path], output: Path | None) -> None:
    table = Table(title=f"{result.rule}", title_justify="left", title_style="bold")
    table.add_column("client", justify="right")
    table.add_column("file", overflow="fold")
    if result.scores is not None:
        table.add_column("score", justify="right")
    table.add_column("outcome")
    entered = "looked at" if result.weights is None else "selected"
    chosen = set(result.selected.tolist())
    for i, path in enumerate(updates):
        state = f"dropped: {result.dropped[i]}" if i in result.dropped else entered if i in chosen else ""
        style = "red" if i in result.dropped else "" if i in chosen else "dim"
        score = [] if result.scores is None else ["" if math.isnan(result.scores[i]) else f"{result.scores[i]:.6g}"]
        table.add_row(str(i), escape(str(path)), *score, escape(state), style=style)
    console = Console()
    console.print(table)
    if result.guarantee is not None:
        console.print(f"guarantee: |aggregate - honest mean|^2 <= {result.guarantee:.4g} x honest variance")
    if result.optimum is not None:
        proved = "the smallest" if result.optimum.exact else f"none is below {result.optimum.bound:.6g}"
        console.print(f"{result.rule.minimised}: {result.optimum.value:.6g}; proved: {proved}", highlight=False)
    if result.gap is not None:
        share = " (a share of the smaller half)" if result.rule.name == "geometric_median" else ""
        console.print(f"gap: {result.rule.minimised} is within {result.gap:.2g} of its minimum{share}")
    if output is not None:
        console.print(f"written: {output}", highlight=False, markup=False)


# What a certificate says of an aggregate: a number, and what it counts.
MEASURES = {
    "meb_factor": ("MEB factor", "distance from the center of the smallest ball around the honest, in its radii"),
    "kappa": ("kappa", "squared distance from the mean of the honest, in their variances"),
    "centroid_ratio": ("centroid ratio", "distance from that mean, in distances that the best guess may be from it"),
}


def _certificate(certificate: rc.Certificate, updates: list[Path]) -> dict[str, Any]:
    return {
        **{key: getattr(certificate, key) for key in ("n", "f", "d", "exact")},
        **{
            what: {
                "low": _number(worst.low),
                "high": _number(worst.high),
                "exact": worst.exact,
                "honest": [os.fspath(updates[i]) for i in worst.honest],
                "lying": [os.fspath(updates[i]) for i in _liars(certificate, worst)],
            }
            for what, worst in certificate.worst.items()
        },
        "bounds": [vars(bound) for bound in certificate.bounds],
        "dropped": {os.fspath(updates[i]): why for i, why in certificate.dropped.items()},
    }


def _print_certificate(certificate: rc.Certificate, updates: list[Path]) -> None:
    console, n, f = Console(), certificate.n, certificate.f
    for client, why in certificate.dropped.items():
        console.print(f"[red]{client} ({escape(str(updates[client]))}) dropped: {escape(why)}[/red]", highlight=False)
    numbers = f"{certificate.d} number" + "s" * (certificate.d != 1)
    console.print(f"{n} clients (0 to {n - 1}) of {numbers} each, up to {f} of them Byzantine.", highlight=False)
    console.print(f"How far off the aggregate is at most, whichever {n - f} are honest:\n", highlight=False)
    certified = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    certified.add_column(style="bold")
    certified.add_column(justify="right", style="bold")
    certified.add_column()
    for what, (name, meaning) in MEASURES.items():
        lines = [meaning, _worst(certificate, certificate.worst[what])]
        certified.add_row(name, _measured(certificate.worst[what].high), "\n".join(filter(None, lines)))
    console.print(certified)
    console.print("\nBeside what theory promises for any input:", highlight=False)
    promised = Table(box=SIMPLE_HEAD, show_edge=False)
    promised.add_column("")
    for name, _ in MEASURES.values():
        promised.add_column(name, justify="right")
    promised.add_row("this aggregate", *(_measured(certificate.worst[what].high) for what in MEASURES), style="bold")
    for bound in certificate.bounds:
        known = [getattr(bound, what) for what in MEASURES]
        if any(value is not None for value in known):
            promised.add_row(bound.rule, *("" if value is None else f"{value:.4g}" for value in known))
    console.print(promised)


def _measured(value: float) -> str:
    return "-" if value == -math.inf else "infinite" if value == math.inf else f"{value:.4g}"


def _worst(certificate: rc.Certificate, worst: rc.Worst) -> str:
    """Who would have to lie for an aggregate to be that wrong."""
    if not len(worst.honest):
        return "[dim]all updates are equal: they have no variance[/dim]"
    if worst.high == 0.0:
        return ""
    liars = _liars(certificate, worst)
    if not liars:
        return "[dim]there is but one mean, and the aggregate is not it[/dim]" if worst.high == math.inf else ""
    who = f"if {_ranges(liars)} lie{'s' * (len(liars) == 1)}"
    found = "the worst" if worst.exact else f"the worst that was found is {worst.low:.4g}"
    return f"[dim]{found}, {who}[/dim]"


def _liars(certificate: rc.Certificate, worst: rc.Worst) -> list[int]:
    """Who lies if the output is that wrong."""
    chosen = set(worst.honest.tolist()) | set(certificate.dropped)
    return [client for client in range(certificate.n) if client not in chosen] if len(worst.honest) else []


def _ranges(clients: list[int]) -> str:
    """Clients by number, those in a row as a range: 0-2, 5."""
    runs: list[list[int]] = []
    for client in clients:
        if runs and client == runs[-1][-1] + 1:
            runs[-1].append(client)
        else:
            runs.append([client])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


if __name__ == "__main__":
    main()
