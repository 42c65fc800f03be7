"""A manifest's value to bytes: canonical where we write alone, with people's comments where they wrote before us.

`parse(dump(d, path), path, type(d)).document == d`, and dumping that again gives the same bytes. What we write
means the same to a reader of YAML 1.1 and of YAML 1.2, so no other tool sees `no` as false or `1e5` as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from gitops_registry.errors import ManifestError
from gitops_registry.manifest import spelling
from gitops_registry.manifest.migrations import without_gone
from gitops_registry.manifest.parts import Document, Part, plain
from gitops_registry.manifest.reading import parse


def dump(document: Document, path: str) -> bytes:
    """Return the canonical bytes of a document that lies at `path` in the repository.

    Fields at their default are left out. The path only matters for the comment that names the JSON Schema.
    """
    head = ""
    if document.by_people:
        schema = f"{'../' * path.count('/')}.schemas/{document.schema_name}.json"
        head = f"# yaml-language-server: $schema={schema}\n"
    return (head + spelling.mapping(spelling.fields(document), 0)).encode()


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


# ── edits of a text that people wrote


@dataclass
class _Node:
    """A value in the text, from `start` to `end`; `entries` where it is a mapping in block style, `items` of a list."""

    start: int
    end: int
    key: tuple[int, int] = (0, 0)
    is_flow: bool = False
    is_list: bool = False
    entries: dict[str, _Node] | None = None
    items: list[_Node] = field(default_factory=list)


_Edit = tuple[int, int, str]


def _retouch(text: str, before: Document, after: Document) -> str:
    text += "" if text.endswith("\n") else "\n"
    result, position = "", 0
    root = _outline(text)
    if root.entries is None:
        return text
    changes = _edits(text, root, plain(before), plain(after), spelling.fields(after))
    for start, end, new in sorted(changes, key=lambda edit: edit[:2]):
        result += text[position:start] + (new.replace("\n", "\r\n") if "\r\n" in text else new)
        position = end
    return result + text[position:]


def _outline(text: str) -> _Node:
    """Return where the values stand in a text that `parse` accepts, as deep as block style goes."""
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
        elif parent and parent.is_list:
            parent.items.append(node)
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
        inner = spelling.fields(value) if isinstance(value, Part) else value
        if key not in written:
            yield _line_start(text, entry.key[0]), _line_end(text, entry.end), ""
        elif entry.entries and isinstance(inner, dict) and inner:
            yield from _edits(text, entry, before[key], after[key], inner)
        elif isinstance(value, tuple) and _is_told_apart(text, entry, before.get(key), after.get(key)):
            yield from _item_edits(text, entry, before[key], after[key], value)
        else:
            yield _replacement(text, entry, value)
    first = min(entry.key[0] for entry in entries.values())
    position = _line_start(text, first)
    for key, value in written.items():
        if key in entries:
            position = _line_end(text, entries[key].end)
        else:
            yield position, position, spelling.mapping({key: value}, first - _line_start(text, first))


def _is_told_apart(text: str, entry: _Node, before: Any, after: Any) -> bool:
    """Say whether it is known which item of a list in block style becomes which: some stay, and those in their order."""
    if entry.is_flow or not isinstance(before, list) or not isinstance(after, list) or len(before) != len(entry.items):
        return False
    old, new = [_identity(item) for item in before], [_identity(item) for item in after]
    kept = [one for one in old if one in new]
    is_unique = len(set(old)) == len(old) and len(set(new)) == len(new)
    begin_lines = all(text[_line_start(text, node.start) : node.start].strip(" ") == "-" for node in entry.items)
    return bool(kept) and kept == [one for one in new if one in old] and is_unique and begin_lines


def _identity(item: Any) -> str:
    """Return what stays of an item when it changes: its name, its key, else all of it."""
    return json.dumps(
        next((item[of] for of in ("name", "key") if of in item), item) if isinstance(item, dict) else item
    )


def _item_edits(
    text: str, entry: _Node, before: list[Any], after: list[Any], written: tuple[Any, ...]
) -> Iterator[_Edit]:
    """Yield what turns a list in block style into another, item by item; comments between those that stay are kept."""
    new = [_identity(item) for item in after]
    there = {_identity(item): (node, item) for node, item in zip(entry.items, before, strict=True)}
    for one, (node, _) in there.items():
        if one not in new:
            yield _line_start(text, node.start), _line_end(text, node.end), ""
    pad = " " * text[(position := _line_start(text, entry.items[0].start)) :].index("-")
    for one, item, value in zip(new, after, written, strict=True):
        if one not in there:
            yield position, position, spelling.list_item(value, pad)
            continue
        node, old = there[one]
        position = _line_end(text, node.end)
        if json.dumps(old) == json.dumps(item):
            continue
        inner = spelling.fields(value) if isinstance(value, Part) else {}
        if node.entries and {next(iter(node.entries)), *list(inner)[:1]} <= inner.keys() & node.entries.keys():
            yield from _edits(text, node, old, item, inner)
        else:
            yield _new_lines(text, node, node.start, spelling.list_item(value, pad)[len(pad) + 2 :])


def _replacement(text: str, entry: _Node, value: Any) -> _Edit:
    """Return the edit that gives an entry its new value and keeps its style and the comment behind it."""
    indent = entry.key[0] - _line_start(text, entry.key[0])
    colon = text.index(":", entry.key[1]) + 1
    if entry.is_flow and (entry.start + 2 < entry.end or spelling.is_one_line(value)):
        new = f" {spelling.flow(value, is_flow=False)}\n"
    elif entry.is_list and not entry.is_flow and isinstance(value, tuple) and value:
        pad = " " * (entry.start - _line_start(text, entry.start))
        new = "\n" + "".join(spelling.list_item(part, pad) for part in value)
    else:
        new = spelling.entry("", value, indent)
    first, _, below = new.removesuffix("\n").partition("\n")
    if not below and "\n" not in text[colon : entry.end] and entry.start < entry.end:
        return entry.start, entry.end, first.strip()
    return _new_lines(text, entry, colon, new)


def _new_lines(text: str, entry: _Node, start: int, new: str) -> _Edit:
    """Return the edit that puts lines in the place of an entry from `start` on; the comment behind it goes behind the first."""
    first, _, below = new.removesuffix("\n").partition("\n")
    end = _line_end(text, entry.end) - (2 if text[: _line_end(text, entry.end)].endswith("\r\n") else 1)
    comment = text[entry.end : end].strip()
    return start, end, first + (f"  {comment}" if comment else "") + (f"\n{below}" if below else "")


def _span(event: Any) -> tuple[int, int]:
    return event.start_mark.index, event.end_mark.index


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Return where the next line starts; the text ends in a line break."""
    return text.find("\n", position) + 1 or len(text)
