"""What nodes send each other: four kinds of messages, and their bytes.

========  ===========================  =======================================================================
`Init`    round, content               the content that the sender broadcasts in this round
`Echo`    origin, round, content       the sender has had this content from its origin
`Ready`   origin, round, key           the sender knows that no other content of this origin can be delivered
`Report`  round, received              (asynchronous) the nodes of which the sender has a vector in this round
========  ===========================  =======================================================================

On the wire, all little-endian: version (u8), kind (u8), origin (u16), round (u32). Then, for `Init` and `Echo`: ending
(u8), dtype (u8: 4 for float32, 8 for float64), dimension (u32), the numbers. For `Ready`: the 32 bytes of the key. For
`Report`: a bit for each node, in (n + 7) // 8 bytes. The length follows from what was said before it; nothing else is
accepted. Where a message has no origin, the field is 0: links are authenticated, so the sender is known without it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import ConstraintError, as_count, check_least

GOING, WILLING, LAST = 0, 1, 2  # whether the vectors that follow depend on others, may end soon, or are this one

VERSION = 1
_HEADER = struct.Struct("<BBHI")
_CONTENT = struct.Struct("<BBI")
_KEY = 32
_OBJECT = 512  # bytes that a small object and references to it take, or less
_ENDINGS = (GOING, WILLING, LAST)
_DTYPES: dict[int, np.dtype[Any]] = {4: np.dtype("<f4"), 8: np.dtype("<f8")}


class Vector:
    """Numbers that are never changed again, with their hash.

    Attributes
    ----------
    values : (d,) float32 or float64
        Read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement.messages import Vector
    >>> Vector(np.zeros(3)).digest == Vector(np.zeros(3)).digest, Vector(np.array([np.nan])).is_finite
    (True, False)
    """

    def __init__(self, values: NDArray[Any]) -> None:
        values = np.ascontiguousarray(values)
        if values.ndim != 1 or values.dtype.newbyteorder("<") not in _DTYPES.values():
            raise ValueError(
                f"a vector has shape (d,) and dtype float32 or float64, not {values.shape}, {values.dtype}"
            )
        if not _is_frozen(values):
            values = values.copy()
            values.flags.writeable = False
        self.values = values

    @cached_property
    def digest(self) -> bytes:
        """Of dtype and bytes: two vectors with one digest are one."""
        found = blake2b(self.values.dtype.char.encode(), digest_size=_KEY)
        found.update(_wire(self.values).data)
        return found.digest()

    @cached_property
    def is_finite(self) -> bool:
        """Whether all numbers are finite."""
        return bool(np.isfinite(self.values).all())


def _is_frozen(values: Any) -> bool:
    """Whether neither an array nor what it is a view of can be written to."""
    while isinstance(values, np.ndarray):
        if values.flags.writeable:
            return False
        values = values.base
    return values is None or isinstance(values, bytes)


def _wire(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(_DTYPES[values.dtype.itemsize], copy=False)


@dataclass(frozen=True, eq=False)
class Content:
    """What is broadcast reliably: a vector, and whether its origin goes on.

    Attributes
    ----------
    vector : Vector
    ending : {0, 1, 2}
        GOING, WILLING (the origin has run as many rounds as it thinks are needed) or LAST (it has decided on this
        vector, and others are to use it for all rounds to come).
    """

    vector: Vector
    ending: int = GOING

    @cached_property
    def key(self) -> bytes:
        """The hash of it all."""
        return blake2b(self.vector.digest, digest_size=_KEY, salt=bytes([self.ending])).digest()

    @property
    def size(self) -> int:
        """In bytes, on the wire."""
        return _CONTENT.size + self.vector.values.nbytes

    def encode(self) -> bytes:
        values = self.vector.values
        return _CONTENT.pack(self.ending, values.dtype.itemsize, len(values)) + _wire(values).tobytes()


@dataclass(frozen=True, eq=False, slots=True)
class Init:
    """The content that the sender broadcasts in this round."""

    round: int
    content: Content

    @property
    def size(self) -> int:
        """In bytes, on the wire."""
        return _HEADER.size + self.content.size

    def encode(self) -> bytes:
        return _HEADER.pack(VERSION, 0, 0, self.round) + self.content.encode()


@dataclass(frozen=True, eq=False, slots=True)
class Echo:
    """The sender has had this content from its origin."""

    origin: int
    round: int
    content: Content

    @property
    def size(self) -> int:
        """In bytes, on the wire."""
        return _HEADER.size + self.content.size

    def encode(self) -> bytes:
        return _HEADER.pack(VERSION, 1, self.origin, self.round) + self.content.encode()


@dataclass(frozen=True, slots=True)
class Ready:
    """The sender knows that no other content of this origin can be delivered."""

    origin: int
    round: int
    key: bytes

    @property
    def size(self) -> int:
        """In bytes, on the wire."""
        return _HEADER.size + len(self.key)

    def encode(self) -> bytes:
        return _HEADER.pack(VERSION, 2, self.origin, self.round) + self.key


@dataclass(frozen=True, slots=True)
class Report:
    """The nodes of which the sender has a vector in this round: bit i of ``received`` stands for node i, of n."""

    round: int
    received: int
    n: int

    @property
    def size(self) -> int:
        """In bytes, on the wire."""
        return _HEADER.size + (self.n + 7) // 8

    def encode(self) -> bytes:
        return _HEADER.pack(VERSION, 3, 0, self.round) + self.received.to_bytes((self.n + 7) // 8, "little")


Message = Init | Echo | Ready | Report


def is_message(found: object) -> bool:
    """Whether this is a message, with fields of the right types; what they say may still be nonsense."""
    if not isinstance(found, Message) or not isinstance(found.round, int):
        return False
    if isinstance(found, Report):
        return isinstance(found.received, int) and found.received >= 0 and isinstance(found.n, int)
    if not isinstance(found, Init) and not isinstance(found.origin, int):
        return False
    if isinstance(found, Ready):
        return isinstance(found.key, bytes) and len(found.key) == _KEY
    content = found.content
    if not isinstance(content, Content) or not isinstance(content.vector, Vector):
        return False
    return isinstance(content.ending, int) and content.ending in _ENDINGS


@dataclass(frozen=True)
class Limits:
    """What a node accepts; everything else is no message.

    Attributes
    ----------
    n : int
        Nodes, at most 2^16 - 1.
    d : int
        Dimensions of a vector, at most 2^32 - 1.
    rounds : int
        The last round of which messages are kept: what bounds the memory that Byzantine nodes can claim. After it,
        nodes decide, whether they agree or not. At most 2^32 - 2.

    Raises
    ------
    ConstraintError
        When they are out of range.

    Examples
    --------
    >>> from robustcore.agreement import Limits
    >>> limits = Limits(n=16, d=1000)
    >>> limits.bytes, round(limits.memory / 2**30, 1), round(Limits(n=16, d=1000, rounds=100).memory / 2**20)
    (8014, 5.0, 51)
    """

    n: int
    d: int
    rounds: int = 10_000

    def __post_init__(self) -> None:
        for name, least, bits in (("n", 1, 16), ("d", 0, 32), ("rounds", 1, 32)):
            count = as_count("Limits", name, getattr(self, name))
            check_least("Limits", name, count, least)
            most = 2**bits - 1 - (name == "rounds")  # messages of one round more are accepted
            if count > most:
                raise ConstraintError(f"Limits needs {name} <= {most}; here {name} = {count}")

    @property
    def memory(self) -> int:
        """In bytes and about: what an asynchronous node may have to keep, whatever t < n / 3 Byzantine nodes send.

        Others may be any number of rounds ahead of a node, which cannot drop what they broadcast. For each round and
        each honest origin it keeps one vector at most, and for each of t Byzantine ones n // (t + 1), as honest nodes
        have to echo what is kept: less than 2n in all; and from each sender two hashes for each origin. Byzantine nodes
        have to send as much. A synchronous node keeps those of a single round.
        """
        return (self.rounds + 1) * self.n * (2 * (8 * self.d + _OBJECT) + 2 * self.n * _OBJECT)

    @property
    def bytes(self) -> int:
        """The size of the largest message."""
        return max(_HEADER.size + _CONTENT.size + 8 * self.d, _HEADER.size + _KEY, _HEADER.size + (self.n + 7) // 8)


def decode(data: bytes, limits: Limits) -> Message:
    """The message that these bytes are; ValueError where they are none within the limits.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.agreement.messages import Content, Init, Limits, Vector, decode
    >>> message = Init(1, Content(Vector(np.array([1.0, 2.0]))))
    >>> decode(message.encode(), Limits(n=4, d=2)).content.vector.values
    array([1., 2.])
    >>> decode(b"garbage", Limits(n=4, d=2))
    Traceback (most recent call last):
        ...
    ValueError: a message has 8 bytes or more, not 7
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"a message has {_HEADER.size} bytes or more, not {len(data)}")
    version, kind, origin, at = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"a message of version {version}, not {VERSION}")
    if origin >= limits.n or (origin and kind not in (1, 2)):
        raise ValueError(f"a message of node {origin}, of {limits.n}")
    if not 1 <= at <= limits.rounds + 1:
        raise ValueError(f"a message of round {at}, of {limits.rounds}")
    body = memoryview(data)[_HEADER.size :]
    if kind == 0:
        return Init(at, _content(body, limits))
    if kind == 1:
        return Echo(origin, at, _content(body, limits))
    if kind == 2:
        _length(body, _KEY)
        return Ready(origin, at, bytes(body))
    if kind == 3:
        _length(body, (limits.n + 7) // 8)
        received = int.from_bytes(body, "little")
        if received >> limits.n:
            raise ValueError("a report of nodes that do not exist")
        return Report(at, received, limits.n)
    raise ValueError(f"a message of kind {kind}")


def _content(body: memoryview, limits: Limits) -> Content:
    if len(body) < _CONTENT.size:
        raise ValueError("a vector without its length")
    ending, width, d = _CONTENT.unpack_from(body)
    if ending > LAST or width not in _DTYPES or d != limits.d:
        raise ValueError(f"a vector of {d} numbers of {width} bytes, ending {ending}")
    numbers = body[_CONTENT.size :]
    _length(numbers, d * width)
    return Content(Vector(np.frombuffer(bytes(numbers), _DTYPES[width])), ending)


def _length(body: memoryview, expected: int) -> None:
    if len(body) != expected:
        raise ValueError(f"{len(body)} bytes where there should be {expected}")
