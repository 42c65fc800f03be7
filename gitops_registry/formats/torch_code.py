"""The code in a TorchScript archive: read as text into definitions, reviewed, and written anew from what was read.

TorchScript's text is a part of Python's grammar, so Python's parser reads it, and nothing of it runs. What torch is
given is never the text itself but the tree written out again: no comment, no spelling that a second parser could read
otherwise. A program may hold arithmetic, control flow, and calls of reviewed operators and of its own definitions.
"""

from __future__ import annotations

import ast
import copy
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gitops_registry.formats.torch_archive import Archive, damaged
from gitops_registry.formats.torch_operators import refusal

_FOLDER = "code/"
_DEEPEST = 150
_LARGEST = 16 << 20
_MANGLE = re.compile(r"___torch_mangle_\d+")
_VARIABLE = re.compile(r"_\d+")
QUALIFIED = re.compile(r"__torch__(?:\.[A-Za-z_]\w*)+")

_GRAMMAR = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AnnAssign, ast.AugAssign,
    ast.Expr, ast.If, ast.For, ast.While, ast.Pass, ast.Break, ast.Continue, ast.Assert, ast.Call, ast.keyword, ast.Name,
    ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Dict, ast.Constant, ast.UnaryOp, ast.BinOp,
    ast.Compare, ast.BoolOp, ast.IfExp, ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop,
)  # fmt: skip
_BASES = {"Module", "NamedTuple", "Enum"}
_ROOTS = {"torch", "ops", "CONSTANTS", "__torch__"}
_FORMS = {"annotate", "unchecked_cast", "uninitialized", "getattr", "hasattr", "isinstance"}
_OWN = _FORMS | {
    "int", "float", "bool", "str", "range", "len", "tuple", "list", "dict", "min", "max", "abs", "zip", "enumerate", "rangelist",
    "Tensor", "List", "Dict", "Tuple", "Optional", "Union", "Any", "Final", "NoneType", "Device", "number", "complex",
    "Module", "NamedTuple", "Enum", "__annotations__", "inf", "nan", "infj", "nanj",
}  # fmt: skip
"""Names that stand for what the language itself has. `print`, `fork` and `awaitable` are not among them."""
_UNSEEN_TYPES = {"Tensor", "int", "float", "bool", "str", "number", "complex", "Device", "NoneType"}
"""Types whose values torch checks again wherever it uses them, so that a wrong cast to them is an error and no more."""


@dataclass(frozen=True)
class Definition:
    """One class or function of an archive's code. `attributes` are the types that a module's class declares."""

    name: str
    node: ast.ClassDef | ast.FunctionDef
    attributes: dict[str, ast.expr] = field(default_factory=dict)

    @property
    def bases(self) -> list[str]:
        return [ast.unparse(base) for base in self.node.bases] if isinstance(self.node, ast.ClassDef) else []

    @property
    def text(self) -> str:
        return ast.unparse(self.node) + "\n"

    @property
    def methods(self) -> set[str]:
        return {part.name for part in ast.walk(self.node) if isinstance(part, ast.FunctionDef)}


def definitions(archive: Archive) -> dict[str, Definition]:
    """Return everything that an archive's code defines, by qualified name (`__torch__.a.b.Net`).

    Raises for text outside the language's grammar.
    """
    files = [name for name in archive.records if name.startswith(_FOLDER) and name.endswith(".py")]
    if sum(len(archive.records[name]) for name in files) > _LARGEST:
        raise damaged(archive.file, "it holds more than 16 MiB of code")
    found: dict[str, Definition] = {}
    for name in files:
        prefix = name.removeprefix(_FOLDER).removesuffix(".py").replace("/", ".")
        for node in _parsed(archive, name).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef):
                raise damaged(archive.file, f"{name} holds more than classes and functions")
            full = f"{prefix}.{node.name}"
            if full in found or not QUALIFIED.fullmatch(full):
                raise damaged(archive.file, f"{name} defines {node.name} twice, or by a strange name")
            found[full] = Definition(full, node, _attributes(node))
    return found


