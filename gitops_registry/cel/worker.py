"""The child process that holds the engine: reads one job, answers line by line, and may be killed at any moment.

Run as a script with nothing of the package imported, so that it starts fast and holds nothing worth having. It limits its
own memory and, for each piece of work, its own processor time; what exceeds them ends it, and whoever started it knows by the
answers that are missing which piece it was.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from datetime import datetime, timedelta
from typing import Any

_LONGEST_TEXT = 20_000
_LARGEST_INTEGER = 1 << 63


def main() -> None:
    """Answer the job on standard input: a line of where the engine is and what it may take, then the work."""
    start = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (start["memory"], start["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path[:0] = start["path"]
    from cel_expr_python import cel
    from cel_expr_python.ext import ext_math, ext_strings

    job = {**start, **json.loads(sys.stdin.buffer.read(), object_hook=_moments(start["moment"]))}
    any_map = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    kinds = {"map": any_map, "dyn": cel.Type.DYN, "timestamp": cel.Type.TIMESTAMP}
    variables = {name: kinds[kind] for name, kind in job["variables"].items()}
    env = cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings(), ext_math.ExtMath()])
    programs = [_compiled(env, at, text, job) for at, text in enumerate(job["programs"])]
    for case in job["cases"]:
        _limit(job["seconds"])
        _tell([*_answers(cel, env, programs, job["facts"][case["facts"]], case, is_careful=job["careful"])])
    signal.setitimer(signal.ITIMER_PROF, 0)
    sys.stdout.flush()


def _limit(seconds: float) -> None:
    """End this process unless the piece of work that starts now takes less processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _tell(data: Any, *, at_once: bool = False) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    if at_once:
        sys.stdout.flush()


def _compiled(env: Any, at: int, text: str, job: Any) -> Any:
    """Compile one program and tell its type, or its trouble; one that ended an earlier process is not tried again."""
    if at in job["skip"]:
        _tell(["", "is more than can be compiled"], at_once=True)
        return None
    _limit(job["seconds"])
    try:
        program = env.compile(text)
    except Exception as error:
        _tell(["", str(error)[:_LONGEST_TEXT]], at_once=True)
        return None
    _tell([program.return_type().name()], at_once=True)
    return program


def _answers(cel: Any, env: Any, programs: Any, facts: Any, case: Any, *, is_careful: bool) -> Any:
    data = {**facts, "params": case["params"], "variables": {}}
    is_true: list[bool] = []
    for program, keep, unless in case["steps"]:
        answer: tuple[str, Any] = ("", None)
        if programs[program] is not None and (unless is None or not is_true[unless]):
            answer = _evaluated(cel, env, programs[program], data, keep)
        is_true.append(answer == ("bool", True))
        if is_careful:
            _tell(answer, at_once=True)
        yield answer


def _evaluated(cel: Any, env: Any, program: Any, data: Any, keep: str) -> tuple[str, Any]:
    try:
        found = program.eval(env.Activation(data))
        kind = found.type()
        if kind == cel.Type.ERROR:
            return "error", str(found.value())[:_LONGEST_TEXT]
        if kind == cel.Type.UNKNOWN:
            return "error", "is not known"
        plain = found.plain_value()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        return "error", str(error)[:_LONGEST_TEXT]
    if keep:
        data["variables"][keep] = _given(plain)
    return kind.name().lower(), _shown(plain)


def _shown(value: Any) -> Any:
    """Return a value as JSON can say it; what is long is cut, for it is only shown."""
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _LARGEST_INTEGER else str(value)
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: str(item[0]))  # the engine has them in another order each time
        return {str(key)[:200]: _shown(item) for key, item in ordered[:100]}
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value[:100]]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return str(value)[:_LONGEST_TEXT]


def _moments(mark: str) -> Any:
    return lambda found: _given(datetime.fromisoformat(found[mark])) if mark in found else found


def _given(value: Any) -> Any:
    """Return a value as the engine takes it inside a map: moments and durations only as messages."""
    from google.protobuf import duration_pb2, timestamp_pb2

    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_given(item) for item in value]
    if isinstance(value, datetime):
        moment = timestamp_pb2.Timestamp()
        moment.FromDatetime(value)
        return moment
    if isinstance(value, timedelta):
        length = duration_pb2.Duration()
        length.FromTimedelta(value)
        return length
    return value


if __name__ == "__main__":
    main()
