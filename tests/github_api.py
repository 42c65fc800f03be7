"""GitHub's published description of its REST API, as a package has it in generated source, which is read and never imported.

A request is one of those described by its path, its query and every field of its body; an answer has no field that is not
described, and each value is of a type that is. Fields that an answer leaves out are no matter: the tests' GitHub says little.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from forge_github import LocalGitHub
from forges import Asked, Reply

_FOLDER = Path(str(distribution("githubkit-schemas-2022-11-28").locate_file("githubkit_schemas/v2022_11_28")))
_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,), "datetime": (str,), "date": (str,),
}  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked: the pattern of its path, the names of its query, the types of its body and its answer."""

    method: str
    path: re.Pattern[str]
    query: frozenset[str]
    body: ast.expr | None
    answer: ast.expr | None


@cache
def operations() -> tuple[Operation, ...]:
    """Return what is described in the parts of the API that a registry uses."""
    found = []
    for name in ("pulls", "issues", "repos", "users", "apps", "git"):
        for function in re.split(
            r"\n    (?=async def |def )", (_FOLDER / "rest" / f"{name}.py").read_text(encoding="utf-8")
        ):
            url = re.search(r'^        url = f?"(.+)"$', function, re.M)
            method = re.search(r'_github\.request\(\n\s+"(\w+)"', function)
            if url is None or method is None or function.startswith("async"):
                continue
            body = re.search(r"type_validate_python\(\s*(.+?),\s*json,?\s*\)", function, re.S)
            answer = re.search(
                r"^            response_model=(.+?),\n            (?:\w+=|\))|response_model=(.+?),\n        \)",
                function,
                re.M | re.S,
            )
            query = re.search(r"^        params = \{(.*?)^        \}", function, re.M | re.S)
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(url[1]))
            found.append(
                Operation(
                    method[1],
                    re.compile(pattern),
                    frozenset(re.findall(r'"(\w+)":', query[1])) if query else frozenset(),
                    _type(body[1]) if body else None,
                    _type(answer[1] or answer[2]) if answer else None,
                )
            )
    return tuple(found)


def _type(text: str) -> ast.expr:
    return ast.parse(" ".join(text.split()), mode="eval").body


@cache
def _homes() -> dict[str, str]:
    """Return the file that each model is in."""
    lazy = (_FOLDER / "models" / "__init__.py").read_text(encoding="utf-8").partition("__lazy_vars__ = {")[2]
    groups = re.findall(r'"\.(group_\d+)": \((.*?)\)', lazy, re.S)
    return {name: group for group, names in groups for name in re.findall(r'"(\w+)"', names)}


@cache
def _fields(model: str) -> dict[str, tuple[ast.expr, bool]] | None:
    """Return the fields of a model as they are sent, with their types and whether they must be there; None for one that takes any."""
    tree = ast.parse((_FOLDER / "models" / f"{_homes()[model]}.py").read_text(encoding="utf-8"))
    (found,) = (one for one in tree.body if isinstance(one, ast.ClassDef) and one.name == model)
    if any(isinstance(base, ast.Name) and base.id == "ExtraGitHubModel" for base in found.bases):
        return None
    fields = {}
    for one in found.body:
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            words = {word.arg: word.value for word in one.value.keywords} if isinstance(one.value, ast.Call) else {}
            alias = words.get("alias")
            name = str(alias.value) if isinstance(alias, ast.Constant) else one.target.id
            fields[name] = (one.annotation, "default" not in words)
    return fields


def misfit(value: Any, kind: ast.expr, *, whole: bool, at: str = "") -> str:
    """Return where a value is not as described, in a few words; empty where it is. `whole`: nothing that must be there is missing."""
    match kind:
        case ast.Subscript(value=ast.Name(id="Missing"), slice=inner):
            return misfit(value, inner, whole=whole, at=at)
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
            return misfit(value, inner, whole=whole, at=at)
        case ast.Subscript(value=ast.Name(id="Union"), slice=ast.Tuple(elts=kinds)):
            found = [misfit(value, one, whole=whole, at=at) for one in kinds]
            return "" if "" in found else max(found, key=len)
        case ast.Subscript(value=ast.Name(id="Literal"), slice=inner):
            named = ast.literal_eval(inner)
            return "" if value in (named if isinstance(named, tuple) else (named,)) else f"{at} is not {value!r}"
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            if not isinstance(value, list):
                return f"{at} is a list"
            return next(
                (m for n, one in enumerate(value) if (m := misfit(one, inner, whole=whole, at=f"{at}[{n}]"))), ""
            )
        case ast.Subscript(value=ast.Name(id="dict")):
            return "" if isinstance(value, dict) else f"{at} is an object"
        case ast.Constant(value=None):
            return "" if value is None else f"{at} is nothing"
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in _PLAIN:
            fits = isinstance(value, _PLAIN[name]) and (name == "bool" or not isinstance(value, bool))
            return "" if fits else f"{at} is {name}, not {value!r}"
        case ast.Name(id="Any" | "object"):
            return ""
        case ast.Name(id=name):
            return _misfit_model(value, name, whole=whole, at=at)
    raise AssertionError(f"what is {ast.unparse(kind)}?")


def _misfit_model(value: Any, name: str, *, whole: bool, at: str) -> str:
    if not isinstance(value, dict):
        return f"{at} is {name}"
    fields = _fields(name)
    if fields is None:
        return ""
    if unknown := sorted(value.keys() - fields.keys()):
        return f"{at} ({name}) has no {', '.join(unknown)}"
    if whole and (missing := sorted(key for key, (_, needed) in fields.items() if needed and key not in value)):
        return f"{at} ({name}) needs {', '.join(missing)}"
    found = (misfit(one, fields[key][0], whole=whole, at=f"{at}.{key}") for key, one in value.items())
    return next((one for one in found if one), "")


def check(asked: Asked, reply: Reply | None = None) -> None:
    """Insist that a request is one of those described, and that its answer is."""
    path = asked.path.removeprefix("/api/v3")
    fitting = [one for one in operations() if one.method == asked.method and one.path.fullmatch(path)]
    assert fitting, f"no such request: {asked.method} {path}"
    operation = min(fitting, key=lambda one: one.path.pattern.count("[^/]+"))
    assert set(asked.query) <= operation.query | {"page"}, f"{asked.method} {path} takes no {asked.query}"
    if asked.body is not None:
        assert operation.body is not None, f"{asked.method} {path} takes no body"
        assert not (found := misfit(asked.body, operation.body, whole=True)), f"{asked.method} {path}: {found}"
    if reply is not None and 200 <= reply.status < 300 and operation.answer is not None:
        assert not (found := misfit(reply.data, operation.answer, whole=False)), f"{asked.method} {path}: {found}"


class Described(LocalGitHub):
    """One whose own answers are kept, to be compared with the description."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.replies: dict[int, Reply] = {}

    def answer(self, asked: Asked) -> Reply:
        reply = self.replies[id(asked)] = super().answer(asked)
        return reply

    def check(self) -> None:
        """Insist that everything that was asked and answered is described."""
        for asked in self.asked:
            if asked.path != "/api/graphql":
                check(asked, self.replies.get(id(asked)))
