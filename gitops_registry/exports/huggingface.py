"""A folder that can be uploaded to the Hugging Face Hub as it is: the card with its front matter, the files, config.json.

Nothing is asked of the Hub. The card is the one that `card NAME@REF --format huggingface` prints.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from gitops_registry.card.hub import Described, hub_library, hub_task, readme
from gitops_registry.errors import RegistryError
from gitops_registry.exports.pins import pinned, pins
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.exports.writing import copy_files, new_file, new_folder
from gitops_registry.formats.loaded import shown
from gitops_registry.manifest.facts import Artifact

_CARD, _CONFIG = "README.md", "config.json"
_CODE = re.compile("[a-z]{2,3}")


def write(subject: Subject, target: Path) -> Written:
    """Write the folder: README.md, every artifact under its own name, and config.json where there is a skops model.

    `options["language"]` is the language that the card is in; without it, it is taken from the words.
    Raises RegistryError where an artifact has the name of a file that the Hub reads itself, and for what is no code of a
    language.
    """
    language = subject.options.get("language")
    if language is not None and not _CODE.fullmatch(language):
        raise RegistryError(f"{shown(language)!r} is no code of a language", hint="write one of ISO 639: --language ja")
    requirements, notes = pins(subject)
    described = Described(
        subject.reference, subject.version, subject.card, subject.title, subject.evaluations, language or ""
    )
    config = _config(subject, [_of_conda(one) for one in requirements])
    with new_folder(target) as folder:
        copy_files(subject, folder, reserved=(_CARD, _CONFIG))
        new_file(folder / _CARD, readme(described, subject.card_text))
        if config is not None:
            new_file(folder / _CONFIG, json.dumps({"sklearn": config}, ensure_ascii=False, indent=2) + "\n")
    return Written(target, (*notes, *_unsaid(subject)))


def _unsaid(subject: Subject) -> Iterator[str]:
    version = subject.version
    if version.metrics:
        yield "every metric is marked as not verified: the Hub verifies none that it has not computed itself"
    if not subject.card.license:
        yield "the card names no licence, so others may not use it: write one into card.yaml"
    if hub_task(subject.version) is None:
        yield "the Hub has no task for what this model does, so none is named"
    if code := [a.file for a in version.artifacts if a.format in {"joblib", "pickle"}]:
        yield f"{code[0]} can run code when it is opened, and the Hub warns of it"


# ── what the Hub reads of a scikit-learn model


def _config(subject: Subject, requirements: list[str]) -> dict[str, Any] | None:
    """Return what skops' models say in config.json: which file it is, its columns and its environment."""
    found: tuple[Artifact, Path] | None = subject.artifact("skops")
    if found is None or hub_library(subject.version) != "sklearn":
        return None
    signature = subject.version.signature
    config: dict[str, Any] = {
        "columns": [column.name for column in signature.inputs] if signature else [],
        "environment": requirements,
        "model": {"file": found[0].file},
        "model_format": "skops",
        "task": hub_task(subject.version),
        "use_intelex": False,
    }
    return {key: value for key, value in config.items() if value is not None}


def _of_conda(requirement: Requirement) -> str:
    """Return a requirement as such files have it: the pin as conda writes it."""
    version = pinned(requirement)
    return f"{requirement.name}={version}" if version else str(requirement)
