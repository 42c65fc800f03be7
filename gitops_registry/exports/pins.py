"""The packages that a version needs, as requirements that were read: what is none of PEP 508 goes no further."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement

from gitops_registry.exports.subject import Subject
from gitops_registry.formats.loaded import shown


def pins(subject: Subject) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    """Return the requirements of a version, in its order, and a sentence for each that nobody else may be able to install.

    A line that is no requirement, or that names a file of some machine, is left out and told.
    """
    kept: list[Requirement] = []
    notes: list[str] = []
    for line in subject.version.environment.requirements if subject.version.environment else ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            notes.append(f"{shown(line)!r} is no requirement and is left out")
            continue
        if requirement.url is not None and not requirement.url.startswith(("https://", "git+https://", "git+ssh://")):
            notes.append(
                f"{requirement.name} comes from {shown(requirement.url)}, which others cannot reach, and is left out"
            )
            continue
        if version := pinned(requirement):
            _, _, label = version.partition("+")
            if label == "local":
                notes.append(
                    f"{requirement.name} was installed from a folder and is on no index: publish it and change its pin"
                )
            elif label:
                notes.append(
                    f"{requirement.name} {version} is on the index that serves +{label}, which may not be the default"
                )
        kept.append(requirement)
    return tuple(kept), tuple(notes)


def pinned(requirement: Requirement) -> str | None:
    """Return the exact version that a requirement pins; None for a range or an address."""
    specifiers = list(requirement.specifier)
    is_exact = (
        len(specifiers) == 1 and specifiers[0].operator in {"==", "==="} and not specifiers[0].version.endswith("*")
    )
    return specifiers[0].version if is_exact else None
