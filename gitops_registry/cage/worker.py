"""The child process that opens models: reads where it may look and what it may take, then one task a line, and answers so.

Run as a script. What libraries print goes to standard error, so that nothing but answers is on standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from typing import IO, Any


def main() -> None:
    """Answer the tasks on standard input; the first line that is answered says that everything needed is there."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    start = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (start["memory"], start["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.dont_write_bytecode = True
    tempfile.tempdir = "/nonexistent"  # torch asks for one when it is imported, and Python tries by writing
    sys.path += [entry for entry in start["path"] if entry not in sys.path]
    from gitops_registry.cage.examination import examined
    from gitops_registry.errors import RegistryError
    from gitops_registry.formats.loaded import Unopened

    _tell(answers, True)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, start["seconds"])
        try:
            found = examined(json.loads(line))
        except RegistryError as error:
            found = {"error": error.message, "hint": error.hint, "unopened": isinstance(error, Unopened)}
        except MemoryError:
            found = {
                "error": f"it needs more than {start['memory'] >> 20} MB",
                "hint": "measure it on a larger machine",
            }
        except Exception as error:  # whatever a library makes of a file; the process is about to end, or goes on
            found = {
                "error": f"it failed: {type(error).__name__}: {str(error)[:200]}",
                "hint": "the model may be damaged",
            }
        _tell(answers, found)
    signal.setitimer(signal.ITIMER_PROF, 0)


def _tell(answers: IO[str], found: Any) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
