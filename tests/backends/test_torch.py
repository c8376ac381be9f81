"""Tensors on a device: the passes in torch choose and give what those of main memory do."""

from collections import OrderedDict
from dataclasses import fields

import ml_dtypes
import numpy as np
import pytest

import robustcore as rc
from robustcore import _updates

torch = pytest.importorskip("torch")
from robustcore.backends import torch as backend  # noqa: E402  # after the skip

DTYPES = ["float16", "bfloat16", "float32", "float64"]
N, F = 9, 2
RULES = {
    name: rule(f=F) if any(field.name == "f" for field in fields(rule)) else rule()
    for name, rule in rc.RULES.items()
    if name not in ("bulyan", "centered_clip")
} | {
    "bulyan": rc.Bulyan(f=1),
    "centered_clip": rc.CenteredClip(tau=3.0, f=F),
    "nnm": rc.MultiKrum(f=F, mixing=rc.NNM(f=F)),
    "nnm, columns": rc.TrimmedMean(f=F, mixing=rc.NNM(f=F)),
    "clipping": rc.Median(f=F, mixing=rc.Clipping(c=2.0)),
    "arc": rc.GeometricMedian(f=F, mixing=rc.ARC(f=F)),
}


FROM_TORCH = _updates._from_torch


def on_accelerator(tensor, where):
    """What the front door makes of a tensor that is not on a CPU."""
    if tensor.device.type == "meta":
        return FROM_TORCH(tensor, where)
    return _updates._Seen(tensor.detach(), None, str(tensor.dtype).removeprefix("torch."), "cpu")


GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))


@pytest.fixture(params=["cpu", "cpu taken for an accelerator", GPU])
def device(request, monkeypatch):
    monkeypatch.setattr(backend, "WIDEST", 7)  # many blocks
    if request.param == "cpu taken for an accelerator":
        monkeypatch.setattr(_updates, "_from_torch", on_accelerator)
    return request.param.partition(" ")[0]


def states(dtype="float32", device="cpu", n=N, scale=1.0):
    """State dicts: layers that are empty, without axes, not contiguous, and counters."""
    X = torch.from_numpy(np.random.default_rng(0).normal(size=(n, 30)) * scale).to(getattr(torch, dtype)).to(device)
    X[1] += 20 * scale
    return [
        OrderedDict(
            w=x[:12].reshape(3, 4).T,
            none=x[:0],
            count=torch.tensor(3 * i, device=device),
            b=x[12:29],
            s=x[29].reshape(()),
        )
        for i, x in enumerate(X)
    ]


def on(X):
    """Through torch; on the CPU that has to be asked for."""
    return backend.updates(X) if X[0]["w"].device.type == "cpu" and _updates._from_torch is FROM_TORCH else X


def cpu(value):
    """In main memory, as numpy arrays: no accelerator, whatever is taken for one."""
    return OrderedDict((key, as_array(tensor.cpu())) for key, tensor in value.items())


def as_array(tensor):
    is_bits = tensor.dtype == torch.bfloat16
    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if is_bits else tensor.numpy()


