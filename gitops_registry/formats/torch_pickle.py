"""The pickles in a TorchScript archive, read as data: which objects, of which classes, over which stored numbers.

Torch builds them with a reader in C++ that believes what it is told: sizes beyond the stored bytes, objects in places
of other classes. This one resolves and builds nothing, knows only the instructions that torch writes for modules, and
checks every tensor against its record and every object against the class that the archive's code declares.
"""

from __future__ import annotations

import ast
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from gitops_registry.formats.loaded import Unreviewed, shown
from gitops_registry.formats.torch_archive import Archive, damaged
from gitops_registry.formats.torch_code import Definition, dotted

_ITEM_SIZES = {
    "FloatStorage": 4, "DoubleStorage": 8, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
_LISTS = {"build_intlist": int, "build_doublelist": float, "build_boollist": bool, "build_tensorlist": None}
_PLAIN = {
    "int": (int,),
    "float": (float,),
    "bool": (bool,),
    "str": (str,),
    "NoneType": (type(None),),
    "number": (int, float),
}


@dataclass(frozen=True)
class Global:
    """A name that the pickle mentions. It stays a name."""

    name: str


@dataclass
class Object:
    """An object of a class of the archive's code. `state` is None until it was given."""

    cls: str
    state: dict[str, Any] | None = None


@dataclass(frozen=True)
class Storage:
    key: str
    items: int
    kind: str


@dataclass(frozen=True)
class StoredTensor:
    """A tensor within the bytes of a record."""

    kind: str
    shape: tuple[int, ...]


@dataclass
class _Reader:
    archive: Archive
    record: str
    folder: str
    definitions: Mapping[str, Definition]
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: list[Any] = field(default_factory=list)
    fitting: dict[tuple[int, str], tuple[Any, bool]] = field(default_factory=dict)

    def fail(self, why: str) -> NoReturn:
        raise damaged(self.archive.file, f"its {self.record} {why}")

    def pop(self) -> Any:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            self.fail("takes more than it holds")
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        if not self.marks:
            self.fail("lacks a mark")
        at = self.marks.pop()
        items, self.stack[at:] = self.stack[at:], []
        return items


def read(archive: Archive, record: str, definitions: Mapping[str, Definition]) -> Any:
    """Return what a pickle of the archive describes. Its storages lie in the folder named like the record.

    Raises for one that torch would not have written, for tensors beyond their records, and for unknown names.
    """
    if record not in archive.records:
        raise damaged(archive.file, f"it has no {record}")
    reader = _Reader(archive, record, record.removesuffix(".pkl") + "/", definitions)
    for opcode, argument, _ in instructions(archive, record):
        if opcode == "STOP":
            break
        _step(reader, opcode, argument)
    if len(reader.stack) != 1 or reader.marks:
        reader.fail("holds more or less than one object")
    return reader.stack[0]


def instructions(archive: Archive, record: str) -> Iterator[tuple[str, Any, int]]:
    """Yield the instructions of a pickle: name, argument, and at which byte. Raises where it is none."""
    try:
        for opcode, argument, position in pickletools.genops(archive.records[record]):
            yield opcode.name, argument, position or 0
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise damaged(archive.file, f"its {record} is no pickle") from error


def _step(reader: _Reader, opcode: str, argument: Any) -> None:
    if opcode in _VALUES:
        reader.stack.append(_VALUES[opcode](argument))
    elif opcode == "GLOBAL":
        reader.stack.append(Global(str(argument).replace(" ", ".")))
    elif opcode == "MARK":
        reader.marks.append(len(reader.stack))
    elif opcode in {"BINPUT", "LONG_BINPUT"}:
        _remember(reader, argument)
    elif opcode in {"BINGET", "LONG_BINGET"}:
        reader.stack.append(reader.memo[argument] if argument < len(reader.memo) else reader.fail("recalls nothing"))
    elif opcode in _ACTIONS:
        _ACTIONS[opcode](reader)
    elif opcode != "PROTO":
        reader.fail(f"has an instruction {opcode}, which torch does not write")


_VALUES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None, "NEWTRUE": lambda _: True, "NEWFALSE": lambda _: False, "EMPTY_TUPLE": lambda _: (),
    "EMPTY_LIST": lambda _: [], "EMPTY_DICT": lambda _: {}, "BININT": int, "BININT1": int, "BININT2": int, "LONG1": int,
    "BINFLOAT": float, "BINUNICODE": str,
}  # fmt: skip


