"""Files on this machine's disk: what their bytes are, read once, and how they get their names without ever being half there."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TypeVar

from gitops_registry.errors import Damaged, RegistryError

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 1 << 20
_AT_ONCE = 8
"""Files of a folder that are read, moved or looked for at the same time: disks and servers make them wait for each other."""
LEFTOVER = "gitops-registry-"
"""How the hidden names of files begin that are not complete yet."""


@dataclass(frozen=True)
class Digest:
    """What bytes are: MD5 is their name in DVC, SHA-256 decides whether they are the right ones.

    Of a folder: DVC's name of it (`….dir`), the SHA-256 of its listing (see `listing`), the sum of its sizes, and how
    many `files` there are (None for a file).
    """

    md5: str
    sha256: str
    size: int
    files: int | None = None


class Named(NamedTuple):
    """An object of which only the MD5 is known: a file of a folder, or the list of its files."""

    md5: str


Wanted = Digest | Named


def is_it(found: Digest, wanted: Wanted) -> bool:
    """Say whether bytes are those that are wanted, as far as that is known of them."""
    return found == wanted if isinstance(wanted, Digest) else found.md5 == wanted.md5.removesuffix(".dir")


def at_once(do: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what is done to each, several at a time, in order; the first failure ends it."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        yield from pool.map(do, list(items))
    finally:
        pool.shutdown(cancel_futures=True)


def require_file(source: Path) -> None:
    """Refuse everything but a file, before a pipe is waited for."""
    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise RegistryError(f"{source} cannot be read: {error.strerror}", hint="check the path") from error
    if stat.S_ISDIR(mode):
        raise RegistryError(f"{source} is a directory", hint="name a file")
    if not stat.S_ISREG(mode):
        raise RegistryError(f"{source} is not a file", hint="save the model to a file first")


def require_same(target: Path, digest: Digest, what: str) -> None:
    """Raise RegistryError unless those bytes lie at `target`."""
    if not target.is_file() or target.stat().st_size != digest.size or sha256_of(target) != digest.sha256:
        raise RegistryError(
            f"{target} exists and is not {what}", hint="move it away or choose another place; it was not changed"
        )


def _silent(_done: int) -> None:
    pass


def pour(reader: BinaryIO, *sinks: Callable[[bytes], object], report: Callable[[int], None] = _silent) -> int:
    """Hand every byte of a file to all sinks, in pieces; return how many there were."""
    done = 0
    while chunk := reader.read(_CHUNK):
        for sink in sinks:
            sink(chunk)
        done += len(chunk)
        report(done)
    return done


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digested(reader: BinaryIO, *sinks: Callable[[bytes], object], report: Callable[[int], None] = _silent) -> Digest:
    """Return what the bytes of a file are; they also go to `sinks`, so that one read is enough."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    size = pour(reader, md5.update, sha256.update, *sinks, report=report)
    return Digest(md5.hexdigest(), sha256.hexdigest(), size)


def digest_of_file(path: Path) -> Digest:
    """Return the digests and the size of a file, read once."""
    with path.open("rb") as reader:
        return digested(reader)


def judge(reader: BinaryIO, wanted: Wanted) -> Literal["present", "damaged"]:
    """Say whether a file holds those bytes."""
    return "present" if is_it(digested(reader), wanted) else "damaged"


def sound(path: Path, wanted: Wanted, what: str) -> Digest | None:
    """Return what a file of the cache is where it is the right one, else None; Damaged when only its MD5 is right."""
    try:
        if isinstance(wanted, Digest) and sha256_of(path) == wanted.sha256:
            return wanted
        with path.open("rb") as file:
            found = digested(file)
    except FileNotFoundError:
        return None
    if isinstance(wanted, Digest) and found.md5 == wanted.md5 and found != wanted:
        raise Damaged(
            f"{what}: {path} has the expected MD5 but other bytes: expected sha256 {wanted.sha256} "
            f"({wanted.size} bytes), found {found.sha256} ({found.size} bytes)",
            hint="`version.yaml` was altered, or two different files were made to share an MD5",
        )
    return found if is_it(found, wanted) else None


def identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is replaced or written; None where there is none."""
    try:
        info = path.stat()
    except FileNotFoundError:
        return None
    return info.st_ino, info.st_mtime_ns, info.st_size


def flush(writer: BinaryIO) -> None:
    """Let a file survive a crash of the machine."""
    writer.flush()
    os.fsync(writer.fileno())


def name_first(temporary: Path, target: Path) -> bool:
    """Give a complete file its name unless something has it already; False then."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            return False
        temporary.replace(target)
    return True


@contextmanager
def hidden(folder: Path) -> Iterator[Path]:
    """Yield a free path in `folder`, which is gone afterwards unless it was renamed."""
    path = folder / f".{LEFTOVER}{secrets.token_hex(8)}.tmp"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def disk(trouble: str) -> Iterator[None]:
    """Say in our words what the local file system refused."""
    try:
        yield
    except OSError as error:
        raise RegistryError(
            f"{trouble}: {error.strerror or error}", hint="check permissions and free space there"
        ) from error
