"""Every public name explains itself with an example, and every example runs."""

import contextlib
import dataclasses
import doctest
import importlib
import inspect
import itertools
import pkgutil
import re
from pathlib import Path

import pytest

import robustcore as rc
from robustcore import _docs

MODULES = [
    "robustcore",
    *(m.name for m in pkgutil.walk_packages(rc.__path__, "robustcore.") if not m.name.endswith("__main__")),
]
PUBLIC = {name: getattr(rc, name) for name in rc.__all__ if callable(getattr(rc, name)) and name != "Rule"}
PUBLIC |= {f"theory.{name}": getattr(rc.theory, name) for name in rc.theory.__all__}
PUBLIC |= {f"validity.{name}": getattr(rc.validity, name) for name in rc.validity.__all__}
PUBLIC |= {f"attacks.{name}": getattr(rc.attacks, name) for name in rc.attacks.__all__ if name != "ATTACKS"}
with contextlib.suppress(ImportError):  # its extra is missing
    room = rc.clustering
    PUBLIC |= {f"clustering.{name}": getattr(room, name) for name in room.__all__ if callable(getattr(room, name))}


def load(name):
    """The module, unless it needs something optional that is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.__cause__ or error  # where a sentence says what to install
        if not isinstance(missing, ModuleNotFoundError) or missing.name.partition(".")[0] == "robustcore":
            raise
        pytest.skip(f"needs {missing.name}")


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_an_example(name):
    assert "Examples\n" in inspect.getdoc(PUBLIC[name])
    assert ">>> " in inspect.getdoc(PUBLIC[name])


def test_public_names_exist_once():
    assert all(hasattr(rc, name) for name in rc.__all__)
    assert len(set(rc.__all__)) == len(rc.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name):
    assert load(name).__doc__


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name, tmp_path, monkeypatch):
    module = load(name)
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(module).failed == 0


def test_examples_are_found():
    tests = doctest.DocTestFinder().find(importlib.import_module("robustcore.rules.krum"))
    assert sum(len(test.examples) > 0 for test in tests) >= 5  # two rules, three functions


# ---- the pages of docs/, and what they are made of -------------------------------------------------------------

DOCS = Path(__file__).parents[1] / "docs"
ENTRIES = {entry.name: entry for entry in _docs.entries()}


def test_the_pages_are_what_the_docstrings_say_now():
    """If not: ``python -m robustcore._docs docs``, and remove the page of what is gone."""
    there = {path.relative_to(DOCS).as_posix(): path for path in DOCS.rglob("*.md")}
    written = _docs.pages()
    assert {path: there[path].read_text(encoding="utf-8") for path in written if path in there} == written
    generated = {path for path in there if path.partition("/")[0] in _docs.REGISTRIES}
    assert generated == {path for path in written if "/" in path}


def test_the_index_and_the_pages_link_to_pages():
    for path, text in _docs.pages().items():
        for target, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text):
            page = (DOCS / path).parent / target
            assert page.is_file(), (path, target)
            headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            assert not heading or heading in {text.replace(".", "") for text in headings}


@pytest.mark.parametrize("path", _docs.pages())
def test_examples_of_the_pages_run(path):
    for block in re.findall(r"^```pycon\n(.*?)^```", _docs.pages()[path], re.MULTILINE | re.DOTALL):
        test = doctest.DocTestParser().get_doctest(block, {}, path, None, 0)
        assert test.examples
        assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_says_everything(name):
    entry = ENTRIES[name]
    assert all((entry.summary, entry.condition, entry.cost, entry.guarantee, entry.reference))
    assert ">>> " in entry.example
    own = {field.name for field in dataclasses.fields(entry.made)} - {"mixing"}
    assert own == set(re.findall(r"^- `(\w+)`", "\n".join(_docs._bullets(entry.parameters)), re.MULTILINE))


@pytest.mark.parametrize("kind", [*rc.RULES.values(), *rc.MIXINGS.values()])
def test_the_condition_is_the_one_that_is_checked(kind):
    """Every inequality of the text, read as Python, decides what check(n) decides."""
    own = {field.name for field in dataclasses.fields(kind)}
    if "f" not in own:
        assert ENTRIES[kind.name].condition == "none" or "rule behind it" in ENTRIES[kind.name].condition
        return
    condition = ENTRIES[kind.name].condition.removesuffix(", where f is given")
    conventions = condition.split('; with neighbors="classic" ')
    needed = {"tau": 1.0} if "tau" in own else {}
    for convention, text in zip(("theory", "classic"), conventions, strict=False):
        extra = needed | ({"neighbors": convention} if "neighbors" in own else {})
        holds = " and ".join(re.sub(r"(\d)f", r"\1*f", part) for part in text.replace("(or n = 1)", "").split(", "))
        for n, f, m in itertools.product(range(2, 14), range(5), range(1, 8)):
            if "m" in own:
                extra["m"] = m
            try:
                kind(f=f, **extra).check(n)
                passed = True
            except rc.ConstraintError:
                passed = False
            assert passed == eval(holds, {"n": n, "f": f, "m": m}), (holds, n, f, m)


@pytest.mark.parametrize("name", rc.RULES)
def test_a_rule_has_a_number_where_it_states_a_bound_on_kappa(name):
    own = {field.name for field in dataclasses.fields(rc.RULES[name])}
    rule = rc.RULES[name](**({"f": 2} if "f" in own else {}), **({"tau": 1.0} if "tau" in own else {}))
    text = ENTRIES[name].guarantee
    stated = "kappa*" in text or "that of `TrimmedMean`" in text
    assert (rule.guarantee(12) is not None) == stated
