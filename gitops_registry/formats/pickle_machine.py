"""A symbolic machine for the opcodes of pickles and joblib files: it follows what they would do and does none of it.

No name is resolved, nothing is imported or called. Where Python's two readers of pickles and its disassembler differ,
or a real writer would never go, the machine refuses, so that what it saw is what any reader does. Its work is bounded:
by `MOST_MARKS`, and by the limits of `pickle_stream` and `pickle_values`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from gitops_registry.formats import pickle_values as values
from gitops_registry.formats.pickle_calls import TOOLS, call, instance
from gitops_registry.formats.pickle_reviewed import MAPPINGS, WRAPPER, renamed
from gitops_registry.formats.pickle_states import build, described
from gitops_registry.formats.pickle_stream import MOST_OPCODES, Stream, Walk
from gitops_registry.formats.pickle_values import Array, Bytes, Items, Made, Named, NotAPickle, Refused, Text

MOST_MARKS = 200
_LONGEST_NAME = 400
_LONGEST_TEXT = 1 << 16
_LONGEST_NUMBER = 256
_SHORT_BYTES = 64
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class Machine:
    """One pickle: a stack, the stacks below the open marks, and a memo."""

    def __init__(self, stream: Stream, walk: Walk, *, has_arrays: bool) -> None:
        self._stream = stream
        self._walk = walk
        self._has_arrays = has_arrays
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the object that the pickle describes; the stream stands behind it. Raises NotAPickle and Refused."""
        stream, walk, data, operations, memo = self._stream, self._walk, self._stream.data, _OPERATIONS, self._memo
        code = stream.byte()
        if code in _REFUSED:
            raise NotAPickle(f"byte {stream.at - 1} is not what a pickle has there")
        if code == _PROTO:
            walk.opcodes += 1
            self.protocol()
            code = stream.byte()
        while code != _STOP:
            walk.opcodes += 1
            operation = operations[code]
            if operation is None:
                raise NotAPickle(f"byte {stream.at - 1} is not what a pickle has there")
            if walk.opcodes > MOST_OPCODES:
                raise Refused(f"it has more than {MOST_OPCODES} opcodes")
            operation(self)
            at, limit = stream.at, stream.limit
            while at < limit - 1 and data[at] == _GET and data[at + 1] in memo:  # half of all opcodes: `get_byte`
                walk.opcodes += 1
                self._stack.append(memo[data[at + 1]])
                at += 2
            stream.at = at
            code = stream.byte()
        if len(self._stack) != 1 or self._below or not stream.is_between_frames():
            raise NotAPickle("it ends with more, or less, than one object")
        return self._stack[0]

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack:
            raise NotAPickle("it takes more from its stack than is there")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack:
            raise NotAPickle("it takes more from its stack than is there")
        return self._stack[-1]

    def _marked(self) -> list[Any]:
        if not self._below:
            raise NotAPickle("it goes back to a mark that is not there")
        found, self._stack = self._stack, self._below.pop()
        return found

    def mark(self) -> None:
        if len(self._below) >= MOST_MARKS:
            raise Refused("its marks stand too deep")
        self._below.append(self._stack)
        self._stack = []

    def protocol(self) -> None:
        if self._stream.byte() > 5:
            raise NotAPickle("it is of a protocol that Python does not have")

    def frame(self) -> None:
        self._stream.begin_frame()

    def integer(self) -> None:
        if self._stream.peek(3) in {b"00\n", b"01\n"}:
            self._push(self._stream.line() == b"01")
        else:
            self._push(self._stream.integer())

    def long_text(self) -> None:
        self._push(self._stream.long_integer())

    def float_text(self) -> None:
        self._push(self._stream.real())

    def long_bytes(self, form: str) -> None:
        length = self._stream.number(form)
        if not 0 <= length <= _LONGEST_NUMBER:
            raise Refused("a number in it is too large")
        self._push(int.from_bytes(self._stream.take(length), "little", signed=True))

    def float_bytes(self) -> None:
        self._push(struct.unpack(">d", self._stream.take(8))[0])

    def some_bytes(self, form: str) -> None:
        length = self._stream.number(form)
        start = self._stream.skip(length)
        short = self._stream.data[start : start + length] if length <= _SHORT_BYTES else None
        self._push(Bytes(length, short))

    def text(self, form: str) -> None:
        self._push_text(self._stream.take(self._stream.number(form)), "utf-8", "surrogatepass")

    def text_line(self) -> None:
        self._push_text(self._stream.line(), "raw-unicode-escape", "strict")

    def _push_text(self, data: bytes, encoding: str, errors: str) -> None:
        try:
            text = data.decode(encoding, errors)
        except UnicodeDecodeError as error:
            raise NotAPickle("a string in it is not in its encoding") from error
        self._push(text if len(text) <= _LONGEST_TEXT else Text(len(text)))

    def tuple_of(self, number: int) -> None:
        parts = [self._pop() for _ in range(number)]
        self._push(Items("tuple", tuple(reversed(parts))))

    def marked_items(self, kind: str) -> None:
        self._push(Items(kind, tuple(self._marked())))

    def marked_dict(self) -> None:
        parts = self._marked()
        self._push(Items("dict"))
        self._put(parts)

    def append(self) -> None:
        self._extend([self._pop()], "list")

    def extend(self, kind: str) -> None:
        self._extend(self._marked(), kind)

    def _extend(self, parts: list[Any], kind: str) -> None:
        into = self._top()
        if isinstance(into, Made) and into.is_free:
            for part in parts:
                into.keep(part)
        elif isinstance(into, Items) and into.kind == kind:
            for part in parts:
                into.add(part)
        else:
            raise Refused("it adds to what is no list and no set")

    def set_item(self) -> None:
        value = self._pop()
        self._put([self._pop(), value])

    def set_items(self) -> None:
        self._put(self._marked())

    def _put(self, parts: list[Any]) -> None:
        into = self._top()
        if len(parts) % 2:
            raise NotAPickle("a key in it has no value")
        is_mapping = isinstance(into, Made) and (into.is_free or into.name in MAPPINGS)
        if not is_mapping and not (isinstance(into, Items) and into.kind == "dict"):
            raise Refused("it sets items of what is no mapping")
        kept = Items("dict") if is_mapping else into
        kept.put_all(parts)
        if is_mapping:
            into.keep(kept)

    def memoize(self) -> None:
        self.put(len(self._memo))

    def put(self, index: int) -> None:
        """Remember the top of the stack. Real writers number from 0 without a gap or a second use of a number."""
        if index in self._memo or index > self._walk.opcodes:
            raise Refused("it numbers its objects as no writer does")
        self._memo[index] = self._top()

    def put_text(self) -> None:
        self.put(self._stream.index())

    def put_number(self, form: str) -> None:
        self.put(self._stream.number(form))

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise NotAPickle("it asks for an object that it did not number")
        self._push(self._memo[index])

    def get_text(self) -> None:
        self.get(self._stream.index())

    def get_number(self, form: str) -> None:
        self.get(self._stream.number(form))

    def get_byte(self) -> None:
        index = self._stream.byte()
        if index not in self._memo:
            raise NotAPickle("it asks for an object that it did not number")
        self._stack.append(self._memo[index])

    def byte(self) -> None:
        self._stack.append(self._stream.byte())

    def name_lines(self) -> None:
        try:
            module, name = self._stream.line().decode(), self._stream.line().decode()
        except UnicodeDecodeError as error:
            raise NotAPickle("a name in it is not in its encoding") from error
        self._name(module, name)

    def name_from_stack(self) -> None:
        name = self._pop()
        self._name(self._pop(), name)

    def _name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise NotAPickle("a name in it is no string")
        is_plain = len(module) + len(name) < _LONGEST_NAME and _MODULE.fullmatch(module) and _MODULE.fullmatch(name)
        if not is_plain or "." in name:
            raise Refused(f"it names {f'{module}.{name}'[:_LONGEST_NAME]!r}, which is no class or function of a module")
        full = renamed(module, name)
        if full == WRAPPER and not self._has_arrays:
            raise NotAPickle("it is a joblib file")
        self._walk.names.append(full)
        self._push(Named(full, is_tool=full in TOOLS or full == WRAPPER))

    def reduce(self) -> None:
        arguments = self._pop()
        self._walk.copy(arguments)
        self._push(call(self._pop(), arguments))

    def new(self, number: int) -> None:
        arguments = [self._pop() for _ in range(number)]
        self._push(instance(self._pop(), *reversed(arguments)))

    def build(self) -> None:
        state = self._pop()
        made = self._top()
        self._walk.copy(state)
        build(made, state)
        if isinstance(made, Made) and made.name == WRAPPER:
            self._stack[-1] = self._array(state)

    def _array(self, state: Any) -> Array:
        """Return the array whose bytes, or whose own pickle, joblib reads here from behind its description."""
        shape, dtype, alignment = described(state)
        if not self._stream.is_between_frames():
            raise Refused("an array of joblib's in it is of no reviewed kind")
        after = self._stream.at
        if dtype.is_object:
            inner = Machine(self._stream, self._walk, has_arrays=False).run()
            if not isinstance(inner, Array) or inner.dtype is None or not inner.dtype.is_object or inner.is_masked:
                raise Refused("a pickle inside it is no array of objects")
            inner.is_sealed = True
            self._walk.arrays.append((after, after, self._stream.at))
            return inner
        if alignment is not None:
            self._pad(alignment)
        start = self._stream.skip(values.count(shape) * dtype.size)
        self._walk.arrays.append((after, start, self._stream.at))
        return Array(shape, dtype)

    def _pad(self, alignment: Any) -> None:
        length = self._stream.byte()
        if type(alignment) is not int or self._stream.take(length).strip(b"\xff"):
            raise Refused("an array of joblib's in it is padded as joblib does not")

    def refuse(self, what: str) -> None:
        raise Refused(what)

    def instance_of_lines(self) -> None:
        self.name_lines()
        self.refuse("it calls a class as no writer of today does")


