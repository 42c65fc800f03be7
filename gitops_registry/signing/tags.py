"""The bytes of a tag object: what its signature covers, the signature below the message, and who says to have made it."""

from __future__ import annotations

import re

from gitops_registry.signing.commits import LATEST, PERSON, Signed

_BEGIN = b"\n-----BEGIN SSH SIGNATURE-----\n"
_HEADERS = re.compile(rb"object [0-9a-f]{40}\ntype commit\ntag (?P<name>[^\0\n]+)\ntagger " + PERSON + rb"\n")


def split_tag(data: bytes) -> Signed:
    """Return the two parts of a tag object as git takes it apart: the last signature begins at the start of a line."""
    at = data.rfind(_BEGIN) + 1
    return Signed(data[:at], data[at:]) if at else Signed(data, b"")


def tagged(payload: bytes) -> int | None:
    """Return the time that a tag of a commit names, in seconds since 1970; None where it is not as git writes one."""
    found = _HEADERS.match(payload)
    return int(found["time"]) if found and int(found["time"]) <= LATEST else None


def tagger(payload: bytes) -> tuple[str, str, str]:
    """Return the tag's name, and the name and e-mail of whoever says to have made it; empty where it is no tag of a commit."""
    found = _HEADERS.match(payload)
    if found is None:
        return "", "", ""
    line = payload.split(b"\ntagger ", 1)[1].split(b"\n", 1)[0].decode(errors="replace")
    name, _, rest = line.partition(" <")
    return found["name"].decode(errors="replace"), name, rest.partition(">")[0]
