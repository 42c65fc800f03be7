"""One registry at work: its repository, its revisions and its bytes, opened once and shared by every verb.

Reading follows HEAD (or the revision the registry was opened at); decisions land on the branch that
`registry.yaml` names. Nothing is cached that git could change under us: a snapshot is kept by commit id.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from gitops_registry import paths
from gitops_registry.address import address, split_revision
from gitops_registry.artifact import Store
from gitops_registry.digests import Digest
from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.formats.loaded import Trust
from gitops_registry.git import landing
from gitops_registry.git.mirror import PATIENCE, Mirror, is_bare, mirror
from gitops_registry.git.remote import Caught, catch_up, upstream
from gitops_registry.git.repository import EMPTY_TREE, Repository
from gitops_registry.git.sources import WorkingSource
from gitops_registry.gto import agreed
from gitops_registry.identity import Witnesses
from gitops_registry.manifest.facts import Artifact
from gitops_registry.merging import land, landed_paths
from gitops_registry.reference import Reference
from gitops_registry.snapshot import LARGEST_STORED, LocalFile, PathChange, Snapshot
from gitops_registry.storage import detached_config

if TYPE_CHECKING:
    from gitops_registry.cel import CommonExpressions

Progress = Callable[[str, int, int], None]
PREFIXES = (
    "promote", "archive", "rollback", "card", "alias", "tag", "describe", "rename", "delete", "evaluation", "migrate", "waive", "access", "register", "change",
)  # fmt: skip
"""The first word of a proposal's branch: the verb it stands for; `change` where people wrote it by hand."""
ANCHOR = "gitops-registry.branch"
"""The key of git's configuration, which no proposal can write, that says where a registry was started."""
_KEPT = 8


