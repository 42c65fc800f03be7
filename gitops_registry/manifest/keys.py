"""SSH public keys as people paste them: one line each, read strictly, with the fingerprint that OpenSSH prints.

Only the kinds that sign commits and whose signatures are checked here. A certificate, a hardware key or a weak RSA key is
named in the error. Source of the formats: RFC 4253, section 6.6, RFC 5656, section 3.1, and RFC 8709, section 4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import NamedTuple

CURVES = {"ecdsa-sha2-nistp256": ("nistp256", 65), "ecdsa-sha2-nistp384": ("nistp384", 97), "ecdsa-sha2-nistp521": ("nistp521", 133)}  # fmt: skip
"""Kind of an ECDSA key → the name of its curve and the bytes of an uncompressed point."""
_KINDS = ("ssh-ed25519", *CURVES, "ssh-rsa")
_RSA_BITS = range(2048, 16385)


class PublicKey(NamedTuple):
    """A public key: its kind and its bytes as SSH spells them, which hold the kind again."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """`SHA256:…`, as `ssh-keygen -l` prints it."""
        return fingerprint(self.blob)

    @property
    def line(self) -> str:
        """The key as a line of `authorized_keys` or of an allowed-signers file has it, without a comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a key's bytes: `SHA256:` and base64 without padding."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def public_key(text: str) -> PublicKey:
    """Return the key in one line of text; what stands behind it is a comment. Raises ValueError that says what is wrong."""
    if not text.isprintable():
        raise ValueError("a key is one line of printable text, as it stands in the .pub file")
    kind, _, rest = text.strip().partition(" ")
    encoded = rest.strip().partition(" ")[0]
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key; give the line of the .pub file")
    if kind not in _KINDS:
        raise ValueError(f"{kind[:60]!r} is no kind of key that is taken here: {', '.join(_KINDS)}")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the {kind} key is damaged: copy the whole line of the .pub file") from error
    problem = _problem(kind, blob) or ("" if base64.b64encode(blob).decode() == encoded else "is damaged")
    if problem:
        raise ValueError(f"the {kind} key {problem}")
    return PublicKey(kind, blob)


def strings(blob: bytes) -> list[bytes] | None:
    """Return the length-prefixed strings (RFC 4251, section 5) that bytes consist of; None where they do not."""
    found, at = [], 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            return None
        found.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _problem(kind: str, blob: bytes) -> str:
    fields = strings(blob)
    if not fields or fields[0] != kind.encode():
        return "is damaged: copy the whole line of the .pub file"
    if kind == "ssh-ed25519":
        return "" if len(fields) == 2 and len(fields[1]) == 32 else "is damaged"
    if kind in CURVES:
        curve, size = CURVES[kind]
        is_point = len(fields) == 3 and len(fields[2]) == size and fields[2][:1] == b"\x04"
        return "" if is_point and fields[1] == curve.encode() else "is damaged"
    if len(fields) != 3 or any(not is_positive(number) for number in fields[1:]):
        return "is damaged"
    exponent = int.from_bytes(fields[1], "big")
    if exponent < 3 or exponent % 2 == 0:
        return f"has the exponent {exponent}, under which anybody could sign"
    bits = int.from_bytes(fields[2], "big").bit_length()
    if bits not in _RSA_BITS:
        return f"has {bits} bits; at least {_RSA_BITS.start} are needed: ssh-keygen -t ed25519 makes a better one"
    return ""


def is_positive(number: bytes) -> bool:
    """Say whether bytes are a positive mpint as RFC 4251, section 5, writes it: the shortest way."""
    if not number or number[0] & 0x80:
        return False
    return number[0] != 0 or (len(number) > 1 and bool(number[1] & 0x80))
