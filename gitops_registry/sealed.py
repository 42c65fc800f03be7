"""Files in the git directory in which commands remember what they found, each closed by a seal.

The seal names this package to the letter and what it works with. A file that is missing, of another version, damaged or too large
is as good as none. It keeps nobody out who may write into the git directory, as they may write git's own configuration there:
what is remembered is shown or saves work, and no decision reads it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
from functools import lru_cache
from pathlib import Path

_LARGEST = 1 << 26
_DAY = 86_400


def load(file: Path) -> bytes:
    """Return what was kept in a file; nothing where it is not exactly what this version of the package wrote there."""
    try:
        if file.stat().st_size > _LARGEST:
            return b""
        seal, _, held = file.read_bytes().partition(b"\n")
    except OSError:
        return b""
    return held if seal == _seal(file.name, held) else b""


def save(file: Path, held: bytes) -> None:
    """Write a file whole, with its seal. Raises OSError where nothing may be written."""
    for leftover in file.parent.glob(f"{file.name}.*.new"):  # of a check that was killed as it wrote
        if time.time() - leftover.stat().st_mtime > _DAY:
            leftover.unlink(missing_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(16)}.new")
    try:
        draft.write_bytes(_seal(file.name, held) + b"\n" + held)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


def _seal(name: str, held: bytes) -> bytes:
    digest = hashlib.sha256(_rules() + name.encode() + b"\0")
    digest.update(held)
    return digest.hexdigest().encode()


@lru_cache(maxsize=1)
def _rules() -> bytes:
    """Return a digest of everything here that makes a verdict: this package to the letter, and what reads and renders."""
    from importlib.metadata import version

    digest = hashlib.sha256(sys.version.encode())
    for name in ("cel-expr-python", "jinja2", "pydantic", "pydantic_core", "PyYAML", "ruamel.yaml"):
        digest.update(f"{name} {version(name)}\n".encode())
    root = Path(__file__).parent
    for folder, names, files in os.walk(root):
        names.sort()
        for file in sorted(files):
            if file.endswith((".py", ".j2", ".yaml")):
                path = Path(folder) / file
                digest.update(f"{path.relative_to(root)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()
