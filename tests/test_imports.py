"""What comes with `import robustcore`, and what is said where a package is missing that only some need."""

import json
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import robustcore as rc

pytestmark = pytest.mark.slow

HIDING = """
    import importlib.abc, sys

    class Hiding(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in HIDDEN:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Hiding())
"""
# All that extras install; nothing but numpy is left.
HIDDEN = [
    *("click", "rich", "safetensors", "ml_dtypes", "sklearn", "scipy", "networkx", "dask", "distributed", "torch"),
    *("flwr", "matplotlib", "jax", "pandas", "cloudpickle", "kmedoids"),
]
# What needs a package, and the extra that has it.
NEEDING = {
    "import robustcore.clustering": "clustering",
    "import robustcore as rc; rc.clustering": "clustering",
    "from robustcore.backends import dask": "dask",
    "import robustcore as rc; rc.backends.dask": "dask",
    "from robustcore.backends import torch": "torch",
    "from robustcore import files; files.save('u.pt', {'w': [1.0]})": "torch",
    "from robustcore import files; open('u.pt', 'wb').write(b'PK'); files.load('u.pt')": "torch",
    "from robustcore import files; open('u.safetensors', 'wb').write(BFLOAT16); files.load('u.safetensors')": "cli",
    "import robustcore as rc; rc.validity.convex([0.0], [[0.0], [1.0]])": "geometry",
    "from robustcore import bounds; bounds.plot(10, 2, 'p.png')": "plot",
    "from robustcore import demo; demo.run(1)": "demo",
}


def fresh(script, folder):
    """What a script prints in a process of its own, as JSON."""
    text = 'BFLOAT16 = bytes([56]) + bytes(7) + b\'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}  xx\'\n'
    text += textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_optional_is_imported(tmp_path):
    """Neither other packages, nor the parts of the standard library that take long."""
    script = """
        import json, sys
        import numpy
        before = set(sys.modules)
        import robustcore
        print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before})))
    """
    tops = [name for name in fresh(script, tmp_path) if not name.startswith(("_cython", "cython"))]
    assert [name for name in tops if name not in sys.stdlib_module_names] == ["numpy", "robustcore"]
    assert not {"asyncio", "email", "zipfile", "socket", "statistics", "tempfile", "hashlib"} & set(tops)


def test_all_public_names_are_there_without_extras(tmp_path):
    script = f"HIDDEN = {HIDDEN}\n{textwrap.dedent(HIDING)}\n" + textwrap.dedent("""
        import json
        import numpy as np
        import robustcore as rc
        there = [name for name in rc.__all__ if name != "clustering" and hasattr(rc, name)]
        assert rc.krum(np.ones((5, 3)), f=1).tolist() == [1, 1, 1]
        print(json.dumps([there, sorted(set(sys.modules) & set(HIDDEN)), rc.__version__]))
    """)
    there, loaded, version = fresh(script, tmp_path)
    assert there == [name for name in rc.__all__ if name != "clustering"]
    assert (loaded, version) == ([], rc.__version__)


@pytest.mark.parametrize("code", NEEDING)
def test_one_line_says_what_to_install(code, tmp_path):
    extra = NEEDING[code]
    script = f"HIDDEN = {HIDDEN}\n{textwrap.dedent(HIDING)}\n" + textwrap.dedent(f"""
        import json
        try:
            {code}
        except ImportError as error:
            print(json.dumps(str(error)))
    """)
    message = fresh(script, tmp_path)
    assert message.endswith(f'pip install "robustcore[{extra}]"') and message.count("\n") == 0


def test_the_command_line_says_what_to_install(tmp_path):
    script = f"HIDDEN = {HIDDEN}\n{textwrap.dedent(HIDING)}\nimport robustcore.cli"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == 'robustcore: the command line needs more packages: pip install "robustcore[cli]"\n'


def test_the_extras_that_are_named_exist():
    project = Path(__file__).parents[1] / "pyproject.toml"
    if not project.exists():
        pytest.skip("installed without its project")
    extras = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(NEEDING.values()) <= set(extras)
