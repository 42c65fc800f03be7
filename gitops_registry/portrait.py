"""One version's card in each of its forms, with all that is known of the version by now.

The committed card holds what does not move; what is shown here says where the version is, who put it there and what was
measured since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gitops_registry import paths
from gitops_registry.biography import beside
from gitops_registry.card.content import Content, Moving, card_content
from gitops_registry.card.form import form
from gitops_registry.card.hub import Described, readme
from gitops_registry.card.rendering import BODY, MARKDOWN, PAGE, Templates, stamped
from gitops_registry.card.words import PROSE
from gitops_registry.errors import RegistryError
from gitops_registry.git.landing import state_folder
from gitops_registry.manifest.facts import Evaluation
from gitops_registry.policy.data import measurements
from gitops_registry.printing import Job, printed
from gitops_registry.printing.templates import templates_of
from gitops_registry.prose import safe_html
from gitops_registry.reference import Reference
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

Form = Literal["markdown", "html", "huggingface"]


def content_of_card(place: Workplace, snapshot: Snapshot, reference: Reference) -> Content:
    """Return everything that is known of a version, as JSON-ready data (see `card.content`)."""
    version, words = snapshot.known_version(reference), snapshot.card(*reference)
    return card_content(reference, version, words, beside(place, snapshot, reference))


def portrait(
    place: Workplace, snapshot: Snapshot, reference: Reference, kind: Form, *, language: str | None = None
) -> str:
    """Return the card of a version as a text: Markdown, a page, or a README.md of Hugging Face's hub.

    `language` is that of the labels, the registry's without one. Raises NotFound for a version or a language that there is
    not, RegistryError where the registry's own template fails or what makes pages is not installed.
    """
    if kind == "html":
        return page(content_of_card(place, snapshot, reference), templates_of(snapshot, language))
    later = tuple(measurements(snapshot, reference))
    if kind == "markdown":
        return fixed_card(snapshot, reference, language=language, later=later)
    version, title = snapshot.known_version(reference), snapshot.known_model(reference.name).title
    told = Described(reference, version, snapshot.card(*reference), title, later, language or "")
    return readme(told, fixed_card(snapshot, reference, language=language))


def fixed_card(
    snapshot: Snapshot, reference: Reference, *, language: str | None = None, later: Sequence[Evaluation] = ()
) -> str:
    """Return the card as it is committed, in the language of the registry or in another one, with what was measured `later`."""
    templates = templates_of(snapshot, language)
    version, words = snapshot.known_version(reference), snapshot.card(*reference)
    job = Job(card_content(reference, version, words, Moving(later=later)))
    return stamped(_one(MARKDOWN, templates, job), templates).decode()


def page(
    content: Content, templates: Templates, *, charts: Mapping[str, str] | None = None, is_whole: bool = True
) -> str:
    """Return a card as a page of its own, or only what stands below its title. `charts` are drawings as safe HTML, by the id of
    the section that they belong to: metrics, confusion-matrix, slices, formats, later, or a field of words.
    """
    job = Job(content, words_as_html(content, templates), charts or {})
    return _one(PAGE if is_whole else BODY, templates, job).strip() + "\n"


def words_as_html(content: Content, templates: Templates) -> dict[str, str]:
    """Return the words of a card by field as safe HTML."""
    cut = templates.labels["shortened"]
    return {field: safe_html(content[field], below=2, shortened=cut) for field in PROSE}


class Draft(NamedTuple):
    """Words that somebody edits: the version, the file, git's id of the card.yaml it came from, and whether it was just made."""

    reference: Reference
    file: Path
    since: str
    is_new: bool


def draft(place: Workplace, snapshot: Snapshot, reference: Reference) -> Draft:
    """Return the words of a version as a file to edit, in the state folder of the repository.

    Raises RegistryError for a registry that was opened at a revision: the past is not changed.
    """
    if place.revision is not None:
        raise RegistryError(
            f"this registry is read at {place.revision}, and the past is not changed", hint="leave out --revision"
        )
    snapshot.known_version(reference)
    path = paths.card_path(*reference)
    since = snapshot.oid(path)
    folder = state_folder(place.repository) / "edits"
    file = folder / f"{reference.name}@{reference.number}.{since[:12] or 'new'}.yaml"
    is_new = not file.exists()
    if is_new:
        folder.mkdir(parents=True, exist_ok=True)
        text = form(reference, snapshot.read(path), templates_of(snapshot).labels)
        begun = file.with_name(f"{file.name}.new")
        begun.write_text(text, encoding="utf-8", newline="\n")
        begun.replace(file)  # one that is there is whole
    return Draft(reference, file, since, is_new)


def _one(name: str, templates: Templates, job: Job) -> str:
    (made,) = printed(name, templates, [job])
    if isinstance(made, RegistryError):
        raise made
    return made
