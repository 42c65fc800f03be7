"""The cards that are committed: a function of a version's folder, the templates and the language of a registry."""

from __future__ import annotations

from collections.abc import Sequence

from gitops_registry import paths
from gitops_registry.card.content import card_content
from gitops_registry.card.rendering import MARKDOWN, Templates, stamped
from gitops_registry.errors import RegistryError
from gitops_registry.printing import Job, printed
from gitops_registry.printing.templates import templates_of
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot


def committed_cards(
    snapshot: Snapshot, references: Sequence[Reference], templates: Templates | None = None
) -> list[bytes | RegistryError]:
    """Return the cards of versions as they must be committed, in order; where the template fails, the error in its place.

    Without `templates` they are those of the registry that the versions are in. What a registry's own template makes of all of
    them is worked out in one child. Raises RegistryError where the templates or a version cannot be read.
    """
    templates = templates or templates_of(snapshot)
    jobs = [Job(card_content(one, snapshot.known_version(one), snapshot.card(*one))) for one in references]
    made = printed(MARKDOWN, templates, jobs)
    return [text if isinstance(text, RegistryError) else stamped(text, templates) for text in made]


def card_files(
    snapshot: Snapshot, references: Sequence[Reference], templates: Templates | None = None
) -> dict[str, bytes]:
    """Return path → bytes of the cards that `committed_cards` gives. Raises RegistryError where the template fails at one."""
    found: dict[str, bytes] = {}
    for reference, made in zip(references, committed_cards(snapshot, references, templates), strict=True):
        if isinstance(made, RegistryError):
            raise RegistryError(f"the card of {reference} cannot be rendered: {made.message}", hint=made.hint)
        found[paths.rendered_card_path(*reference)] = made
    return found