def _remember(reader: _Reader, number: int) -> None:
    """Keep the top of the stack. Numbers go up one by one: torch makes room for any number that it reads."""
    if not reader.stack or number > len(reader.memo):
        reader.fail("remembers out of turn")
    value = reader.stack[-1]
    if isinstance(value, Object) and value.state is None:
        reader.fail("uses an object before it is built")
    reader.memo[number : number + 1] = [value]


def _tuple(reader: _Reader) -> None:
    items = reader.since_mark()
    reader.stack.append(tuple(items))


def _tuple_of(count: int) -> Callable[[_Reader], None]:
    def act(reader: _Reader) -> None:
        items = [reader.pop() for _ in range(count)]
        reader.stack.append(tuple(reversed(items)))

    return act


def _append(reader: _Reader) -> None:
    item = reader.pop()
    _extend(reader, [item])


def _appends(reader: _Reader) -> None:
    _extend(reader, reader.since_mark())


def _extend(reader: _Reader, items: list[Any]) -> None:
    target = reader.pop()
    if not isinstance(target, list):
        reader.fail("appends to what is no list")
    _check_unfinished(reader, target)
    target.extend(items)
    reader.stack.append(target)


def _check_unfinished(reader: _Reader, target: Any) -> None:
    """Refuse to change what was kept already: its values were checked, and it could come to hold itself."""
    if any(kept is target for kept in reader.memo):
        reader.fail("changes what it used before")


def _set_item(reader: _Reader) -> None:
    value, key = reader.pop(), reader.pop()
    _put(reader, [key, value])


def _set_items(reader: _Reader) -> None:
    _put(reader, reader.since_mark())


def _put(reader: _Reader, items: list[Any]) -> None:
    target = reader.pop()
    keys = items[::2]
    if (
        not isinstance(target, dict)
        or len(items) % 2
        or not all(isinstance(key, str | int | float | bool) for key in keys)
    ):
        reader.fail("puts items where none belong")
    if len(set(keys) | set(target)) != len(keys) + len(target):
        reader.fail("names an item twice")
    _check_unfinished(reader, target)
    target.update(zip(keys, items[1::2], strict=True))
    reader.stack.append(target)


def _new(reader: _Reader) -> None:
    arguments, cls = reader.pop(), reader.pop()
    if arguments != () or not isinstance(cls, Global):
        reader.fail("builds an object of what is no class")
    definition = reader.definitions.get(cls.name)
    if definition is None or definition.bases != ["Module"]:
        raise _unknown(reader, cls.name)
    reader.stack.append(Object(cls.name))


def _build(reader: _Reader) -> None:
    state, target = reader.pop(), reader.pop()
    if not isinstance(target, Object) or target.state is not None or not isinstance(state, dict):
        reader.fail("gives a state to what takes none")
    declared = reader.definitions[target.cls].attributes
    if list(state) != list(declared):
        reader.fail(f"gives {shown(target.cls)} other attributes than its class has")
    for name, kind in declared.items():
        if not _fits(reader, state[name], kind):
            reader.fail(f"gives {shown(target.cls)} a {shown(name)} that is no {shown(ast.unparse(kind))}")
    target.state = state
    reader.stack.append(target)


def _fits(reader: _Reader, value: Any, kind: ast.expr) -> bool:
    """Say whether a value is of a type of the archive's code. Of a type that is not known here none is."""
    name = dotted(kind)
    if name == "Tensor":
        return isinstance(value, StoredTensor)
    if name in _PLAIN:
        return type(value) in _PLAIN[name]
    if name is not None:
        return isinstance(value, Object) and value.cls == name and value.state is not None
    if not isinstance(kind, ast.Subscript):
        return isinstance(kind, ast.Constant) and kind.value is None and value is None
    key = (id(value), ast.unparse(kind))  # one list may be shared by many
    if key not in reader.fitting:
        reader.fitting[key] = value, _contents_fit(reader, value, kind)  # kept, so that no other takes its id
    return reader.fitting[key][1]


