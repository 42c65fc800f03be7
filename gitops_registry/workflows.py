"""The jobs that a forge runs for a registry: rendered from the templates of the package, as data."""

from __future__ import annotations

import re
from importlib import resources

from gitops_registry.errors import RegistryError

GITLAB_CI = ".gitlab-ci.yml"
"""GitLab reads this file alone, so people may have one; ours only includes the other."""
INCLUDED = ".gitlab/registry.yml"
_FOLDERS = {"github": ".github/workflows", "gitea": ".gitea/workflows"}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_EXTRAS = {"s3": "s3", "ssh": "ssh", "webdav": "webdav", "webdavs": "webdav"}


def workflows(kind: str, *, branch: str, requirement: str) -> dict[str, bytes]:
    """Return path → bytes of the files that let a kind of forge (github, gitlab, gitea) judge what lands on a branch.

    `requirement` is what pip installs there: a release of this package, or `.` in its own repository. Forgejo reads what is written
    for gitea. Raises RegistryError for a branch that a pattern of branches would read otherwise.
    """
    if not _PLAIN.fullmatch(branch):
        raise RegistryError(
            f"a job cannot be tied to the branch {branch!r}", hint="use letters, digits, '.', '_', '-' and '/'"
        )
    folder = resources.files("gitops_registry") / "templates" / "workflows" / kind
    found = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        text = file.read_text(encoding="utf-8").replace("<branch>", branch).replace("<requirement>", requirement)
        text = text.replace("<requirement for site>", _with("site", requirement))
        found[_path(kind, file.name)] = text.encode()
    return found


def _with(extra: str, requirement: str) -> str:
    """Return a requirement with one more extra: `gitops-registry[s3]==1.0` → `gitops-registry[s3,site]==1.0`."""
    name, sign, rest = requirement.partition("==")
    plain, bracket, extras = name.partition("[")
    return f"{plain}[{extras.removesuffix(']')},{extra}]{sign}{rest}" if bracket else f"{name}[{extra}]{sign}{rest}"


def _path(kind: str, name: str) -> str:
    if kind == "gitlab":
        return INCLUDED if name == "registry.yml" else GITLAB_CI
    return f"{_FOLDERS[kind]}/{name}"


def requirement(version: str, storage: str = "") -> str:
    """Return what pip installs for this release, with what its store (the URL of a DVC remote) needs."""
    scheme, sign, _ = storage.partition("://")
    extra = _EXTRAS.get(scheme.lower()) if sign else None
    return f"gitops-registry{f'[{extra}]' if extra else ''}=={version}"
