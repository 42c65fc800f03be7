"""The forms in which events leave: JSON Lines, CSV, CloudEvents 1.0, and in-toto statements, one event at a time.

Pure: an event and what stands behind it go in, a line comes out.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gitops_registry.audit.entries import NOT_CHECKED, Entry

Format = Literal["jsonl", "csv", "cloudevents", "intoto"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "cloudevents", "intoto")
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:gitops-registry:audit-event:v1"
_COLUMNS = (
    "id", "time", "event", "model", "version", "subject", "before", "after", "actor", "email", "signer", "role", "authors", "approvers", "grade",
    "proof", "pull_request", "proposal", "commit", "reason", "policies", "anchor", "text",
)  # fmt: skip
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", "|", "%")
"""What a spreadsheet takes for the beginning of a formula or of a command (OWASP, CSV Injection)."""


class Subject(NamedTuple):
    """An artifact that an event is about: how it is called, and its SHA-256."""

    name: str
    sha256: str


class Context(NamedTuple):
    """What an event is told with: the registry's name, what anchors its history (empty: nothing), and the files of its version."""

    registry: str
    anchor: str
    subjects: Callable[[Entry], Sequence[Subject]]


def header(form: Format) -> str:
    """Return what stands before the first event."""
    return _row(_COLUMNS) if form == "csv" else ""


def line(form: Format, entry: Entry, context: Context) -> str:
    """Return one event in a format, with the end of its line."""
    if form == "csv":
        return _row([_cell(entry, context, column) for column in _COLUMNS])
    data = entry.to_json() | {"anchor": context.anchor or None}
    if form == "cloudevents":
        data = _cloud_event(entry, context, data)
    elif form == "intoto":
        data = _statement(entry, context, data)
    return json.dumps(data, ensure_ascii=True, separators=(",", ":"), default=list) + "\n"


def _cloud_event(entry: Entry, context: Context, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as CloudEvents 1.0.2 has it in JSON; `grade` and `commit` are extension attributes."""
    about = f"{entry.model}/{entry.version}" if entry.version else entry.model or entry.subject
    told = {
        "specversion": "1.0", "id": entry.id, "source": f"urn:gitops-registry:{context.registry}",
        "type": f"gitops-registry.audit.{entry.event}", "datacontenttype": "application/json", "time": entry.time,
        "subject": about, "grade": entry.grade, "commit": entry.commit, "data": dict(data),
    }  # fmt: skip
    return {key: value for key, value in told.items() if value != ""}


def _statement(entry: Entry, context: Context, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event as an in-toto Statement v1: its subjects are the commit and the files of the version, the rest the predicate."""
    subjects: list[dict[str, Any]] = [
        {"name": one.name, "digest": {"sha256": one.sha256}} for one in context.subjects(entry)
    ]
    if entry.commit:
        subjects.append({"name": f"decision {entry.commit[:12]}", "digest": {"gitCommit": entry.commit}})
    else:
        subjects.append({"name": entry.event, "digest": {"sha256": entry.id}})
    return {
        "_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE,
        "predicate": {"registry": context.registry, **data},
    }  # fmt: skip


def _cell(entry: Entry, context: Context, column: str) -> str:
    if column == "anchor":
        return context.anchor or "none"
    value = getattr(entry, column)
    if column == "authors":
        return "; ".join(f"{one.name} ({one.grade})" for one in entry.authors)
    if column == "approvers":
        return "; ".join(f"{one.member} ({one.grade})" for one in entry.approvers)
    if column == "policies":
        return (
            value
            if value == NOT_CHECKED
            else "; ".join(f"{one['policy']}/{one['rule']}: {one['result']}" for one in value)
        )
    if value in (None, "", 0) and column != "before" and column != "after":
        return ""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=list)


def _row(cells: Sequence[str]) -> str:
    """Return a row as RFC 4180 has it. What a spreadsheet would compute stands behind an apostrophe; nothing moves a cursor."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return text.getvalue()


def _harmless(cell: str) -> str:
    shown = "".join(sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in cell)
    return f"'{shown}" if cell.lstrip(" \u00a0\u3000'\"").startswith(_FORMULAS) or cell.startswith(_FORMULAS) else shown
