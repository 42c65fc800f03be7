"""What a pickle would build, as far as it is known without building it: the values of `pickle_machine`'s stack.

None, truth values, numbers and short strings stand for themselves; everything else is a `Value`. Containers know how
much they hold, counting what is shared as often as it is reached, so a small file cannot stand for an endless walk.
"""

from __future__ import annotations

import re
from typing import Any

LARGEST_WEIGHT = 10_000_000
"""Values that one object may hold, counted as often as they can be reached."""
DEEPEST = 200
"""Containers that may stand inside each other."""
_LARGEST_KEY = 1 << 61
_LARGEST_KEY_WEIGHT = 64
_MOST_FIELDS = 1000
_STRINGS = frozenset({str})
_TOO_OFTEN = "its objects hold each other too often or too deeply"
_CODE = re.compile(r"(?:b1|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|O8|[SUV][1-9][0-9]{0,8})")


class NotAPickle(ValueError):
    """The bytes are not what pickle or joblib writes: damaged, cut off, followed by others, or another format."""


class Refused(ValueError):
    """The bytes read as a pickle, but do what no reviewed model needs."""


class Value:
    """Anything that is no plain constant. Sealed once it is part of another value: from then on it never changes.

    `holds` names what it holds that must not be kept as data, a function of pickle's own or a half-read array.
    """

    weight = 1
    depth = 1
    is_sealed = False
    holds = ""

    def hold(self, part: Any) -> None:
        """Count the part in, and seal it. Raises Refused where the value holds itself or becomes too large."""
        if part is self:
            raise Refused("an object in it holds itself")
        if self.is_sealed:
            raise Refused("an object in it is changed after it became part of another")
        if isinstance(part, Value):
            part.is_sealed = True
            self.weight += part.weight
            if part.depth >= self.depth:
                self.depth = part.depth + 1
            if part.holds and not self.holds:
                self.holds = part.holds
        else:
            self.weight += 1
        if self.weight > LARGEST_WEIGHT or self.depth > DEEPEST:
            raise Refused(_TOO_OFTEN)

    def keep(self, part: Any) -> None:
        """Hold the part as data. Raises Refused for what only pickle itself may use."""
        self.hold(part)
        if self.holds:
            raise Refused(f"it keeps {self.holds} as data")


class Named(Value):
    """A class or function that the file names. `is_tool`: reviewed to be called in one way, and never kept as data."""

    def __init__(self, name: str, *, is_tool: bool) -> None:
        self.name = name
        self.holds = name if is_tool else ""


class Bytes(Value):
    """Bytes; their content is known only where they are few."""

    def __init__(self, length: int, short: bytes | None = None) -> None:
        self.length = length
        self.short = short


class Text(Value):
    """A string too long to be a name."""

    def __init__(self, length: int) -> None:
        self.length = length


class Items(Value):
    """A tuple, list, dict, set or frozenset. A tuple's `parts` and a dict's `entries` are known, of others the number."""

    count = 0
    is_flat = True  # whether each part could be a key
    has_other_keys = False

    def __init__(self, kind: str, parts: tuple[Any, ...] = ()) -> None:
        self.kind = kind
        self.parts = parts
        self.entries: dict[str, Any] = {}
        for part in parts:
            self.add(part)

    def add(self, part: Any) -> None:
        (self.hold if self.kind == "tuple" else self.keep)(part)
        self.count += 1
        if self.is_flat and not is_key(part):
            self.is_flat = False
        if self.kind in {"set", "frozenset"} and not self.is_flat:
            raise Refused("a set in it holds what is no plain value")

    def put(self, key: Any, value: Any) -> None:
        if not is_key(key):
            raise Refused("a key in it is no plain value")
        self.keep(key)
        self.keep(value)
        self.count += 1
        if type(key) is str:
            self.entries[key] = value
        else:  # a string of NumPy's equals the same string of Python's, and would replace its value unseen
            self.has_other_keys = True

    def put_all(self, parts: list[Any]) -> None:
        """Put keys and values that follow each other."""
        keys, found = parts[::2], parts[1::2]
        if self.is_sealed or self.holds or not _STRINGS.issuperset(map(type, keys)):
            for key, value in zip(keys, found, strict=True):
                self.put(key, value)
            return
        plain = len(parts)  # most attributes have a name and a plain value, and are put together
        for value in found:
            if isinstance(value, Value):
                self.keep(value)
                plain -= 1
        self.entries.update(zip(keys, found, strict=True))
        self.count += len(keys)
        self.weight += plain
        if self.weight > LARGEST_WEIGHT:
            raise Refused(_TOO_OFTEN)

    def attributes(self) -> dict[str, Any]:
        """Return a dict's entries by name. Raises Refused for other containers, and where any key is no plain string."""
        if self.kind != "dict" or self.has_other_keys:
            raise Refused("an object's state in it is not a mapping of names")
        return self.entries


class Scalar(Value):
    """One NumPy number or string."""


