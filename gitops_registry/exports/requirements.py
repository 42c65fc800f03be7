"""The environment of a version for those who make one: requirements.txt, conda's environment.yml, pylock.toml (PEP 751)."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.pylock import is_valid_pylock_path
from packaging.requirements import Requirement

from gitops_registry import locking
from gitops_registry.errors import RegistryError
from gitops_registry.exports.pins import pins
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.exports.writing import new_file
from gitops_registry.formats.loaded import shown

_DIRECT = "what these packages need themselves is not pinned; --to pylock pins it with hashes"


def write_requirements(subject: Subject, target: Path) -> Written:
    """Write the pins as pip and uv read them, under comments that say which model they are for and on what they ran.

    Raises RegistryError for a version that names no packages.
    """
    wanted, notes = _wanted(subject)
    lines = [*(f"# {line}" for line in _about(subject)), *map(str, wanted)]
    new_file(target, "\n".join(lines) + "\n")
    return Written(target, (*notes, _DIRECT))


def write_conda(subject: Subject, target: Path) -> Written:
    """Write an environment for conda: Python from conda-forge, the pins through pip, as they were when it was made.

    Raises RegistryError for a version that names no packages.
    """
    import yaml

    wanted, notes = _wanted(subject)
    python = _python(subject)
    if not python:
        notes = (*notes, "the version does not say its Python, so conda chooses one")
    content = {
        "name": f"{subject.reference.name}-{subject.reference.number}",
        "channels": ["conda-forge"],
        "dependencies": [f"python={python}" if python else "python", "pip", {"pip": [str(one) for one in wanted]}],
    }
    about = "".join(f"# {line}\n" for line in _about(subject))
    new_file(target, about + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000))
    return Written(target, (*notes, _DIRECT))


def write_pylock(subject: Subject, target: Path) -> Written:
    """Write the pins and everything they need with hashes, as a resolver of this machine finds them now.

    Raises RegistryError for a version that names no packages or no Python, and where locking fails.
    """
    wanted, notes = _wanted(subject)
    text = locking.lock([str(one) for one in wanted], python=_python(subject)).decode("utf-8")
    new_file(target, text)
    found = [
        *notes,
        "what the model does not name itself is locked as it is now, not as it was when the model was made",
    ]
    if "file://" in text:
        found.append("some packages come from folders of this machine, which its index names; others cannot fetch them")
    if not is_valid_pylock_path(target):
        found.append(f"installers look for pylock.toml or pylock.NAME.toml, not {target.name}")
    return Written(target, tuple(found))


def _wanted(subject: Subject) -> tuple[tuple[Requirement, ...], tuple[str, ...]]:
    wanted, notes = pins(subject)
    if not wanted:
        raise RegistryError(
            f"{subject.reference} names no packages that it needs",
            hint=f"see what it says: gitops-registry show {subject.reference} --json",
        )
    return wanted, notes


def _python(subject: Subject) -> str:
    """Return the version of Python; empty for one that is none."""
    found = subject.version.environment.python if subject.version.environment else ""
    return found if re.fullmatch(r"3\.\d{1,3}(\.\d{1,3})?", found) else ""


def _about(subject: Subject) -> list[str]:
    version, environment = subject.version, subject.version.environment
    assert environment is not None
    release = f", release {version.release}" if version.release else ""
    lines = [f"{subject.reference}{release}"]
    lines += [f"{shown(one.file)} sha256:{one.sha256}" for one in version.artifacts]
    lines.append(shown(f"Python {environment.python} on {environment.platform}"))
    return lines
