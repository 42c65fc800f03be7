"""The ML model registry that is a Git repository.

Models are DVC-tracked artifacts with YAML manifests, stage changes are pull requests checked by policy, and git
history is the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gitops_registry.deciding import Outcome
    from gitops_registry.errors import Conflict, Damaged, ManifestError, NotFound, RegistryError
    from gitops_registry.reference import Reference
    from gitops_registry.registry import Registry
    from gitops_registry.using import RegisteredModel

__version__ = "0.1.0"
__all__ = [
    "Conflict",
    "Damaged",
    "ManifestError",
    "NotFound",
    "Outcome",
    "Reference",
    "RegisteredModel",
    "Registry",
    "RegistryError",
    "__version__",
]

_HOMES = {
    "Conflict": "errors",
    "Damaged": "errors",
    "ManifestError": "errors",
    "NotFound": "errors",
    "Outcome": "deciding",
    "Reference": "reference",
    "RegisteredModel": "using",
    "Registry": "registry",
    "RegistryError": "errors",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import gitops_registry` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
