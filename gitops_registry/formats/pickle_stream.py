"""The bytes of a pickle, read once from the front, and how numbers are written in its text opcodes.

Inside a frame nothing crosses its end, as Python's own reader insists and the faster one does not. What the bytes may
make a reader do is bounded here: how many steps, and how much it copies.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from gitops_registry.formats.pickle_values import Bytes, Items, NotAPickle, Refused, Text

MOST_OPCODES = 5_000_000
_FREELY_COPIED = 1 << 20
_SMALL = 64
_LENGTHS = {form: struct.calcsize(form) for form in ("<B", "<H", "<I", "<Q", "<i")}
_INTEGER = re.compile(rb"-?(0|[1-9][0-9]{0,17})")
_LONG = re.compile(rb"-?(0|[1-9][0-9]{0,300})L?")
_FLOAT = re.compile(rb"-?([0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?|inf|nan)")
_INDEX = re.compile(rb"0|[1-9][0-9]{0,8}")


class Stream:
    """A position in the bytes, and the frame round it. `limit` is the end of the frame, or of the bytes."""

    __slots__ = ("_is_framed", "at", "data", "limit")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.limit = len(data)
        self._is_framed = False

    def skip(self, length: int) -> int:
        """Pass over some bytes, and return where they start. Raises NotAPickle where there are not as many."""
        start = self.at
        if start == self.limit and length:
            self._is_framed, self.limit = False, len(self.data)
        if length > self.limit - start:
            raise NotAPickle("it ends in the middle")
        self.at = start + length
        return start

    def byte(self) -> int:
        """Return the next byte, as a number."""
        at = self.at
        if at < self.limit:
            self.at = at + 1
        else:
            self.skip(1)
        return self.data[at]

    def peek(self, length: int) -> bytes:
        return self.data[self.at : self.at + length]

    def take(self, length: int) -> bytes:
        start = self.skip(length)
        return self.data[start : self.at]

    def line(self) -> bytes:
        """Return the bytes up to the next line feed, without it."""
        self.skip(1)
        start = self.at - 1
        end = self.data.find(b"\n", start, self.limit)
        if end < 0:
            raise NotAPickle("it ends in the middle")
        self.at = end + 1
        return self.data[start:end]

    def number(self, form: str) -> int:
        length = _LENGTHS[form]
        found: int = struct.unpack_from(form, self.data, self.skip(length))[0]
        return found

    def integer(self) -> int:
        """Return the number in a line, as all readers take it: they differ over leading zeros and other bases."""
        return int(_matched(_INTEGER, self.line()))

    def long_integer(self) -> int:
        return int(_matched(_LONG, self.line()).rstrip(b"L"))

    def real(self) -> float:
        return float(_matched(_FLOAT, self.line()))

    def index(self) -> int:
        return int(_matched(_INDEX, self.line()))

    def begin_frame(self) -> None:
        length = self.number("<Q")
        if not self.is_between_frames() or length > len(self.data) - self.at:
            raise NotAPickle("its frames overlap or end outside of it")
        self._is_framed, self.limit = True, self.at + length

    def is_between_frames(self) -> bool:
        return not self._is_framed or self.limit == self.at

    def is_at_end(self) -> bool:
        return self.at == len(self.data)


class Walk:
    """What all pickles of one file have in common: the names in their order, and how much work was done.

    `arrays` are those of joblib, whose content stands between opcodes: where their description ends, where the content
    starts, and where it ends.
    """

    def __init__(self, length: int) -> None:
        self.names: list[str] = []
        self.opcodes = 0
        self.arrays: list[tuple[int, int, int]] = []
        self._copies = length + _FREELY_COPIED

    def copy(self, value: Any) -> None:
        """Count what calls and states copy: real files copy each of their bytes once, a bomb one of them for ever."""
        for part in (value, *value.parts) if isinstance(value, Items) else (value,):
            size = len(part) if isinstance(part, str) else 0
            if isinstance(part, (Bytes, Text)):
                size = part.length
            elif isinstance(part, Items):
                size = part.count
            if size > _SMALL:
                self._copies -= size
        if self._copies < 0:
            raise Refused("it copies its bytes more often than it holds them")


def _matched(pattern: re.Pattern[bytes], line: bytes) -> bytes:
    if pattern.fullmatch(line) is None:
        raise NotAPickle("a number in it is not written as a pickle has it")
    return line
