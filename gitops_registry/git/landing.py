"""The write path: edits become one commit, then one compare-and-swap moves the branch.

Every writer on this machine holds one lock that the kernel frees when it dies. The commit is made on a scratch
ref and the branch moves in the same transaction that drops it, so whoever is killed leaves the old state or the
new one. What is left to do for the work tree is written down first and finished by the next command.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gitops_registry.errors import Moved, RegistryError
from gitops_registry.git import journal, worktree
from gitops_registry.git.process import complaint, environment, quoted, run
from gitops_registry.git.repository import Repository, is_safe_path
from gitops_registry.git.signing import signed, signing_key
from gitops_registry.snapshot import Content, LocalFile, Stored

NO_COMMIT = journal.NO_COMMIT
_LOCK_SECONDS = 60.0
_FILES_AT_ONCE = 200
"""Names of files that fit on one command line, however long they are."""


def state_folder(repository: Repository) -> Path:
    """Return the folder in the git directory, shared by linked work trees, where unfinished work is written down."""
    folder = repository.common_dir / "gitops-registry"
    try:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            folder.chmod(repository.common_dir.stat().st_mode & 0o7777)  # a group that shares it shares this too
    except OSError as error:
        raise RegistryError(
            f"cannot write to {repository.common_dir}: {error.strerror}", hint="check the owner of the repository"
        ) from error
    return folder


@contextmanager
def writer(repository: Repository, *, patience: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold the one lock of all writers on this machine; first finish what a dead one left.

    Raises RegistryError when another writer keeps it for longer than `patience` seconds. When the block fails,
    commits that did not land are dropped.
    """
    folder = state_folder(repository)
    lock = _acquire(folder / "writer.lock", patience)
    repository.held = (lock,)
    try:
        journal.recover(repository, folder)
        try:
            yield
        except BaseException:
            with suppress(RegistryError):
                journal.drop_scratch(repository, folder)
            raise
    finally:
        repository.held = ()
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _acquire(file: Path, patience: float) -> int:
    """Return the open file whose lock is ours until it is closed, here and in the git it was handed to."""
    try:
        is_new = not file.exists()
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if is_new:
            os.fchmod(lock, file.parent.stat().st_mode & 0o666)
    except OSError as error:
        raise RegistryError(
            f"cannot write to {file.parent}: {error.strerror}", hint="check the owner of the repository"
        ) from error
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            if time.monotonic() >= end:
                os.close(lock)
                raise RegistryError(
                    "another gitops-registry command is writing here", hint="wait for it to end, then try again"
                ) from error
            time.sleep(0.02)
        except BaseException:
            os.close(lock)
            raise


def is_unfinished(repository: Repository) -> bool:
    """Say whether a writer is at work, died, or was kept before the user's files were brought along."""
    return journal.has_note(repository.common_dir / "gitops-registry")


def finish(repository: Repository) -> list[str]:
    """Finish what a dead writer left and return the paths of this checkout that differ from its commit.

    Nobody waits for it: where a writer is at work, or something is in the way, it stays for the next command, and
    reading, which needs commits only, goes on.
    """
    with suppress(RegistryError), writer(repository, patience=0.0):
        return worktree.left_alone(repository) if repository.work_tree is not None else []
    return []


def write_commit(
    repository: Repository,
    edits: Mapping[str, Content | None],
    *,
    parents: Sequence[str],
    message: str,
    author: str = "",
) -> tuple[str, str]:
    """Write one commit and return its id and the scratch ref that keeps it.

    `author` is who wrote it and when, as git spells it; whoever works here, without one. The tree is the first parent's
    with the edits applied (an empty tree without parents). It is signed where git has an SSH key to sign with. Its cost
    does not grow with the tree. No branch moves. Raises RegistryError where a local file is not what was promised any
    more, or nothing could be signed.
    """
    for path in edits:
        if not is_safe_path(path):
            raise RegistryError(f"{path!r} is no path of a registry", hint="a path stays below the repository's root")
    scratch = f"{journal.SCRATCH}/{secrets.token_hex(16)}"
    author, committer = author or repository.signature("AUTHOR"), repository.signature("COMMITTER")
    text = message.encode(errors="surrogateescape")
    head = "\n".join([f"commit {scratch}", f"author {author}", f"committer {committer}", f"data {len(text)}", ""])
    stream: list[bytes | LocalFile] = [head.encode(errors="surrogateescape") + text + b"\n"]
    stream += [f"{'merge' if number else 'from'} {parent}\n".encode() for number, parent in enumerate(parents)]
    for path in sorted(edits, key=lambda path: (edits[path] is not None, path)):
        stream += _told(path, edits[path])
    _fast_import(repository, [*stream, b"done\n"])
    commit = repository.tip(scratch)
    if commit is None:
        raise RegistryError("git wrote no commit", hint="see: gitops-registry doctor")
    _require_same(repository, commit, {path: told for path, told in edits.items() if isinstance(told, LocalFile)})
    if signing_key(repository):
        commit = signed(repository, commit)
        run(repository.folder, "update-ref", scratch, commit, held=repository.held)
    return commit, scratch


