"""The forge that a registry's pull requests are on, as its remote and the branch of decisions say."""

from __future__ import annotations

from collections.abc import Mapping

from gitops_registry.errors import NotFound
from gitops_registry.forge.interface import Forge
from gitops_registry.forge.local import Local
from gitops_registry.forge.place import Site, connect, site
from gitops_registry.git.remote import remotes
from gitops_registry.workplace import Workplace


def where(place: Workplace) -> Site | None:
    """Return where this registry is on a forge; None where its remote is on none that anybody named.

    What kind of forge a server is, registry.yaml says on the branch of decisions; the best known servers need no saying.
    Raises RegistryError where it names another server than the remote, for a token would go there.
    """
    try:
        said = place.snapshot(place.tip()).constitution.forge
    except NotFound:
        said = None
    if place.mirror is not None:
        address = place.mirror.url
    else:
        there = remotes(place.repository)
        address = there.get(place.follows or "origin", "")
    return site(address, kind=said.kind if said else None, url=said.url if said else "") if address else None


def forge_of(place: Workplace, environ: Mapping[str, str]) -> Forge:
    """Return the forge of a registry, with the token that the environment (or the forge's own tool) has for it; where it is on
    none that is known, its branches as they are.
    """
    found = where(place)
    if found is not None:
        return connect(found, environ)
    remote = place.mirror.url if place.mirror is not None else place.follows
    return Local(place.repository, base=place.branch, remote=remote)
