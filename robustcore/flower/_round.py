"""One round of training: from the bytes that clients have sent to the new model, whatever those bytes are."""

from __future__ import annotations

import io
import logging
import math
import re
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from robustcore._budget import Budget, as_budget
from robustcore._certify import certify
from robustcore._constraints import ConstraintError
from robustcore._geometry import NOT_FINITE
from robustcore._result import Certificate
from robustcore.rules import make_rule
from robustcore.rules._base import Rule
from robustcore.rules.clip import CenteredClip
from robustcore.rules.columns import SignMajority

Arrays = dict[str, NDArray[Any]]
LOGGER = logging.getLogger("flwr")
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
FLOATS = (np.float16, np.float32, np.float64)
MOST_DOUBLINGS = 40
SHOWN = 200  # characters of what a client has written


class Serialized(Protocol):
    """An array as Flower sends it: ``data`` is a .npy file where ``stype`` says so."""

    stype: str
    data: bytes


@dataclass(frozen=True)
class Round:
    """What became of one round of training.

    Attributes
    ----------
    asked : tuple of int
        The ids of the nodes that were asked to train, in increasing order: the n clients of the rule, which counts them
        from 0 in this order.
    dropped : dict of int to str
        The nodes whose reply could not be used, and why: "missing", "failed: ..." (an error instead of a reply),
        "malformed: ...", "not finite". They count against f.
    selected : tuple of int
        The nodes whose reply entered the model: see `Aggregation.selected`.
    scores : dict of int to float
        By node, what the rule ranked them by, low is good; empty where it ranks nobody.
    failure : str or None
        Why the model stayed as it was, such as that more than f replies could not be used.
    certificate : Certificate or None
        How wrong the new model can be, whoever is honest; where that was asked for.
    seconds : float
        From the replies to the new model.

    Examples
    --------
    >>> from robustcore.flower import Round
    >>> Round(asked=(11, 12, 13), dropped={12: "missing"}, selected=(11, 13), seconds=0.1)
    Round(asked=(11, 12, 13), dropped={12: 'missing'}, selected=(11, 13), scores={}, failure=None)
    """

    asked: tuple[int, ...]
    dropped: dict[int, str]
    selected: tuple[int, ...] = ()
    scores: dict[int, float] = field(default_factory=dict)
    failure: str | None = None
    certificate: Certificate | None = field(default=None, repr=False)
    seconds: float = field(default=0.0, repr=False)

    def metrics(self) -> dict[str, Any]:
        """As the numbers and lists of numbers that a MetricRecord can hold; nodes by id."""
        kinds: dict[str, list[int]] = {"missing": [], "failed": [], "malformed": [], NOT_FINITE: []}
        for node, why in self.dropped.items():
            kinds[why.partition(":")[0]].append(node)
        told: dict[str, Any] = {
            "asked": list(self.asked),
            "selected": list(self.selected),
            "dropped": list(self.dropped),
            **{kind.replace(" ", "-"): nodes for kind, nodes in kinds.items()},
            "kept-model": int(self.failure is not None),
            "seconds": self.seconds,
        }
        if self.scores:
            told["scores"] = [self.scores.get(node, math.nan) for node in self.asked]
        if self.certificate is not None:
            told |= {name.replace("_", "-"): worst.high for name, worst in self.certificate.worst.items()}
        return {f"robust-{name}": value for name, value in told.items()}

    def log(self, number: int) -> None:
        """Who was dropped, and whether the model stayed as it was."""
        for node, why in self.dropped.items():
            LOGGER.info("\t> Dropped node %d: %s", node, why)
        if self.failure is not None:
            LOGGER.warning("robustcore: round %d keeps the model: %s", number, self.failure)


class Model:
    """The arrays of the server's model, which every reply must be like."""

    def __init__(self, record: Mapping[str, Serialized]):
        self.arrays = {key: view(array) for key, array in record.items()}
        for key, array in self.arrays.items():
            if array.dtype.kind not in "biu" and array.dtype not in FLOATS:
                raise TypeError(f"the array {key!r} of the model is of {array.dtype}: neither a float nor an integer")
        self.floats = [key for key, array in self.arrays.items() if array.dtype.kind == "f"]
        if not self.floats:
            raise TypeError("the model has no array of floating-point numbers")

    def read(self, record: Mapping[str, Serialized]) -> Arrays:
        """The arrays of a reply, where they lie; ValueError if they are not like the model's."""
        for key in self.arrays:
            if key not in record:
                raise ValueError(f"no array {key!r}")
        for key in record:
            if key not in self.arrays:
                raise ValueError(f"an array {key!r}, which the model has not")
        read = {}
        for key, own in self.arrays.items():
            read[key] = array = view(record[key])
            if array.dtype != own.dtype or array.shape != own.shape:
                raise ValueError(
                    f"array {key!r} is of {array.dtype} and shape {array.shape}, that of the model is of {own.dtype} "
                    f"and shape {own.shape}"
                )
        return read

    def change(self, update: Arrays) -> Arrays:
        """An update whose floating-point arrays are differences from the model: a copy."""
        with np.errstate(over="ignore", invalid="ignore"):  # then it is not finite, and dropped
            return update | {key: np.asarray(update[key] - self.arrays[key]) for key in self.floats}

    def changed(self, change: Arrays) -> Arrays:
        """The model after such an update."""
        return change | {key: np.asarray(self.arrays[key] + change[key], change[key].dtype) for key in self.floats}