def _parsed(archive: Archive, name: str) -> ast.Module:
    try:
        tree = ast.parse(archive.text(name))
        depth = _depth(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise damaged(archive.file, f"{name} is no code of TorchScript's") from error
    strange = {type(node).__name__ for node in ast.walk(tree) if not isinstance(node, _GRAMMAR)}
    if strange or depth > _DEEPEST:
        why = f"has a {min(strange)}, which TorchScript has not" if strange else "is nested too deep"
        raise damaged(archive.file, f"{name} {why}")
    return tree


def _depth(tree: ast.AST) -> int:
    deepest, level = 0, [tree]
    while level:
        deepest, level = deepest + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return deepest


def _attributes(node: ast.ClassDef | ast.FunctionDef) -> dict[str, ast.expr]:
    """Return the types of a class' attributes, in their order: `name : T` and, for strange names, `__annotations__["0"] = T`."""
    found: dict[str, ast.expr] = {}
    for part in node.body if isinstance(node, ast.ClassDef) else []:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.value is None:
            found[part.target.id] = part.annotation
        elif isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Subscript):
            key = part.targets[0].slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = part.value
    return found


# ── review


def review(file: str, found: Mapping[str, Definition], is_allowed: Callable[[str], bool], known: set[str]) -> None:
    """Raise Unreviewed if a definition could reach an operator that is not allowed, or build what nobody checked.

    `known` are the bare names of all operators that torch has: a method call on any value may mean one of them.
    """
    refused: set[str] = set()
    for definition in found.values():
        refused |= set(_shape_problems(definition))
        bound = {node.id for node in ast.walk(definition.node) if isinstance(node, ast.Name) and not _is_load(node)}
        bound |= {node.arg for node in ast.walk(definition.node) if isinstance(node, ast.arg)}
        if taken := bound & (_ROOTS | _FORMS):
            refused.add(f"something named {min(taken)}")
        refused |= set(_calls(definition.node, bound, found, is_allowed))
        refused |= {name for name in _members(definition.node) if _is_operator(name, known, is_allowed)}
    if refused:
        raise refusal(file, refused)


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


def _is_operator(name: str, known: set[str], is_allowed: Callable[[str], bool]) -> bool:
    """Say whether a method of this name, called on some value, may be an operator that is not allowed."""
    return name in known and not is_allowed(f"aten::{name}")


def _shape_problems(definition: Definition) -> Iterator[str]:
    """Yield what a class is, or has, that the checks of stored values do not cover."""
    if not isinstance(definition.node, ast.ClassDef):
        return
    if not set(definition.bases) <= _BASES or definition.node.keywords or definition.node.decorator_list:
        yield f"class {definition.name} ({', '.join(definition.bases)})"
    for special in sorted({"__setstate__", "__getstate__", "__del__"} & definition.methods):
        yield f"{definition.name}.{special}"


def _calls(
    tree: ast.AST, bound: set[str], found: Mapping[str, Definition], is_allowed: Callable[[str], bool]
) -> Iterator[str]:
    """Yield every use of `torch.x`, `ops.space.x`, `__torch__.x` and of a bare name that is not allowed."""
    inner: set[int] = set()
    for node in ast.walk(tree):  # a chain comes before its parts
        if isinstance(node, ast.Attribute) and id(node) not in inner and (chain := dotted(node)):
            root, _, rest = chain.partition(".")
            inner |= {id(part) for part in ast.walk(node) if root in _ROOTS or isinstance(part, ast.Attribute)}
            if root == "torch" and not is_allowed(f"aten::{rest}"):
                yield f"aten::{rest}"
            elif root == "ops" and not is_allowed(rest.replace(".", "::", 1)):
                yield rest.replace(".", "::", 1)
            elif root == "__torch__" and not _is_defined(chain, found):
                yield chain
        elif isinstance(node, ast.Name) and id(node) not in inner and node.id not in bound | _OWN:
            yield f"{node.id} as a value" if node.id in _ROOTS else node.id
        elif isinstance(node, ast.Call):
            yield from _special(node)


def _is_defined(chain: str, found: Mapping[str, Definition]) -> bool:
    owner = found.get(chain.rpartition(".")[0])
    return chain in found or (owner is not None and owner.bases == ["Enum"])


