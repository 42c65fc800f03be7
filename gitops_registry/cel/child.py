"""A child process and its pipes: it is told everything at once, heard within bounds, and never outlives who asked.

What it says is read as it comes, so that neither a flood nor silence stalls the parent or fills its memory.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

_PIECE = 1 << 16
_LAST_WORDS = 4096


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


def talk(command: Sequence[str], told: bytes, *, until: float, longest: int) -> Ended:
    """Run a child with no environment and return what it says, at most `longest` bytes and until the moment `until` of
    `time.monotonic`. Raises OSError where it cannot be started.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={}, bufsize=0
    )
    heard = _Heard(child, memoryview(told), longest)
    try:
        is_late = not heard.all(until)
    finally:  # also where somebody presses Ctrl-C
        if heard.is_open:
            os.kill(child.pid, signal.SIGKILL)  # not child.kill(), which may take what wait4 is for
        heard.close()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    seconds = used.ru_utime + used.ru_stime
    return Ended(bytes(heard.output), bytes(heard.errors), child.returncode, seconds, is_late, heard.is_long)


class _Heard:
    """The three pipes of a child."""

    def __init__(self, child: subprocess.Popen[bytes], told: memoryview, longest: int) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self.output, self.errors = bytearray(), bytearray()
        self._told, self._longest = told, longest
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
