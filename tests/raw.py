"""A push spoken by hand: what git's own client never says to a server, such as a false word of where a ref is now."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

ZERO = "0" * 40


def _line(text: bytes) -> bytes:
    return f"{len(text) + 4:04x}".encode() + text


def receive(command: Sequence[str], git_dir: Path, updates: Sequence[tuple[str, str, str]], **how: object) -> str:
    """Push updates (`ref, old, new`, the old as we like to put it) to a `git receive-pack`, and return what it answers.

    All objects that the new ones need go along, whatever the server has.
    """
    news = sorted({new for _, _, new in updates if new != ZERO})
    objects = ["git", f"--git-dir={git_dir}", "pack-objects", "--revs", "--stdout", "--quiet"]
    pack = subprocess.run(objects, input="\n".join([*news, ""]).encode(), capture_output=True, check=True).stdout
    said = b""
    for at, (ref, old, new) in enumerate(updates):
        said += _line(f"{old} {new} {ref}".encode() + (b"\0report-status quiet" if not at else b""))
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **how,  # type: ignore[call-overload]
    ) as process:
        answer, errors = process.communicate(said + b"0000" + (pack if news else b""), timeout=600)
    return (answer + errors).decode(errors="replace")
