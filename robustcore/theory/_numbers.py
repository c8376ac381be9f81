"""Closed forms for whole numbers, or for arrays of them: reading, checking and broadcasting, once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import Inequality, as_counts, as_number, check_f, check_least, check_m

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
One = TypeVar("One", covariant=True)
Many = TypeVar("Many", covariant=True)


class ClosedForm(Protocol[One, Many]):
    """A closed form: numbers in, a float out; arrays in, which are broadcast against each other, an array out."""

    @overload
    def __call__(self, *args: float | str, **kwargs: float | str) -> One: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Many: ...


class _Decorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[..., tuple[Floats, Floats]]
    ) -> ClosedForm[tuple[float, float], tuple[Floats, Floats]]: ...
    @overload
    def __call__(self, function: Callable[..., Floats]) -> ClosedForm[float, Floats]: ...
    @overload
    def __call__(self, function: Callable[..., Counts]) -> ClosedForm[int, Counts]: ...


def closed_form(of_f: Inequality | None = None, of_m: Inequality | None = None) -> _Decorator:
    """Decorate a formula in n, f, m, d (counts) and kappa (a number >= 0), named like that; the rest is passed on.

    The formula sees floats, or float64 arrays of one shape, of which the inequalities hold, and n and d are at least 1.
    """

    def decorate(formula: Callable[..., Any]) -> Any:
        signature, name = inspect.signature(formula), formula.__name__

        @wraps(formula)
        def checked(*args: Any, **kwargs: Any) -> Any:
            plain = not kwargs and all(type(value) in (int, str) for value in args)
            return known(*args) if plain else compute(*args, **kwargs)

        def compute(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{name}: {error}") from None
            bound.apply_defaults()
            numbers = {key: _read(name, key, value) for key, value in bound.arguments.items() if key in _KNOWN}
            if not any(isinstance(value, np.ndarray) for value in numbers.values()):
                check(numbers)
                return _each(
                    np.ndarray.item, formula(**bound.arguments | {key: float(x) for key, x in numbers.items()})
                )
            arrays = dict(zip(numbers, np.broadcast_arrays(*numbers.values()), strict=True))
            wrong = np.flatnonzero(~holds(arrays))
            if len(wrong):  # the first of them, in the words for single numbers
                check({key: array.flat[wrong[0]].item() for key, array in arrays.items()})
            wide = {key: array.astype(np.float64) for key, array in arrays.items()}
            return _each(np.array, formula(**bound.arguments | wide))

        def check(numbers: dict[str, Any]) -> None:
            if of_f is not None:
                check_f(name, of_f, numbers["n"], numbers["f"])
            if of_m is not None:
                check_m(name, of_m, numbers["n"], numbers["f"], numbers["m"])
            for key in {"n", "d"} & numbers.keys():
                check_least(name, key, numbers[key], 1)

        def holds(arrays: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
            good: NDArray[np.bool_] = np.all([array >= (key in "nd") for key, array in arrays.items()], axis=0)
            if of_f is not None:
                good &= of_f.holds(arrays["n"], arrays["f"])
            if of_m is not None:
                good &= of_m.holds(arrays["n"], arrays["f"], arrays["m"])
            return good

        known = lru_cache(maxsize=256)(compute)  # rules ask for the same in every call
        bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
        checked.__signature__ = inspect.Signature(bare)  # type: ignore[attr-defined]  # floats are what the formula sees
        return checked

    return decorate  # type: ignore[return-value]  # which result it is, the annotation of the formula says


_KNOWN = ("n", "f", "m", "d", "kappa")


def _read(name: str, key: str, value: Any) -> Any:
    if key != "kappa":
        return as_counts(name, key, value)
    if np.ndim(value) == 0:
        return as_number(name, key, value, ">= 0")
    numbers = [as_number(name, key, entry, ">= 0") for entry in np.asarray(value, object).flat]
    return np.array(numbers).reshape(np.shape(value))


def _each(convert: Callable[[Any], Any], result: Any) -> Any:
    several = result if isinstance(result, tuple) else (result,)
    converted = tuple(convert(np.asarray(one)) for one in several)
    return converted if isinstance(result, tuple) else converted[0]
