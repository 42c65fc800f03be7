"""`python -m gitops_registry`, `gitops-registry` and `git registry`."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_interrupts: list[int] = []
"""The interrupts that arrived: a library may turn one into an error of its own, and it stays an interrupt."""


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - the signature of a handler
    _interrupts.append(number)
    raise KeyboardInterrupt


def _unraisable(unraised: sys.UnraisableHookArgs) -> None:
    """Exit on an interrupt that arrives where Python could only print it; every write survives being killed."""
    if issubclass(unraised.exc_type, KeyboardInterrupt):
        sys.stderr.write("interrupted\n")
        os._exit(130)
    sys.__unraisablehook__(unraised)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.unraisablehook = _unraisable
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from gitops_registry.cli.main import INTERRUPTED, run

        code = run(was_interrupted=lambda: bool(_interrupts))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is done: what comes now interrupts nothing
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        os._exit(130)
    if code == INTERRUPTED:
        # Python turns its own exit code into a signal when the interrupt came inside an import's exec().
        sys.stdout.flush()
        os._exit(code)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
