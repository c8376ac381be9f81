"""How many threads a call uses; that the number changes no result is tested beside the passes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bits import same_bits

import robustcore as rc


@pytest.fixture(autouse=True)
def _restore():
    before = rc.get_num_threads()
    yield
    rc.set_num_threads(before)


def test_set_is_for_all_later_calls():
    for threads in (3, 1, 50):
        rc.set_num_threads(threads)
        assert rc.get_num_threads() == rc.build_info()["threads"] == threads
        found = []
        other = threading.Thread(target=lambda found=found: found.append(rc.get_num_threads()))
        other.start()
        other.join()
        assert found == [threads]


def test_with_is_for_its_block_alone():
    rc.set_num_threads(5)
    with rc.num_threads(3):
        assert rc.get_num_threads() == 3
        with rc.num_threads(7):
            assert rc.get_num_threads() == 7
        assert rc.get_num_threads() == 3
        rc.set_num_threads(4)
        assert rc.get_num_threads() == 3
    assert rc.get_num_threads() == 4


def test_with_ends_with_an_exception():
    before = rc.get_num_threads()
    with pytest.raises(KeyError), rc.num_threads(before + 1):
        raise KeyError
    assert rc.get_num_threads() == before


def test_with_is_for_its_own_thread_of_python_alone():
    rc.set_num_threads(2)
    inside, looked = threading.Event(), threading.Event()

    def other():
        with rc.num_threads(9):
            inside.set()
            looked.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    found = rc.get_num_threads()
    looked.set()
    thread.join()
    assert found == 2


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, None, "2", 10**6, 2**70])
def test_what_is_no_number_of_threads(threads):
    with pytest.raises(ValueError, match="number of threads must be a whole number from 1"):
        rc.set_num_threads(threads)
    with pytest.raises(ValueError, match="number of threads must be a whole number from 1"), rc.num_threads(threads):
        pass


def test_numbers_of_numpy_are_numbers():
    rc.set_num_threads(np.int64(3))
    assert type(rc.get_num_threads()) is int
    assert rc.get_num_threads() == 3


def test_the_environment_gives_the_default(run_script):
    script = "import robustcore as rc; print(rc.get_num_threads())"
    assert run_script(script, OMP_NUM_THREADS="3").stdout == "3\n"


def test_calls_side_by_side_do_not_disturb_each_other():
    X = [np.random.default_rng(i).normal(size=(20, 20_000)).astype(np.float32) for i in range(4)]
    expected = [(rc.pairwise_sqdist(x), rc.multi_krum(x, 3)) for x in X]

    def call(i):
        with rc.num_threads(1 + i % 3):
            return rc.pairwise_sqdist(X[i % 4]), rc.multi_krum(X[i % 4], 3)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(call, range(16)))
    assert all(same_bits(answer, expected[i % 4]) for i, answer in enumerate(found))
