"""The plain data of a manifest that is spelled as we write it, without a YAML parser: many times as fast.

It reads a small part of YAML in which no reader can see anything else, and nothing is guessed: one unexpected sign, and
the answer is None, whereupon `reading` parses the text with all its rules and words. So it refuses nothing and
explains nothing.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, NamedTuple

from gitops_registry.manifest.scalars import resolve

_KEY = r"[A-Za-z_][A-Za-z0-9_.-]{0,99}"
_FIRST = r"(?:[A-Za-z0-9_./+(]|[^\W\d_]|-(?=[0-9.]))"
_INNER = r"[\w./+()=@<>;~^!%*-]"
_LINE = re.compile(rf"((?:  ){{0,15}})(- )?(?:({_KEY}):(?: (.+))?|(.+))")
_QUOTED = re.compile(r'"([^"\\]*)"')
_PLAIN = re.compile(rf"{_FIRST}(?:[^\s#:]| (?=[^\s#:])|:(?=[^\s:]))*")
_FLOW = re.compile(rf'([\[{{])|([\]}}])|(, )|({_KEY}): |"([^"\\]*)"|({_FIRST}(?:{_INNER}| (?={_INNER}))*)')
_OPENS, _CLOSES, _COMMA, _KEYED, _QUOTES = range(1, 6)
_NOT_TEXT = frozenset({"null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE"})
_DEEPEST = 12
_SHORT = 600
"""Signs of a line that is worth remembering."""
_WAITS = object()
"""The value of a key whose block begins on the next line."""


class _Strange(Exception):
    """The text is not spelled as we write it; it may be good YAML all the same."""


def read(text: str) -> dict[str, Any] | None:
    """Return the mapping that a manifest holds; None where it is spelled in a way of its own, or wrong.

    Nobody may change what is returned: lines that manifests have in common are read once, and share their values.
    """
    if "\t" in text or "\r" in text or not text.endswith("\n"):
        return None
    lines = text[:-1].split("\n")
    while lines and lines[0].startswith("#"):
        del lines[0]
    try:
        return _grown(lines)
    except _Strange:
        return None


def _grown(lines: list[str]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    blocks: list[tuple[int, Any]] = [(0, root)]  # those that are not closed, each with its indentation
    waiting: tuple[dict[str, Any], str, int] | None = None  # where the block goes that the next line begins
    for text in lines:
        line = _line(text) if len(text) <= _SHORT else _line.__wrapped__(text)
        indent = line.indent
        if waiting is not None:
            above, key, expected = waiting
            if indent != expected:
                raise _Strange
            above[key] = [] if line.is_item else {}
            blocks.append((indent, above[key]))
            waiting = None
        else:
            while blocks[-1][0] > indent:
                blocks.pop()
        there, block = blocks[-1]
        if there != indent or isinstance(block, list) is not line.is_item:
            raise _Strange
        if line.is_item:
            if not line.key:
                block.append(line.value)
                continue
            entry: dict[str, Any] = {}
            indent += 2
            block.append(entry)
            blocks.append((indent, entry))
            block = entry
        if line.key in block:
            raise _Strange
        block[line.key] = line.value
        if line.value is _WAITS:
            waiting = (block, line.key, indent + 2)
    if waiting is not None or not root:
        raise _Strange
    return root


class _Line(NamedTuple):
    """One line: an item of a list, an entry of a mapping, or an item that is the first entry of one."""

    indent: int
    is_item: bool
    key: str
    value: Any


@lru_cache(maxsize=2048)
def _line(text: str) -> _Line:
    match = _LINE.fullmatch(text)
    if match is None:
        raise _Strange
    spaces, dash, key, value, item = match.groups()
    if (key is None and dash is None) or key in _NOT_TEXT or (dash and key and value is None):
        raise _Strange
    found = _value(item) if key is None else _WAITS if value is None else _value(value)
    return _Line(len(spaces), dash is not None, key or "", found)


def _value(text: str) -> Any:
    if text[0] in "{[":
        return _flow(text)
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1]
    if _PLAIN.fullmatch(text) is None:
        raise _Strange
    return _scalar(text)


def _scalar(text: str) -> Any:
    value = resolve(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise _Strange
    return value


def _flow(text: str) -> Any:
    """Return what is written on one line between brackets."""
    holder: list[Any] = []
    blocks: list[Any] = [holder]
    key, last, end = "", _OPENS, 0
    for match in _FLOW.finditer(text):
        kind, block = match.lastindex, blocks[-1]
        if (
            match.start() != end
            or len(blocks) > _DEEPEST
            or not _may_follow(kind, last, block, is_outside=len(blocks) == 1)
        ):
            raise _Strange
        end, last = match.end(), kind if kind in {_OPENS, _COMMA, _KEYED} else _QUOTES
        if kind == _CLOSES:
            if isinstance(block, list) is not (match[_CLOSES] == "]"):
                raise _Strange
            blocks.pop()
        elif kind == _KEYED:
            key = match[_KEYED]
            if key in block or key in _NOT_TEXT:
                raise _Strange
        elif kind != _COMMA:
            value: Any = match[_QUOTES]
            if kind == _OPENS:
                value = [] if match[_OPENS] == "[" else {}
                blocks.append(value)
            elif kind != _QUOTES:
                value = _scalar(match[0])
            if isinstance(block, list):
                block.append(value)
            else:
                block[key] = value
    if end != len(text) or len(blocks) != 1 or len(holder) != 1:
        raise _Strange
    return holder[0]


def _may_follow(kind: int | None, last: int, block: Any, *, is_outside: bool) -> bool:
    """Say whether a sign may stand where it does: `last` opened a block, ended a key, was a comma, or ended a value."""
    if is_outside:
        return kind == _OPENS and not block
    if kind == _COMMA:
        return last == _QUOTES
    if kind == _CLOSES:
        return last in {_OPENS, _QUOTES}
    if kind == _KEYED:
        return isinstance(block, dict) and last in {_OPENS, _COMMA}
    return last in {_OPENS, _COMMA} if isinstance(block, list) else last == _KEYED
