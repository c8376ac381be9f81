"""One run of a real SuperLink with real SuperNodes on this machine, one of whom lies, and nothing left behind."""

import json
import os
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

flwr = pytest.importorskip("flwr")
psutil = pytest.importorskip("psutil")

PATIENCE = 150  # seconds, for a run that takes twenty on two cores
NODES = 3
APP = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "lying"
        version = "1.0.0"
        description = ""
        license = "BSD-3-Clause"
        dependencies = []
        [tool.hatch.build.targets.wheel]
        packages = ["."]
        [tool.flwr.app]
        publisher = "nobody"
        [tool.flwr.app.components]
        serverapp = "lying.server:app"
        clientapp = "lying.client:app"
        [tool.flwr.app.config]
        out = ""
        """,
    "lying/__init__.py": "",
    "lying/server.py": """
        import json, os
        import numpy as np
        from flwr.app import ArrayRecord
        from flwr.serverapp import ServerApp
        import robustcore as rc
        from robustcore.flower import RobustStrategy

        app = ServerApp()

        @app.main()
        def main(grid, context):
            strategy = RobustStrategy(rule=rc.MultiKrum(f=1), min_evaluate_nodes=3)
            result = strategy.start(grid=grid, initial_arrays=ArrayRecord([np.zeros((3, 2), np.float32)]), num_rounds=2)
            told = {
                "model": result.arrays["0"].numpy().tolist(),
                "selected": [len(told.selected) for told in strategy.rounds.values()],
                "dropped": [list(told.dropped.values()) for told in strategy.rounds.values()],
                "evaluated": [dict(metrics) for metrics in result.evaluate_metrics_clientapp.values()],
            }
            with open(context.run_config["out"] + ".part", "w") as file:
                json.dump(told, file)
            os.replace(context.run_config["out"] + ".part", context.run_config["out"])
        """,
    "lying/client.py": """
        import numpy as np
        from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
        from flwr.clientapp import ClientApp

        app = ClientApp()

        @app.train()
        def train(message, context):
            sent = ArrayRecord([message.content["arrays"]["0"].numpy() + 1])
            metrics = MetricRecord({"num-examples": 1})
            if context.node_config["partition-id"] == 0:
                metrics["num-examples"] = [10**9]
                if message.content["config"]["server-round"] == 1:
                    sent["0"] = Array("float32", (3, 2), "numpy.ndarray", sent["0"].data[:-4])
                else:
                    sent = ArrayRecord([np.full((3, 2), np.nan, np.float32)])
            return Message(RecordDict({"arrays": sent, "metrics": metrics}), reply_to=message)

        @app.evaluate()
        def evaluate(message, context):
            accuracy = 0.5 if context.node_config["partition-id"] else float("nan")
            return Message(RecordDict({"metrics": MetricRecord({"accuracy": accuracy})}), reply_to=message)
        """,
}


@pytest.fixture
def federation(tmp_path):
    """Starts programs of Flower, in a home of their own; ends them and whatever they have started."""
    mark = str(uuid.uuid4())
    started = []
    environment = os.environ | {
        "FLWR_HOME": str(tmp_path / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
        "ROBUSTCORE_TEST": mark,
    }

    def start(program, *arguments, wait=False):
        with (tmp_path / f"{program}-{uuid.uuid4()}.log").open("w") as log:
            command = [sys.executable, str(Path(sys.executable).parent / program), *arguments]
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=tmp_path
            )
        started.append(process)
        if wait:
            assert process.wait(timeout=PATIENCE) == 0
        return process

    def ours():
        """Every process that has inherited our mark, whoever its parent is by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("ROBUSTCORE_TEST") == mark:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    try:
        yield start
    finally:
        until = time.monotonic() + 30
        while (left := ours()) and time.monotonic() < until:
            for process in left:  # who could start others goes first, and all go at once
                try:
                    process.kill()
                except psutil.Error:
                    continue
            for process in started:
                process.wait(timeout=30)
            psutil.wait_procs(left, timeout=1)
        assert not left


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def until_it_listens(port, process):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError


@pytest.mark.slow
def test_a_real_run_drops_who_lies_and_leaves_no_process_behind(federation, tmp_path):
    for name, text in APP.items():
        path = tmp_path / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.split("\n")
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in lines), encoding="utf-8")
    link, *nodes = free_ports(1 + NODES)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{link}"\ninsecure = true\n',
        encoding="utf-8",
    )
    superlink = federation(
        "flower-superlink", "--insecure", "--port", str(link), "--disable-runtime-dependency-installation"
    )
    until_it_listens(link, superlink)
    for i, port in enumerate(nodes):
        place = f"partition-id={i} num-partitions={NODES}"
        federation(
            "flower-supernode",
            *("--insecure", "--superlink", f"127.0.0.1:{link}", "--port", str(port), "--node-config", place),
        )
    out = tmp_path / "out.json"
    federation("flwr", "run", "app", "here", "--run-config", f"out='{out}'", wait=True)
    end = time.monotonic() + PATIENCE
    while not out.exists() and time.monotonic() < end:
        time.sleep(0.1)
    told = json.loads(out.read_text(encoding="utf-8"))
    assert told["model"] == [[2.0, 2.0]] * 3
    assert told["selected"] == [2, 2]
    assert told["dropped"] == [["malformed: 20 bytes for an array of float32 and shape (3, 2)"], ["not finite"]]
    assert told["evaluated"] == [{"accuracy": 0.5}] * 2