def forget_unlanded(repository: Repository) -> None:
    """Let go of what kept commits that did not land, or that landed below another one. Only for who holds the lock."""
    journal.drop_scratch(repository, state_folder(repository))


def _told(path: str, content: Content | None) -> list[bytes | LocalFile]:
    """Return what fast-import is told about one path."""
    if content is None:
        return [b"D %s\n" % quoted(path)]
    if isinstance(content, Stored):
        return [b"M %s %s %s\n" % (content.mode.encode(), content.oid.encode(), quoted(path))]
    size = len(content) if isinstance(content, bytes) else content.size
    return [b"M 100644 inline %s\ndata %d\n" % (quoted(path), size), content, b"\n"]


def _require_same(repository: Repository, commit: str, files: Mapping[str, LocalFile]) -> None:
    """Refuse a commit whose local files changed between their judgement and their storing."""
    if not files:
        return
    source = repository.source(commit)
    for path, file in files.items():
        if source.oid(path) != file.oid:
            raise _changed(file)


def _changed(file: LocalFile) -> RegistryError:
    return RegistryError(f"{file.file} changed while it was stored; nothing was written", hint="try again")


def _fast_import(repository: Repository, stream: list[bytes | LocalFile]) -> None:
    process = subprocess.Popen(
        ["git", "-C", str(repository.folder), "fast-import", "--quiet", "--done", "--date-format=raw"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=environment(), pass_fds=repository.held,
    )  # fmt: skip
    assert process.stdin is not None
    try:
        for piece in stream:
            if isinstance(piece, bytes):
                process.stdin.write(piece)
            else:
                _pour(piece, process.stdin)
        _, stderr = process.communicate()
    except BrokenPipeError:
        _, stderr = process.communicate()  # git died first; its complaint says why
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode != 0:
        (repository.common_dir / f"fast_import_crash_{process.pid}").unlink(missing_ok=True)
        raise RegistryError(
            f"git could not write the commit: {complaint(stderr.decode(errors='replace'))}",
            hint="see: gitops-registry doctor",
        )


def _pour(content: LocalFile, sink: IO[bytes]) -> None:
    """Hand exactly the promised number of bytes on: what follows them would be read as commands."""
    left = content.size
    try:
        with Path(content.file).open("rb") as file:
            while left and (piece := file.read(min(left, 1 << 20))):
                sink.write(piece)
                left -= len(piece)
    except FileNotFoundError as error:
        raise _changed(content) from error
    if left:
        raise _changed(content)


def local_file(repository: Repository, file: Path) -> LocalFile:
    """Return a file of this machine as content to commit; git reads it once for its id."""
    return local_files(repository, [file])[0]


def local_files(repository: Repository, files: Sequence[Path]) -> list[LocalFile]:
    """Return files of this machine as contents to commit, in the same order; git reads each once for its id."""
    found: list[LocalFile] = []
    for start in range(0, len(files), _FILES_AT_ONCE):
        some = files[start : start + _FILES_AT_ONCE]
        oids = repository.run("hash-object", "--no-filters", "--", *map(str, some)).split()
        found += [LocalFile(str(file), oid, file.stat().st_size) for file, oid in zip(some, oids, strict=True)]
    return found


def move_branches(
    repository: Repository, moves: Mapping[str, tuple[str, str]], *, scratch: str, follow: str | None
) -> list[str]:
    """Move refs from their old commits to new ones in one transaction, then bring the work tree along.

    `moves`: full ref name → (old, new); `NO_COMMIT` as old creates a ref, as new deletes it. `follow`: the branch
    whose files the work trees hold that have it checked out. Returns the paths that were left alone because they
    hold the user's edits. Raises Moved where a ref is not at its old commit any more; then nothing moved.
    """
    folder = state_folder(repository)
    checkouts = worktree.checkouts(repository, follow) if follow and follow in moves else []
    for checkout in checkouts:
        worktree.refuse_unfinished_merge(checkout)
    commands = ["start"]
    for ref, (old, new) in moves.items():
        commands.append(f"delete {ref} {old}" if new == NO_COMMIT else f"update {ref} {new} {old}")
    commands += [*([f"delete {scratch}"] if scratch else []), "prepare", "commit", ""]
    journal.note(folder, journal.Landing(moves, follow if checkouts else None))
    try:
        run(repository.folder, "update-ref", "--stdin", stdin="\n".join(commands).encode(), held=repository.held)
    except RegistryError as error:
        journal.forget(folder)  # first: what did not happen must not be finished by the next command
        with suppress(RegistryError):
            journal.drop_scratch(repository, folder)
        moved = [ref for ref, (old, _) in moves.items() if (repository.tip(ref) or NO_COMMIT) != old]
        if moved:
            raise Moved(
                f"{moved[0].removeprefix('refs/heads/')} changed meanwhile; nothing was written", hint="try again"
            ) from error
        raise
    kept: list[str] = []
    for checkout in checkouts:
        kept += worktree.bring_along(checkout, *moves[follow or ""])
    journal.forget(folder)
    return kept
