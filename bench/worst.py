"""The worst inputs that a search finds for every rule: ``python -m bench.worst docs`` writes worst.json and worst.md.

The search is deterministic; it takes ten minutes on one core. ``python -m bench.worst docs --table`` writes
the page anew from what was found.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import robustcore as rc
from robustcore.theory.search import search_kappa

NF = ((10, 2), (10, 4), (20, 4), (20, 9), (30, 9))
STEPS = 25_000
RNGS = range(3)
SLOW = {"smea": 500, "minmax_meb": 2_500, "mda": 12_000}  # rules that search themselves
OWN = {"centered_clip": {"tau": 1.0}}
BEGIN, END = "<!-- table: python -m bench.worst docs -->", "<!-- end of table -->"


def rule_of(name: str, n: int, f: int) -> rc.Rule | None:
    """The rule with what it needs, or None where n and f are not for it."""
    kind = rc.RULES[name]
    takes_f = "f" in kind.__dataclass_fields__
    rule = kind(**({"f": f} if takes_f else {}), **OWN.get(name, {}))
    try:
        rule.check(n)
    except rc.ConstraintError:
        return None
    return rule


def search(name: str, n: int, f: int) -> dict[str, object] | None:
    rule = rule_of(name, n, f)
    if rule is None:
        return None
    with rc.num_threads(1):
        budget = rc.Budget(steps=SLOW.get(name, STEPS))
        found = max((search_kappa(rule, n, f, rng=rng, budget=budget) for rng in RNGS), key=lambda one: one.kappa)
    print(f"{name} ({n}, {f}): {found.kappa:.6g}", file=sys.stderr, flush=True)
    kappa = found.kappa if math.isfinite(found.kappa) else "inf"
    return {"rule": name, "n": n, "f": f, "kappa": kappa, "places": [list(place) for place in found.places]}


def shown(kappa: float, bound: float | None) -> str:
    """Rounded outwards to three digits behind the point, but for 1e-7 of what is shown."""
    low = "∞" if math.isinf(kappa) else f"{math.floor(kappa * 1000 * (1 + 1e-7)) / 1000:.3f}"
    if bound is None:
        return low
    return f"= {low}" if kappa >= bound * (1 - 1e-7) else f"{low} ≤ {math.ceil(bound * 1000 * (1 - 1e-7)) / 1000:.3f}"


def table(entries: list[dict[str, object]]) -> str:
    known = {(e["rule"], e["n"], e["f"]): float(e["kappa"]) for e in entries}
    lines = ["| rule | " + " | ".join(f"({n}, {f})" for n, f in NF) + " |", "| --- |" + " --- |" * len(NF)]
    for name in rc.RULES:
        cells = []
        for n, f in NF:
            rule = rule_of(name, n, f)
            if rule is None:
                cells.append("n, f not allowed")
                continue
            cells.append(shown(known[name, n, f], rule.guarantee(n)))
        lines.append(f"| [{name}](rules/{name}.md) | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(folder: Path, only_table: bool) -> None:
    data, page = folder / "worst.json", folder / "worst.md"
    if only_table:
        entries = json.loads(data.read_text(encoding="utf-8"))
    else:
        entries = [found for name in rc.RULES for n, f in NF if (found := search(name, n, f))]
        data.write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n", encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{table(entries)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--table" in sys.argv)
