"""The child process that holds the engine: reads one job, answers line by line, and may be killed at any moment.

Run as a script with nothing of the package imported, so that it starts fast and holds nothing worth having. It limits its
own memory and processor time, also for each piece of work; what exceeds them ends it, and whoever started it knows by the
answers that are missing which piece it was. The first line says that the engine is there.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from types import ModuleType
from typing import Any

_LONGEST_TEXT = 20_000
_LONGEST_ERROR = 4_000
_LONGEST_CASE = 200_000
_MOST_ITEMS = 100
_DEEPEST_SHOWN = 20
_LARGEST_INTEGER = 1 << 63
_NOT_INSTALLED = 3


class _Refused(Exception):
    """Facts that cannot be handed to the engine."""


def main() -> None:
    """Answer the job on standard input: a line of where the engine is and what it may take, one of the work, then the facts."""
    start = json.loads(sys.stdin.buffer.readline())
    whole = math.ceil(start["total"])
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))
    resource.setrlimit(resource.RLIMIT_AS, (start["memory"], start["memory"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path[:0] = start["path"]
    try:
        from cel_expr_python import cel

        _import_messages()
    except ImportError as error:
        sys.stderr.write(str(error))
        sys.exit(_NOT_INSTALLED)
    env = _environment(cel, start["variables"])
    _tell(True)
    job, *texts = sys.stdin.buffer.read().split(b"\n")
    job = json.loads(job)

    @lru_cache(maxsize=32)
    def handed(at: int) -> Any:
        try:
            return _given(json.loads(texts[at]), start["moment"])
        except RecursionError:
            return _Refused("its facts are nested too deep")
        except (ValueError, OverflowError, _Refused) as error:
            return _Refused(f"its facts cannot be handed in: {error}")

    programs: dict[int, Any] = {}
    for piece in job["plan"]:
        _limit(start["seconds"])
        if isinstance(piece, int):
            programs[piece], told = _compiled(env, job["programs"][piece], piece in job["skip"])
            _tell(told)
        else:
            _tell([*_answers(cel, env, programs, piece, handed, is_careful=job["careful"])])
    signal.setitimer(signal.ITIMER_PROF, 0)


def _import_messages() -> None:
    """Import the messages that moments and durations are handed over as; later would be too late to say that they lack.

    protobuf imports its implementation in Python also where it uses the one in C: half of what the start of this process
    takes. Where the other is there, an empty module stands in its place meanwhile.
    """
    name = "google.protobuf.internal.python_message"
    try:
        from google._upb import _message  # noqa: F401
    except ImportError:
        name = ""
    if name:
        sys.modules[name] = ModuleType(name)
    try:
        from google.protobuf import duration_pb2, timestamp_pb2  # noqa: F401
    finally:
        sys.modules.pop(name, None)


def _environment(cel: Any, variables: dict[str, str]) -> Any:
    from cel_expr_python.ext import ext_math, ext_strings

    kind = cel.Type
    kinds = {"map": kind.Map(kind.STRING, kind.DYN), "dyn": kind.DYN, "timestamp": kind.TIMESTAMP}
    of_map = cel.Overload("keys_map", kind.List(kind.DYN), [kind.Map(kind.DYN, kind.DYN)], False, _keys)
    return cel.NewEnv(
        variables={name: kinds[what] for name, what in variables.items()},
        extensions=[ext_strings.ExtStrings(), ext_math.ExtMath()],
        functions=[cel.FunctionDecl("keys", [of_map])],
    )


def _keys(mapping: dict[Any, Any]) -> list[Any]:
    """Return the keys of a map in order: the engine has them in another each time."""
    return sorted(mapping, key=lambda key: (type(key).__name__, key))


def _limit(seconds: float) -> None:
    """End this process unless the piece of work that starts now takes less processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _tell(data: Any) -> None:
    """Say it at once: what is still held back when this process is ended was never said."""
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


def _compiled(env: Any, text: str, is_skipped: bool) -> tuple[Any, list[str]]:
    """Return a program, and its type or its trouble; one that ended an earlier process is not tried again."""
    if is_skipped:
        return None, ["", "is more than can be compiled"]
    try:
        program = env.compile(text)
        return program, [program.return_type().name()]
    except MemoryError:
        raise
    except Exception as error:
        return None, ["", str(error)[:_LONGEST_ERROR]]


