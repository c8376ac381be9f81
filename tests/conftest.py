"""What all tests share: `import twins` and `bits`, every instruction set, and scripts in a fresh process."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import settings

from robustcore import _core

sys.path.insert(0, str(Path(__file__).parent / "reference"))

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

settings.register_profile("robustcore", deadline=None, max_examples=60, database=None, derandomize=True)
settings.load_profile("robustcore")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes a second or its own process; left out under sanitizers")


@pytest.fixture
def on_every_isa():
    """Compute the same thing on every instruction set that this processor can run; returns all results."""

    def run(compute):
        found = []
        for name in _core.available_isas():
            _core.use_isa(name)
            found.append(compute())
        return found

    before = _core.isa()
    yield run
    _core.use_isa(before)


@pytest.fixture
def run_script(tmp_path):
    """Run a script in a fresh interpreter, for what must not happen in this one."""

    def run(script, timeout=60, **environment):
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | environment,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder: the exit code, and what was written to stdout and stderr."""
    from robustcore import cli

    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["robustcore", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def ctrl_c():
    """Interrupt a script that prints "started" before long work, and "interrupted" after KeyboardInterrupt."""

    def interrupt(script, patience, says="interrupted\n", **environment):
        # A shell may have told us to ignore the signal.
        script = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n" + script
        command, environment = [sys.executable, "-c", script], os.environ | environment
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                assert process.stdout.readline() == "started\n"
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(timeout=patience)
                process.send_signal(signal.SIGINT)
                assert process.communicate(timeout=5)[0] == says
            finally:
                process.kill()

    return interrupt