def _with(operation: Callable[..., None], *arguments: Any) -> Callable[[Machine], None]:
    return lambda machine: operation(machine, *arguments)


def _pushing(make: Callable[[], Any]) -> Callable[[Machine], None]:
    return lambda machine: machine._push(make())


_STOP, _PROTO, _GET = b".\x80h"
_REFUSED_FOR = {
    b"P": "it asks its reader for an object (a persistent id)",
    b"Q": "it asks its reader for an object (a persistent id)",
    b"\x82": "it names an object by a number that the process gives it (an extension code)",
    b"\x83": "it names an object by a number that the process gives it (an extension code)",
    b"\x84": "it names an object by a number that the process gives it (an extension code)",
    b"\x97": "it asks its reader for bytes that are not in it",
    b"\x98": "it asks its reader for bytes that are not in it",
    b"o": "it calls a class as no writer of today does",
    b"S": "it holds a string of Python 2",
    b"T": "it holds a string of Python 2",
    b"U": "it holds a string of Python 2",
    b"0": "it drops an object from its stack",
    b"1": "it drops objects from its stack",
    b"2": "it doubles an object on its stack",
}
_REFUSED = {code[0] for code in _REFUSED_FOR}
_NAMED: dict[bytes, Callable[[Machine], None]] = {
    **{code: _with(Machine.refuse, what) for code, what in _REFUSED_FOR.items()},
    b"(": Machine.mark, b"\x95": Machine.frame, b"i": Machine.instance_of_lines,
    b"N": _pushing(lambda: None), b"\x88": _pushing(lambda: True), b"\x89": _pushing(lambda: False),
    b"I": Machine.integer, b"L": Machine.long_text, b"F": Machine.float_text, b"G": Machine.float_bytes,
    b"J": lambda m: m._push(m._stream.number("<i")), b"K": Machine.byte,
    b"M": lambda m: m._push(m._stream.number("<H")),
    b"\x8a": _with(Machine.long_bytes, "<B"), b"\x8b": _with(Machine.long_bytes, "<i"),
    b"C": _with(Machine.some_bytes, "<B"), b"B": _with(Machine.some_bytes, "<I"),
    b"\x8e": _with(Machine.some_bytes, "<Q"), b"\x96": _with(Machine.some_bytes, "<Q"),
    b"\x8c": _with(Machine.text, "<B"), b"X": _with(Machine.text, "<I"), b"\x8d": _with(Machine.text, "<Q"),
    b"V": Machine.text_line,
    b")": _pushing(lambda: Items("tuple")), b"]": _pushing(lambda: Items("list")),
    b"}": _pushing(lambda: Items("dict")), b"\x8f": _pushing(lambda: Items("set")),
    b"\x85": _with(Machine.tuple_of, 1), b"\x86": _with(Machine.tuple_of, 2), b"\x87": _with(Machine.tuple_of, 3),
    b"t": _with(Machine.marked_items, "tuple"), b"l": _with(Machine.marked_items, "list"),
    b"\x91": _with(Machine.marked_items, "frozenset"), b"d": Machine.marked_dict,
    b"a": Machine.append, b"e": _with(Machine.extend, "list"), b"\x90": _with(Machine.extend, "set"),
    b"s": Machine.set_item, b"u": Machine.set_items,
    b"p": Machine.put_text, b"q": _with(Machine.put_number, "<B"), b"r": _with(Machine.put_number, "<I"),
    b"\x94": Machine.memoize,
    b"g": Machine.get_text, b"h": Machine.get_byte, b"j": _with(Machine.get_number, "<I"),
    b"c": Machine.name_lines, b"\x93": Machine.name_from_stack,
    b"R": Machine.reduce, b"\x81": _with(Machine.new, 1), b"\x92": _with(Machine.new, 2), b"b": Machine.build,
}  # fmt: skip
_OPERATIONS = [_NAMED.get(bytes([code])) for code in range(256)]
