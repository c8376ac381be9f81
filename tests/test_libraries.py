"""Torch and JAX: what comes in without a copy goes out in the same kind, dtype and structure."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import robustcore as rc
from robustcore._updates import read

TORCH = ["float16", "bfloat16", "float32", "float64"]
State = namedtuple("State", "count mu nu")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def jnp():
    return pytest.importorskip("jax.numpy")


def small(torch, seed, dtype="float32"):
    """A model with every kind of buffer."""
    torch.manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 2), torch.nn.BatchNorm2d(3), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    )
    model = model.to(getattr(torch, dtype))
    model[1].num_batches_tracked += seed
    return model


@pytest.mark.parametrize("dtype", TORCH)
def test_state_dicts(torch, dtype):
    """What a server does: aggregate the clients' state dicts, load the result."""
    models = [small(torch, seed, dtype) for seed in range(5)]
    states = [model.state_dict() for model in models]
    value = rc.multi_krum(states, f=1)
    assert type(value) is OrderedDict and list(value) == list(states[0])
    for key, tensor in value.items():
        like = states[0][key]
        assert type(tensor) is torch.Tensor and (tensor.dtype, tensor.shape) == (like.dtype, like.shape)
    assert value["1.num_batches_tracked"] == 2  # the median of 0, ..., 4
    chosen = rc.MultiKrum(f=1).aggregate(states).selected
    mean = torch.stack([states[i]["0.weight"].double() for i in chosen]).mean(0).to(value["0.weight"].dtype)
    torch.testing.assert_close(value["0.weight"], mean)
    models[0].load_state_dict(value)


def test_parameters_come_back_detached(torch):
    lists = [list(small(torch, seed).parameters()) for seed in range(4)]
    value = rc.median(lists)
    assert type(value) is list
    assert not any(tensor.requires_grad for tensor in value)
    torch.testing.assert_close(value[0], torch.quantile(torch.stack([own[0].detach() for own in lists]), 0.5, dim=0))


@pytest.mark.parametrize("dtype", TORCH)
def test_tensors_are_read_where_they_are(torch, dtype):
    tensors = torch.arange(24).reshape(4, 6).to(getattr(torch, dtype))
    for X in (tensors, list(tensors), [{"w": t} for t in tensors], [torch.nn.Parameter(t) for t in tensors]):
        addresses = [row[0].__array_interface__["data"][0] for row in read(X).rows]
        own = X[0]["w"] if isinstance(X[0], dict) else X[0]
        assert addresses == [own.data_ptr() + 6 * i * tensors.element_size() for i in range(4)]


def test_bfloat16_needs_no_other_package(torch, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    tensors = torch.tensor([[1.0, 2.0], [3.0, 2.0], [2.0, 2.0]], dtype=torch.bfloat16)
    assert torch.equal(rc.mean(tensors), torch.tensor([2.0, 2.0], dtype=torch.bfloat16))
    assert torch.equal(rc.median(list(tensors)), torch.tensor([2.0, 2.0], dtype=torch.bfloat16))


def test_views_strides_and_mixtures(torch):
    X = torch.arange(48.0).reshape(4, 12)
    expected = X.mean(0)
    assert torch.equal(rc.mean([x.reshape(3, 4).T for x in X]), expected.reshape(3, 4).T)
    assert torch.equal(rc.mean([x.expand(2, 12) for x in X]), expected.expand(2, 12))
    assert torch.equal(rc.mean([X[0], X[1].numpy(), X[2].numpy(), X[3]]), expected)  # as the first client has it


def test_tensors_whose_sign_torch_has_put_off(torch):
    x = torch.tensor([1 + 2j, 3 - 4j]).conj().imag
    assert x.is_neg()
    assert rc.mean([x, x]).tolist() == [-2, 4]


def test_tensors_of_no_use(torch):
    """On no device, sparse, complex, of eight bits: one sentence each."""
    for wrong, why in [
        (torch.ones(3, device="meta"), "on the device meta, where there are no numbers"),
        (torch.ones(3).to_sparse(), "sparse"),
        (torch.ones(3, dtype=torch.complex64), "complex64"),
        (torch.ones(3).to(torch.float8_e4m3fn), "Float8|float8"),
        (torch.ones(4), r"shape \(4,\), where the others have \(3,\)"),
        (torch.ones(3).double(), "float64, where the others have float32"),
    ]:
        with pytest.raises(ValueError, match=f"^client 1.*({why})"):
            rc.mean([{"w": torch.ones(3)}, {"w": wrong}, {"w": torch.ones(3)}])
        assert rc.krum([torch.ones(3), wrong, torch.ones(3), torch.ones(3)], 1, malformed="drop").tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_jax_pytrees(jnp, dtype):
    """Parameters and the state of an optimiser, as JAX users keep them."""
    rng = np.random.default_rng(0)

    def tree(i):
        w, b = jnp.asarray(rng.normal(size=(3, 2)), dtype), jnp.full(2, i, dtype)
        return ({"dense": {"w": w, "b": b}}, [State(jnp.int32(i), (b, w), {"nu": w})])

    trees = [tree(i) for i in range(5)]
    value = rc.median(trees)
    leaves = __import__("jax").tree_util
    assert leaves.tree_structure(value) == leaves.tree_structure(trees[0])
    for found, own in zip(leaves.tree_leaves(value), leaves.tree_leaves(trees[0]), strict=True):
        assert type(found) is type(own) and (found.dtype, found.shape) == (own.dtype, own.shape)
    assert value[1][0].count == 2
    assert value[0]["dense"]["b"].tolist() == [2, 2]
    stacked = np.stack([np.asarray(t[0]["dense"]["w"], np.float32) for t in trees])
    assert np.array_equal(np.asarray(value[0]["dense"]["w"], np.float32), np.median(stacked, axis=0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_jax_arrays_are_read_where_they_are(jnp, dtype):
    X = jnp.arange(24).reshape(4, 6).astype(dtype)
    rows = [row[0] for row in read(X).rows]
    assert np.diff([row.__array_interface__["data"][0] for row in rows]).tolist() == [6 * X.itemsize] * 3
    assert rows[0].__array_interface__["data"][0] == X.unsafe_buffer_pointer()
    value = rc.mean(X)
    assert type(value) is type(X) and value.dtype == X.dtype
    assert value.tolist() == X.mean(0).tolist()


def test_jax_truth_values(jnp):
    """DLPack has had no letter for them."""
    value = rc.mean([{"w": jnp.ones(2), "seen": jnp.array([i > 0, i > 1])} for i in range(3)])
    assert type(value["seen"]) is type(value["w"]) and value["seen"].tolist() == [True, False]
