"""Bytes of a manifest to its value, or one error that says where and how to mend it.

Hides YAML: only the harmless part of it is accepted (no anchors, tags, merge keys or second documents; scalars
mean what the YAML 1.2 core schema says), and every key path keeps its line and column. Whatever the bytes are,
`parse` returns a valid value or raises one `ManifestError`. Work is bounded: 1 MiB, 32 levels, no recursion.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import yaml
from pydantic import ValidationError

from gitops_registry.errors import ManifestError
from gitops_registry.manifest import problems, quick
from gitops_registry.manifest.kinds import KINDS
from gitops_registry.manifest.migrations import upgraded
from gitops_registry.manifest.parts import Document
from gitops_registry.manifest.scalars import MAX_DIGITS, resolve
from gitops_registry.paths import place_of

D = TypeVar("D", bound=Document)
Path = tuple[str | int, ...]
Mark = tuple[int, int]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"
_KINDS_BY_ROLE = {
    "constitution": "Registry", "model": "Model", "version": "ModelVersion", "card": "ModelCard", "evaluation": "Evaluation",
    "access": "Access", "policy": "Policy", "waiver": "Waiver",
}  # fmt: skip
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What YAML forbids, and the three characters that only YAML 1.1 takes for line breaks."""


@dataclass(frozen=True)
class Parsed(Generic[D]):
    """A manifest that was accepted, and where in the file each of its keys stands.

    `written_for` is the schema version that the file names; the document is always of the current one.
    """

    document: D
    path: str
    data: bytes = field(default=b"", repr=False, compare=False)
    written_for: int = 0

    def position(self, *loc: str | int) -> Mark:
        """Return line and column, from 1, of a key path: of its value, or of its key where a block follows.

        A path that the file does not spell out gets the position of its longest part that is there.
        """
        return _nearest(self._marks, loc)

    @cached_property
    def _marks(self) -> Mapping[Path, Mark]:
        """Read when somebody asks where something stands, which few do."""
        return _read(self.data, self.path)[0].marks


def kind_at(path: str) -> type[Document] | None:
    """Return the kind a file at that path of a repository must have; None where it is not a manifest."""
    return KINDS.get(_KINDS_BY_ROLE.get(place_of(path).role, ""))


def parse(data: bytes, path: str, kind: type[D]) -> Parsed[D]:
    """Return the manifest in `data`, which lies at `path` in the repository.

    Raises `ManifestError`, and nothing else, for bytes that are not exactly one valid document of that kind. Of
    several errors the first in the file is told; the hint counts the others.
    """
    tree = _Tree(_shown(path))
    tree.root = quick.read(_decode(data, tree.path))
    if tree.root is not None:
        try:
            written_for = _check_kind(tree, kind)
            return Parsed(_document(tree, kind), tree.path, data, written_for)
        except (ManifestError, ValidationError, KeyError):
            pass  # what is wrong is said by the reader that knows where it stands
    tree, text = _read(data, path)
    written_for = _check_kind(tree, kind)
    try:
        found = Parsed(_document(tree, kind), tree.path, data, written_for)
        found.__dict__["_marks"] = tree.marks  # where everything stands is known by now
        return found
    except ValidationError as error:
        raise _first_error(error, tree, kind, text) from error


def _document(tree: _Tree, kind: type[D]) -> D:
    return kind.model_validate_json(json.dumps(tree.root), strict=True, by_alias=True, by_name=False)


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)


def plain_mapping(data: bytes, path: str) -> dict[str, Any]:
    """Return a mapping of plain values, read as strictly as a manifest, whatever its keys. Raises ManifestError."""
    root: dict[str, Any] = _read(data, path)[0].root
    return root


def _read(data: bytes, path: str) -> tuple[_Tree, str]:
    path = _shown(path)
    text = _decode(data, path)
    tree = _Tree(path)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            tree.take(event)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, path) from error
    except yaml.YAMLError as error:
        raise ManifestError(problems.one_line(f"is not YAML: {error}"), path=path, hint="write plain YAML") from error
    return tree, text


