"""A manifest's value to bytes: canonical where we write alone, with people's comments where they wrote before us.

`parse(dump(d, path), path, type(d)).document == d`, and dumping that again gives the same bytes. What we write
means the same to a reader of YAML 1.1 and of YAML 1.2, so no other tool sees `no` as false or `1e5` as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from gitops_registry.errors import ManifestError
from gitops_registry.manifest.migrations import without_gone
from gitops_registry.manifest.parts import Document, Part, plain
from gitops_registry.manifest.reading import parse
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


def dump(document: Document, path: str) -> bytes:
    """Return the canonical bytes of a document that lies at `path` in the repository.

    Fields at their default are left out. The path only matters for the comment that names the JSON Schema.
    """
    head = ""
    if document.by_people:
        schema = f"{'../' * path.count('/')}.schemas/{document.schema_name}.json"
        head = f"# yaml-language-server: $schema={schema}\n"
    return (head + _mapping(_fields(document), 0)).encode()


def revise(old: bytes, document: Document, path: str) -> bytes:
    """Return what the file at `path` becomes when its value becomes `document`.

    Comments, order of keys and spelling stay for every key whose value stays. Where that cannot be done exactly,
    and where the old bytes were canonical or no valid manifest, the result is `dump(document, path)`.
    """
    canonical = dump(document, path)
    kind = type(document)
    old = renewed(old, path, kind)
    try:
        before = parse(old, path, kind).document
        if dump(before, path) == old:
            return canonical
        new = _retouch(old.decode("utf-8-sig"), before, document).encode()
        if dump(parse(new, path, kind).document, path) == canonical:
            return new
    except ManifestError:
        pass
    return canonical


def renewed(old: bytes, path: str, kind: type[Document]) -> bytes:
    """Return a file of an older schema version as one of the current version that means the same; any other as it is.

    Where only the version differs, everything that people wrote stays; else the result is what `dump` writes. A file that
    cannot be read is returned as it is.
    """
    try:
        before = parse(old, path, kind)
        current = kind.model_fields["schema_version"].default
        if before.written_for == current:
            return old
        new = re.sub(rb"(?m)^(schema_version:[ ]*)%d\b" % before.written_for, rb"\g<1>%d" % current, old, count=1)
        if new == old:  # it is spelled in a way of its own; everything it says is read all the same
            return old
    except ManifestError:
        return old
    for text in (new, without_gone(new, kind.model_fields["kind"].default)):
        try:
            same = parse(text, path, kind)
        except ManifestError:
            continue
        if same.document == before.document and same.written_for == current:
            return text
    return dump(before.document, path)


def _fields(part: Part) -> dict[str, Any]:
    """Return the fields that are written, by their name in the file."""
    written = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        is_kept = name in _ALWAYS and isinstance(part, Document)
        if value is not None and (is_kept or field.is_required() or value != field.default):
            written[field.alias or name] = value
    return written


def _mapping(entries: dict[str, Any], indent: int) -> str:
    pad = " " * indent
    text = ""
    for key, value in entries.items():
        shown = _string(key, is_flow=False)
        head = f"{pad}{shown}:" if len(shown) <= _LONGEST_KEY else f"{pad}? {shown}\n{pad}:"
        text += _after(head, value, indent)
    return text


def _after(head: str, value: Any, indent: int) -> str:
    """Return `head`, which ends in a colon or a dash, with the value behind or below it."""
    if isinstance(value, str) and _is_literal(value):
        return head + _literal(value, indent + 2)
    if _is_one_line(value):
        return f"{head} {_flow(value, is_flow=False)}\n"
    if isinstance(value, (list, tuple)):
        pad = " " * (indent + 2)
        return f"{head}\n" + "".join(_item(item, pad) for item in value)
    return f"{head}\n" + _mapping(_fields(value) if isinstance(value, Part) else value, indent + 2)


def _item(value: Any, pad: str) -> str:
    if _is_one_line(value):
        return f"{pad}- {_flow(value, is_flow=False)}\n"
    block = _mapping(_fields(value) if isinstance(value, Part) else value, len(pad) + 2)
    return f"{pad}- {block[len(pad) + 2 :]}"


def _is_one_line(value: Any) -> bool:
    if isinstance(value, Part):
        return value.flow or not _fields(value)
    if isinstance(value, dict):
        return not value
    if isinstance(value, (list, tuple)):
        return not any(isinstance(item, (Part, dict)) for item in value)
    return True


def _flow(value: Any, *, is_flow: bool = True) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_flow(item) for item in value)}]"
    if isinstance(value, Part):
        value = _fields(value)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_string(key, is_flow=True)}: {_flow(item)}' for key, item in value.items())}}}"
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


# ── edits of a text that people wrote


@dataclass
class _Node:
    """A value in the text, from `start` to `end`; `entries` where it is a mapping in block style."""

    start: int
    end: int
    key: tuple[int, int] = (0, 0)
    is_flow: bool = False
    is_list: bool = False
    entries: dict[str, _Node] | None = None


_Edit = tuple[int, int, str]


def _retouch(text: str, before: Document, after: Document) -> str:
    text += "" if text.endswith("\n") else "\n"
    result, position = "", 0
    root = _outline(text)
    if root.entries is None:
        return text
    changes = _edits(text, root, plain(before), plain(after), _fields(after))
    for start, end, new in sorted(changes, key=lambda edit: edit[:2]):
        result += text[position:start] + (new.replace("\n", "\r\n") if "\r\n" in text else new)
        position = end
    return result + text[position:]


def _outline(text: str) -> _Node:
    """Return where the values stand in a text that `parse` accepts, as deep as mappings in block style go."""
    root = _Node(0, 0)
    stack: list[_Node] = []
    key: tuple[str, tuple[int, int]] | None = None
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            node = stack.pop()
            if node.is_flow:
                node.end = _span(event)[1]
            if stack:
                stack[-1].end = max(stack[-1].end, node.end)
                key = None
            continue
        if not isinstance(event, (yaml.ScalarEvent, yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            continue
        span = _span(event)
        parent = stack[-1] if stack else None
        if parent and parent.entries is not None and key is None and isinstance(event, yaml.ScalarEvent):
            key = event.value, span
            continue
        node = _Node(*span)
        if parent and parent.entries is not None and key:
            node.key = key[1]
            parent.entries[key[0]] = node
            key = None
        if isinstance(event, yaml.ScalarEvent):
            node.end = node.start + len(text[slice(*span)].rstrip("\r\n"))
            if parent:
                parent.end = max(parent.end, node.end)
            continue
        node.is_flow, node.is_list = bool(event.flow_style), isinstance(event, yaml.SequenceStartEvent)
        if not node.is_flow and not node.is_list:
            node.entries = {}
        root = root if stack else node
        stack.append(node)
    return root


def _edits(
    text: str, node: _Node, before: dict[str, Any], after: dict[str, Any], written: dict[str, Any]
) -> Iterator[_Edit]:
    """Yield what turns the mapping at `node` from one value into the other; `written` is `after` less its defaults."""
    entries = node.entries or {}
    for key, entry in entries.items():
        if key in before and key in after and json.dumps(before[key]) == json.dumps(after[key]):
            continue
        value = written.get(key)
        inner = _fields(value) if isinstance(value, Part) else value
        if key not in written:
            yield _line_start(text, entry.key[0]), _line_end(text, entry.end), ""
        elif entry.entries and isinstance(inner, dict) and inner:
            yield from _edits(text, entry, before[key], after[key], inner)
        else:
            yield _replacement(text, entry, value)
    first = min(entry.key[0] for entry in entries.values())
    position = _line_start(text, first)
    for key, value in written.items():
        if key in entries:
            position = _line_end(text, entries[key].end)
        else:
            yield position, position, _mapping({key: value}, first - _line_start(text, first))


def _replacement(text: str, entry: _Node, value: Any) -> _Edit:
    """Return the edit that gives an entry its new value and keeps its style and the comment behind it."""
    indent = entry.key[0] - _line_start(text, entry.key[0])
    colon = text.index(":", entry.key[1]) + 1
    if entry.is_flow:
        new = f" {_flow(value, is_flow=False)}\n"
    elif entry.is_list and isinstance(value, tuple) and value:
        pad = " " * (entry.start - _line_start(text, entry.start))
        new = "\n" + "".join(_item(item, pad) for item in value)
    else:
        new = _after("", value, indent)
    first, _, below = new.removesuffix("\n").partition("\n")
    if not below and "\n" not in text[colon : entry.end] and entry.start < entry.end:
        return entry.start, entry.end, first.strip()
    end = _line_end(text, entry.end) - (2 if text[: _line_end(text, entry.end)].endswith("\r\n") else 1)
    comment = text[entry.end : end].strip()
    return colon, end, first + (f"  {comment}" if comment else "") + (f"\n{below}" if below else "")


def _span(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Return where the next line starts; the text ends in a line break."""
    return text.find("\n", position) + 1 or len(text)
