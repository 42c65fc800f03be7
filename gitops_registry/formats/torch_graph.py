"""The graph in a .pt2 file, read as data: its JSON is reviewed key by key, and written anew from what was reviewed.

Torch turns the texts of that JSON into more than data: symbolic sizes and guards are evaluated as Python, names are
pasted into generated Python, targets are looked up from `torch` on (`torch.os.system` is one), constants are unpickled.
So every key has a check of its own here, a text under any other key is refused, and what is not needed to predict
(guards, stack traces, example inputs) never reaches torch.
"""

from __future__ import annotations

import ast
import json
import keyword
import re
from collections.abc import Callable
from typing import Any, NoReturn

from gitops_registry.formats.loaded import shown
from gitops_registry.formats.torch_archive import damaged
from gitops_registry.formats.torch_operators import is_reviewed, refusal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_DOTTED = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+){0,60}")
_SYMBOL = re.compile(r"(s|u|zf|zuf)\d{1,4}")
_OPERATOR = re.compile(r"torch\.ops\.([A-Za-z0-9_]+)\.([A-Za-z0-9_]+)\.[A-Za-z0-9_]+")
_TAKEN = {"self", "torch", "math", "operator", "_operator", "device", "inf", "nan", "NoneType", "fx_pytree", "pytree"}
_SYMBOLIC_OPERATORS = "eq ne le ge lt gt neg pos mul add sub floordiv mod truediv and_ or_ getitem"
_SYMBOLIC = {f"_operator.{name}" for name in _SYMBOLIC_OPERATORS.split()}
_SYMBOLIC |= {f"torch.sym_{name}" for name in ["not", "int", "float", "ite", "max", "min", "sqrt"]} | {"math.trunc"}
_FUNCTIONS = {
    "Symbol", "Integer", "Rational", "Add", "Mul", "Mod", "PythonMod", "FloorDiv", "CeilDiv", "CleanDiv", "Max", "Min", "Eq",
    "Ne", "Equality", "Unequality", "StrictLessThan", "StrictGreaterThan", "LessThan", "GreaterThan", "Lt", "Gt", "Le", "Ge",
    "And", "Or", "Not", "Where", "ModularIndexing", "Identity", "ToFloat", "TruncToInt", "IntTrueDiv",
}  # fmt: skip
_EXPRESSION = (
    ast.Expression, ast.Call, ast.Name, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.USub, ast.Add, ast.Sub, ast.Mult,
    ast.FloorDiv, ast.Mod, ast.Load, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict"}
_MAPS = {"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values", "custom_obj_values"}
_NAMES = {"name", "as_name", "user_input_name"}
_PATHS = {"parameter_name", "buffer_name", "tensor_constant_name"}
_PLAIN_KEYS = """
graph inputs outputs nodes target metadata is_hop_single_tensor_return is_single_tensor_return kind arg value signature
input_specs output_specs user_input parameter buffer tensor_constant constant_input user_output buffer_mutation
user_input_mutation persistent dtype sizes strides storage_offset layout requires_grad device type index hint expr_str
as_none as_tensor as_tensors as_int as_ints as_float as_floats as_string as_strings as_sym_int as_sym_ints as_scalar_type
as_memory_format as_layout as_device as_bool as_bools as_sym_bool as_sym_bools as_graph as_optional_tensors as_operator
as_sym_float as_sym_floats as_optional_tensor as_complex as_nested_tensors as_int_lists as_float_lists as_expr real imag
"""
_KEYS = set(_PLAIN_KEYS.split()) | _MAPS | _NAMES | _PATHS
_DEEPEST = 60
_LARGEST_TEXT = 4000


def parsed(file: str, text: str, what: str) -> dict[str, Any]:
    """Return the mapping in a JSON text. Raises for anything else, for keys named twice, and for numbers too long."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise ValueError("a key is named twice")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise damaged(file, f"its {what} is no JSON that torch writes") from error
    if not isinstance(found, dict):
        raise damaged(file, f"its {what} is no mapping")
    return found


class Reviewer:
    """One reading of a program's JSON. `clean` returns what torch may be given of it; operators are gathered first."""

    def __init__(self, file: str, trusted: tuple[str, ...]) -> None:
        self.file = file
        self._trusted = trusted
        self._refused: set[str] = set()

    def fail(self, why: str) -> NoReturn:
        raise damaged(self.file, why)

    def clean(self, program: dict[str, Any]) -> dict[str, Any]:
        """Return the program with everything left out that was not looked at.

        Raises Unreviewed for operators that are not allowed and for objects, and for texts that are not what their key says.
        """
        try:
            module = program["graph_module"]
            first = module["module_call_graph"][0]
            clean = {
                "graph_module": {
                    "graph": self._value(module["graph"], 0),
                    "signature": self._value(module["signature"], 0),
                    "module_call_graph": [{"fqn": "", "signature": self._calling(first["signature"])}],
                    "metadata": {},
                    "treespec_namedtuple_fields": {},
                },
                "opset_version": {"aten": _whole(program["opset_version"]["aten"])},
                "range_constraints": {self._symbol(k): _range(v) for k, v in program["range_constraints"].items()},
                "schema_version": {key: _whole(program["schema_version"][key]) for key in ("major", "minor")},
                "verifiers": ["TRAINING"],
                "torch_version": version_of(program),
                "guards_code": [],
            }
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise damaged(self.file, "its graph lacks a part, or has one of another kind") from error
        if self._refused:
            raise refusal(self.file, self._refused)
        return clean

    # ── the graph

    def _value(self, value: Any, depth: int, key: str = "") -> Any:
        if depth > _DEEPEST:
            self.fail("its graph is nested too deep")
        if isinstance(value, dict):
            if key in _MAPS:
                return {self._name(name): self._value(inner, depth + 1) for name, inner in value.items()}
            return {name: self._entry(name, inner, depth) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._value(inner, depth + 1, key) for inner in value]
        if isinstance(value, str):
            return self._text(key, value)
        return value

    def _entry(self, key: str, value: Any, depth: int) -> Any:
        if key == "metadata":
            return {}
        if key in {"as_custom_obj", "custom_obj", "token", "as_string_to_argument"} or (
            key == "custom_obj_values" and value
        ):
            self._refused.add("objects other than tensors")
            return None
        if key not in _KEYS:
            self.fail(f"its graph has a key {shown(key)!r} that is not known")
        return self._value(value, depth + 1, key)

    def _text(self, key: str, value: str) -> str:
        check = self._CHECKS.get(key)
        if check is None or len(value) > _LARGEST_TEXT:
            self.fail(f"its graph has a text where {shown(key) or 'none'} has none")
        return check(self, value)

    def _name(self, value: str) -> str:
        if value in _TAKEN or not _NAME.fullmatch(value) or keyword.iskeyword(value) or "__" in value[:2]:
            self.fail(f"its graph has a name {shown(value)!r} that torch does not give")
        return value

    def _node_name(self, value: str) -> str:
        """Names of nodes, and of operators' arguments, of which some are called `self`."""
        return value if value in {"self", "from", "device", ""} else self._name(value)

    def path(self, value: str) -> str:
        """Return a dotted name. Raises for one that torch does not give."""
        if not _DOTTED.fullmatch(value) or any(part.startswith("__") for part in value.split(".")):
            self.fail(f"its graph has a name {shown(value)!r} that torch does not give")
        return value

    def _target(self, value: str) -> str:
        match = _OPERATOR.fullmatch(value)
        is_known = match is not None and is_reviewed(f"{match[1]}::{match[2]}", self._trusted)
        if not is_known and value not in _SYMBOLIC:
            self._refused.add(f"{match[1]}::{match[2]}" if match else value)
        return value

    def _device(self, value: str) -> str:
        if value != "cpu":
            self.fail(f"it was exported for {shown(value)}; export it from the CPU")
        return value

    def _symbol(self, value: str) -> str:
        if not _SYMBOL.fullmatch(value):
            self.fail(f"its graph has a symbol {shown(value)!r} that torch does not make")
        return value

    def _expression(self, value: str) -> str:
        """Sizes: torch evaluates them as Python. Only sums, products and the like of whole numbers and of symbols pass."""
        try:
            tree = ast.parse(value, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.fail(f"its graph has a size {shown(value)!r}")
        if not all(isinstance(node, _EXPRESSION) and _is_size(node) for node in ast.walk(tree)):
            self.fail(f"its graph has a size {shown(value)!r}")
        return ast.unparse(tree)

    def _words(self, value: str) -> str:
        if not value.isprintable():
            self.fail("its graph has a text that cannot be printed")
        return value

    _CHECKS: dict[str, Callable[[Reviewer, str], str]] = {  # noqa: RUF012
        **dict.fromkeys(_NAMES, _node_name), **dict.fromkeys(_PATHS, path), "target": _target, "as_operator": _target,
        "type": _device, "expr_str": _expression, "as_string": _words, "as_strings": _words,
    }  # fmt: skip

    # ── how it is called

    def _calling(self, signature: dict[str, Any]) -> dict[str, Any]:
        names = signature.get("forward_arg_names")
        return {
            "inputs": [], "outputs": [],
            "in_spec": self._spec(signature["in_spec"]), "out_spec": self._spec(signature["out_spec"]),
            "forward_arg_names": None if names is None else [self._name(name) for name in names],
        }  # fmt: skip

    def _spec(self, text: str) -> str:
        found = json.loads(text)
        if not isinstance(found, list) or len(found) != 2 or found[0] != 1:
            self.fail("its way of calling is written as none that is known")
        return json.dumps([1, self._spec_node(found[1], 0)])

    def _spec_node(self, node: dict[str, Any], depth: int) -> dict[str, Any]:
        kind, context, children = node["type"], node["context"], node["children_spec"]
        if depth > 10 or set(node) != {"type", "context", "children_spec"} or not (kind is None or kind in _CONTAINERS):
            self.fail(f"its inputs or outputs are a {shown(str(kind))}")
        if kind == "builtins.dict":
            context = json.dumps([self._name(name) for name in json.loads(context)])
        else:
            context = None if kind is None else "null"
        return {
            "type": kind,
            "context": context,
            "children_spec": [self._spec_node(part, depth + 1) for part in children],
        }


def _whole(value: Any) -> int:
    if type(value) is not int or not -(1 << 63) < value < 1 << 63:
        raise ValueError("no whole number")
    return value


def _range(value: dict[str, Any]) -> dict[str, Any]:
    return {key: None if value[key] is None else _whole(value[key]) for key in ("min_val", "max_val")}


def version_of(program: dict[str, Any]) -> str:
    """Return the version of torch that a program says wrote it, without its build; empty where it says none."""
    said = program.get("torch_version")
    return said.partition("+")[0] if isinstance(said, str) and re.fullmatch(r"[0-9A-Za-z.+_-]{1,40}", said) else ""


def _is_size(node: ast.AST) -> bool:
    """Say whether one node of a size's expression is of the kind that torch writes."""
    if isinstance(node, ast.Constant):
        is_symbol = isinstance(node.value, str) and _SYMBOL.fullmatch(node.value) is not None
        return is_symbol or (isinstance(node.value, int) and abs(node.value) < 1 << 63)
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS or _SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Call):
        is_known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
        return is_known and len(node.args) < 20 and (bool(node.args) or not node.keywords)
    return not isinstance(node, ast.keyword) or node.arg in {"positive", "integer", "nonnegative", "evaluate"}
