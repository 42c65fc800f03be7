"""Words for what is wrong with a manifest: one line, no control characters, nothing long.

Turns what pydantic reports into a problem and a hint that a person can act on. Knows the kinds' fields, to
suggest the key that was meant; knows nothing of files.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from gitops_registry.manifest.parts import Document, Part

Detail = Mapping[str, Any]
Path = tuple[str | int, ...]

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "datetime_type": "a date and time with its zone",
    "datetime_parsing": "a date and time with its zone",
    "datetime_from_date_parsing": "a date and time with its zone",
    "datetime_object_invalid": "a date and time with its zone",
    "timezone_aware": "a date and time with its zone",
}
_HINTS = (
    ("reserved", "choose another name"),
    ("not listed", "add what it names to the list, or correct the spelling"),
    ("is deleted", "name a version that still exists, or remove the line"),
    ("in two stages", "keep it in one of them"),
    ("differ only in case", "rename or remove one of them"),
    ("the same name", "rename or remove one of them"),
    ("twice", "keep one of them"),
    ("plain file name", "write the file's name without any folder"),
    ("itself", "rename the file"),
    ("name '", "choose another name, such as credit-risk"),
    ("", "change the value and try again"),
)
_SHOWN = 60
_LINE = 320


def shorten(text: str, limit: int = _SHOWN) -> str:
    """Return the text with its middle left out where it is long, and nothing in it that a terminal would obey."""
    if len(text) > limit:
        text = f"{text[: limit * 2 // 3]}…{text[-limit // 4 :]}"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def one_line(text: str) -> str:
    """Return a whole message fit to be printed as one line."""
    return shorten(text, _LINE)


def quote(text: str) -> str:
    """Return text between quotes, escaped and shortened."""
    return repr(text) if len(text) <= _SHOWN else shorten(repr(text))


def describe(value: object) -> str:
    """Return what a value of the file is, for `must be …, not <this>`."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {shorten(str(value))}"
    if isinstance(value, str):
        return f"the text {quote(value)}"
    return "a mapping" if isinstance(value, dict) else "a list"


def real_path(loc: Path, *known: Container[Path]) -> Path:
    """Return the steps of a pydantic location that are keys or items of the file.

    Pydantic mixes in the names of union members and a mark for keys of a mapping; those are left out.
    """
    path: Path = ()
    for step in loc:
        longer = (*path, step)
        if any(longer in paths for paths in known):
            path = longer
    return path


def explain(
    details: list[Detail], where: Path, kind: type[Document], text: str, mark: tuple[int, int]
) -> tuple[str, str]:
    """Return problem and hint of the errors at one place; several mean that no member of a union fits."""
    detail = details[0]
    sort, found, label = detail["type"], detail["input"], _label(where)
    if sort == "value_error":
        message = re.sub(r"'[^']{60,}'", lambda match: shorten(match[0]), str(detail["ctx"]["error"]))
        return one_line(message), next(hint for words, hint in _HINTS if words in message)
    if sort == "missing":
        return f"{label} is missing", f"add the line '{where[-1]}: …'"
    if sort == "extra_forbidden":
        return _unknown_key(where, kind)
    if len(details) > 1:
        problem = f"{label} must be text, a number, true, false or a list of these, not {describe(found)}"
        return one_line(problem), "write a single value or a list in brackets, such as [1, 2]"
    if sort == "literal_error":
        expected = detail["ctx"]["expected"]
        hint = "write one of the accepted words"
        if isinstance(found, str) and (word := _closest(found, re.findall(r"'([^']*)'", expected))):
            hint = f"did you mean {word!r}?"
        return one_line(f"{label} must be {expected}, not {describe(found)}"), hint
    if sort in _EXPECTED:
        expected = _EXPECTED[sort]
        return one_line(f"{label} must be {expected}, not {describe(found)}"), _mend(expected, found, text, mark)
    message = re.sub(r"^\w+ should ", "must ", detail["msg"])
    return one_line(f"{label} {message}; found {describe(found)}"), "change the value and try again"


def _label(where: Path) -> str:
    label = ""
    for step in where:
        if isinstance(step, int):
            label += f"[{step}]"
        else:
            shown = step if re.fullmatch(r"[\w-]{1,40}", step) else quote(step)
            label += f".{shown}" if label else shown
    return label or "the file"


def _mend(expected: str, found: object, text: str, mark: tuple[int, int]) -> str:
    if found is None:
        return "write a value after the colon, or remove the line"
    if expected == "text" and isinstance(found, (bool, int, float)):
        return f"quote it: '{shorten(_source(text, mark))}'"
    if expected.startswith("a date"):
        return "write it like 2026-11-22T10:00:00Z"
    if expected == "true or false":
        return "write true or false, without quotes"
    if expected == "a list" and isinstance(found, (bool, int, float, str)):
        return f"put it in brackets: [{shorten(str(found).lower() if isinstance(found, bool) else str(found))}]"
    if "number" in expected and isinstance(found, str):
        return f"write digits without quotes, such as {'12' if 'whole' in expected else '0.12'}"
    if expected == "a mapping":
        return "write 'key: value' lines below it"
    return f"write {expected}"


def _source(text: str, mark: tuple[int, int]) -> str:
    """Return the number or word at that position as the file spells it: 1.10 is no longer 1.10 once it is a number."""
    lines = re.split("\r\n|\r|\n", text)
    match = re.match(r"[-+.\w]+", lines[mark[0] - 1][mark[1] - 1 :])
    return match[0] if match else ""


def _unknown_key(where: Path, kind: type[Document]) -> tuple[str, str]:
    key, known = str(where[-1]), _keys_at(kind, where[:-1])
    word = _closest(key, known)
    hint = f"did you mean {word!r}?" if word else f"keys that can be here: {', '.join(known)}"
    inside = f" in {_label(where[:-1])}" if where[:-1] else ""
    return one_line(f"unknown key {quote(key)}{inside}"), hint


def _closest(word: str, words: list[str]) -> str:
    if len(word) > _SHOWN:
        return ""
    return next(iter(difflib.get_close_matches(word.lower().replace("-", "_"), words, n=1)), "")


def _keys_at(kind: type[Part], where: Path) -> list[str]:
    found: list[Any] = [kind]
    for step in where:
        found = [inner for each in found for inner in _inside(each, step)]
    parts = [each for each in found if isinstance(each, type) and issubclass(each, Part)]
    return [field.alias or name for part in parts for name, field in part.model_fields.items()]


def _inside(annotation: Any, step: str | int) -> list[Any]:
    """Return the types that the item or key `step` of a value of this type may have."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return _members(fields.get(str(step)))
    arguments = get_args(annotation)
    return _members(arguments[-1 if get_origin(annotation) is dict else 0]) if arguments else []


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [member for each in get_args(annotation) for member in _members(each)]
    return [annotation]