@dataclass(frozen=True)
class Server:
    """A rule, and whether what it returns is certified."""

    rule: Rule
    budget: Budget | None

    @classmethod
    def of(cls, rule: Rule | str, f: int | None, certified: bool | float | Budget) -> Server:
        """From what a strategy is given; TypeError or ValueError if that does not fit."""
        if isinstance(rule, str):
            rule = make_rule(rule) if f is None else make_rule(rule, f=f)
        elif not isinstance(rule, Rule):
            raise TypeError(f"rule must be a rule such as MultiKrum(f=2), or the name of one, not {rule!r}")
        elif f is not None:
            raise TypeError(f"{rule!r} has its parameters already; f cannot be given again")
        if certified is False:
            return cls(rule, None)
        if rule.f is None:
            raise ValueError(f"certify needs a rule with an f, which {rule!r} has not")
        return cls(rule, Budget() if certified is True else as_budget("certify", certified))

    @property
    def least_clients(self) -> int:
        """The smallest n that the rule works for; ConstraintError if there is none."""

        def works(n: int) -> bool:
            try:
                self.rule.check(n)
            except ConstraintError:
                return False
            return True

        enough = next((2**i for i in range(MOST_DOUBLINGS) if works(2**i)), 2**MOST_DOUBLINGS)
        least = bisect_left(range(enough + 1), True, lo=enough // 2 + 1, key=works)
        self.rule.check(least)
        return least

    @property
    def sees_origin(self) -> bool:
        """Whether adding the same to all updates adds something else to the result."""
        mixings = self.rule.mixings
        return isinstance(self.rule, (CenteredClip, SignMajority)) or any(mixing.needs_origin for mixing in mixings)

    def aggregate(
        self, model: Model, asked: tuple[int, ...], updates: Sequence[Arrays | Exception]
    ) -> tuple[Arrays | None, Round]:
        """The new model, or None where it has to stay as it is, and how that came about.

        ``updates`` are those of the nodes asked, as `Model.read` returns them, or say why there is none.
        """
        start = time.perf_counter()
        rows: list[Any] = [
            model.change(update) if self.sees_origin and not isinstance(update, Exception) else update
            for update in updates
        ]
        try:
            result = self.rule.aggregate(rows, malformed="drop")
        except ValueError as error:  # a ConstraintError: too many are lost
            lost = {asked[i]: why for i, row in enumerate(rows) if (why := _unusable(row))}
            failure = re.sub(r"\bclient (\d+)\b", lambda found: f"node {asked[int(found[1])]}", str(error))
            return None, Round(asked, lost, failure=failure, seconds=time.perf_counter() - start)
        certificate = None
        if self.budget is not None:
            assert self.rule.f is not None  # of() has seen to it
            try:
                certificate = certify(rows, result, self.rule.f, budget=self.budget, malformed="drop")
            except Exception as error:  # there are too many clients, or numbers at the end of float64's range
                LOGGER.warning("robustcore: no certificate: %s", error)
        new = model.changed(result.value) if self.sees_origin else result.value
        scores = [] if result.scores is None else result.scores.tolist()
        return new, Round(
            asked,
            {asked[i]: why for i, why in result.dropped.items()},
            selected=tuple(asked[i] for i in result.selected),
            scores={asked[i]: score for i, score in enumerate(scores)},
            certificate=certificate,
            seconds=time.perf_counter() - start,
        )


def _unusable(row: Arrays | Exception) -> str:
    if isinstance(row, Exception):
        return str(row)
    return "" if all(np.isfinite(array).all() for array in row.values() if array.dtype.kind == "f") else NOT_FINITE


def view(array: Serialized) -> NDArray[Any]:
    """The numbers of an Array where they lie, read-only; ValueError if its bytes are no .npy file of just so many."""
    if array.stype != "numpy.ndarray":
        raise ValueError(f"an array serialized as {array.stype!r}")
    data = array.data
    file = io.BytesIO(data)  # which shares the bytes
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"an array in version {version} of the .npy format")
    shape, fortran, dtype = HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    start = file.tell()
    if len(data) - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(data) - start} bytes for an array of {dtype} and shape {shape}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def shown(text: object) -> str:
    """On one line, and not much of it: a client may have written it."""
    return ascii(str(text))[1:-1][:SHOWN]
