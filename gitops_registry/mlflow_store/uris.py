"""The addresses: of a registry (`gitops:///path`, `gitops+https://host/repo.git`), and of one version's files in it.

A version's files are at `gitops+models:///NAME/3?registry=ADDRESS`, which MLflow hands to whoever loads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs as queries
from urllib.parse import quote, unquote, urlencode, urlsplit

from gitops_registry.errors import RegistryError
from gitops_registry.reference import Reference

SCHEMES = ("gitops", "gitops+file", "gitops+https", "gitops+ssh")
"""The schemes of a registry's address; each is an entry point of MLflow's."""
ARTIFACTS = "gitops+models"
"""The scheme of a version's files."""


def registry_address(uri: str) -> str:
    """Return the path or the URL of the registry that MLflow was told of. Raises RegistryError for what names none."""
    scheme, sign, rest = uri.partition(":")
    if not sign or scheme.lower() not in SCHEMES or not rest.strip("/"):
        raise RegistryError(
            f"{uri!r} names no registry", hint="write gitops:///path/to/repo or gitops+https://host/repo.git"
        )
    kind = scheme.lower().partition("+")[2]
    if kind and kind != "file":
        return f"{kind}:{rest}"
    if not rest.startswith("//"):
        return unquote(rest)  # gitops:path and gitops:/path
    host, slash, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        hint = (
            f"a path begins with a third slash: {scheme}:///{host}/{path}; another machine: gitops+ssh://{host}/{path}"
        )
        raise RegistryError(f"{uri!r} names a host, and this scheme is of paths", hint=hint)
    local = unquote(slash + path)
    return f"file://{local}" if kind else local


def settled(uri: str) -> str:
    """Return an address that means the same in every folder: a path that begins in this one is written out."""
    address = registry_address(uri)
    if "://" in address or Path(address).is_absolute():
        return uri
    return f"{SCHEMES[0]}://{quote(str(Path(address).absolute()))}"


class Files(NamedTuple):
    """A version whose files are meant, and the address of its registry as MLflow was told it."""

    reference: Reference
    registry: str


def files_uri(reference: Reference, registry: str) -> str:
    """Return the URI of a version's files."""
    return f"{ARTIFACTS}:///{quote(reference.name)}/{reference.number}?{urlencode({'registry': registry})}"


def files_at(uri: str) -> tuple[Files, str]:
    """Return the version that a URI is of, and the path below it that is meant; empty for all of it. Raises RegistryError."""
    parts = urlsplit(uri)
    name, _, rest = parts.path.strip("/").partition("/")
    number, _, below = rest.partition("/")
    registry = queries(parts.query).get("registry", [""])[0]
    if parts.scheme != ARTIFACTS or not number.isascii() or not number.isdigit() or len(number) > 9 or not registry:
        raise RegistryError(f"{uri!r} names no version's files", hint="load models by name: models:/name/3")
    return Files(Reference(unquote(name), int(number)), registry), unquote(below)
