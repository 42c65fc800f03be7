"""The addresses: of a registry (`gitops:///path`, `gitops+https://host/repo.git`), and of one version's files in it.

A version's files are at `gitops+models:///NAME/3?registry=ADDRESS`, which MLflow hands to whoever loads it.
"""

from __future__ import annotations

import re
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
            f"{without_secrets(uri)!r} names no registry",
            hint="write gitops:///path/to/repo or gitops+https://host/repo.git",
        )
    kind = scheme.lower().partition("+")[2]
    if kind and kind != "file":
        return f"{kind}:{rest}"
    if not rest.startswith("//"):
        return unquote(rest)  # gitops:path and gitops:/path
    host, slash, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        there = without_secrets(f"{host}/{path}")
        hint = f"a path begins with a third slash: {scheme}:///{there}; another machine: gitops+ssh://{there}"
        raise RegistryError(f"{without_secrets(uri)!r} names a host, and this scheme is of paths", hint=hint)
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
    """Return the version that a URI is of, and the path below it that is meant; empty for all of it.

    Raises RegistryError, also for a path that would lead out of the version: it may come from whoever asks a server.
    """
    parts = urlsplit(uri)
    name, _, rest = parts.path.strip("/").partition("/")
    number, _, below = rest.partition("/")
    below = unquote(below)
    registries = queries(parts.query).get("registry", [])
    is_version = parts.scheme == ARTIFACTS and not parts.netloc and re.fullmatch("[0-9]{1,9}", number)
    is_inside = not below or not {"", ".", ".."}.intersection(below.split("/"))
    if not is_version or not is_inside or len(registries) != 1:
        raise RegistryError(
            f"{without_secrets(uri)!r} names no version's files", hint="load models by name: models:/name/3"
        )
    return Files(Reference(unquote(name), int(number)), registries[0]), below


def without_secrets(uri: str) -> str:
    """Return an address as it may stand in a log: what is before a host or behind a question mark may be a password."""
    return re.sub(r"^([\w+]*:/*)?.*@", r"\1…@", uri.partition("?")[0].partition("#")[0], flags=re.DOTALL)
