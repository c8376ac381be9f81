"""Shards on a Dask cluster of two processes against one process on the same files, and what travels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from bench.scaling import GROUP, HERE, RULES, THERE, WIDTHS, N, Sent, cluster, sent, shards

pytest.importorskip("distributed")

from robustcore.backends import dask


@pytest.fixture(scope="module")
def client():
    with cluster() as client:
        yield client


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return shards(tmp_path_factory.mktemp("shards"), N, WIDTHS)


def stacked(paths):
    """The files as clients' updates: lists of layers, mapped."""
    return [list(rows) for rows in zip(*(np.load(path, mmap_mode="r") for path in paths), strict=True)]


@pytest.mark.parametrize("name", RULES)
def test_one_process(paths, name, cycle, clock):
    clock(GROUP, f"{name}, {HERE}", partial(RULES[name], stacked(paths)), rounds=2, threads=2)


@pytest.mark.parametrize("name", RULES)
def test_two_workers(client, paths, name, cycle, clock):
    def call():
        dask.aggregate(paths, RULES[name], client=client)

    clock(GROUP, f"{name}, {THERE}", call, rounds=2, threads=2)


@pytest.mark.parametrize("name", RULES)
def test_bytes(client, paths, name, measured):
    found: Sent = sent(client, partial(dask.aggregate, paths, RULES[name], client=client))
    measured.note(GROUP, f"{name}, bytes to the client", found.here)
    measured.note(GROUP, f"{name}, bytes between workers", found.between)
    assert found.here < 8 * N * N + 2000
    assert found.between <= 16 * N * N * len(WIDTHS)


def test_same_answer(client, paths):
    for rule in RULES.values():
        value = client.compute(dask.aggregate(paths, rule, client=client).value, sync=True)
        np.testing.assert_array_equal(value, np.concatenate(rule(stacked(paths))))
