"""Other repositories: starting one, and catching up with the one a branch follows.

Fetching goes through GitPython, which reports progress; what arrived is then landed by the same compare-and-swap
as everything else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gitops_registry.errors import Conflict, Moved, RegistryError
from gitops_registry.git.landing import NO_COMMIT, move_branches, writer
from gitops_registry.git.process import complaint, environment, run
from gitops_registry.git.repository import Repository

if TYPE_CHECKING:
    from git import RemoteProgress, Repo

Progress = Callable[[str, int, int], None]
_KNOWN = "refs/gitops-registry/known"

_KEPT_HERE = "what is here stays here; gitops-registry push tries again"


def start(path: Path, *, bare: bool, branch: str) -> Repository:
    """Return the repository at `path`, made there with that first branch if there is none."""
    path.mkdir(parents=True, exist_ok=True)
    run(path, "init", "--quiet", f"--initial-branch={branch}", *(("--bare",) if bare else ()))
    return Repository.open(path)


class Follows(NamedTuple):
    """What a branch follows: the remote, the branch's full name there, and the ref here that says where it was last seen."""

    remote: str
    there: str
    seen: str


def upstream(repository: Repository, branch: str) -> Follows | None:
    """Return what a branch follows; None where it follows nothing of another repository."""
    told = repository.run(
        "for-each-ref", "--format=%(upstream:remotename) %(upstream:remoteref) %(upstream)", f"refs/heads/{branch}"
    ).strip()
    remote, _, rest = told.partition(" ")
    there, _, seen = rest.partition(" ")
    return Follows(remote, there, seen) if remote and remote != "." and there and seen else None


def how_to_follow(repository: Repository, branch: str) -> str:
    """Return a hint: what makes a branch follow one of a remote, and before that a remote, where there is none."""
    remotes = repository.run("remote").split()
    say = f"git push -u {remotes[0] if len(remotes) == 1 else 'REMOTE'} {branch}"
    return f"{say} says which, once" if remotes else f"git remote add origin URL, and once: git push -u origin {branch}"


class Caught(NamedTuple):
    """What came of catching up with a `remote` (empty where none is followed): what was done, why it could not be reached,
    and where both sides have commits of their own, the remote's newest. Empty where there was nothing to do.
    """

    remote: str = ""
    done: str = ""
    unreachable: str = ""
    theirs: str | None = None


def catch_up(
    repository: Repository, branch: str, prefixes: Sequence[str], *, progress: Progress | None = None
) -> Caught:
    """Fetch what `branch` follows, and the branches under the prefixes, and move it there if it is merely behind.

    Branches under the prefixes that are gone at the remote are forgotten here. Where the remote cannot be reached, nothing
    moves. Raises Conflict where the remote's history is not the one that was seen there before.
    """
    follows = upstream(repository, branch)
    if follows is None:
        return Caught()
    before = repository.tip(follows.seen)
    below = [f"+refs/heads/{prefix}/*:refs/remotes/{follows.remote}/{prefix}/*" for prefix in prefixes]
    try:
        fetch(
            repository, follows.remote, progress, refs=(f"+{follows.there}:{follows.seen}", *below), prune=True
        )  # fmt: skip
    except RegistryError as error:
        return Caught(follows.remote, unreachable=f"could not reach {follows.remote} ({error.message})")
    local, theirs = repository.tip(f"refs/heads/{branch}"), repository.tip(follows.seen)
    if local is None or theirs is None:
        return Caught(follows.remote)
    repository.merge_base(local, theirs)
    _refuse_rewritten(repository, follows, before=before, local=local, theirs=theirs)
    if local == theirs or _is_on_top(repository, local, theirs):
        return Caught(follows.remote)
    if not repository.is_ancestor(local, theirs):
        return Caught(follows.remote, theirs=theirs)
    with writer(repository):
        move_branches(repository, {f"refs/heads/{branch}": (local, theirs)}, scratch="", follow=f"refs/heads/{branch}")
    return Caught(follows.remote, f"{branch} was behind {follows.remote}: fetched")


