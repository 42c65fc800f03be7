"""A git repository as revisions that can be read, compared and walked.

Reading goes through one long-lived process for objects and one short one for each question that git answers in
bulk. Nothing here changes a branch or a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from gitops_registry.errors import NotFound, RegistryError
from gitops_registry.git.parsing import Commit, by_commit, parse_commit, raw_changes
from gitops_registry.git.process import Object, Objects, quoted, run
from gitops_registry.git.sources import RevisionSource
from gitops_registry.git.walked import Walked
from gitops_registry.snapshot import PathChange, blob_id

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_ONE_MEANING = re.compile(r"-|@|:|refs/|HEAD\b(?!/)|[0-9a-f]{40}$")
"""Revisions that git reads before it thinks of a branch."""


_OTHER_MEANINGS = ("refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")
"""What git also takes a full name for, where no ref of exactly that name is there (gitrevisions(7), `<refname>`)."""


_NO_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{")
"""What no ref's name has (git-check-ref-format(1)), and git would take for the way to another commit."""


class Repository:
    """One repository, with or without a work tree."""

    def __init__(self, git_dir: Path, common_dir: Path, work_tree: Path | None, *, shallow: bool) -> None:
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.work_tree = work_tree
        self.is_shallow = shallow
        self.held: tuple[int, ...] = ()
        """The open lock of the writer at work, which git keeps until it has moved a branch."""
        self.objects = Objects(self.folder)
        self._walked: list[Walked] = []

    @classmethod
    def open(cls, path: Path) -> Repository:
        """Return the repository that `path` is in. Raises RegistryError where there is none."""
        asked = (
            "--is-bare-repository", "--absolute-git-dir", "--git-common-dir", "--is-shallow-repository",
            "--show-object-format",
        )  # fmt: skip
        told = run(path, "rev-parse", *asked, "--show-toplevel", ok=(0, 128))
        if told.count(b"\n") < len(asked):
            run(path, "rev-parse", *asked)  # which says why; where there is no work tree, git complains of that alone
        bare, git_dir, common, shallow, names, top = os.fsdecode(told).split("\n", len(asked))
        if names != "sha1":
            raise RegistryError(
                f"{path} names its objects by {names}, which is not supported", hint="git init --object-format=sha1"
            )
        common_dir = Path(common) if Path(common).is_absolute() else (path / common).resolve()
        tree = None
        if bare == "false":
            tree = Path(top.removesuffix("\n")) if top else None
            if tree is not None and not (tree / ".git").exists():
                raise RegistryError(
                    f"{path} keeps its files elsewhere, in {tree} (core.worktree)",
                    hint="clone it, and work in the clone",
                )
        return cls(Path(git_dir), common_dir, tree, shallow=shallow == "true")

    @property
    def folder(self) -> Path:
        """Where git is run: the work tree, or the git directory of a bare repository."""
        return self.work_tree or self.git_dir

    def run(self, *arguments: str, stdin: bytes | None = None, ok: Sequence[int] = (0,)) -> str:
        """Run git here and return what it printed."""
        return run(self.folder, *arguments, stdin=stdin, ok=ok).decode(errors="surrogateescape")

    # ── revisions

    def tip(self, ref: str) -> str | None:
        """Return the commit a full ref name points to now; None where there is no ref of exactly that name."""
        if not ref.startswith("refs/") or _NO_REF.search(ref):
            return None
        found = self.objects.get(f"{ref}^{{commit}}", limit=0)
        if found is None or not any(self.objects.get(other.format(ref), limit=0) for other in _OTHER_MEANINGS):
            return found.oid if found else None
        told = self.run("show-ref", "--verify", "--hash", "--", ref, ok=(0, 1, 128)).strip()
        found = self.objects.get(f"{told}^{{commit}}", limit=0) if told else None
        return found.oid if found else None

    def resolve(self, revision: str) -> str:
        """Return the id of the commit that a revision names; a branch wins over a tag of its name. Raises NotFound.

        Git lets the tag win, and whoever may push a tag could so put another commit in the place of a branch.
        """
        spellings = (revision,) if _ONE_MEANING.match(revision) else (f"refs/heads/{revision}", revision)
        found = next(filter(None, (self._commit_named(spelling) for spelling in spellings)), None)
        if found is None or found.type != "commit":
            shallow = "; this clone is shallow: git fetch --unshallow" if self.is_shallow else ""
            raise NotFound(f"no revision {revision!r} here", hint=f"see: git log --oneline --all{shallow}")
        return found.oid

    def _commit_named(self, spelling: str) -> Object | None:
        return None if spelling.startswith("-") else self.objects.get(f"{spelling}^{{commit}}", limit=0)

    @property
    def head_branch(self) -> str | None:
        """The branch that is checked out now (or that a bare repository names); None where HEAD is detached."""
        name = self.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1)).strip()
        return name.removeprefix("refs/heads/") or None

    def branches(self, *prefixes: str, beyond: str | None = None) -> dict[str, str]:
        """Return full ref name → commit for refs under the prefixes (all branches without), in order of name.

        A prefix may hold `*` for one part of a name. With `beyond`, only those that a commit does not contain.
        """
        limits = () if beyond is None else (f"--no-merged={beyond}",)
        told = self.run("for-each-ref", "--format=%(refname) %(objectname)", *limits, *(prefixes or ("refs/heads",)))
        return {line.rsplit(" ", 1)[0]: line.rsplit(" ", 1)[1] for line in told.splitlines()}

    def merge_base(self, one: str, other: str) -> str:
        """Return the commit two revisions come from. Raises RegistryError where they have none in common."""
        bases = self.run("merge-base", one, other, ok=(0, 1)).split()
        if not bases:
            hint = (
                "fetch the whole history first: git fetch --unshallow"
                if self.is_shallow
                else "they come from different repositories"
            )
            raise RegistryError(f"{one[:12]} and {other[:12]} have no history in common", hint=hint)
        return bases[0]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Say whether `older` is part of the history of `newer`."""
        return older == newer or older in self.run("merge-base", older, newer, ok=(0, 1)).split()

    def is_torn(self, tip: str, head: str) -> bool:
        """Say whether git itself could not join two commits without a person; False where it is too old to say (before 2.38)."""
        if self.is_ancestor(tip, head):
            return False
        told = self.run("merge-tree", "--write-tree", "--name-only", tip, head, ok=(0, 1, 128, 129))
        return "\n" in told.strip() and "CONFLICT" in told

    def follows(self, tip: str, earlier: str) -> bool:
        """Say whether a commit is among the decisions that led to `tip`: on the line of first parents."""
        line = self.run("rev-list", "--first-parent", "--parents", tip, f"^{earlier}", ok=(0, 128)).splitlines()
        return tip == earlier or (bool(line) and line[-1].split()[1:2] == [earlier])

    def need_history(self, purpose: str) -> None:
        """Raise RegistryError in a shallow clone, which cannot answer questions of history."""
        if self.is_shallow:
            raise RegistryError(
                f"{purpose} needs the history, and this clone is shallow", hint="fetch it first: git fetch --unshallow"
            )

    # ── contents

    def source(self, commit: str, label: str | None = None) -> RevisionSource:
        """Return the files of a commit."""
        return RevisionSource(self.objects, commit, label or commit[:12])

    def changed_paths(self, old: str, new: str, *folders: str) -> list[PathChange]:
        """Return the paths that differ between two commits or trees, in order, no renames guessed."""
        told = run(
            self.folder,
            "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none", old, new, "--", *folders,
            extra={"GIT_INDEX_FILE": str(self.git_dir / "no-index")},  # it would be read for nothing
        ).decode(errors="surrogateescape")  # fmt: skip
        return [change for _, change in raw_changes(told)]

    def working_changes(self, commit: str) -> list[PathChange]:
        """Return the paths where the work tree differs from a commit, untracked files included, ignored ones not."""
        if self.work_tree is None:
            raise RegistryError("a bare repository has no work tree", hint="name a revision")
        told = self.run("diff-index", "-z", "--no-renames", "--no-abbrev", commit, "--")
        modes = {change.path: change.new_mode for _, change in raw_changes(told)}
        for path in self.run("ls-files", "-z", "--others", "--exclude-standard").split("\0"):
            if path and not path.endswith("/"):  # a folder with a repository of its own
                modes[path] = modes.get(path, "")
        old = self._entries(commit, list(modes))
        now = self.ids_on_disk(list(modes))
        found = []
        for path in sorted(modes):
            (old_mode, old_oid), (new_mode, new_oid) = old.get(path, ("", "")), now.get(path, ("", ""))
            if new_mode not in {"", "120000"} and modes[path].startswith("100"):
                new_mode = modes[path]  # git knows where the file system's modes mean nothing
            if (old_mode, old_oid) != (new_mode, new_oid) and "160000" not in {old_mode, modes[path]}:
                found.append(PathChange(path, old_mode, new_mode, old_oid, new_oid))
        return found

    def _entries(self, commit: str, names: list[str]) -> dict[str, tuple[str, str]]:
        """Return path → mode and id in a commit, for those of the names that are there."""
        if not names:
            return {}
        told = self.run("ls-tree", "-r", "-z", "--full-tree", commit, *few(names))
        lines = (line.split("\t", 1) for line in told.split("\0") if line)
        return {path: (facts.split()[0], facts.split()[2]) for facts, path in lines}

    def ids_on_disk(self, names: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return path → the mode and id git would give what lies there; nothing where nothing does.

        What git could not track as a file there (a folder, something beyond a link) has no mode and its description
        as the id. Files are read by git, never held, and go through the repository's own filters.
        """
        assert self.work_tree is not None
        found: dict[str, tuple[str, str]] = {}
        files: dict[str, str] = {}
        for name in names:
            file = self.work_tree / name
            if any((self.work_tree / above).is_symlink() for above in Path(name).parents):
                if os.path.lexists(file):
                    found[name] = ("", "beyond a link")
            elif file.is_symlink():
                found[name] = ("120000", blob_id(os.fsencode(file.readlink())))
            elif file.is_file() and os.access(file, os.R_OK):
                files[name] = "100755" if file.stat().st_mode & 0o100 else "100644"
            elif file.exists():
                found[name] = ("", "no readable file")
        if files:
            stdin = b"".join(quoted(name) + b"\n" for name in files)
            oids = self.run("hash-object", "--stdin-paths", stdin=stdin).split()
            found.update({name: (mode, oid) for (name, mode), oid in zip(files.items(), oids, strict=True)})
        return found

    # ── history

    def commit(self, oid: str) -> Commit:
        """Return one commit by id. Raises NotFound."""
        found = self.objects.get(oid)
        if found is None or found.type != "commit" or found.data is None:
            raise NotFound(f"no commit {oid[:12]} here")
        return parse_commit(found.oid, found.data)

    def steps(self, tip: str, *folders: str, limit: int | None = None) -> Iterator[tuple[str, list[PathChange]]]:
        """Yield the first-parent steps that touch the folders, newest first, each with the paths it changed.

        Raises RegistryError in a shallow clone, where the last step would look like the beginning.
        """
        self.need_history("the log")
        if limit is None and (walked := next((one for one in self._walked if one.knows(tip, folders)), None)):
            yield from walked.steps(tip, folders)
            return
        count = () if limit is None else (f"--max-count={limit}",)
        told = self.run(
            "-c", "log.showRoot=true", "-c", "diff.orderFile=/dev/null", "log", "--no-show-signature", "--no-color",
            "--first-parent", "--diff-merges=first-parent", "--raw", "-z", "--no-renames", "--no-relative", "--no-abbrev", "--ignore-submodules=none", "--format=%H", *count, tip, "--", *folders,
        )  # fmt: skip
        yield from by_commit(raw_changes(told, commits=True))

    def walk_once(self, tip: str, *folders: str) -> None:
        """Read the steps to a commit that touch the folders; those to any commit before it are then told without asking git.

        Raises RegistryError in a shallow clone.
        """
        if not any(one.knows(tip, folders) for one in self._walked):
            found = list(self.steps(tip, *folders))
            self._walked.append(Walked(self.run("rev-list", "--first-parent", tip).split(), folders, found))

    def is_ignored(self, path: str) -> bool:
        """Say whether git's ignore files would keep an untracked file at that path out."""
        plain = {"GIT_LITERAL_PATHSPECS": "0"}
        return bool(run(self.folder, "check-ignore", "--no-index", path, extra=plain, ok=(0, 1)).strip())

    def first_step(self, tip: str, base: str, *paths: str) -> str:
        """Return the newest first-parent step after `base` that changed one of the paths; empty where none did."""
        return (
            self.run("rev-list", "--first-parent", "--max-count=1", tip, f"^{base}", "--", *paths).strip()
            if paths
            else ""
        )

    def own_steps(self, tip: str, other: str) -> list[str]:
        """Return the first-parent steps to `tip` that `other` does not contain, oldest first."""
        limits = () if other == "0" * 40 else (f"^{other}",)
        return self.run("rev-list", "--first-parent", "--reverse", tip, *limits).split()

    def broken_objects(self) -> list[str]:
        """Return what `git fsck` says of objects that are damaged or missing, a line each; empty where all is well."""
        told = run(self.folder, "fsck", "--no-dangling", "--no-progress", ok=range(64), both=True).decode(
            errors="replace"
        )
        wrong = ("error:", "missing", "broken", "fatal:", "bad ")
        return [line.strip() for line in told.splitlines() if line.startswith(wrong)]

    # ── configuration

    def config(self, key: str) -> str:
        """Return a value of git's configuration; empty where it is not set."""
        return self.run("config", "--get", key, ok=(0, 1)).rstrip("\n")

    @cached_property
    def trusts_modes(self) -> bool:
        """Whether the modes of files on this disk mean something; read once, for a disk does not change."""
        return self.config("core.fileMode") != "false"

    def identity(self) -> tuple[str, str]:
        """Return git's name and e-mail of whoever works here. Raises RegistryError where git does not know."""
        match = re.match(r"(.*) <([^>]*)> ", self.signature("AUTHOR"))
        assert match is not None
        return match[1], match[2]

    def signature(self, role: Literal["AUTHOR", "COMMITTER"]) -> str:
        """Return the name, e-mail and time that git writes into a commit. Raises RegistryError without a name."""
        return signature(self.folder, role)


def signature(folder: Path, role: Literal["AUTHOR", "COMMITTER"]) -> str:
    """Return the name, e-mail and time that git would write into a commit made in a folder, a repository or not.

    Raises RegistryError where git does not know who works there.
    """
    told = run(folder, "var", f"GIT_{role}_IDENT", ok=(0, 128)).decode(errors="surrogateescape").rstrip("\n")
    if not re.match(r".+ <[^>]*> ", told):
        raise RegistryError(
            "git does not know who you are",
            hint='git config --global user.name "Alice"; git config --global user.email alice@example.com',
        )
    return told


def is_safe_path(path: str) -> bool:
    """Say whether a path of a tree stays below its root and out of git's own folder; git itself stores any."""
    return "\0" not in path and not any(
        part in {"", ".", ".."} or part.lower().rstrip(". ") == ".git" for part in path.split("/")
    )


def few(names: Sequence[str]) -> Sequence[str]:
    """Return the names as arguments that limit a listing; none, for all of it, where a command line has no room."""
    return names if sum(map(len, names)) < 50_000 else ()
