"""The child process that renders a registry's own templates: reads what it may take and the templates, then one task a line.

Run as a script. It may be ended at any moment; whoever started it knows by the answers that are missing which task it was.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
from typing import IO, Any


def main() -> None:
    """Answer the tasks on standard input, a line each; the first line says that everything needed is there."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    start = json.loads(sys.stdin.buffer.readline())
    whole = math.ceil(start["total"])
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_AS, (start["memory"], start["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    sys.dont_write_bytecode = True
    sys.path += [entry for entry in start["path"] if entry not in sys.path]
    import jinja2.sandbox  # noqa: F401 - while a file may still be opened, and before the clock runs

    from gitops_registry.card.rendering import Templates

    templates = Templates(start["sources"], start["labels"], start["language"], frozenset(start["own"]))
    _tell(answers, True)
    for line in sys.stdin.buffer:
        signal.setitimer(signal.ITIMER_PROF, start["seconds"])
        _tell(answers, _answer(templates, json.loads(line)))
    signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(templates: Any, task: dict[str, Any]) -> dict[str, str]:
    from gitops_registry.card.rendering import compiled, rendered
    from gitops_registry.errors import RegistryError

    try:
        if "read" in task:
            compiled(task["read"], templates)
            return {"text": ""}
        name, content = task["render"], task["content"]
        return {"text": rendered(name, templates, content, html=task["html"], charts=task["charts"])}
    except RegistryError as error:
        return {"error": error.message}
    except MemoryError:
        return {"error": f"{task.get('read') or task.get('render')}: it takes more memory than it may"}
    except Exception as error:  # whatever a template makes of what it is given
        told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return {"error": f"{task.get('read') or task.get('render')}: {told}"}


def _tell(answers: IO[str], found: Any) -> None:
    answers.write(json.dumps(found) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
