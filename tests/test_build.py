"""What a build says about itself."""

from importlib.metadata import version

import robustcore as rc
from robustcore import _core


def test_build_info():
    info = rc.build_info()
    assert info["version"] == rc.__version__ == version("robustcore")
    assert info["isas"] == _core.available_isas()
    assert info["isas"][0] == "baseline"
    assert info["compiler"].split()[0] in ("gcc", "clang")
    assert info["openmp"] >= 201511  # OpenMP 4.5
    assert info["threads"] == rc.get_num_threads() >= 1


def test_the_instruction_set_in_use_is_told(on_every_isa):
    assert on_every_isa(lambda: rc.build_info()["isa"]) == rc.build_info()["isas"]


def test_the_fastest_instruction_set_is_the_default(run_script):
    script = "import robustcore as rc; info = rc.build_info(); print(info['isa'] == info['isas'][-1])"
    assert run_script(script, ROBUSTCORE_ISA="").stdout == "True\n"


def test_what_others_need_is_not_asked_for(run_script):
    """All that numpy is enough for is there without the extras, and what needs more says which."""
    done = run_script(
        """
        import sys
        for name in ("scipy", "sklearn", "networkx", "distributed", "matplotlib", "rich", "click", "torch"):
            sys.modules[name] = None
        from robustcore import *
        import robustcore
        try:
            robustcore.clustering
        except ImportError as error:
            print(error)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        'clustering needs scipy, scikit-learn and networkx: pip install "robustcore[clustering]"'
    )
