"""The bytes of a commit object: what its signature covers, the signature, and whether git would have written both so.

Git reads more than it writes: a signature anywhere among the headers, in several pieces, beside headers that it leaves
out of what is signed. Each of these gives a signed commit another id without its signer. So a commit is canonical
only where putting the signature back, as git does when it signs, gives the same bytes again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PERSON = rb"[^\0\n<>]+ <[^\0\n<>]*> (?P<time>0|[1-9][0-9]{0,11}) [+-][0-9]{4}\n"
_HEADERS = re.compile(
    rb"tree [0-9a-f]{40}\n(?:parent [0-9a-f]{40}\n)*author " + PERSON.replace(b"?P<time>", b"?:") + rb"committer " + PERSON + rb"\n"
)  # fmt: skip
LATEST = 253_402_300_799
"""The last second of the year 9999, in seconds since 1970: neither OpenSSH nor Python has a later one."""


class Signed(NamedTuple):
    """A commit object in two: `payload` is what a signature covers, `armor` the signature's text, empty where there is none."""

    payload: bytes
    armor: bytes


def split(data: bytes) -> Signed:
    """Return the two parts of a commit object, exactly as git takes it apart, whatever the bytes are.

    Of several signatures the texts follow each other. Other headers whose name begins with `gpgsig` are in neither part.
    """
    payload, armor, other = list[bytes](), list[bytes](), list[bytes]()
    part, at = payload, 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        line = data[at:end]
        at = end
        if line == b"\n":  # the message follows
            payload.append(line + data[at:])
            break
        skipped = int(part is armor)
        if not line.startswith(b" "):
            part = armor if line.startswith(b"gpgsig ") else other if line.startswith(b"gpgsig") else payload
            skipped = len(b"gpgsig ") if part is armor else 0
        part.append(line[skipped:])
    return Signed(b"".join(payload), b"".join(armor))


def join(payload: bytes, armor: bytes) -> bytes:
    """Return the commit object that git makes of a payload and the signature of it: the last header holds the signature."""
    headers, gap, message = payload.partition(b"\n\n")
    lines = armor.removesuffix(b"\n").replace(b"\n", b"\n ")
    return headers + b"\ngpgsig " + lines + gap + message


def irregularity(data: bytes, parts: Signed) -> str:
    """Return in a sentence why a commit object is not canonical; empty where it is.

    Canonical are the headers `tree`, `parent` (any number), `author`, `committer` and at most one `gpgsig`, in this order,
    each as git writes it, and no NUL in the object. The text of the signature is not looked at.
    """
    headers = _HEADERS.match(parts.payload)
    if headers is None:
        return "the commit has other headers than tree, parent, author, committer and gpgsig, or not as git writes them"
    if int(headers["time"]) > LATEST:
        return "the commit is dated after the year 9999"
    if b"\0" in data:
        return "the commit holds a NUL"
    if data != (join(*parts) if parts.armor else parts.payload):
        return "the commit holds a signature in another form, or more than one"
    return ""


def committed(payload: bytes) -> int:
    """Return the committer's time of a canonical commit, in seconds since 1970."""
    headers = _HEADERS.match(payload)
    assert headers is not None
    return int(headers["time"])
