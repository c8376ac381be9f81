"""Updates that are torch tensors on an accelerator: the passes run there (extra ``torch``).

Nobody has to ask for it: rules read tensors wherever they are. What leaves the device is n x n numbers, and what goes
back to it n weights; the value stays there, in the structure of one update.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._extras import extra
from robustcore._updates import Array, Floats, InMemory, OnMalformed, Progress, Structured, Updates, read
from robustcore.backends._shards import rescale

with extra("torch", "robustcore.backends.torch needs torch"):
    import torch

__all__ = ["updates"]

NUMBERS = 1 << 22  # of a block, in float64
UNSORTED = (torch.uint16, torch.uint32, torch.uint64)  # what torch itself does little with
WIDEST = 1 << 14  # columns of a block: how many squares are added up one after the other


def updates(X: Any, malformed: OnMalformed = "raise") -> Updates:
    """What stands for X in rules, where the passes are to run in torch, also on a CPU.

    Rules do so by themselves where tensors are on an accelerator.

    Parameters
    ----------
    X
        n updates of torch tensors, all on one device, in the structures of `krum`.
    malformed : {"raise", "drop"}
        As in `krum`.

    Returns
    -------
    Updates
        To be passed as X to any rule, to `pairwise_sqdist` and `minimum_enclosing_ball`; not to `certify`, which looks
        at the numbers in main memory.

    Raises
    ------
    ValueError, TypeError
        When an update is malformed, tensors are on several devices, or on one that has no float64 (mps).

    Notes
    -----
    Differences are taken in float64 and before squares, whatever the dtype. A squared distance is off by less than
    1e-11 of itself, where the pass over main memory promises 1e-6 for float32 and shorter, and 1e-13 for float64: the
    same updates are chosen, but for ties within that. Bits depend on the device. Values are summed in float64, and
    rounded to float16 and bfloat16 by way of float32, as torch does. Sums of float64 numbers beyond 1e300 may overflow.

    Cost: n (n - 1) / 2 * d differences and multiply-adds in float64, of which some accelerators do few. About 200 MiB
    of the device's memory; where layers are not contiguous, copies of one layer of all clients at a time.

    Examples
    --------
    >>> import torch, robustcore as rc
    >>> from robustcore.backends import torch as on_device
    >>> X = [{"w": torch.tensor([1.0, k])} for k in (1.0, 2.0, 3.0, float("nan"))]
    >>> rc.krum(on_device.updates(X), f=1)
    {'w': tensor([1., 2.])}
    """
    found = read(X, malformed)
    if isinstance(found, OnDevice):
        return found
    if not isinstance(found, InMemory):
        raise TypeError("X must be torch tensors")
    rows = [[_tensor(array, name) for array, name in zip(row, found.names, strict=True)] for row in found.rows]
    return open_rows(found.n, found.clients, found.dropped, found.pattern, rows, found.whole)


def open_rows(
    n: int, clients: NDArray[np.int64], dropped: dict[int, str], pattern: Any, rows: list[list[Any]], whole: Any
) -> Updates:
    """Updates that the front door has read and found to be tensors."""
    devices = sorted({str(tensor.device) for tensor in rows[0]})
    if len(devices) > 1:
        raise ValueError(f"the layers of an update are on {' and '.join(devices)}; move them to one device")
    if devices == ["mps:0"]:
        raise ValueError("the tensors are on mps, which has no float64; move them to the CPU first")
    return OnDevice(n, clients, dropped, Rows(rows), pattern, rows, whole)


def _tensor(array: Any, name: str) -> Any:
    """A tensor; on a CPU, the front door has made an array of it."""
    if isinstance(array, torch.Tensor):
        return array
    bits = array.view(np.int16) if name == "bfloat16" else array
    tensor = torch.from_numpy(
        bits if bits.flags.writeable and bits.dtype.isnative else bits.astype(bits.dtype.newbyteorder("="))
    )
    return tensor.view(torch.bfloat16) if name == "bfloat16" else tensor


def _array(tensor: Any) -> Array:
    """The other way round."""
    is_bits = tensor.dtype == torch.bfloat16
    array: Array = tensor.view(torch.int16).numpy().view(np.uint16) if is_bits else tensor.numpy()
    return array


@dataclass(frozen=True)
class _Output:
    """One layer of the result."""

    tensor: Any

    @property
    def size(self) -> int:
        return int(self.tensor.numel())


@dataclass(frozen=True)
class OnDevice(Structured):
    """Updates whose numbers are on one device."""

    def _open(self, rows: Sequence[list[Any] | None]) -> Rows:
        return Rows([row and [_tensor(*pair) for pair in zip(row, self.names, strict=True)] for row in rows])

    @staticmethod
    def lower_median(arrays: Sequence[Any]) -> Any:
        if not isinstance(arrays[0], torch.Tensor):
            return InMemory.lower_median(arrays)
        dtype = arrays[0].dtype
        if dtype in UNSORTED:
            found = InMemory.lower_median([array.cpu().numpy() for array in arrays])
            return torch.from_numpy(found).to(arrays[0].device)
        stacked = torch.stack(list(arrays)).to(torch.uint8 if dtype == torch.bool else dtype)
        return stacked.sort(0).values[(len(arrays) - 1) // 2].to(dtype)

    def each(self, find: Callable[..., Any], *rows: list[Any]) -> list[Any]:
        raise TypeError("this needs the numbers in main memory, and they are on a device; move them to the CPU first")

    def empty(self) -> list[_Output]:
        device = self.rows[0][0].device
        return [
            _Output(torch.empty(leaf.shape, dtype=getattr(torch, leaf.name), device=device)) for leaf in self.leaves
        ]

    def rebuild(self, outputs: list[_Output], dropped: Container[int] = ()) -> Any:
        tensors = [output.tensor for output in outputs]
        here = not self.leaves[0].device  # then the front door has made arrays of them
        return super().rebuild([_array(tensor) for tensor in tensors] if here else tensors, dropped)


class Rows:
    """What `_core.Updates` is for rows in main memory: rows of tensors, layer by layer, or None, the origin."""

    def __init__(self, rows: Sequence[list[Any] | None], M: Floats | None = None, relative: bool = False):
        self.rows, self.M, self.relative = rows, M, relative
        self.like = next(row for row in rows if row is not None)
        for i, row in enumerate(rows):
            for s, (tensor, like) in enumerate(zip(row or (), self.like, strict=row is not None)):
                if tensor.shape != like.shape:
                    raise _core.Mismatch(i, s)
        self.n = len(rows) if M is None else len(M)
        self.d = sum(tensor.numel() for tensor in self.like)
        self.device = self.like[0].device

    def mixed(self, M: Floats, relative: bool = False) -> Rows:
        return Rows(self.rows, M, relative)

    def _blocks(self, rows: Sequence[int], progress: Progress) -> Iterator[tuple[int, slice, Any]]:
        """Block after block of the columns: in which layer, where in it, and the numbers of these rows in float64."""
        width, done = max(1, min(WIDEST, NUMBERS // (len(self.rows) + 1))), 0
        for s, like in enumerate(self.like):
            zero = torch.zeros((), dtype=like.dtype, device=self.device).expand(like.numel())
            flat = [zero if (row := self.rows[i]) is None else row[s].reshape(-1) for i in rows]
            for begin in range(0, like.numel(), width):
                part = slice(begin, min(begin + width, like.numel()))
                yield s, part, torch.stack([row[part] for row in flat]).to(torch.float64)
                done += part.stop - begin
                if progress is not None:
                    progress(done / self.d)

    def _mixed_blocks(self, progress: Progress) -> Iterator[tuple[int, slice, Any]]:
        """The same with the rows that a pass sees, which may be combinations."""
        if self.M is None:
            yield from self._blocks(range(len(self.rows)), progress)
            return
        used = np.flatnonzero((self.M != 0.0).any(axis=0)).tolist()  # whatever others hold does not matter
        distinct, which = np.unique(self.M[:, used], axis=0, return_inverse=True)
        M, order = torch.from_numpy(distinct).to(self.device), torch.from_numpy(which.reshape(-1)).to(self.device)
        for s, part, x in self._blocks(used, progress):
            mixed = _combined(M, x, self.relative)
            yield s, part, mixed[order]  # a product does not promise that equal lines of M give the same bits

    def sqdist(self, threads: int, progress: Progress = None, exact: bool = False) -> Floats:
        total, lost, finite = self._square(), self._square(), self._everyone()
        for _, _, x in self._mixed_blocks(progress):
            finite &= x.isfinite().all(1)
            _add(total, lost, torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square())
        out = torch.where(total.isfinite(), total + lost, total)
        out[~finite] = torch.nan
        out[:, ~finite] = torch.nan
        found: Floats = out.cpu().numpy()
        return found

    def sqdist_scaled(self, out: Floats, scale: float, threads: int, progress: Progress = None) -> None:
        rescale(out, scale, lambda chosen: self._scaled(chosen, scale, progress))

    def _scaled(self, chosen: NDArray[np.bool_], scale: float, progress: Progress) -> Floats:
        """The scaled distances of chosen pairs."""
        total, lost = self._square(), self._square()
        others = [(i, row.nonzero()[0].tolist()) for i, row in enumerate(chosen) if row.any()]
        for _, _, x in self._mixed_blocks(progress):
            part = self._square()
            for i, js in others:  # whichever comes first, scaling or subtracting, must not leave the range
                differences = (x[js] - x[i]) * scale if scale > 1.0 else x[js] * scale - x[i] * scale
                part[i, js] = differences.square().sum(1)
            _add(total, lost, part)
        found: Floats = (total + lost).cpu().numpy()
        return found

    def finite_rows(self, threads: int, progress: Progress = None) -> NDArray[np.bool_]:
        finite = self._everyone()
        for _, _, x in self._mixed_blocks(progress):
            finite &= x.isfinite().all(1)
        found: NDArray[np.bool_] = finite.cpu().numpy()
        return found

    def combine(
        self, weights: Floats, origin: int, outputs: list[_Output], threads: int, progress: Progress = None
    ) -> bool:
        used = [i for i in weights.nonzero()[0].tolist() if i != origin]
        rows = used if origin < 0 else [origin, *used]
        w = torch.from_numpy(np.ascontiguousarray(weights[rows]))[None].to(self.device)
        finite = torch.ones((), dtype=torch.bool, device=self.device)
        for s, part, x in self._blocks(rows, progress):
            found = (w @ x if origin < 0 else _combined(w, x))[0]
            finite &= found.isfinite().all()
            outputs[s].tensor.view(-1)[part] = found
        return bool(finite)

    def columns(self, rule: str, f: int, outputs: list[_Output], threads: int, progress: Progress = None) -> bool:
        finite = torch.ones((), dtype=torch.bool, device=self.device)
        for s, part, x in self._mixed_blocks(progress):
            finite &= x.isfinite().all()
            outputs[s].tensor.view(-1)[part] = COLUMNWISE[rule](x.sort(0).values, f)
        return bool(finite)

    def _square(self) -> Any:
        return torch.zeros((self.n, self.n), dtype=torch.float64, device=self.device)

    def _everyone(self) -> Any:
        return torch.ones(self.n, dtype=torch.bool, device=self.device)


def _combined(w: Any, x: Any, relative: bool = False) -> Any:
    """Combinations with weights that sum to 1 (``relative``: to 0): what the rows have in common costs no digits."""
    first = x[:1] / 2  # halves, for differences that float64 cannot hold
    differences = w @ (x / 2 - first)
    return 2.0 * (differences if relative else first + differences)


def _add(total: Any, lost: Any, x: Any) -> None:
    """To a sum, with what its additions have lost."""
    new = total + x
    part = new - total
    lost += (total - (new - part)) + (x - part)
    total.copy_(new)


# Coordinate-wise rules, of columns that are sorted; what they are: robustcore/rules/columns.py.


def _mean(v: Any) -> Any:
    return v[0] + (v - v[0]).mean(0)


def _median(v: Any, f: int = 0) -> Any:
    return _mean(v[(len(v) - 1) // 2 : len(v) // 2 + 1])


def _trimmed_mean(v: Any, f: int) -> Any:
    return _mean(v[f : len(v) - f])


def _nearest(v: Any, f: int, center: Any) -> Any:
    """The mean of the n - f values nearest the center, the smaller first."""
    order = (v - center).abs().sort(dim=0, stable=True).indices[: len(v) - f]
    return _mean(v.gather(0, order))


def _box_midpoint(v: Any, f: int) -> Any:
    n = len(v)
    low, high = v[f].maximum(_mean(v[: n - f])), v[n - 1 - f].minimum(_mean(v[f:]))
    return low / 2 + high / 2


COLUMNWISE: dict[str, Callable[[Any, int], Any]] = {
    "median": _median,
    "trimmed_mean": _trimmed_mean,
    "meamed": lambda v, f: _nearest(v, f, _median(v)),
    "phocas": lambda v, f: _nearest(v, f, _trimmed_mean(v, f)),
    "box_midpoint": _box_midpoint,
    "sign_majority": lambda v, f: v.sign().sum(0).sign(),
}