def _is_on_top(repository: Repository, local: str, theirs: str) -> bool:
    """Say whether our decisions follow the remote's newest one: it is the first parent of our oldest, or is ours.

    Where git merged the remote's branch into ours, its decisions are a second parent, and would be told as one of ours.
    """
    if not repository.is_ancestor(theirs, local):
        return False
    steps = repository.own_steps(local, theirs)
    return not steps or repository.commit(steps[0]).parents[:1] == (theirs,)


def _refuse_rewritten(repository: Repository, follows: Follows, *, before: str | None, local: str, theirs: str) -> None:
    """Raise Conflict where a commit that was the remote's, and that ours has, is not the remote's any more.

    What was seen is remembered under a ref of ours: it must still be known when the tracking ref has moved on.
    """
    kept = f"{_KNOWN}/{follows.remote}/{follows.there.removeprefix('refs/heads/')}"
    for was in filter(None, {repository.tip(kept), before}):
        if repository.is_ancestor(was, local) and not repository.is_ancestor(was, theirs):
            repository.run("update-ref", kept, was)
            raise Conflict(
                f"the history of {follows.remote} was rewritten: it no longer has {was[:12]}, which was seen there",
                hint=f"ask who did; to follow it and give up what only you have: git reset --keep {theirs[:12]}",
            )
    repository.run("update-ref", kept, theirs)


def fetch(
    repository: Repository,
    remote: str,
    progress: Progress | None,
    *,
    refs: Sequence[str] = (),
    prune: bool = False,
    only: str | None = None,
) -> None:
    """Fetch the branches of a remote, or what `refs` (as git spells them) say.

    `prune`: what is gone there, of what is fetched, goes here; `only`: a filter of git's for objects. Raises RegistryError
    with git's own complaint.
    """
    from git import GitCommandError

    with _porcelain(repository) as repo:
        how: dict[str, Any] = {"prune": prune, **({"filter": only} if only else {}), **({"refmap": ""} if refs else {})}
        try:
            repo.remote(remote).fetch(
                refspec=list(refs) or None, progress=_reported(progress) if progress else None, no_tags=True, **how
            )
        except (GitCommandError, ValueError) as error:
            raise RegistryError(_reason(error)) from error


def default_branch(repository: Repository, remote: str) -> str:
    """Return the full name of the branch a remote's HEAD names; empty where it names none. Raises RegistryError."""
    from git import GitCommandError

    with _porcelain(repository) as repo:
        try:
            told = str(repo.git.ls_remote("--symref", remote, "HEAD"))
        except GitCommandError as error:
            raise RegistryError(_reason(error)) from error
    match = re.match(r"ref: (refs/heads/\S+)\tHEAD", told)
    return match[1] if match else ""


def fetch_all(repository: Repository, remote: str, folder: str) -> None:
    """Fetch every ref of a remote (branches, tags, requests of a forge) into refs below `folder`.

    Raises RegistryError where it cannot be reached.
    """
    try:
        fetch(repository, remote, None, refs=[f"+refs/*:{folder}/*"], prune=True)
    except RegistryError as error:
        raise RegistryError(
            f"could not reach {remote}, and what others propose must be known: {error.message}",
            hint="try again when it can be reached",
        ) from error


