"""Which templates and labels there are: those that come with the package, and what a registry has in `cards/templates/`.

A registry's file takes the place of the packaged one of the same name; a label of its own takes the place of one label.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

from gitops_registry.card.labels import FALLBACK, LANGUAGE, joined, read_labels
from gitops_registry.card.rendering import Templates
from gitops_registry.errors import ManifestError, NotFound, RegistryError
from gitops_registry.printing import problems as unreadable
from gitops_registry.snapshot import Snapshot

FOLDER = "cards/templates"
LABELS = f"{FOLDER}/labels"
_TEMPLATE = re.compile(r"[A-Za-z0-9_.-]+\.(md|html)\.j2")
_CATALOGUE = re.compile(r"([a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3})\.yaml")
_MOST_FILES = 50
_LARGEST = 256 << 10
_PACKAGED = ("card.md.j2", "card.html.j2", "card_body.html.j2")


def templates_of(law: Snapshot, language: str | None = None) -> Templates:
    """Return the templates of a registry, with the labels of a language (its own, without one).

    Raises RegistryError for what is no tag of a language, NotFound where nobody wrote labels in it, ManifestError where a file of the registry's cannot be read.
    """
    wanted = language or law.constitution.card.language
    if not LANGUAGE.fullmatch(wanted):
        raise RegistryError(f"{wanted!r} is no language", hint="name one by its tag, like en, ja or pt-BR")
    files = law.files(FOLDER)
    if not files:
        return packaged(wanted)
    key = (wanted, *(f"{path} {law.oid(path)}" for path in files))
    if key not in _kept:
        found = _joined(law, wanted)
        _kept.clear()  # those of one registry are enough: they hardly ever change
        _kept[key] = found
    return _kept[key]


_kept: dict[tuple[str, ...], Templates] = {}


def _joined(law: Snapshot, wanted: str) -> Templates:
    own = _own_sources(law)
    shipped = _shipped_labels(wanted)
    theirs = [_own_labels(law, one) for one in (FALLBACK, wanted)]
    if shipped is None and theirs[-1] is None:
        raise _no_labels(wanted, law)
    english = joined(_shipped_labels(FALLBACK) or {}, theirs[0] or {})
    labels = joined(english, shipped or {}, theirs[-1] or {})
    return Templates({**_sources(), **own}, labels, wanted, frozenset(own))


@lru_cache(maxsize=16)
def packaged(language: str) -> Templates:
    """Return the packaged templates with the packaged labels. Raises NotFound where there are none in that language."""
    labels = _shipped_labels(language)
    if labels is None:
        raise _no_labels(language, None)
    return Templates(_sources(), joined(_shipped_labels(FALLBACK) or {}, labels), language)


def languages(law: Snapshot | None = None) -> tuple[str, ...]:
    """Return the languages that there are labels in, in order."""
    folder = resources.files("gitops_registry") / "templates" / "labels"
    names = [*(file.name for file in folder.iterdir()), *(law.children(LABELS) if law else ())]
    return tuple(sorted({match[1] for name in names if (match := _CATALOGUE.fullmatch(name))}))


def problems(law: Snapshot) -> list[tuple[str, str, str]]:
    """Return what is wrong with a registry's templates and labels: path, what, and what to do. Templates are not run."""
    found: list[tuple[str, str, str]] = []
    for name in (name for name in law.children(LABELS) if law.oid(f"{LABELS}/{name}")):
        match = _CATALOGUE.fullmatch(name)
        try:
            if match is None:
                raise RegistryError("is no catalogue of labels", hint="call it by a language: fr.yaml, pt-BR.yaml")
            _own_labels(law, match[1])
        except ManifestError as error:
            found.append((f"{LABELS}/{name}", error.problem, error.hint))
        except RegistryError as error:
            found.append((f"{LABELS}/{name}", error.message, error.hint))
    language = law.constitution.card.language
    try:
        templates = templates_of(law)
    except NotFound as error:
        return [*found, ("registry.yaml", error.message, error.hint)]
    except ManifestError as error:
        place = (error.path, error.problem, error.hint)
        return found if place in found else [*found, place]
    assert templates.language == language
    return [*found, *((f"{FOLDER}/{name}", why, "correct it, or remove it") for name, why in unreadable(templates))]


def _own_sources(law: Snapshot) -> dict[str, str]:
    names = [name for name in law.children(FOLDER) if _TEMPLATE.fullmatch(name)]
    if len(names) > _MOST_FILES:
        raise ManifestError(f"has more than {_MOST_FILES} templates", path=FOLDER, hint="remove those of no use")
    return {name: _text(law, f"{FOLDER}/{name}") for name in names}


def _text(law: Snapshot, path: str) -> str:
    data = law.read(path) or b""
    if len(data) > _LARGEST:
        raise ManifestError(f"is larger than {_LARGEST >> 10} kB", path=path, hint="a template is a page of text")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError("is not UTF-8", path=path, hint="save the file as UTF-8") from error


def _own_labels(law: Snapshot, language: str) -> dict[str, str] | None:
    path = f"{LABELS}/{language}.yaml"
    data = law.read(path)
    return None if data is None else read_labels(data, path, frozenset(_shipped_labels(FALLBACK) or ()))


@lru_cache(maxsize=16)
def _shipped_labels(language: str) -> dict[str, str] | None:
    if not _CATALOGUE.fullmatch(f"{language}.yaml"):
        return None
    file = resources.files("gitops_registry") / "templates" / "labels" / f"{language}.yaml"
    return read_labels(file.read_bytes(), f"{language}.yaml") if file.is_file() else None


@lru_cache(maxsize=1)
def _sources() -> dict[str, str]:
    folder = resources.files("gitops_registry") / "templates"
    return {name: (folder / name).read_text(encoding="utf-8") for name in _PACKAGED}


def _no_labels(language: str, law: Snapshot | None) -> NotFound:
    there = ", ".join(languages(law))
    return NotFound(
        f"nobody wrote the labels of cards in {language!r}",
        hint=f"there are: {there}; or write {LABELS}/{language}.yaml",
    )
