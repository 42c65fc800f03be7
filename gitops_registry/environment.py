"""Where a model was made: Python, platform, processor and the pinned packages it needs.

Only what helps to make the same environment again is captured. Host names, users, paths and environment
variables stay out, because version.yaml is committed and never changes.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.facts import Environment

_CPU_FILE = Path("/proc/cpuinfo")


def capture(frameworks: Sequence[str]) -> Environment:
    """Return this process's environment with `frameworks` and everything they require pinned.

    `requirements` are sorted `name==version` lines, names normalised as PEP 503 says; extras are not
    followed and PEP 508 markers are evaluated here. Raises where a named framework is not installed; a
    dependency that is not installed is left out, since the framework evidently runs without it.
    """
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}".lower(),
        cpu=_cpu(),
        gpu=None,
        requirements=_closure(frameworks),
    )


def _closure(frameworks: Sequence[str]) -> tuple[str, ...]:
    pinned: dict[str, str] = {}
    waiting: list[tuple[str, bool]] = [(canonicalize_name(name), True) for name in frameworks]
    seen: set[str] = set()
    while waiting:
        name, is_named = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            if is_named:
                raise RegistryError(f"package {name!r} is not installed", hint=f"pip install {name}") from error
            continue
        pinned[name] = distribution.version
        waiting.extend((required, False) for required in _requires(distribution))
    return tuple(f"{name}=={version}" for name, version in sorted(pinned.items()))


def _requires(distribution: metadata.Distribution) -> list[str]:
    names: list[str] = []
    for line in distribution.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # an old package's own mistake; pip has installed it all the same
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            names.append(canonicalize_name(requirement.name))
    return names


def _cpu() -> str:
    """Return the processor's model name; empty where the system does not tell."""
    try:
        lines = _CPU_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return " ".join(value.split())
    return platform.processor()


def is_here(recorded: Environment) -> bool:
    """Say whether this process computes as a recorded environment did: same Python, system, processor and packages."""
    try:
        same = all(
            metadata.version(name) == version
            for name, _, version in (line.partition("==") for line in recorded.requirements)
        )
    except metadata.PackageNotFoundError:
        return False
    here = (platform.python_version(), f"{platform.system()}-{platform.machine()}".lower(), _cpu())
    return same and bool(recorded.requirements) and here == (recorded.python, recorded.platform, recorded.cpu)