def push(
    repository: Repository,
    remote: str,
    moves: Mapping[str, tuple[str, str]],
    *,
    progress: Progress | None = None,
    told: str = "",
    hint: str = _KEPT_HERE,
) -> None:
    """Move refs of a remote, all or none: full name → (its commit there, `NO_COMMIT` for none; the ref of ours that it
    becomes, empty to take it away). `told` is what people call the remote, `hint` what they are told where it refuses.

    Raises Moved where one of them is something else there by now, RegistryError where the remote cannot be
    reached or refuses, with what it said.
    """
    from git import GitCommandError

    specs = [f"{source}:{ref}" for ref, (_, source) in moves.items()]
    leases = [f"{ref}:{'' if old == NO_COMMIT else old}" for ref, (old, _) in moves.items()]
    reported = _reported(progress or (lambda _what, _done, _total: None), "pushing")
    how: dict[str, Any] = {"atomic": True, "force_with_lease": leases, "no_follow_tags": True}
    with _porcelain(repository) as repo:
        try:
            found = repo.remote(remote).push(specs, progress=reported, **how)
        except (GitCommandError, ValueError) as error:
            raise RegistryError(f"could not push to {told or remote}: {_reason(error)}", hint=hint) from error
        flags = found[0].ERROR if found else 0
        wrong = [info for info in found if info.flags & flags]
        said = [line.removeprefix("remote: ").strip() for line in reported.other_lines if line.startswith("remote: ")]
    if found.error is None and not wrong and len(found) >= len(specs):
        return
    summaries = " ".join(info.summary for info in wrong)
    if "declined" not in summaries and _have_moved(repository, remote, moves):
        raise Moved(f"{told or remote} changed meanwhile; nothing was pushed", hint="try again")
    reasons = [line.removeprefix("refused: ") for line in said if line.startswith("refused: ")]  # a hook of ours
    if reasons:
        steps = [line.removeprefix("hint: ") for line in said if line.startswith("hint: ")]
        raise RegistryError(f"{told or remote} refused: {'; '.join(reasons)}", hint=steps[0] if steps else hint)
    answer = "; ".join(said) or _reason(found.error) or summaries.strip() or "it gave no reason"
    raise RegistryError(f"{told or remote} refused: {answer}", hint=hint)


def _have_moved(repository: Repository, remote: str, moves: Mapping[str, tuple[str, str]]) -> bool:
    """Say whether one of the refs is somewhere else at the remote than a push took for granted; False where nobody answers."""
    from git import GitCommandError

    with _porcelain(repository) as repo:
        try:
            told = str(repo.git.ls_remote(remote, *moves))
        except GitCommandError:
            return False
    there = {line.split("\t")[1]: line.split("\t")[0] for line in told.splitlines() if "\t" in line}
    return any(there.get(ref, NO_COMMIT) != old for ref, (old, _) in moves.items())


def _reason(error: object) -> str:
    """Return git's own complaint from an error of GitPython's."""
    if error is None:
        return ""
    told = str(getattr(error, "stderr", "") or error)
    return complaint(told.replace("stderr: '", "").strip("\n '\""))


def _porcelain(repository: Repository) -> Repo:
    import logging

    from git import Repo

    logging.getLogger("git").addHandler(logging.NullHandler())  # what it has to say, we say
    repo = Repo(repository.folder)
    here = {"GIT_DIR": str(repository.git_dir), "GIT_COMMON_DIR": str(repository.common_dir)}
    inherited = {name: folder for name, folder in here.items() if name in os.environ}  # a hook's are another's
    repo.git.update_environment(**environment(GIT_TERMINAL_PROMPT="0", **inherited))
    return repo


def _reported(progress: Progress, what: str = "fetching") -> RemoteProgress:
    """Return GitPython's idea of a progress that passes on to ours."""
    from git import RemoteProgress

    class Reported(RemoteProgress):
        def update(self, _op: int, cur_count: Any, max_count: Any = None, _message: str = "") -> None:
            progress(what, int(float(cur_count or 0)), int(float(max_count or 0)))

        def line_dropped(self, line: str) -> None:
            """Keep what only looks like progress: `refused: 51…` is no count of anything."""
            self.other_lines.append(line)

    return Reported()


def unreachable(repository: Repository, remote: str) -> str:
    """Fetch from a remote and return why it could not be reached; empty when it could."""
    try:
        fetch(repository, remote, None)
    except RegistryError as error:
        return error.message
    return ""


def answers(repository: Repository, url: str) -> bool:
    """Say whether a remote answers now, whatever state this repository is in."""
    from git import GitCommandError

    with _porcelain(repository) as repo:
        try:
            repo.git.ls_remote("--heads", url)
        except (GitCommandError, ValueError, OSError):
            return False
    return True


def remotes(repository: Repository) -> dict[str, str]:
    """Return remote name → URL, without what looks like a password."""
    with _porcelain(repository) as repo:
        there = {remote.name: repository.config(f"remote.{remote.name}.url") for remote in repo.remotes}
    return {name: re.sub(r"//[^/@]*@", "//", url) for name, url in there.items() if url}
