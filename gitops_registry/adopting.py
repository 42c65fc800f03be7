"""Files that another system's client registers as the next version of a model: taken as they are, opened by nobody.

What their MLmodel and their run say is written down as claims. The model is one that is there already; words of the version
before are kept, but for its description and tags, which the client gives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitops_registry import edits, formats
from gitops_registry.deciding import Intent
from gitops_registry.edits import Edit
from gitops_registry.errors import RegistryError
from gitops_registry.foreign import ForeignRun, ForeignVersion
from gitops_registry.holding import Held, hold
from gitops_registry.manifest.facts import Artifact, ConfusionMatrix, Lineage, Person, Version
from gitops_registry.manifest.kinds import Card
from gitops_registry.model_folder import described, is_model
from gitops_registry.reference import Reference
from gitops_registry.registering import Submission, made, registration
from gitops_registry.snapshot import Edits, Snapshot
from gitops_registry.translation import Described, our_version
from gitops_registry.workplace import Workplace

_SUFFIX = re.compile(r"\.[a-z0-9]{1,10}")
_COUNTS = ("true_negatives", "false_positives", "false_negatives", "true_positives")
"""What MLflow's evaluation calls the counts of a confusion matrix of two classes, by row."""


@dataclass(frozen=True)
class Said:
    """What the client says of a version: its words, its tags, where it comes from, and what its run recorded."""

    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    lineage: Lineage = field(default_factory=Lineage)
    run: ForeignRun = field(default_factory=ForeignRun)


def adoption(place: Workplace, name: str, files: Path, said: Said, *, format: str = "") -> Intent:  # noqa: A002
    """Return the wish to register a folder, or a file, as the next version; its bytes are stored by then.

    `format` says what a file is; of a folder its description does. Raises RegistryError where something cannot be stored or
    recorded.
    """
    told = described(files) if is_model(files) else Described({})
    about = ForeignVersion(name, 0, created=_now())
    translation = our_version(about, said.run, told, place.repository.identity())
    facts = {**translation.facts, "lineage": said.lineage, "confusion_matrix": _confusion(said.run.metrics)}
    held = hold(place, [files])[0]
    version = made(Version, **facts, artifacts=(_artifact(files, held, format),))
    return _intent(place, name, version, said, (held,))


def copy(place: Workplace, name: str, source: Reference, said: Said) -> Intent:
    """Return the wish to register a version's files once more, as the next version of a model. Raises NotFound."""
    facts = place.snapshot(place.tip()).known_version(source)
    who, email = place.repository.identity()
    version = facts.model_copy(
        update={
            "created": _now(), "author": Person(name=who, email=email), "release": None, "evaluation": None,
            "lineage": said.lineage.model_copy(update={"parents": (str(source),)}), "claimed": tuple(facts.metrics),
        }
    )  # fmt: skip
    return _intent(place, name, version, said, ())


def _now() -> datetime:
    """Return the moment to the millisecond, which is as fine as MLflow tells it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _intent(place: Workplace, name: str, version: Version, said: Said, held: tuple[Held, ...]) -> Intent:
    made(Card, description=said.description, tags=dict(said.tags))

    def edit(before: Snapshot) -> Edits:
        before.known_model(name)
        words = edits.words_before(before, name)
        card = words.model_copy(update={"description": said.description, "tags": dict(said.tags)})
        register: Edit = registration(place, name, version, Submission(card=card), held)
        return register(before)

    return Intent(
        edit,
        lambda before: f"register {name} {edits.next_number(before, name)}",
        branch=lambda before: f"register/{name}/{edits.next_number(before, name)}",
        brings=frozenset(artifact.sha256 for artifact in version.artifacts),
    )


def _artifact(files: Path, held: Held, format: str) -> Artifact:  # noqa: A002
    digest = held.digest
    is_folder = digest.files is not None
    suffix = files.suffix.lower() if not is_folder and _SUFFIX.fullmatch(files.suffix.lower()) else ""
    kind = formats.by_folder(files) if is_folder else format or suffix.removeprefix(".") or "file"
    return Artifact(
        name="model", file=f"model{suffix}", format=kind,
        size=digest.size, files=digest.files, md5=digest.md5, sha256=digest.sha256,
    )  # fmt: skip


def _confusion(metrics: Mapping[str, float]) -> ConfusionMatrix | None:
    """Return the matrix whose four counts a run recorded; None where it did not."""
    found: list[Any] = [metrics.get(name) for name in _COUNTS]
    if any(count is None or count != int(count) or count < 0 for count in found):
        return None
    counts = [int(count) for count in found]
    try:
        return ConfusionMatrix(labels=(0, 1), counts=((counts[0], counts[1]), (counts[2], counts[3])))
    except ValueError as error:
        raise RegistryError(f"the run's confusion matrix cannot be recorded: {error}") from error
