"""The labels of cards: what a heading or a column is called, one catalogue per language.

A catalogue is a mapping of text to text. The English one says which labels there are; one of another language may lack
some, which are English then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gitops_registry.errors import ManifestError
from gitops_registry.manifest.reading import plain_mapping
from gitops_registry.reference import did_you_mean

FALLBACK = "en"
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_LONGEST = 500


def read_labels(data: bytes, path: str, known: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return the labels in a catalogue. Raises ManifestError for what is no text, for one too long, and for a label that no
    template asks for (one that is not `known`, where any are).
    """
    found = plain_mapping(data, path)
    for name, text in found.items():
        if not isinstance(text, str) or not text.strip():
            raise ManifestError(f"the label {name!r} is no text", path=path, hint="write it in quotes")
        if len(text) > _LONGEST or not text.isprintable():
            raise ManifestError(
                f"the label {name!r} is no line of at most {_LONGEST} signs", path=path, hint="write a few words"
            )
        if known and name not in known:
            raise ManifestError(
                f"no label is called {name!r}", path=path, hint=did_you_mean(str(name), tuple(sorted(known)))
            )
    return dict(found)


def joined(*catalogues: Mapping[str, str]) -> dict[str, str]:
    """Return one catalogue: of each label, what the last catalogue says that has it."""
    return {name: text for catalogue in catalogues for name, text in catalogue.items()}
