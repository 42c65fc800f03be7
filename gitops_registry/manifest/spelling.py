"""A manifest's value as canonical text: the fields that are written, blocks and flows, quotes where a reader needs them.

What is written means the same to a reader of YAML 1.1 and of YAML 1.2, so no other tool sees `no` as false or `1e5` as text.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import yaml

from gitops_registry.manifest.parts import Document, Part
from gitops_registry.manifest.scalars import resolve

_ALWAYS = frozenset({"kind", "schema_version", "name"})
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
"""What needs an escape: what YAML forbids, line breaks of any kind, tabs, and marks that reorder text on a screen."""
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_AMBIGUOUS = re.compile(
    r"[yYnN]|\.\.\."
    r"|[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+)"
    r"|[-+]?([0-9_]+(\.[0-9_]*)?|\.[0-9_]+)([eE][-+]?[0-9]+)?",
)
_LONGEST_KEY = 1000
"""A key that YAML finds without a question mark before it ends within 1,024 characters."""


def fields(part: Part) -> dict[str, Any]:
    """Return the fields that are written, by their name in the file."""
    written = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        is_kept = name in _ALWAYS and isinstance(part, Document)
        if value is not None and (is_kept or field.is_required() or value != field.default):
            written[field.alias or name] = value
    return written


def mapping(entries: dict[str, Any], indent: int) -> str:
    """Return a mapping in block style, each line indented."""
    pad = " " * indent
    text = ""
    for key, value in entries.items():
        shown = _string(key, is_flow=False)
        head = f"{pad}{shown}:" if len(shown) <= _LONGEST_KEY else f"{pad}? {shown}\n{pad}:"
        text += entry(head, value, indent)
    return text


def entry(head: str, value: Any, indent: int) -> str:
    """Return `head`, which ends in a colon or a dash, with the value behind or below it."""
    if isinstance(value, str) and _is_literal(value):
        return head + _literal(value, indent + 2)
    if is_one_line(value):
        return f"{head} {flow(value, is_flow=False)}\n"
    if isinstance(value, (list, tuple)):
        pad = " " * (indent + 2)
        return f"{head}\n" + "".join(list_item(item, pad) for item in value)
    return f"{head}\n" + mapping(fields(value) if isinstance(value, Part) else value, indent + 2)


def list_item(value: Any, pad: str) -> str:
    """Return an item of a list in block style: a dash behind `pad`, and the value."""
    if is_one_line(value):
        return f"{pad}- {flow(value, is_flow=False)}\n"
    block = mapping(fields(value) if isinstance(value, Part) else value, len(pad) + 2)
    return f"{pad}- {block[len(pad) + 2 :]}"


def is_one_line(value: Any) -> bool:
    """Say whether a value stands in flow style behind its key."""
    if isinstance(value, Part):
        return value.flow or not fields(value)
    if isinstance(value, dict):
        return not value
    if isinstance(value, (list, tuple)):
        return not any(isinstance(item, (Part, dict)) for item in value)
    return True


def flow(value: Any, *, is_flow: bool = True) -> str:
    """Return a value in flow style; `is_flow`: it stands within another one."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(flow(item) for item in value)}]"
    if isinstance(value, Part):
        value = fields(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_string(key, is_flow=True)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        return _string(value, is_flow=is_flow)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, datetime):
        return _datetime(value)
    return json.dumps(value)


def _float(value: float) -> str:
    """Return the shortest spelling that gives the same number and is a number to every reader."""
    digits, e, exponent = repr(value).partition("e")
    return f"{digits}.0e{exponent}" if e and "." not in digits else repr(value)


def _datetime(value: datetime) -> str:
    try:
        return value.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    except OverflowError:  # within a day of the calendar's ends there may be no such time in UTC
        return value.isoformat()


def _is_literal(text: str) -> bool:
    """A block of lines says the same as the text: no line needs escapes, the first sets the indentation."""
    return "\n" in text and text[0] not in " \n" and bool(text.strip()) and not _UNSAFE.search(text.replace("\n", ""))


def _literal(text: str, indent: int) -> str:
    pad = " " * indent
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    sign = "-" if ends == 0 else "" if ends == 1 else "+"
    lines = "".join(f"{pad}{line}\n" if line else "\n" for line in body.split("\n"))
    return f" |{sign}\n{lines}" + "\n" * max(ends - 1, 0)


def _string(text: str, *, is_flow: bool) -> str:
    if _is_plain(text, is_flow=is_flow):
        return text
    if "'" in text or _UNSAFE.search(text):
        quoted = json.dumps(text, ensure_ascii=False)
        return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04X}", quoted)
    return f"'{text}'"


def _is_plain(text: str, *, is_flow: bool) -> bool:
    """Every reader takes the text for itself without quotes."""
    if not text or text != text.strip() or text[0] in _INDICATORS or _UNSAFE.search(text):
        return False
    if ": " in text or " #" in text or text.endswith(":"):
        return False
    if is_flow and (re.search(r"[,\[\]{}?]|:$", text) or "::" in text):
        return False
    return not (_AMBIGUOUS.fullmatch(text) or resolve(text) != text or _is_special_in_yaml_1_1(text))


def _is_special_in_yaml_1_1(text: str) -> bool:
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    return any(pattern.match(text) for _, pattern in (*resolvers.get(text[0], ()), *resolvers.get(None, ())))
