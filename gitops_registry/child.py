"""A child process and its pipes: it is told everything at once, heard within bounds, and never outlives who asked.

What it says is read as it comes, so that neither a flood nor silence stalls the parent or fills its memory.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import site
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_PIECE = 1 << 16
_LAST_WORDS = 4096
_GRACE = 10.0
"""Seconds in which a child that has closed its pipes has to end: Python needs some to clear up."""
_LOOK_AGAIN = 0.002


@dataclass(frozen=True)
class Ended:
    """What a child said, and how it ended: its code (negative for a signal) and the processor seconds that it took.

    `errors` is the last of its standard error. `is_late` and `is_long` say that it was ended, for time or for what it said.
    """

    output: bytes
    errors: bytes
    code: int
    seconds: float
    is_late: bool = False
    is_long: bool = False

    @property
    def last_words(self) -> str:
        """The last line of what it complained of, in signs that can be shown: what it worked on may have put anything there."""
        words = " ".join(self.errors.decode(errors="replace").strip().splitlines()[-1:])
        return "".join(sign if sign.isprintable() else "?" for sign in words[:200])

    def answers(self, is_answer: Callable[[int, Any], bool]) -> list[Any]:
        """Return its lines of JSON that were told whole, up to the first that is no answer as its place and value say."""
        found: list[Any] = []
        for line in self.output.split(b"\n")[:-1]:
            try:
                told = json.loads(line)
            except (ValueError, RecursionError):
                return found
            if not is_answer(len(found), told):
                return found
            found.append(told)
        return found


def talk(
    command: Sequence[str],
    told: bytes,
    *,
    until: float,
    longest: int,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    hears: Callable[[bytes], None] = lambda _: None,
) -> Ended:
    """Run a child with no environment but the one given and return what it says, at most `longest` bytes and until the
    moment `until` of `time.monotonic`; `hears` gets the pieces of it as they come. Whatever it has started itself ends
    with it, and so does a child that has closed its pipes and stays. Raises OSError where it cannot be started.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(environment or {}),
        cwd=folder, bufsize=0, process_group=0,
    )  # fmt: skip
    heard, is_late = _Heard(child, memoryview(told), longest, hears), False
    try:
        is_late = not heard.all(until)
    finally:  # also where somebody presses Ctrl-C
        is_hanging = heard.is_open
        heard.close()
        if is_hanging or not _has_ended(child.pid, min(until, time.monotonic() + _GRACE)):
            is_late = is_late or not is_hanging
            _end(child.pid)
        else:
            _end_group(child.pid)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime
    return Ended(bytes(heard.output), bytes(heard.errors), child.returncode, seconds, is_late, heard.is_long)


def _has_ended(pid: int, until: float) -> bool:
    """Wait until a child that has nothing more to say has ended; false where it stays. It is not reaped, so its id is its own."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: there it is waited for
        return True
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _end(pid: int) -> None:
    """End a child, also one that has left its group, and whatever is in its group."""
    _end_group(pid)
    os.kill(pid, signal.SIGKILL)  # not Popen.kill(), which may take what wait4 is for


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is in it any more
        os.killpg(pid, signal.SIGKILL)


def ending(code: int) -> str:
    """Return the name of the signal that ended a child; signals without a name have a number."""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def import_path() -> list[str]:
    """Return the folders that this process imports from, none of them in the current folder, and last that of this package.

    For a child that starts without any (`python -I -S`), so that no file that lies about is imported in it.
    """
    entries = [entry for entry in map(Path, sys.path) if entry.exists() and not is_here(entry)]
    return [*map(str, entries), str(Path(__file__).resolve().parents[1])]


def is_here(entry: Path) -> bool:
    """Whether a folder is the current one or in it, and not one that packages are installed in.

    `python -m` looks for packages where it is started, and that may be a checkout with a package of somebody's in it.
    """
    here, entry = Path.cwd().resolve(), entry.resolve()
    if entry == here or here == here.parent or not entry.is_relative_to(here):
        return entry == here
    installed = (sys.prefix, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else []))
    return not any(entry.is_relative_to(Path(folder).resolve()) for folder in installed)


class _Heard:
    """The three pipes of a child."""

    def __init__(
        self, child: subprocess.Popen[bytes], told: memoryview, longest: int, hears: Callable[[bytes], None]
    ) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self.output, self.errors = bytearray(), bytearray()
        self._told, self._longest, self._hears = told, longest, hears
        self._in, self._out, self._pipes = child.stdin, child.stdout, (child.stdin, child.stdout, child.stderr)
        self._selector = selectors.DefaultSelector()
        for pipe in self._pipes:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_WRITE if pipe is self._in else selectors.EVENT_READ)

    @property
    def is_long(self) -> bool:
        """Whether it said more than it may."""
        return len(self.output) > self._longest

    @property
    def is_open(self) -> bool:
        """Whether it may have more to say."""
        return any(pipe is not self._in and not pipe.closed for pipe in self._pipes)

    def all(self, until: float) -> bool:
        """Listen until it has said everything, or too much; false where it is too late for that."""
        while self.is_open and not self.is_long:
            rest = until - time.monotonic()
            if rest <= 0:
                return False
            for key, _ in self._selector.select(rest):
                assert not isinstance(key.fileobj, int)
                if key.fileobj is self._in:
                    self._tell()
                else:
                    self._hear(key.fd)
        return True

    def _tell(self) -> None:
        try:
            self._told = self._told[os.write(self._in.fileno(), self._told[:_PIECE]) :]
        except BrokenPipeError:  # it ended before it had read everything
            self._told = self._told[:0]
        if not self._told:
            self._end(self._in)

    def _hear(self, number: int) -> None:
        pipe = next(pipe for pipe in self._pipes if not pipe.closed and pipe.fileno() == number)
        piece = os.read(number, _PIECE)
        if not piece:
            self._end(pipe)
        elif pipe is self._out:
            self.output += piece
            self._hears(piece)
        else:
            self.errors = (self.errors + piece)[-_LAST_WORDS:]

    def _end(self, pipe: IO[bytes]) -> None:
        self._selector.unregister(pipe)
        pipe.close()

    def close(self) -> None:
        """Close what is open."""
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()
