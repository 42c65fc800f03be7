"""How far a history went when somebody looked, signed: what a later look is compared with.

Kept anywhere but in the repository, it is an anchor: whoever rewrites history cannot rewrite it. The digest is a chain over the
ids of all events, oldest first, so it can be continued without reading them again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gitops_registry.audit.anchors import Anchor
from gitops_registry.errors import RegistryError
from gitops_registry.git.attesting import attest, attested
from gitops_registry.git.repository import Repository
from gitops_registry.identity import Signature, Witnesses
from gitops_registry.snapshot import Snapshot

KIND, SCHEMA = "AuditCheckpoint", 1
START = hashlib.sha256(b"gitops-registry audit log 1").hexdigest()
"""The digest of no event at all."""
_LARGEST = 1 << 24


def continued(digest: str, identity: str) -> str:
    """Return the digest of a chain with one more event."""
    return hashlib.sha256(f"{digest}{identity}".encode()).hexdigest()


@dataclass(frozen=True)
class Chain:
    """So many events, and their digest."""

    count: int = 0
    digest: str = START

    def with_event(self, identity: str) -> Chain:
        """Return the chain with one more event."""
        return Chain(self.count + 1, continued(self.digest, identity))


@dataclass(frozen=True)
class Checkpoint:
    """The state of a history: its last decision, its events, the refused pushes on record, and the tags of the registry."""

    registry: str
    branch: str
    head: str
    created: str
    events: Chain = Chain()
    refusals: Chain = Chain()
    tags: Mapping[str, str] = field(default_factory=dict)
    signed: bytes = b""

    @property
    def text(self) -> str:
        """What is signed: all of it but the signature, on one line."""
        told = asdict(replace(self, signed=b"", tags=dict(self.tags)))
        told.pop("signed")
        return json.dumps({"kind": KIND, "schema_version": SCHEMA, **told}, sort_keys=True, separators=(",", ":"))

    def signature(self, witnesses: Witnesses, *sides: Snapshot) -> Signature:
        """Return whose word it is under the keys of the first of those revisions that knows the key."""
        if attested(self.signed) != self.text:
            return Signature(
                "unsigned" if not self.signed else "tampered", problem="it was changed after it was signed"
            )
        found = [witnesses.signature_of(self.signed, side) for side in sides]
        return next((one for one in found if one.state != "unknown"), found[0])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        return {**json.loads(self.text), "signed": self.signed.decode(errors="replace")}


def signed_here(repository: Repository, checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint signed with the key that is configured here; a mere claim where none is."""
    return replace(checkpoint, signed=attest(repository, checkpoint.text))


def read(file: Path) -> Checkpoint:
    """Return the checkpoint in a file. Raises RegistryError where there is none that can be read."""
    hint = "name a file that gitops-registry audit export --checkpoint FILE wrote"
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        told = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, dict) or told.pop("kind", None) != KIND:
            raise ValueError("it is no checkpoint")
        if (version := told.pop("schema_version", None)) != SCHEMA:
            raise ValueError(f"it has the schema version {version!r}, and this release reads {SCHEMA}")
        return _checkpoint(told)
    except OSError as error:
        raise RegistryError(f"cannot read the checkpoint {file}: {error.strerror}", hint=hint) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RegistryError(f"{file} is no checkpoint: {error}", hint=hint) from error


def _checkpoint(told: dict[str, Any]) -> Checkpoint:
    chains = [Chain(**told.pop(name)) for name in ("events", "refusals")]
    signed, tags = told.pop("signed"), told.pop("tags")
    found = Checkpoint(**told, events=chains[0], refusals=chains[1], tags=dict(tags), signed=signed.encode())
    words = (found.registry, found.branch, found.head, found.created, *(chain.digest for chain in chains))
    is_right = all(isinstance(word, str) for word in (*words, *found.tags, *found.tags.values()))
    if not is_right or not all(type(chain.count) is int and chain.count >= 0 for chain in chains):
        raise ValueError("its fields are not of their kinds")
    if len(found.head) != 40 or not set(found.head) <= set("0123456789abcdef"):
        raise ValueError("its head is no commit")
    return found


def behind(file: Path) -> Path:
    """Return what a name leads to, also where nothing is there yet: a symbolic link stays one. Raises RegistryError."""
    try:
        return file.resolve() if file.is_symlink() else file
    except (OSError, RuntimeError) as error:  # Python says so of links in a circle
        raise RegistryError(f"{file} is a symbolic link that leads nowhere", hint="name another file") from error


def write(checkpoint: Checkpoint, file: Path) -> None:
    """Put a checkpoint in the place of the one before, whole or not at all.

    Raises RegistryError where it cannot be written, and for what is no file: a device, which nothing may replace.
    """
    hint = "name another file: --checkpoint FILE"
    if file.exists() and not file.is_file():
        raise RegistryError(f"cannot write the checkpoint {file}: it is no plain file", hint=hint)
    file = behind(file)
    text = json.dumps(checkpoint.to_json(), indent=2, sort_keys=True, ensure_ascii=True) + "\n"
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as writer:
            writer.write(text)
            writer.flush()
            os.fsync(writer.fileno())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RegistryError(f"cannot write the checkpoint {file}: {error.strerror}", hint=hint) from error


def told_anchor(anchor: Anchor, checkpoint: Checkpoint | None) -> str:
    """Return what stands behind a history, in one line: the pinned root, or the checkpoint that it was compared with."""
    if anchor.is_there or checkpoint is None:
        return str(anchor)
    return f"it goes on from the checkpoint at {checkpoint.head[:12]} of {checkpoint.created}"
