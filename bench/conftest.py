"""Who runs when, how time is taken, and where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.cases import CASES, CYCLES, data
from bench.neighbours import Neighbours

HERE = Path(__file__).parent
ROUNDS = 5

MEASURED = pytest.StashKey[report.Measured]()
NEIGHBOURS = pytest.StashKey[Neighbours]()


def pytest_addoption(parser):
    parser.addoption("--patience", type=float, default=60, help="seconds to wait, in all, for a busy machine to rest")
    parser.addoption("--with-python", action="append", default=[], help="an interpreter that has peers of test_ball.py")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.option.benchmark_quiet = True  # a line for each of hundreds of benches; --benchmark-verbose shows them
    config.stash[MEASURED] = report.Measured()
    config.stash[NEIGHBOURS] = Neighbours(config.getoption("patience"))


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        metafunc.parametrize("case", CASES, ids=str)
    if "single" in metafunc.fixturenames:
        metafunc.parametrize("single", [case for case in CASES if case.dtype == "float32"], ids=str)
    if "cycle" in metafunc.fixturenames:
        metafunc.parametrize("cycle", range(CYCLES))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Case by case, and in each case everyone in turn, over and over: what disturbs one disturbs all."""

    def turn(item):
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        case = parameters.get("case", parameters.get("single"))
        return CASES.index(case) if case else len(CASES), parameters.get("cycle", 0)

    items.sort(key=turn)


@pytest.fixture
def cycle():
    """Which turn this is; `pytest_generate_tests` says."""


@pytest.fixture(scope="session")
def measured(pytestconfig):
    return pytestconfig.stash[MEASURED]


@pytest.fixture
def neighbours(pytestconfig):
    return pytestconfig.stash[NEIGHBOURS]


@pytest.fixture
def clock(benchmark, measured, neighbours, cycle):
    """Note the shortest time of a call over all rounds of all cycles.

    The first call of each cycle is not counted: memory that the process has not touched lately can make it four
    times slower, most of all where large temporaries are taken on a virtual machine.
    """

    def clock(group, name, call, *, rounds=ROUNDS, per=1, threads=None):
        neighbours.wait()
        with neighbours.watch():
            benchmark.pedantic(call, rounds=rounds, warmup_rounds=1)
        if benchmark.stats:
            measured.note(group, name, benchmark.stats.stats.min / per, threads)

    return clock


@pytest.fixture
def race(clock):
    """Note a contender's time for a case."""

    def race(case, name, contender):
        call = contender.prepare(data(case), case.f)
        rounds = 1 if contender.slow and case.n > 10 else ROUNDS
        clock(str(case), name, call, rounds=rounds, threads=contender.threads)

    return race


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    measured = config.stash[MEASURED]
    if not measured.is_complete() or exitstatus != pytest.ExitCode.OK:
        terminalreporter.write_line("\nNo report: that takes a run of all benches.")
        return
    facts = report.facts(measured, config.stash[NEIGHBOURS].share())
    text = report.markdown(facts)
    report.write(HERE / "results", facts, text)
    terminalreporter.write_line("\n" + text)
