"""What the command line says of runs of agreements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from robustcore.agreement._trace import Trace
from robustcore.agreement.pictures import bound
from robustcore.agreement.table import CHAIN, HEAD, NUMBERS, Row, cells

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 12  # rounds, of which there may be hundreds
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def facts(trace: Trace) -> dict[str, Any]:
    """What there is to say of a run, for JSON."""
    setting = trace.setting
    return {
        "protocol": trace.protocol.name,
        "synchronous": setting.synchronous,
        **{key: getattr(setting, key) for key in ("n", "t", "d", "epsilon")},
        "byzantine": list(trace.byzantine),
        "adversary": trace.adversary.name,
        "seed": trace.seed,
        "agreed": trace.agreed,
        "rounds": trace.rounds,
        "diameters": [_number(diameter) for diameter in trace.diameters.tolist()],
        "validity": trace.validity,
        "claims": list(trace.protocol.claims),
        "ratio": _number(trace.ratio),
        "claimed": trace.claimed,
        "messages": trace.messages,
        "bytes": trace.bytes,
        "outputs": {str(i): output.tolist() for i, output in trace.outputs.items()},
    }


def _number(ratio: float) -> float | str | None:
    """JSON has neither NaN nor infinity."""
    return None if math.isnan(ratio) else "infinite" if math.isinf(ratio) else ratio


def print_run(trace: Trace, console: Console) -> None:
    """What was run, how near honest nodes came in each round, and what that is worth."""
    setting, proved = trace.setting, bound(trace)
    liars = f"{len(trace.byzantine)} Byzantine" + f" (adversary: {trace.adversary.name})" * bool(trace.byzantine)
    model = "synchronous" if setting.synchronous else "asynchronous"
    console.print(f"[bold]{trace.protocol.name}[/bold], {model}, epsilon = {setting.epsilon:.4g}", highlight=False)
    console.print(f"{setting.n} nodes, {liars}, vectors of {_count(setting.d, 'number')}", highlight=False)
    rounds = _table("round", "diameter", *(() if proved is None else ("at most",)))
    last = len(trace.diameters) - 1
    shown = [*range(last + 1)] if last < SHOWN else [*range(SHOWN - 2), None, last]
    for at in shown:
        if at is None:
            rounds.add_row("...")
            continue
        start = trace.protocol.opening
        most = "" if proved is None or at < start else f"{proved[at - start]:.4g}"
        rounds.add_row(str(at), f"{trace.diameters[at]:.4g}", *(() if proved is None else (most,)))
    console.print(rounds)
    after = f"after {_count(trace.rounds, 'round')}"
    if trace.agreed:
        apart = f"{trace.diameters[-1]:.4g} apart" if trace.diameters[-1] else "equal"
        console.print(f"[green]agreed[/green] {after}: outputs are {apart}", highlight=False)
    else:
        without = len(trace.diameters) and setting.n - len(trace.byzantine) - len(trace.outputs)
        why = f"{without} honest have not decided" if without else f"{trace.diameters[-1]:.4g} apart"
        console.print(f"[red]not agreed[/red] {after}: {why}", highlight=False)
    console.print(
        "[dim]At most: what is proved of a round. Nodes end when what they have received shows that they agree.[/dim]",
        highlight=False,
    )
    held = _table("validity", "", "claimed")
    for name, holds in trace.validity.items():
        claimed = "yes" if name in trace.protocol.claims and len(trace.byzantine) <= setting.t else ""
        held.add_row(name, "[green]holds[/green]" if holds else "[dim]does not hold[/dim]", claimed)
    console.print(held)
    known = "nothing proved" if trace.claimed is None else f"proved: at most {trace.claimed:.4g}"
    ratio = "none" if math.isnan(trace.ratio) else "infinite" if math.isinf(trace.ratio) else f"{trace.ratio:.4g}"
    console.print(f"centroid ratio {ratio} ({known})", highlight=False)
    console.print(f"{trace.messages:,} messages, {human(trace.bytes)}", highlight=False)


def print_table(rows: list[Row], console: Console) -> None:
    """Table 1 of the paper, claimed and measured."""
    setting = rows[0].setting
    title = f"{setting.t} Byzantine each, with as few nodes as that takes, vectors of {_count(setting.d, 'number')}"
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), title=title)
    table.title_justify, table.title_style = "left", "bold"
    for i, column in enumerate(HEAD):
        table.add_column(column, justify="right" if i in NUMBERS else "left", no_wrap=True)
    for line, row in zip(cells(rows), rows, strict=True):
        kept = row.agreed == row.runs and _order(row.validity) >= _order(row.claims)
        table.add_row(*line, style="" if kept else "red", end_section=not row.setting.synchronous)
    console.print(table)
    console.print(
        "claims, held: the strictest validity that is claimed, and that held in all runs. proved, ratio: the largest "
        "distance of an output from the mean of the honest, in radii of the ball around all candidates for that mean; "
        "unsent: where Byzantine nodes never sent a vector, so that there is one candidate, and no radius.",
        highlight=False,
    )


def _order(condition: str) -> int:
    return CHAIN.index(condition) if condition in CHAIN else -1


def _table(*columns: str) -> Table:
    made = Table(box=SIMPLE_HEAD, show_edge=False)
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if column in ("round", "diameter", "at most") else "left", min_width=i)
    return made


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def human(size: float) -> str:
    """Bytes as a few digits and a unit."""
    for unit in UNITS:
        if size < 999.5 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.3g} {unit}"