def close(found, expected, dtype):
    """But for one unit in the last place, where torch rounds twice."""
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype and found[key].shape == tensor.shape
        tolerance = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 1e-7, "float64": 1e-12}[dtype]
        np.testing.assert_allclose(np.float64(found[key]), np.float64(tensor), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_that_of_main_memory(name, dtype, device):
    X, rule = states(dtype, device), RULES[name]
    expected, found = rule.aggregate([cpu(x) for x in X]), rule.aggregate(on(X))
    assert found.selected.tolist() == expected.selected.tolist()
    if expected.scores is not None:
        np.testing.assert_allclose(found.scores, expected.scores, rtol=3e-6)
    assert type(found.value) is OrderedDict and found.value["w"].device.type == device
    close(cpu(found.value), expected.value, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_are_those_of_float64(dtype, device):
    X = states(dtype, device)
    D = rc.pairwise_sqdist(on(X))
    rows = np.array([np.concatenate([x[k].cpu().double().reshape(-1).numpy() for k in ("w", "b", "s")]) for x in X])
    np.testing.assert_allclose(D, np.square(rows[:, None] - rows[None]).sum(-1), rtol=1e-14)
    assert (D == D.T).all() and not D.diagonal().any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_dropped(bad, device):
    X = states(device=device)
    X[4]["b"][3] = bad
    for rule in (
        rc.Krum(f=F),
        rc.Mean(f=F),
        rc.Median(f=F),
        rc.MultiKrum(f=F, mixing=rc.NNM(f=F)),
        rc.TrimmedMean(f=F, mixing=rc.NNM(f=F)),
    ):
        r = rule.aggregate(on(X))
        assert r.dropped == {4: "not finite"}
        assert r.value["count"] == 9  # the lower median of 0, 3, 6, 9, 15, 18, 21, 24
        close(cpu(r.value), rule([cpu(x) for x in X]), "float32")
    with pytest.raises(rc.ConstraintError, match=r"1 of 9 updates .*not finite"):
        rc.krum(on(X), 0)


@pytest.mark.parametrize("scale", [1e-200, 1e-160, 1e150, 1e200])
def test_any_scale(scale, device):
    """Squares beyond the range of float64."""
    X = states("float64", device, scale=scale)
    for rule in (rc.Krum(f=F), rc.MDA(f=F), rc.GeometricMedian(f=F), rc.MEBCenter(f=F)):
        found, expected = rule.aggregate(on(X)), rule.aggregate([cpu(x) for x in X])
        assert found.selected.tolist() == expected.selected.tolist()
        for key in ("w", "b", "s"):
            np.testing.assert_allclose(found.value[key].cpu().numpy() / scale, expected.value[key] / scale, rtol=1e-7)


def test_far_points_and_equal_rows(device):
    X = [{"w": torch.full((5,), v, device=device)} for v in (0.1, 0.1, 0.1, 1e30, -1e30)]
    for rule in (rc.Krum(f=2), rc.MultiKrum(f=2), rc.Median(f=2), rc.TrimmedMean(f=2), rc.Meamed(f=2), rc.MDA(f=2)):
        assert torch.equal(rule(on(X))["w"].cpu(), torch.full((5,), 0.1))
    assert rc.pairwise_sqdist(on(X))[0, 3] == pytest.approx(5e60, rel=1e-6)


def test_malformed_updates_are_named(device):
    X = states(device=device)
    for wrong, why in [
        (X[0]["w"].T, r"shape \(3, 4\), where the others have \(4, 3\)"),
        (X[0]["w"].double(), "float64, where the others have float32"),
        (torch.ones((4, 3), device="meta"), "on the device meta, where there are no numbers"),
    ]:
        spoilt = [*X[:3], X[3] | {"w": wrong}, *X[4:]]
        with pytest.raises(ValueError, match=f"client 3, layer 'w': .*{why}"):
            rc.krum(on(spoilt), F)
        assert list(rc.Krum(f=F).aggregate(backend.updates(spoilt, "drop")).dropped) == [3]


WHOLE = ["bool", "uint8", "int8", "int16", "uint16", "int32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers(dtype, device):
    counters = [[0, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 1]]
    X = [
        {"w": torch.ones(2, device=device), "c": torch.tensor(c, device=device).to(getattr(torch, dtype))}
        for c in counters
    ]
    found = rc.krum(on(X), f=1)["c"]
    assert found.device == X[0]["c"].device and found.dtype == X[0]["c"].dtype
    assert found.tolist() == [1, 0, 0]
    X[1] |= {"c": torch.ones(3, dtype=torch.complex64, device=device)}
    assert "complex64" in rc.Krum(f=1).aggregate(backend.updates(X, "drop")).dropped[1]


def test_others_of_one_device(device):
    """A center; an output to be judged needs main memory."""
    X = states(device=device)
    expected = rc.centered_clip([cpu(x) for x in X], tau=1.0, center=cpu(X[0]))
    close(cpu(rc.centered_clip(on(X), tau=1.0, center=X[0])), expected, "float32")
    assert rc.minimum_enclosing_ball(on(X)).radius == pytest.approx(
        rc.minimum_enclosing_ball([cpu(x) for x in X]).radius
    )
    with pytest.raises(TypeError, match="main memory"):
        rc.certify(on(X), X[0], F)


def test_progress_and_what_it_raises(device):
    seen = []
    rc.Krum(f=F).aggregate(on(states(device=device)), progress=seen.append)
    assert seen and seen[-1] == 1.0 and all(0 < share <= 1 for share in seen)
    with pytest.raises(ZeroDivisionError):
        rc.Krum(f=F).aggregate(on(states(device=device)), progress=lambda share: 1 // 0)


def test_several_devices():
    with pytest.raises(ValueError, match="on cpu and meta"):
        backend.open_rows(1, np.arange(1), {}, None, [[torch.ones(2), torch.ones(2, device="meta")]], [[]])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_state_dicts_on_a_gpu_simply_work():
    """Nothing of the length of an update comes to the CPU."""
    X = states(device="cuda")
    value = rc.multi_krum(X, f=F)
    assert {tensor.device.type for tensor in value.values()} == {"cuda"}
    mixed = [*X[:8], cpu(X[8])]
    with pytest.raises(ValueError, match="client 8, layer 'w': on cpu, where the others are on cuda:0"):
        rc.multi_krum(mixed, f=F)
    assert list(rc.MultiKrum(f=F).aggregate(mixed, malformed="drop").dropped) == [8]
    assert rc.median(torch.arange(12.0, device="cuda").reshape(3, 4)).tolist() == [4, 5, 6, 7]
