"""One SSH signature: read as strictly as OpenSSH writes it, and checked.

OpenSSH reads more than it writes: numbers with zeros before them, RSA signatures without theirs, a text with anything
behind it. Nothing of that is covered by the signature, so it is refused here. Sources: OpenSSH's PROTOCOL.sshsig, RFC 8709,
RFC 5656, section 3.1.2, and RFC 8332, section 3.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, NamedTuple

from gitops_registry.manifest.keys import CURVES, PublicKey, is_positive, public_key, strings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    Loaded = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

NAMESPACE = "git"
ALGORITHMS = {"ssh-ed25519": ("ssh-ed25519",), **{kind: (kind,) for kind in CURVES}, "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # fmt: skip
"""Kind of a key → the ways it may sign."""
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----\n", b"\n-----END SSH SIGNATURE-----\n"
_PREAMBLE = b"SSHSIG"
_VERSION = (1).to_bytes(4, "big")
_COLUMNS = 70


class Signature(NamedTuple):
    """What a signature says of itself: the bytes of the key, what it was made for, the hash, and the signature proper."""

    key: bytes
    namespace: bytes
    digest: str
    signed: bytes

    @property
    def kind(self) -> str:
        """The kind of the key, as the key spells it; empty where it spells none."""
        return ((strings(self.key) or [b""])[0]).decode("ascii", errors="replace")


def armored(blob: bytes) -> bytes:
    """Return the text that `ssh-keygen -Y sign` writes for the bytes of a signature."""
    text = base64.b64encode(blob)
    lines = (text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS))
    return _BEGIN + b"\n".join(lines) + _END


def parse(armor: bytes) -> Signature:
    """Return the signature in a text. Raises ValueError that says in a sentence what OpenSSH would not have written so."""
    blob = _unarmored(armor)
    head = _PREAMBLE + _VERSION
    fields = strings(blob.removeprefix(head)) if blob.startswith(head) else None
    if fields is None or len(fields) != 5:
        raise ValueError("the signature is damaged, or of a version that is not known here")
    key, namespace, reserved, digest, signed = fields
    if reserved:
        raise ValueError("the signature fills a field that must be empty")
    if digest not in {b"sha256", b"sha512"}:
        raise ValueError("the signature is over another hash than SHA-256 or SHA-512")
    return Signature(key, namespace, digest.decode(), signed)


def _unarmored(armor: bytes) -> bytes:
    if not armor.startswith(_BEGIN) or not armor.endswith(_END):
        raise ValueError("the signature is not the text that ssh-keygen writes")
    try:
        blob = base64.b64decode(armor[len(_BEGIN) : -len(_END)].replace(b"\n", b""), validate=True)
    except binascii.Error:
        blob = b""
    if armored(blob) != armor:
        raise ValueError("the text of the signature is not the one that ssh-keygen writes for it")
    return blob


def key_of(signature: Signature) -> PublicKey:
    """Return the key that a signature names. Raises ValueError where it is of no kind that is taken, or not spelled so."""
    return public_key(f"{signature.kind} {base64.b64encode(signature.key).decode()}")


def proper(signature: Signature) -> tuple[str, bytes]:
    """Return the way a signature was made and its own bytes. Raises ValueError where they do not fit the key, to the byte."""
    fields = strings(signature.signed) or []
    kind = signature.kind
    if len(fields) != 2 or fields[0].decode("ascii", errors="replace") not in ALGORITHMS.get(kind, ()):
        raise ValueError(f"the signature is not made in a way that a key of the kind {kind[:40]!a} may sign")
    raw = fields[1]
    if kind == "ssh-ed25519":
        fits = len(raw) == 64
    elif kind == "ssh-rsa":
        fits = len(raw) == len((strings(signature.key) or [b""])[-1].lstrip(b"\0"))
    else:
        numbers = strings(raw) or []
        fits = len(numbers) == 2 and all(map(is_positive, numbers))
    if not fits:
        raise ValueError(f"the signature is not spelled as a key of the kind {kind!a} writes it")
    return fields[0].decode(), raw


def load(key: PublicKey) -> Loaded | None:
    """Return a key ready to check signatures with; None where its numbers make no key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    try:
        return load_ssh_public_key(key.line.encode())  # type: ignore[return-value]
    except (ValueError, UnsupportedAlgorithm):
        return None


def is_by(key: Loaded | None, signature: Signature, payload: bytes) -> bool:
    """Say whether a signature is one of the payload, for its own namespace, by a key. Raises ValueError as `proper` does."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    algorithm, raw = proper(signature)
    message = _covered(signature, payload)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            r, s = (int.from_bytes(number, "big") for number in strings(raw) or [])
            curve = {256: SHA256(), 384: SHA384(), 521: SHA512()}[key.key_size]
            key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(curve))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(raw, message, padding.PKCS1v15(), SHA256() if algorithm == "rsa-sha2-256" else SHA512())
        else:
            return False
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _covered(signature: Signature, payload: bytes) -> bytes:
    """Return what the key signed: not the payload but its hash, with what it is for."""
    parts = (signature.namespace, b"", signature.digest.encode(), hashlib.new(signature.digest, payload).digest())
    return _PREAMBLE + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