def _answers(
    cel: Any, env: Any, programs: Any, case: Any, handed: Any, *, is_careful: bool
) -> Iterator[tuple[str, Any]]:
    facts, params = handed(case["facts"]), handed(case["params"])
    refused = next((one for one in (facts, params) if isinstance(one, _Refused)), None)
    data = {} if refused else {**facts, "params": params, "variables": {}}
    is_true: list[bool] = []
    room = _LONGEST_CASE
    for program, keep, unless, is_wanted in case["steps"]:
        answer: tuple[str, Any] = ("", None)
        if programs[program] is not None and (unless is None or not is_true[unless]):
            answer = ("error", str(refused)) if refused else _evaluated(cel, env, programs[program], data, keep)
        is_true.append(answer == ("bool", True))
        if keep and not is_wanted and answer[0] != "error":
            answer = (answer[0], None)
        left = [min(room, _LONGEST_TEXT)]
        room -= left[0]
        answer = (answer[0], _shown(answer[1], left, 0))
        room += left[0]
        if is_careful:
            _tell(answer)
        yield answer


def _evaluated(cel: Any, env: Any, program: Any, data: Any, keep: str) -> tuple[str, Any]:
    try:
        found = program.eval(env.Activation(data))
        kind = found.type()
        if kind == cel.Type.ERROR:
            return "error", str(found.value())[:_LONGEST_ERROR]
        if kind == cel.Type.UNKNOWN:
            return "error", "is not known"
        plain = found.plain_value()
        if keep:
            data["variables"][keep] = _given(plain)
        return kind.name().lower(), plain
    except MemoryError:
        raise
    except RecursionError:
        return "error", "is nested too deep"
    except Exception as error:
        return "error", str(error)[:_LONGEST_ERROR]


def _shown(value: Any, left: list[int], depth: int) -> Any:
    """Return a value as JSON can say it, within what is left of characters; the rest is cut, for it is only shown."""
    left[0] -= 1
    if isinstance(value, bool | None):
        return value
    if isinstance(value, dict | list | tuple) and depth < _DEEPEST_SHOWN:
        if isinstance(value, dict):
            ordered = sorted(
                value.items(), key=lambda item: str(item[0])
            )  # the engine has them in another order each time
            return dict(_shown_items(ordered, left, depth))
        return [item for _, item in _shown_items([("", item) for item in value[: _MOST_ITEMS + 1]], left, depth)]
    if isinstance(value, dict | list | tuple):
        return "…"
    if isinstance(value, int | float) and abs(value) < _LARGEST_INTEGER:
        left[0] -= 20
        return value
    if isinstance(value, datetime):
        text = value.isoformat()
    else:
        text = f"{value.total_seconds():g}s" if isinstance(value, timedelta) else str(value)
    told = text if len(text) <= max(left[0], 0) else text[: max(left[0] - 1, 0)] + "…"
    left[0] -= len(told)
    return told


def _shown_items(items: list[tuple[Any, Any]], left: list[int], depth: int) -> Iterator[tuple[str, Any]]:
    for at, (key, item) in enumerate(items):
        if at == _MOST_ITEMS or left[0] <= 0:
            yield "…", "…"
            return
        name = str(key)[:200]
        left[0] -= len(name)
        yield name, _shown(item, left, depth + 1)


def _given(value: Any, mark: str = "", path: str = "") -> Any:
    """Return a value as the engine takes it inside a map: moments and durations only as messages.

    A mapping whose only key is the mark is a moment. Raises _Refused for one that is beyond the engine's first or last.
    """
    if isinstance(value, dict):
        if mark and len(value) == 1 and mark in value:
            try:
                return _given(datetime.fromisoformat(value[mark]))
            except (ValueError, OverflowError):
                raise _Refused(f"{path} is {value[mark]}, which is no moment in UTC") from None
        return {key: _given(item, mark, f"{path}.{key}" if path else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_given(item, mark, f"{path}[{at}]") for at, item in enumerate(value)]
    if not isinstance(value, datetime | timedelta):
        return value
    from google.protobuf import duration_pb2, timestamp_pb2

    if isinstance(value, datetime):
        moment = timestamp_pb2.Timestamp()
        moment.FromDatetime(value)
        return moment
    length = duration_pb2.Duration()
    length.FromTimedelta(value)
    return length


if __name__ == "__main__":
    main()