def _decode(data: bytes, path: str) -> str:
    if len(data) > MAX_BYTES:
        raise ManifestError(
            f"is {len(data):,} bytes long; a manifest may have {MAX_BYTES:,} (1 MiB)",
            path=path,
            hint="keep large content in an artifact and only name it here",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _place(data[: error.start].decode("utf-8-sig", "replace"))
        problem = f"is not UTF-8: byte 0x{data[error.start]:02x}"
        raise ManifestError(problem, path=path, line=line, column=column, hint="save the file as UTF-8") from None
    if match := _FORBIDDEN.search(text):
        line, column = _place(text[: match.start()])
        code = f"{ord(match[0]):04X}"
        hint = f'remove it, or write it as "\\u{code}" inside double quotes'
        raise ManifestError(f"character U+{code} is not allowed", path=path, line=line, column=column, hint=hint)
    return text


def _place(before: str) -> Mark:
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1


def _nearest(marks: Mapping[Path, Mark], loc: Path) -> Mark:
    for length in range(len(loc), 0, -1):
        if loc[:length] in marks:
            return marks[loc[:length]]
    return (1, 1)


@dataclass
class _Open:
    """A mapping or list whose end has not been read. `key` is the key that waits for its value."""

    value: dict[str, Any] | list[Any]
    path: Path
    key: str | None = None


def _mark_of(event: Any) -> Mark:
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Tree:
    """Plain data that grows with the parser's events; its stack is its own, so depth costs no recursion."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.root: Any = None
        self.marks: dict[Path, Mark] = {}
        self.keys: dict[Path, Mark] = {}
        self._documents = 0
        self._open: list[_Open] = []

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._refuse_extras(event)
            top = self._open[-1] if self._open else None
            if top is not None and isinstance(top.value, dict) and top.key is None:
                self._start_key(top, event)
            else:
                self._put(self._scalar(event), event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._refuse_extras(event)
            if len(self._open) >= MAX_DEPTH:
                self.fail(event, _TOO_DEEP, "flatten the structure")
            value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
            path = self._put(value, event)
            self._open.append(_Open(value, path))
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self._open.pop()
        elif isinstance(event, yaml.AliasEvent):
            self.fail(event, f"alias *{event.anchor} is not accepted", "write the value out")
        elif isinstance(event, yaml.DocumentStartEvent):
            self._start_document(event)
        elif isinstance(event, yaml.StreamEndEvent) and not self._documents:
            raise ManifestError("is empty", path=self.path, hint="write the manifest, starting with its 'kind:' line")

    def fail(self, event: yaml.Event, problem: str, hint: str) -> None:
        line, column = _mark_of(event)
        raise ManifestError(problems.one_line(problem), path=self.path, line=line, column=column, hint=hint)

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self.fail(event, "has a second document", "keep one document in a file: remove what follows '---'")
        if event.version or event.tags:
            self.fail(event, "directives such as %YAML are not accepted", "remove the lines that start with '%'")

    def _refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            self.fail(
                event, f"anchor &{event.anchor} is not accepted", "remove it and write the value out where it is used"
            )
        if event.tag is not None:
            self.fail(event, f"tag {event.tag} is not accepted", "remove it; quote the value if text is meant")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        if event.style:
            return event.value
        value = resolve(event.value)
        if isinstance(value, float) and not math.isfinite(value):
            shown = problems.shorten(event.value)
            if len(event.value) > MAX_DIGITS:
                self.fail(event, f"number {shown} has more than {MAX_DIGITS} digits", "quote it if text is meant")
            self.fail(event, f"{shown} is not a finite number", "leave the line out, or quote it if text is meant")
        return value

    def _start_key(self, top: _Open, event: yaml.ScalarEvent) -> None:
        key = event.value
        if not event.style and key == "<<":
            self.fail(event, "merge key << is not accepted", "write the keys out")
        if not event.style and not isinstance(resolve(key), str):
            shown = problems.shorten(key)
            self.fail(event, f"key {shown or '(nothing)'} is not text", f'quote it: "{shown}"')
        path = (*top.path, key)
        if path in self.keys:
            self.fail(
                event,
                f"key {problems.quote(key)} is written twice",
                f"the first one is on line {self.keys[path][0]}; keep one of them",
            )
        top.key = key
        self.keys[path] = _mark_of(event)

    def _put(self, value: Any, event: Any) -> Path:
        mark = _mark_of(event)
        if not self._open:
            if not isinstance(value, dict):
                found = "is empty" if value is None else f"holds {problems.describe(value)}, not a mapping"
                self.fail(event, found, "start with a line 'kind: …' and write one 'key: value' on each line")
            self.root = value
            return ()
        top = self._open[-1]
        if isinstance(top.value, list):
            path = (*top.path, len(top.value))
            top.value.append(value)
        elif top.key is None:
            self.fail(event, "a key must be text", "write 'key: value' with a plain word as the key")
            raise AssertionError
        else:
            path = (*top.path, top.key)
            top.value[top.key] = value
            top.key = None
            is_block = not isinstance(event, yaml.ScalarEvent) and not event.flow_style
            if is_block or event.start_mark.index == event.end_mark.index:
                mark = self.keys[path]
        self.marks[path] = mark
        return path


def _syntax_error(error: yaml.MarkedYAMLError, text: str, path: str) -> ManifestError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = " ".join(filter(None, [error.problem, error.context]))
    if "nesting depth" in problem:  # libyaml reads ahead, and newer ones stop there before we see an event
        return ManifestError(_TOO_DEEP, path=path, line=line, column=column, hint="flatten the structure")
    hint = "check the indentation, quotes and brackets here and on the line before"
    lines = re.split("\r\n|\r|\n", text)
    if line <= len(lines) and lines[line - 1][column - 1 : column] == "\t":
        hint = "indent with spaces; YAML does not accept tabs there"
    elif "mapping values" in problem:
        hint = "put quotes round a value that contains ': '"
    elif "cannot start any token" in problem:
        hint = "put quotes round a value that starts with this character"
    return ManifestError(problems.one_line(f"is not YAML: {problem}"), path=path, line=line, column=column, hint=hint)


def _check_kind(tree: _Tree, kind: type[Document]) -> int:
    """Bring the data of an older schema version to the current one, and return the version it was written for."""
    expected = kind.model_fields["kind"].default
    current: int = kind.model_fields["schema_version"].default
    if "kind" not in tree.root:
        hint = f"add the line 'kind: {expected}' at the top"
        raise ManifestError(f"has no 'kind'; {expected} is expected here", path=tree.path, hint=hint)
    for key, wanted, hint in (
        ("kind", expected, f"write 'kind: {expected}', or move the file to where its kind belongs"),
        ("schema_version", current, ""),
    ):
        found = tree.root.get(key, wanted)
        if not hint and (older := upgraded(expected, tree.root, current)) is not None:
            tree.root, written_for = older
            return written_for
        if found == wanted and type(found) is type(wanted):
            continue
        if not hint:
            is_newer = type(found) is int and found > wanted
            hint = "a newer gitops-registry is needed to read this file" if is_newer else f"write '{key}: {wanted}'"
        line, column = tree.marks[(key,)]
        problem = f"{key} must be {wanted} here, not {problems.describe(found)}"
        raise ManifestError(problem, path=tree.path, line=line, column=column, hint=hint)
    return current


def _first_error(error: ValidationError, tree: _Tree, kind: type[Document], text: str) -> ManifestError:
    """Return the error that comes first in the file; members of a union that all failed count as one."""
    groups: dict[tuple[Mark, Path], list[problems.Detail]] = {}
    for detail in error.errors(include_url=False):
        loc = problems.real_path(detail["loc"], tree.keys, tree.marks)
        is_key = detail["type"] == "extra_forbidden" or detail["loc"][-1:] == ("[key]",)
        mark = tree.keys.get(loc, (1, 1)) if is_key else _nearest(tree.marks, loc)
        where = (*loc, detail["loc"][-1]) if detail["type"] == "missing" else loc
        groups.setdefault((mark, where), []).append(detail)
    around = {where[:length] for _, where in groups for length in range(len(where))}
    for (mark, where), found in list(groups.items()):
        if where in around and (len(found) > 1 or found[0]["type"] == "too_short"):
            del groups[mark, where]  # only echoes an error further in
    (mark, where), first = min(groups.items(), key=lambda item: item[0][0])
    problem, hint = problems.explain(first, where, kind, text, mark)
    if len(groups) > 1:
        hint += f" (and {len(groups) - 1} more)"
    return ManifestError(problem, path=tree.path, line=mark[0], column=mark[1], hint=hint)
