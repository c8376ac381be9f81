"""What the docstrings of rules, mixings and attacks say, for the command line and for the pages in docs/.

``python -m robustcore._docs docs`` writes the pages.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

import robustcore
from robustcore._constraints import KRUM_F, KRUM_M, MAJORITY
from robustcore.attacks import ATTACKS
from robustcore.mixing import MIXINGS
from robustcore.rules import RULES

REGISTRIES: dict[str, dict[str, Any]] = {"rules": RULES, "mixings": MIXINGS, "attacks": ATTACKS}
PARTS = (
    "pairwise_sqdist",
    "krum_scores",
    "minimum_enclosing_ball",
    "weighted_one_center",
    "minimum_diameter_subset",
    "centroid_ball",
    "safe_meb",
    "certify",
    "agree",
    *(f"validity.{name}" for name in robustcore.validity.__all__ if name.islower()),
)  # functions that are no rules
LABELS = "Condition|Cost|Guarantee"  # what paragraphs of the Notes begin with
INTRODUCTION = """\
# Rules, mixings and attacks

One page each, written from the docstrings by `python -m robustcore._docs docs`; `robustcore rules` shows the same in a
terminal. There are n clients, f of them Byzantine. A rule takes n updates X, and one or several of the mixings as
`mixing=`. An attack is called as `attack(honest, f, rng=None, *, rule=None)`, with h honest updates. Written by hand:
[how wrong an aggregate can be](bounds.md); [how wrong each rule has been seen to be](worst.md); [how validity
conditions relate, and when safeMEB is empty](validity.md); [agreement with no server](agreement.md); [clustering on
machines that may lie](clustering.md); [more than one machine](scaling.md); [tensors, whole numbers, files](files.md);
[Flower with any rule](flower.md); [coming from ByzFL, Flower, TorchJD, byzpy](coming-from.md).
"""


@dataclass(frozen=True)
class Entry:
    """A rule, mixing or attack, as its docstring describes it; texts are as they stand there, without line breaks.

    Attributes
    ----------
    kind : {"rules", "mixings", "attacks"}
        The registry, and the folder of the page.
    signatures : list of str
        How it is called: the function, where there is one, and the class.
    text, parameters, example : str
        Sections of the docstring as they stand there.
    """

    kind: str
    name: str
    made: type
    signatures: list[str]
    summary: str
    text: str
    parameters: str
    condition: str
    cost: str
    guarantee: str
    reference: str
    example: str


def entries() -> list[Entry]:
    """Everything in the registries."""
    return [_entry(kind, name, made) for kind, registry in REGISTRIES.items() for name, made in registry.items()]


def _entry(kind: str, name: str, made: type) -> Entry:
    summary, text, section = _sections(made)
    return Entry(
        kind,
        name,
        made,
        signatures=_signatures(kind, name, made),
        summary=summary,
        text=text,
        parameters=section.get("Parameters", ""),
        condition=_note(made, "Condition") or _condition(made),
        cost=_note(made, "Cost"),
        guarantee=_note(made, "Guarantee") or "none known here",
        reference=" ".join(section["References"].split()),
        example=section["Examples"],
    )


def _sections(made: Any) -> tuple[str, str, dict[str, str]]:
    """The first line of a docstring, what stands before its sections, and the sections by title."""
    summary, _, rest = (inspect.getdoc(made) or "").partition("\n")
    text, *sections = re.split(r"\n([A-Z]\w+)\n-+\n", rest)
    pairs = zip(sections[::2], sections[1::2], strict=True)
    return summary, text.strip(), {title: body.strip() for title, body in pairs}


def _note(made: type, label: str) -> str:
    """The paragraph of the Notes that begins with the label: the class's own, or the nearest that it inherits."""
    for kind in made.__mro__[:-1]:
        found = re.search(
            rf"^{label}\b[^:\n]*: (.*?)(?=^(?:{LABELS})\b|^\w+\n---|\Z)",
            inspect.cleandoc(kind.__doc__ or ""),
            re.M | re.S,
        )
        if found:
            return " ".join(found[1].split()).rstrip(".")
    return ""


def _condition(made: type) -> str:
    """The inequalities that a rule or mixing checks, in the words of its error messages."""
    own = {field.name: field for field in fields(made)}
    if "f" not in own:
        return "none"
    if "neighbors" in own:
        both = ([KRUM_F[key].text] + [KRUM_M[key].text] * ("m" in own) for key in ("theory", "classic"))
        theory, classic = (", ".join(texts) for texts in both)
        return f'{theory}; with neighbors="classic" {classic}'
    text: str = getattr(made, "needs", MAJORITY).text
    return text if own["f"].default is MISSING else f"{text}, where f is given"