class Dtype(Value):
    """A NumPy dtype: usable once it is known to be what its bytes will be read as."""

    def __init__(self, code: str) -> None:
        if _CODE.fullmatch(code) is None:
            raise Refused(f"a dtype {code[:20]!r} in it is of no reviewed kind")
        self.code = code
        self.is_object = code == "O8"
        self.is_struct = code[0] == "V"
        self.size = int(code[1:]) * (4 if code[0] == "U" else 1)
        self.is_built = False
        self.is_ready = not self.is_struct

    def build(self, state: Any) -> None:
        """Check that the state says of the dtype what its code says.

        NumPy believes the state: fields of objects that are declared free of objects would turn bytes into pointers.
        """
        parts = state.parts if isinstance(state, Items) and state.kind == "tuple" else ()
        if self.is_built or self.is_sealed or len(parts) != 8:
            raise Refused("a dtype in it has a state of no reviewed kind")
        version, order, part, names, fields, size, alignment, flags = parts
        is_plain = version == 3 and part is None and order in {"<", ">", "=", "|"} and type(flags) is int
        sizes = (size, alignment, flags)
        if not is_plain or isinstance(size, Value) or isinstance(alignment, Value):
            raise Refused("a dtype in it has a state of no reviewed kind")
        if self.is_struct:
            self._build_fields(names, fields, sizes)
        elif names is not None or fields is not None or sizes != self._usual():
            raise Refused(f"a dtype {self.code!r} in it claims to be laid out as it is not")
        self.is_built = self.is_ready = True

    def _usual(self) -> tuple[int, int, int]:
        if self.is_object:
            return -1, -1, 63
        return {"S": (self.size, 1, 0), "U": (self.size, 4, 8)}.get(self.code[0], (-1, -1, 0))

    def _build_fields(self, names: Any, fields: Any, sizes: tuple[Any, Any, Any]) -> None:
        if not isinstance(names, Items) or not isinstance(fields, Items):
            raise Refused("a dtype without fields in it is of no reviewed kind")
        if names.kind != "tuple" or not 0 < names.count <= _MOST_FIELDS or fields.count != names.count:
            raise Refused("a dtype without fields in it is of no reviewed kind")
        found = fields.attributes()
        is_known = all(type(name) is str for name in names.parts) and sorted(names.parts) == sorted(found)
        if not is_known or sizes[0] != self.size or sizes[1] not in {1, 2, 4, 8, 16} or sizes[2] != 16:
            raise Refused("a dtype in it claims to be laid out as it is not")
        for field in found.values():
            kind, offset = field.parts if isinstance(field, Items) and len(field.parts) == 2 else (None, None)
            if not isinstance(kind, Dtype) or kind.code[0] not in "biufc" or type(offset) is not int:
                raise Refused("a field of a dtype in it is no number")
            if not 0 <= offset <= self.size - kind.size:
                raise Refused("a field of a dtype in it leads out of its record")


class Array(Value):
    """A NumPy array of a known shape; without a dtype until its state is known."""

    def __init__(self, shape: tuple[int, ...] = (0,), dtype: Dtype | None = None, *, is_masked: bool = False) -> None:
        self.shape = shape
        self.dtype = dtype
        self.is_masked = is_masked

    def build(self, state: Any) -> None:
        """Take the array's state, and check that it has as many bytes or objects as its shape and dtype say."""
        length = 7 if self.is_masked else 5
        parts = state.parts if isinstance(state, Items) and state.kind == "tuple" else ()
        if self.dtype is not None or self.is_sealed or len(parts) != length or parts[0] != 1:
            raise Refused("an array in it has a state of no reviewed kind")
        shape, dtype, content = shape_of(parts[1]), parts[2], parts[4]
        if not isinstance(dtype, Dtype) or not dtype.is_ready or (self.is_masked and dtype.is_struct):
            raise Refused("an array in it is of no reviewed dtype")
        if parts[3] not in (0, 1) or (self.is_masked and isinstance(parts[6], Value) and not _is_single(parts[6])):
            raise Refused("an array in it has a state of no reviewed kind")
        if not _fills(content, count(shape), dtype) or (self.is_masked and not _masks(parts[5], count(shape))):
            raise Refused("an array in it does not have the size it claims")
        self.keep(state)
        self.shape, self.dtype = shape, dtype


class Made(Value):
    """An object that calling or instantiating `name` makes. `is_free`: nobody reviewed it, so nothing is known of it."""

    is_built = False
    version = ""

    def __init__(self, name: str, *, is_free: bool = False) -> None:
        self.name = name
        self.is_free = is_free


def is_key(value: Any) -> bool:
    """Say whether a dict or set may hash the value: quickly, and without a method of the file's own."""
    if isinstance(value, Items):
        is_small = value.depth < 3 and value.weight <= _LARGEST_KEY_WEIGHT
        return value.kind in {"tuple", "frozenset"} and value.is_flat and is_small
    if type(value) is int:
        return abs(value) < _LARGEST_KEY
    return not isinstance(value, Value) or isinstance(value, (Scalar, Named, Text, Bytes))


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape that a tuple of sizes means. Raises Refused for anything else."""
    parts = value.parts if isinstance(value, Items) and value.kind == "tuple" and value.count <= 32 else (-1,)
    if not all(type(size) is int and 0 <= size < 1 << 48 for size in parts):
        raise Refused("an array in it has a shape of no reviewed kind")
    return parts


def count(shape: tuple[int, ...]) -> int:
    """Return the number of elements, in integers that cannot overflow as NumPy's do."""
    found = 1
    for size in shape:
        found *= size
    return found


def _fills(content: Any, elements: int, dtype: Dtype) -> bool:
    if dtype.is_object:
        return isinstance(content, Items) and content.kind == "list" and content.count == elements
    return isinstance(content, Bytes) and content.length == elements * dtype.size


def _masks(content: Any, elements: int) -> bool:
    return isinstance(content, Bytes) and content.length == elements


def _is_single(value: Value) -> bool:
    return isinstance(value, Scalar) or (isinstance(value, Array) and value.shape == () and value.dtype is not None)
