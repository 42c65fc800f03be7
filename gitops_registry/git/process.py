"""Running git: a clean environment, errors in one line, and one long-lived reader of objects.

Nothing here depends on what git variables the caller inherited, on its language or on replaced objects.
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from gitops_registry.errors import RegistryError

_KEPT = (
    "GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT",
    "GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_",
)  # fmt: skip


_UNLESS_SAID = {"GIT_TERMINAL_PROMPT": "0", "GIT_HTTP_LOW_SPEED_LIMIT": "1", "GIT_HTTP_LOW_SPEED_TIME": "60"}
"""Nobody is asked for a password in the middle of a command, and a server that says nothing for a minute is gone."""


def environment(**extra: str) -> dict[str, str]:
    """Return the environment git runs in: inherited `GIT_*` dropped, but for identity, configuration, transport and quarantine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
    fixed = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C.UTF-8", "LANGUAGE": "C"}
    return {**_UNLESS_SAID, **kept, **fixed, **extra}


def quoted(path: str) -> bytes:
    """Return a path as git reads it from a stream of lines, whatever signs it has."""
    raw = path.encode(errors="surrogateescape")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def complaint(stderr: str) -> str:
    """Return the line of git's complaint that says what went wrong: the first fatal or error, not the advice after it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return next(
        (line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "no reason given"
    )


def run(
    folder: Path,
    *arguments: str,
    stdin: bytes | None = None,
    extra: dict[str, str] | None = None,
    ok: Sequence[int] = (0,),
    held: Sequence[int] = (),
    both: bool = False,
) -> bytes:
    """Run git in `folder` and return its standard output.

    Raises RegistryError with git's own first complaint when it exits with a code that is not in `ok`. `held` are
    open files, such as a lock, that git keeps open until it ends, even when we die before it. With `both` what it
    printed to standard error comes along.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=stdin,
            capture_output=True,
            env=environment(**(extra or {})),
            pass_fds=tuple(held),
            check=False,
        )
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise RegistryError(f"{folder} is not a folder", hint="give the path of a git repository") from error
        raise RegistryError("git is not installed", hint="install git 2.34 or newer") from error
    if done.returncode not in ok:
        reason = complaint(done.stderr.decode(errors="replace"))
        verb = next((word for word in arguments if not word.startswith("-")), "")
        raise RegistryError(f"git {verb}: {reason}", hint=_hint(reason))
    return done.stdout + done.stderr if both else done.stdout


@contextmanager
def streamed(folder: Path, *arguments: str, stdin: bytes) -> Iterator[Iterator[str]]:
    """Run git in `folder` and yield what it prints, piece by piece as it ends each with NUL; it is ended with the block.

    Raises RegistryError where git fails before it was ended.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaints:
        asked.write(stdin)
        asked.seek(0)
        process = subprocess.Popen(
            ["git", "-C", str(folder), *arguments],
            stdin=asked, stdout=subprocess.PIPE, stderr=complaints, env=environment(),
        )  # fmt: skip
        assert process.stdout is not None
        try:
            yield _pieces(process.stdout)
            if process.wait() != 0:
                complaints.seek(0)
                raise RegistryError(
                    f"git: {complaint(complaints.read(10_000).decode(errors='replace'))}", hint="try: git fsck"
                )
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def _pieces(stream: IO[bytes]) -> Iterator[str]:
    rest = b""
    while chunk := stream.read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from (piece.decode(errors="surrogateescape") for piece in whole)
    yield rest.decode(errors="surrogateescape")


def _hint(reason: str) -> str:
    if "dubious ownership" in reason:
        return "if you trust its owner: git config --global --add safe.directory <folder>"
    if "index.lock" in reason:
        return "another git command is running here; wait for it, or see: gitops-registry doctor"
    if ".lock'" in reason:
        return "another git command is running here; wait for it, or remove that file if none runs"
    if "cannot change to" in reason:
        return "give the path of a git repository"
    if "not a git repository" in reason:
        return "go into a registry, or name it: gitops-registry -C PATH …; start one with: gitops-registry init"
    return ""


class Object(NamedTuple):
    """One git object. `data` is None where the object is larger than the reader's limit."""

    oid: str
    type: str
    size: int
    data: bytes | None


