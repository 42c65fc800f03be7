"""Other repositories: starting one, and catching up with the one a branch follows.

Fetching goes through GitPython, which reports progress; what arrived is then landed by the same compare-and-swap
as everything else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_registry.errors import Conflict, RegistryError
from gitops_registry.git.landing import move_branches, writer
from gitops_registry.git.process import complaint, environment, run
from gitops_registry.git.repository import Repository

if TYPE_CHECKING:
    from git import RemoteProgress, Repo

Progress = Callable[[str, int, int], None]


def start(path: Path, *, bare: bool, branch: str) -> Repository:
    """Return the repository at `path`, made there with that first branch if there is none."""
    path.mkdir(parents=True, exist_ok=True)
    run(path, "init", "--quiet", f"--initial-branch={branch}", *(("--bare",) if bare else ()))
    return Repository.open(path)


def upstream(repository: Repository, branch: str) -> tuple[str, str] | None:
    """Return the remote and the remote-tracking ref that a branch follows; None where it follows none."""
    told = repository.run("for-each-ref", "--format=%(upstream:remotename) %(upstream)", f"refs/heads/{branch}").strip()
    remote, _, ref = told.partition(" ")
    return (remote, ref) if remote and remote != "." and ref else None


def catch_up(repository: Repository, branch: str, *, progress: Progress | None = None) -> str:
    """Fetch what `branch` follows and move it there if it is merely behind; return what to tell the user.

    Empty when there was nothing to do; a warning when the remote could not be reached, for then the local branch
    is used as it is. Raises Conflict where both sides have commits of their own.
    """
    follows = upstream(repository, branch)
    if follows is None:
        return ""
    remote, ref = follows
    try:
        _fetch(repository, remote, progress)
    except RegistryError as error:
        return f"could not reach {remote} ({error.message}): working on {branch} as it is here"
    local, theirs = repository.tip(f"refs/heads/{branch}"), repository.tip(ref)
    if local is None or theirs is None or repository.is_ancestor(theirs, local):
        return ""
    if not repository.is_ancestor(local, theirs):
        raise Conflict(
            f"{branch} and {ref.removeprefix('refs/remotes/')} went different ways; nothing was written",
            hint=f"put yours on top of theirs: git pull --rebase {remote} {branch}",
        )
    with writer(repository):
        move_branches(repository, {f"refs/heads/{branch}": (local, theirs)}, scratch="", follow=f"refs/heads/{branch}")
    return f"{branch} was behind {remote}: fetched"


def _fetch(repository: Repository, remote: str, progress: Progress | None) -> None:
    from git import GitCommandError

    with _porcelain(repository) as repo:
        try:
            repo.remote(remote).fetch(progress=_reported(progress) if progress else None, no_tags=True)
        except (GitCommandError, ValueError) as error:
            reason = complaint(str(getattr(error, "stderr", error)).strip("\n '\""))
            raise RegistryError(reason.replace("stderr: '", "").strip("'")) from error


def _porcelain(repository: Repository) -> Repo:
    from git import Repo

    repo = Repo(repository.folder)
    here = {"GIT_DIR": str(repository.git_dir), "GIT_COMMON_DIR": str(repository.common_dir)}
    inherited = {name: folder for name, folder in here.items() if name in os.environ}  # a hook's are another's
    repo.git.update_environment(**environment(GIT_TERMINAL_PROMPT="0", **inherited))
    return repo


def _reported(progress: Progress) -> RemoteProgress:
    """Return GitPython's idea of a progress that passes on to ours."""
    from git import RemoteProgress

    class Reported(RemoteProgress):
        def update(self, _op: int, cur_count: Any, max_count: Any = None, _message: str = "") -> None:
            progress("fetching", int(float(cur_count or 0)), int(float(max_count or 0)))

    return Reported()


def unreachable(repository: Repository, remote: str) -> str:
    """Fetch from a remote and return why it could not be reached; empty when it could."""
    try:
        _fetch(repository, remote, None)
    except RegistryError as error:
        return error.message
    return ""


def remotes(repository: Repository) -> dict[str, str]:
    """Return remote name → URL, without what looks like a password."""
    import re

    with _porcelain(repository) as repo:
        return {remote.name: re.sub(r"//[^/@]*@", "//", remote.url) for remote in repo.remotes}