def _signatures(kind: str, name: str, made: type) -> list[str]:
    module = robustcore.attacks if kind == "attacks" else robustcore
    functions = [getattr(module, name)] if kind == "rules" else []
    return [f"{module.__name__}.{it.__name__}{_bare(it)}".replace("'", '"') for it in (*functions, made)]


def _bare(function: Any) -> inspect.Signature:
    """The signature without types, which the list of parameters says in words."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)


# ---- the pages -------------------------------------------------------------------------------------------------


def page(entry: Entry, *, links: bool = True) -> str:
    """The page of one entry, in Markdown; without links, for a reader who has no other page."""
    parts = [f"# {entry.name}", entry.summary, "```python\n" + "\n".join(entry.signatures) + "\n```", entry.text]
    parts += ["\n".join(_bullets(entry.parameters))]
    parts += [f"**Condition**: {entry.condition}", f"**Cost**: {entry.cost}"]
    parts += [f"**Guarantee**: {entry.guarantee}"] if entry.kind != "attacks" else []
    parts += [f"**Reference**: {entry.reference}"]
    others = {made.__name__: f"../{kind}/{name}.md" for kind in REGISTRIES for name, made in REGISTRIES[kind].items()}
    linked = {name: path for name, path in others.items() if links and name != entry.made.__name__}
    body = "\n\n".join(part if part.startswith("```") else _markdown(part, linked) for part in parts if part)
    back = "\n[All rules, mixings and attacks](../index.md)\n" if links else ""
    return f"{body}\n\n```pycon\n{entry.example}\n```\n{back}"


def _bullets(parameters: str) -> Iterator[str]:
    for name, kind, text in re.findall(r"^(\w[\w, ]*?)(?: : (.*))?\n((?:(?:    .*)?\n?)*)", parameters, re.M):
        yield f"- `{name}`{f' ({kind})' if kind else ''}: {' '.join(text.split())}"


def _markdown(text: str, linked: dict[str, str]) -> str:
    """Numpydoc as Markdown: code in single backticks, links to the other pages, and stars that multiply escaped."""
    out = []
    for piece in re.split(r"(``.+?``|`.+?`)", text, flags=re.S):
        name = piece.strip("`")
        if not piece.startswith("`"):
            out.append(re.sub(r"(?<=\w)\*(?=\w)|(?<= )\*(?= )", r"\\*", piece))
        elif name in linked:
            out.append(f"[`{name}`]({linked[name]})")
        else:
            out.append(f"`{name}`")
    return "".join(out)


def parts() -> str:
    """The page of the functions that are no rules."""
    others = {made.__name__: f"{kind}/{name}.md" for kind in REGISTRIES for name, made in REGISTRIES[kind].items()}
    out = ["# Parts", "The functions that are no rules. Written from the docstrings, as the other pages."]
    out += (part(name, others) for name in PARTS)
    return "\n\n".join(out) + "\n\n[All rules, mixings and attacks](index.md)\n"


def part(name: str, linked: dict[str, str]) -> str:
    """What there is to say of one of them, in Markdown."""
    function = _part(name)
    summary, text, section = _sections(function)
    called = f"robustcore.{name}{_bare(function)}".replace("'", '"')
    notes = section["Notes"].split("\n\n")
    out = [f"## {name}", summary, f"```python\n{called}\n```", text, "\n".join(_bullets(section["Parameters"]))]
    kind, _, what = section["Returns"].partition("\n")
    out += [f"**Returns** ({kind}): {' '.join(what.split())}".removesuffix(": ")]
    out += [_labelled(note) for note in notes] + [f"```pycon\n{section['Examples']}\n```"]
    return "\n\n".join(piece if piece.startswith("```") else _markdown(piece, linked) for piece in out if piece)


def _part(name: str) -> Any:
    return attrgetter(name)(robustcore)


def _labelled(note: str) -> str:
    return re.sub(rf"^({LABELS}|Source)\b([^:\n]*): ", r"**\1\2**: ", " ".join(note.split()))


def pages() -> dict[str, str]:
    """What docs/ holds: path -> text."""
    known = entries()
    index = [INTRODUCTION]
    for kind in REGISTRIES:
        index.append(f"## {kind.capitalize()}\n")
        for entry in known:
            if entry.kind == kind:
                condition = f" Condition: {entry.condition}." if entry.condition != "none" else ""
                summary = entry.summary.replace("``", "`")
                index.append(f"- [{entry.name}]({kind}/{entry.name}.md): {summary}{condition}")
        index.append("")
    written = {f"{entry.kind}/{entry.name}.md": page(entry) for entry in known}
    index += [
        "## Parts\n",
        *(f"- [{name}](parts.md#{name.replace('.', '')}): {_sections(_part(name))[0]}" for name in PARTS),
    ]
    return {"index.md": "\n".join(index).rstrip() + "\n", "parts.md": parts(), **written}


if __name__ == "__main__":
    for path, text in pages().items():
        target = Path(sys.argv[1]) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