class Workplace:
    """What every verb works with."""

    def __init__(
        self,
        repository: Repository,
        *,
        revision: str | None = None,
        progress: Progress | None = None,
        mirror: Mirror | None = None,
        decided: str | None = None,
    ) -> None:
        self.repository = repository
        self.decided = decided
        """The last decision, where no ref says so: in the middle of a push."""
        self.mirror = mirror
        self.revision = revision
        self.progress = progress
        self._follows: str | None = None
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()

    @classmethod
    def open(cls, path: Path, *, revision: str | None = None, progress: Progress | None = None) -> Workplace:
        """Return the registry at `path` (a checkout, a folder in one, or a bare repository).

        What a killed command left undone is finished first. Raises RegistryError where there is no repository.
        """
        place = cls(Repository.open(path), revision=revision, progress=progress)
        if landing.is_unfinished(place.repository):
            landing.finish(place.repository)
        return place

    @classmethod
    def remote(
        cls,
        url: str,
        cache: Path,
        *,
        revision: str | None = None,
        progress: Progress | None = None,
        is_offline: bool = False,
    ) -> Workplace:
        """Return the registry at a URL, through its managed clone in the folder `cache`. Raises RegistryError where it
        cannot be reached.
        """
        found = mirror(url, cache, progress=progress, is_offline=is_offline)
        return cls(found.repository, revision=revision, progress=progress, mirror=found)

    # ── revisions

    def commit(self, revision: str | None = None) -> str:
        """Return the commit of a revision; without one, of the revision this registry was opened at, else HEAD."""
        wanted = revision or self.revision or "HEAD"
        try:
            return self.repository.resolve(wanted)
        except NotFound as error:
            if wanted == "HEAD":
                raise NotFound(
                    "this repository has no commit yet", hint="start a registry with: gitops-registry init"
                ) from error
            raise

    def snapshot(self, revision: str | None = None) -> Snapshot:
        """Return the registry at a revision, as `commit` reads it."""
        commit = self.commit(revision)
        found = self._snapshots.pop(commit, None) or Snapshot(self.repository.source(commit, self._label(revision)))
        self._snapshots[commit] = found
        while len(self._snapshots) > _KEPT:
            self._snapshots.popitem(last=False)
        return found

    def _label(self, revision: str | None) -> str:
        """What errors call a revision: its name where somebody gave one, never an id that nobody typed."""
        named = revision or self.revision
        return named if named and not re.fullmatch(r"[0-9a-f]{40}", named) else "this registry"

    def work_tree(self, base: str | None = None) -> tuple[Snapshot, Snapshot, list[PathChange]]:
        """Return a base (HEAD, without one), what a commit of the work tree would hold, and the paths that differ.

        Raises RegistryError in a bare repository, and where the base has commits that this checkout has not: they
        would look as if the work tree took them back.
        """
        tree = self.repository.work_tree
        if tree is None:
            raise RegistryError("a bare repository has no work tree", hint="name a revision with --head")
        commit = self.commit(base or "HEAD")
        if base is not None and not self.repository.is_ancestor(commit, self.commit("HEAD")):
            raise RegistryError(
                f"this checkout is behind {base}", hint=f"judge what is committed: --base {base} --head HEAD"
            )
        changes = self.repository.working_changes(commit)
        now = WorkingSource(self.repository.source(commit), tree, changes)
        return self.snapshot(commit), Snapshot(now), changes

    def files(self, revision: str | None = None) -> list[PathChange]:
        """Return all files of a revision, as changes from nothing."""
        return self.repository.changed_paths(EMPTY_TREE, self.commit(revision))

    @property
    def branch(self) -> str:
        """The branch that decisions land on, as the registry says where it was started or cloned from.

        Not as HEAD says where anything else is known: a proposal that somebody has checked out would name itself.
        """
        if self.decided is not None:
            return self._anchor
        anchors = (f"refs/heads/{self._anchor}", "refs/remotes/origin/HEAD")
        for commit in filter(None, map(self.repository.tip, anchors)):
            if self.snapshot(commit).read(paths.CONSTITUTION) is not None:
                return self.snapshot(commit).constitution.branch
        return self.snapshot("HEAD").constitution.branch

    @cached_property
    def _anchor(self) -> str:
        """The branch that `init` noted in git's configuration, read once: it is not a thing that changes."""
        return self.repository.config(ANCHOR)

    @property
    def ref(self) -> str:
        """The full name of the branch that decisions land on."""
        return f"refs/heads/{self.branch}"

    def tip(self) -> str:
        """Return the last decision. Raises NotFound where the branch does not exist here."""
        if self.decided is not None:
            return self.decided
        branch = self.branch
        tip = self.repository.tip(f"refs/heads/{branch}")
        if tip is None:
            raise NotFound(
                f"decisions land on {branch!r}, and there is no such branch here",
                hint=f"git branch {branch} origin/{branch}, or change branch in registry.yaml",
            )
        return tip

    @property
    def trust(self) -> Trust:
        """The types and formats that may be opened beyond the reviewed ones, as the branch of decisions says now.

        Whatever revision is read: a proposal must not say itself what may be built from its bytes. None without
        that branch.
        """
        branch = self.branch
        tips = (self.repository.tip(f"refs/{side}/{branch}") for side in ("heads", "remotes/origin"))
        tip = next(filter(None, tips), None)
        law = self.snapshot(tip).constitution if tip else None
        return Trust(law.trusted_types, frozenset(law.trusted_formats)) if law else Trust()

    @cached_property
    def witnesses(self) -> Witnesses:
        """What reads signatures."""
        return Witnesses(self.repository)

    @cached_property
    def engine(self) -> CommonExpressions:
        """What runs the expressions of policies."""
        from gitops_registry.cel import CommonExpressions

        return CommonExpressions()

    def landed(self, base: str, head: str) -> tuple[Snapshot, Snapshot, list[PathChange]]:
        """Return the base, the registry as it would be with the head landed on it, and the paths that differ.

        The head may be older than the base: its own edits are put on top. Raises Conflict where both sides changed
        the same thing, NotFound for an unknown revision.
        """
        tip, proposed = self.commit(base), self.commit(head)
        origin = self.repository.merge_base(tip, proposed)
        before = self.snapshot(tip)
        ours = self.repository.changed_paths(origin, proposed)
        theirs = self.repository.changed_paths(origin, tip) if origin != tip else []
        edits = land(self.snapshot(origin), self.snapshot(proposed), before, ours=ours, theirs=theirs)
        is_written_twice = any(change.path == paths.DVC_YAML for change in theirs)
        after = before.with_edits(agreed(before, edits) if is_written_twice else edits)
        return before, after, landed_paths(after, ours, theirs)

    def tell(self, what: str) -> None:
        """Say on a terminal what takes time now; empty when it is over."""
        if self.progress is not None:
            self.progress(what, 0, 0) if what else self.progress("", 1, 1)

    def move(self, moves: Mapping[str, tuple[str, str]], *, scratch: str) -> list[str]:
        """Move refs from their old commits to new ones, at the remote first where this is the clone of one.

        The caller holds the writers' lock; `scratch` keeps the new commit. Returns the paths of checkouts that were left
        alone because they hold the user's edits. Raises Moved where a ref is somewhere else by now.
        """
        if self.mirror is not None:
            self.mirror.push(moves, scratch=scratch)
            self._follow_remote(moves, scratch)
            return []
        follow = self.ref if self.ref in moves else None
        return landing.move_branches(self.repository, moves, scratch=scratch, follow=follow)

    def _follow_remote(self, moves: Mapping[str, tuple[str, str]], scratch: str) -> None:
        """Move our copies of refs that the remote has moved. It is decided: what fails here, the next look mends."""
        with suppress(RegistryError, OSError):
            here = {ref: self.repository.tip(ref) or landing.NO_COMMIT for ref in moves}
            left = {ref: (here[ref], new) for ref, (_, new) in moves.items() if here[ref] != new}
            landing.move_branches(self.repository, left, scratch=scratch, follow=None)

    def catch_up(self) -> Caught:
        """Bring the branch of decisions up to what it follows, where it is merely behind."""
        caught = catch_up(self.repository, self.branch, PREFIXES, progress=self.progress)
        self._follows = caught.remote
        return caught

    @property
    def follows(self) -> str:
        """The remote that the branch of decisions follows, as it was when it was caught up; empty where it follows none."""
        if self._follows is None:
            found = upstream(self.repository, self.branch)
            self._follows = found.remote if found else ""
        return self._follows

    def refresh(self) -> None:
        """See what others decided since the managed clone of a remote was opened; nothing to do anywhere else."""
        if self.mirror is not None:
            with landing.writer(self.repository, patience=PATIENCE):
                self.mirror.refresh()

    # ── bytes

    def store(self, snapshot: Snapshot | None = None) -> Store:
        """Return the bytes of the registry; objects committed with git are read at `snapshot`."""
        at = snapshot or self.snapshot()
        return Store(self.store_root, committed=lambda path: content_of(at, path), progress=self.progress)

    @property
    def store_root(self) -> Path:
        """The folder with `.dvc`: the work tree, or without one a folder of ours.

        That has the configuration of the branch of decisions as it is now, whatever revision is read: a proposal must not
        say where bytes are looked for, nor where anybody else's go. Each configuration has a folder, all share one cache.
        """
        if self.repository.work_tree is not None:
            return self.repository.work_tree
        tip = self.decided or self.repository.tip(self.ref) or self.commit("HEAD")
        state = landing.state_folder(self.repository) / "dvc"
        wanted = detached_config(self.snapshot(tip).read(paths.DVC_CONFIG) or b"", cache=state / "cache")
        folder = state / hashlib.sha256(wanted).hexdigest()[:16]
        config = folder / ".dvc" / "config"
        if not config.exists() or config.read_bytes() != wanted:
            config.parent.mkdir(parents=True, exist_ok=True)
            draft = config.with_suffix(f".{secrets.token_hex(16)}")
            draft.write_bytes(wanted)
            draft.replace(config)
        return folder

    # ── cards

    def card(self, snapshot: Snapshot, reference: Reference) -> bytes:
        """Return the card of a version as it must be committed. Raises RegistryError where the registry's template fails."""
        from gitops_registry.printing.cards import card_files

        (made,) = card_files(snapshot, [reference]).values()
        return made