_AT_ONCE = 500
"""Ids that a pipe takes before anybody reads from it, so that neither side waits for the other."""


class Objects:
    """Reads objects through one `git cat-file --batch`, started at the first read, for any number of threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] = io.BytesIO()
        self._lock = threading.Lock()

    def get(self, name: str, *, limit: int | None = None) -> Object | None:
        """Return the object that git knows by `name` (an id, `revision:path`, …); None where there is none.

        An object of more than `limit` bytes is read past, never held.
        """
        if "\0" in name:
            return None
        if "\n" in name:  # the reader takes one line for each name
            found = run(self._folder, "rev-parse", "--verify", "--quiet", name, ok=(0, 1, 128)).decode().strip()
            return self.get(found, limit=limit) if found else None
        try:
            line = name.encode(errors="surrogateescape") + b"\n"
        except UnicodeEncodeError:
            return None
        with self._guarded() as process:
            return self._ask(process, line, limit)

    @contextmanager
    def _guarded(self) -> Iterator[subprocess.Popen[bytes]]:
        """Give the reader to one thread, and end it where its answer was not read to the end."""
        with self._lock:
            try:
                yield self._running()
            except OSError as error:
                why = self._abandon()
                away = "remote" in why or "unable to access" in why or "Could not read" in why or "promisor" in why
                hint = (
                    "these bytes were never fetched, and the remote cannot be reached now" if away else "try: git fsck"
                )
                raise RegistryError(f"git stopped while reading objects: {why}", hint=hint) from error
            except BaseException:  # interrupted half-way: the rest of this answer must not become the next one
                self._abandon()
                raise

    def get_many(self, oids: Sequence[str], *, limit: int) -> Iterator[Object | None]:
        """Yield the objects with those ids, in their order, as `get` returns each; nobody waits between two of them."""
        for start in range(0, len(oids), _AT_ONCE):
            some = oids[start : start + _AT_ONCE]
            with self._guarded() as process:
                assert process.stdin is not None
                process.stdin.write("".join(f"{oid}\n" for oid in some).encode())
                process.stdin.flush()
                found = [self._answer(process, limit) for _ in some]
            yield from found

    def _ask(self, process: subprocess.Popen[bytes], line: bytes, limit: int | None) -> Object | None:
        assert process.stdin is not None
        process.stdin.write(line)
        process.stdin.flush()
        return self._answer(process, limit)

    def _answer(self, process: subprocess.Popen[bytes], limit: int | None) -> Object | None:
        assert process.stdout is not None
        header = process.stdout.readline()
        if not header:
            raise BrokenPipeError
        words = header.decode(errors="replace").rstrip("\n").rsplit(" ", 2)
        if len(words) != 3 or not words[2].isdigit():
            return None
        oid, kind, size = words[0], words[1], int(words[2])
        return Object(oid, kind, size, self._body(process.stdout, size, keep=limit is None or size <= limit))

    @staticmethod
    def _body(stdout: IO[bytes], size: int, *, keep: bool) -> bytes | None:
        left, pieces = size, []
        while left:
            piece = stdout.read(min(left, 1 << 20))
            if not piece:
                raise BrokenPipeError
            left -= len(piece)
            if keep:
                pieces.append(piece)
        if stdout.read(1) != b"\n":
            raise BrokenPipeError
        return b"".join(pieces) if keep else None

    def _abandon(self) -> str:
        """End the reader in the middle of an answer and return what it complained of."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            _end(process)
        self._complaints.seek(0)
        return complaint(self._complaints.read().decode(errors="replace"))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the reader
            self._process = subprocess.Popen(
                ["git", "-C", str(self._folder), "cat-file", "--batch"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints,
                env=environment(),
            )
        return self._process

    def close(self) -> None:
        """End the reader; the next read starts a new one."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def __del__(self) -> None:
        if self._process is not None:
            _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    process.wait()