def _contents_fit(reader: _Reader, value: Any, kind: ast.Subscript) -> bool:
    outer = dotted(kind.value)
    inner = list(kind.slice.elts) if isinstance(kind.slice, ast.Tuple) else [kind.slice]
    if outer == "Optional":
        return value is None or _fits(reader, value, inner[0])
    if outer == "List":
        return isinstance(value, list) and all(_fits(reader, item, inner[0]) for item in value)
    if outer == "Dict" and len(inner) == 2 and isinstance(value, dict):
        return all(_fits(reader, k, inner[0]) and _fits(reader, v, inner[1]) for k, v in value.items())
    if outer == "Tuple" and isinstance(value, tuple) and len(value) == len(inner):
        return all(_fits(reader, item, part) for item, part in zip(value, inner, strict=True))
    return False


def _reduce(reader: _Reader) -> None:
    arguments, function = reader.pop(), reader.pop()
    if not isinstance(function, Global) or not isinstance(arguments, tuple):
        reader.fail("calls what is no function")
    module, _, name = function.name.rpartition(".")
    if function.name == "torch._utils._rebuild_tensor_v2":
        reader.stack.append(_tensor(reader, arguments))
    elif function.name == "collections.OrderedDict" and arguments == ():
        reader.stack.append({})
    elif module == "torch.jit._pickle" and name in _LISTS and len(arguments) == 1 and isinstance(arguments[0], list):
        kind = _LISTS[name] or StoredTensor
        if not all(type(item) is kind for item in arguments[0]):
            reader.fail("holds a list of other things than it says")
        reader.stack.append(arguments[0])
    elif function.name == "torch.jit._pickle.restore_type_tag" and len(arguments) == 2:
        _check_tag(reader, *arguments)
    else:
        raise _unknown(reader, function.name)


def _check_tag(reader: _Reader, value: Any, tag: Any) -> None:
    """Push a list or dict whose values are what its tag says: the types of its elements are known from nowhere else."""
    try:
        kind = ast.parse(tag, mode="eval").body if isinstance(tag, str) and len(tag) < 1000 else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        kind = None
    if kind is None or not isinstance(value, list | dict) or not _fits(reader, value, kind):
        reader.fail("holds a list or dict of other things than it says")
    reader.stack.append(value)


def _storage(reader: _Reader) -> None:
    said = reader.pop()
    is_said = isinstance(said, tuple) and len(said) == 5 and said[0] == "storage" and isinstance(said[1], Global)
    if not is_said or not isinstance(said[2], str) or not isinstance(said[3], str) or type(said[4]) is not int:
        reader.fail("describes no storage")
    module, _, kind = said[1].name.rpartition(".")
    if module != "torch" or kind not in _ITEM_SIZES:
        raise _unknown(reader, said[1].name)
    data = reader.archive.records.get(reader.folder + said[2])
    if data is None or said[4] * _ITEM_SIZES[kind] != len(data):
        reader.fail(f"describes numbers that {shown(reader.folder + said[2])} does not hold")
    reader.stack.append(Storage(said[2], said[4], kind))


def _tensor(reader: _Reader, arguments: tuple[Any, ...]) -> StoredTensor:
    if (
        len(arguments) != 6
        or not isinstance(arguments[0], Storage)
        or type(arguments[4]) is not bool
        or arguments[5] != {}
    ):
        reader.fail("describes no tensor")
    storage, offset, shape, strides = arguments[:4]
    are_lengths = isinstance(shape, tuple) and isinstance(strides, tuple) and len(shape) == len(strides) <= 64
    if not are_lengths or any(type(n) is not int or not 0 <= n < 1 << 62 for n in (offset, *shape, *strides)):
        reader.fail("describes no tensor")
    if 0 not in shape and offset + sum((n - 1) * by for n, by in zip(shape, strides, strict=True)) >= storage.items:
        reader.fail("describes a tensor beyond its numbers")
    return StoredTensor(storage.kind, shape)


def _unknown(reader: _Reader, name: str) -> Unreviewed:
    return Unreviewed(
        f"{reader.archive.file} holds an object of {shown(name)}, which nobody has reviewed",
        hint="store the module without it (quantized and custom classes cannot be reviewed), or store ONNX",
    )


_ACTIONS: dict[str, Callable[[_Reader], None]] = {
    "TUPLE": _tuple, "TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2), "TUPLE3": _tuple_of(3), "APPEND": _append,
    "APPENDS": _appends, "SETITEM": _set_item, "SETITEMS": _set_items, "NEWOBJ": _new, "BUILD": _build, "REDUCE": _reduce,
    "BINPERSID": _storage,
}  # fmt: skip