def digest_of(artifact: Artifact) -> Digest:
    """Return the digests that a manifest names."""
    return Digest(artifact.md5, artifact.sha256, artifact.size, artifact.files)


def content_of(snapshot: Snapshot, path: str) -> bytes | None:
    """Return the bytes of a stored object, also where an edit points to a file of this machine."""
    edit = snapshot.edits.get(path)
    if isinstance(edit, LocalFile):
        return Path(edit.file).read_bytes()
    return snapshot.read(path, LARGEST_STORED)


def place_at(
    where: str | Path,
    *,
    revision: str | None = None,
    progress: Progress | None = None,
    cache: str | Path | None = None,
    is_offline: bool = False,
) -> Workplace:
    """Return the registry at a path or a URL, with `@revision` behind it or given. Raises RegistryError."""
    if isinstance(where, Path) or Path(where).exists():
        return Workplace.open(Path(where), revision=revision, progress=progress)
    found = address(where)
    path, named = split_revision(found.path)
    local = Path(unquote(urlsplit(found.url).path)) if found.url.startswith("file:") else Path(path)
    wanted = revision or found.revision or named or None
    if (not found.url and local.exists()) or (found.url.startswith("file:") and not is_bare(local)):
        return Workplace.open(local, revision=wanted, progress=progress)
    if not found.url:
        return Workplace.open(Path(where), revision=revision, progress=progress)  # which says what is wrong
    from platformdirs import user_cache_dir

    folder = Path(cache) if cache is not None else Path(user_cache_dir("gitops-registry"))
    return Workplace.remote(found.url, folder, revision=wanted, progress=progress, is_offline=is_offline)
