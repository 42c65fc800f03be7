"""`card.yaml` as a form: every field there is, each below a line that says what belongs there.

What people wrote stays to the letter, their comments too. Our lines begin with `#:` and go again when the form is read
back, and so do fields that were offered and stayed empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from gitops_registry.card.words import PROSE, REQUIRED
from gitops_registry.errors import ManifestError
from gitops_registry.manifest.kinds import Card
from gitops_registry.manifest.reading import parse
from gitops_registry.manifest.writing import dump
from gitops_registry.paths import card_path
from gitops_registry.reference import Reference

_FIELDS = (*PROSE, "authors", "tags")
_OURS = "#:"
_OFFERED = {**{field: f'{field}: ""' for field in PROSE}, "authors": "authors: []", "tags": "tags: {}"}


def form(reference: Reference, written: bytes | None, labels: Mapping[str, str]) -> str:
    """Return the form for the words of a version, of which `written` is the card.yaml (None: there is none).

    Fields that are not there yet stand at its end. A file that cannot be read is returned as it is, below what is wrong with it.
    """
    path = card_path(*reference)
    head = [f"{_OURS} {labels['ask_head'].replace('{version}', str(reference))}", _OURS]
    written = dump(Card(), path) if written is None else written
    try:
        document = parse(written, path, Card).document
        text = written.decode("utf-8-sig").replace("\r\n", "\n")
    except ManifestError as error:
        return "\n".join([*head, f"{_OURS} {error.message}", written.decode("utf-8", "replace")])
    keys = _keys(text)
    if keys is None:
        text = dump(document, path).decode()
        keys = _keys(text) or {}
    lines = text.removesuffix("\n").split("\n")
    asked = {_attached(lines, line): field for field, line in keys.items() if field in _FIELDS}
    shown = list(head)
    for at, line in enumerate(lines):
        shown += [_OURS, _asked(asked[at], labels)] if at in asked else []
        shown.append(line)
    for field in (field for field in _FIELDS if field not in keys):
        shown += [_OURS, _asked(field, labels), _OFFERED[field]]
    return "\n".join(shown) + "\n"


def filled_in(data: bytes) -> bytes:
    """Return the card.yaml that a form is, without our lines and without what was offered and left empty."""
    offered = {line.encode() for line in _OFFERED.values()}
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    kept = [line for line in lines if not line.startswith(_OURS.encode()) and line.rstrip() not in offered]
    return b"\n".join(kept).rstrip(b"\n") + b"\n"


def _keys(text: str) -> dict[str, int] | None:
    """Return the line of each key, from 0; None where they are not one below the other at the left."""
    root = yaml.compose(text, Loader=yaml.CSafeLoader)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return None
    found = {str(key.value): key.start_mark.line for key, _ in root.value}
    is_plain = len(set(found.values())) == len(found) and all(key.start_mark.column == 0 for key, _ in root.value)
    return found if is_plain else None


def _attached(lines: Sequence[str], key: int) -> int:
    """Return the first line of the comment that stands right above a key, else the key's own."""
    while key > 0 and lines[key - 1].startswith("#") and not lines[key - 1].startswith("# yaml-language-server"):
        key -= 1
    return key


def _asked(field: str, labels: Mapping[str, str]) -> str:
    needed = f" ({labels['ask_needed']})" if field in REQUIRED else ""
    return f"{_OURS} {labels[f'ask_{field}']}{needed}"