def _special(node: ast.Call) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in {"getattr", "hasattr"} and not _is_named(node):
        yield f"{name} with a computed name"
    elif name in {"unchecked_cast", "uninitialized"} and not (node.args and _is_unseen(node.args[0])):
        yield f"{name} to a class"


def _is_named(node: ast.Call) -> bool:
    return len(node.args) == 2 and isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)


def _is_unseen(kind: ast.expr) -> bool:
    names = {part.id for part in ast.walk(kind) if isinstance(part, ast.Name)}
    plain = all(isinstance(part, ast.Name | ast.Subscript | ast.Tuple | ast.expr_context) for part in ast.walk(kind))
    return plain and names <= _UNSEEN_TYPES | {"List", "Dict", "Tuple", "Optional"}


def _members(tree: ast.AST) -> Iterator[str]:
    """Yield every name that is looked up on a value: an attribute, or what getattr names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (dotted(node) or "").partition(".")[0] not in _ROOTS - {"CONSTANTS"}:
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            yield from (str(part.value) for part in node.args[1:] if isinstance(part, ast.Constant))


def dotted(node: ast.expr) -> str | None:
    """Return `a.b.c` for a chain of names; None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


# ── names that do not depend on what the process did before


def canonical_names(found: Mapping[str, Definition], roots: list[str]) -> dict[str, str]:
    """Return new qualified names for all definitions that `roots` reach, in the order in which they are reached.

    Torch numbers names that it has seen before in the process, so that the same module would be stored under other
    names each time; here the first of a name keeps it bare and the others are numbered.
    """
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop(0)
        if name in names or name not in found:
            continue
        plain = ".".join(part for part in name.split(".") if not _MANGLE.fullmatch(part))
        number = counts[plain] = counts.get(plain, -1) + 1
        prefix, _, last = plain.rpartition(".")
        names[name] = plain if number == 0 else f"{prefix}.___torch_mangle_{number - 1}.{last}"
        mentioned = QUALIFIED.findall(found[name].text)
        waiting += [mention if mention in found else mention.rpartition(".")[0] for mention in mentioned]
    return names


def renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a text in which every qualified name is the new one."""

    def new(match: re.Match[str]) -> str:
        name = match.group()
        if name in names:
            return names[name]
        owner, _, member = name.rpartition(".")
        return f"{names[owner]}.{member}" if owner in names else name

    return QUALIFIED.sub(new, text)


def written(found: Mapping[str, Definition], names: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the records that hold the definitions: as they are named, or under the new names and only those."""
    texts: dict[str, str] = {}
    for name, definition in found.items():
        if names is None or name in names:
            new = name if names is None else names[name]
            file = _FOLDER + new.rpartition(".")[0].replace(".", "/") + ".py"
            text = definition.text if names is None else renamed(_steady(definition).text, names)
            texts[file] = texts.get(file, "") + text
    return {file: text.encode() for file, text in texts.items()}


def _steady(definition: Definition) -> Definition:
    """Return a definition without what differs between processes: the order of constants, and numbers of its variables.

    Torch keeps constants in a set, and numbers variables (`_0`) from the first definition that shares a file.
    """
    node = copy.deepcopy(definition.node)
    if isinstance(node, ast.ClassDef):
        constants = [part for part in node.body if isinstance(part, ast.AnnAssign) and part.value is not None]
        if "Enum" not in definition.bases:
            in_order = iter(sorted(constants, key=ast.unparse))
            node.body = [next(in_order) if part in constants else part for part in node.body]
    for function in (part for part in ast.walk(node) if isinstance(part, ast.FunctionDef)):
        arguments = {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
        free = (f"_{number}" for number in itertools.count() if f"_{number}" not in arguments)
        found = [part for part in ast.walk(function) if isinstance(part, ast.Name) and _VARIABLE.fullmatch(part.id)]
        numbers: dict[str, str] = {}
        for name in sorted(found, key=lambda part: (part.lineno, part.col_offset)):
            if name.id not in arguments:
                if name.id not in numbers:
                    numbers[name.id] = next(free)
                name.id = numbers[name.id]
    return Definition(definition.name, node, definition.attributes)
