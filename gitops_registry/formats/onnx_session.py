"""Sessions of onnxruntime for graphs of others: few threads, bounded memory, runs that end, nothing told to anybody."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

MOST_MEMORY = 8 << 30
"""Bytes that the sessions of a process may have between them."""
MOST_SECONDS = 60.0
"""How long one run may take, and `_SECONDS_A_ROW` more for each row: the slowest honest models need a tenth of that."""
_SECONDS_A_ROW = 0.01
_MOST_THREADS = 4
_LOOK_AGAIN = 0.5


def session_of(data: bytes) -> Any:
    """Return a session that predicts with a graph on the CPU. Raises onnxruntime's own exceptions."""
    onnxruntime = _runtime()
    options = onnxruntime.SessionOptions()
    # A tree or linear model gains nothing from many threads, and a server runs several at once.
    options.intra_op_num_threads = min(_MOST_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")
    options.add_session_config_entry("session.use_env_allocators", "1")
    return onnxruntime.InferenceSession(data, sess_options=options, providers=["CPUExecutionProvider"])


def run(session: Any, names: Sequence[str], feed: Mapping[str, Any], *, rows: int) -> Any:
    """Return what a session answers, which is told to stop after a time that grows with the rows (`is_late`).

    It stops between two operators, so also in an endless loop, but not within one. Raises onnxruntime's own exceptions.
    """
    options = _runtime().RunOptions()
    with _WATCH.over(options, MOST_SECONDS + rows * _SECONDS_A_ROW):
        return session.run(list(names), dict(feed), options)


@lru_cache(maxsize=1)
def _runtime() -> Any:
    """Return onnxruntime with its telemetry off: it would note every session in the user's cache and send it away.

    Its sessions here share one arena, so that a small graph that asks for a flood of memory does not get it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    place = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    as_requested = onnxruntime.OrtArenaCfg({"max_mem": MOST_MEMORY, "arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(place, as_requested)
    return onnxruntime


def is_too_much(error: Exception) -> bool:
    """Whether a session was refused memory beyond what it may have."""
    return "Available memory of" in str(error)


def is_late(error: Exception) -> bool:
    """Whether a run was told to stop because it took too long."""
    return "due to terminate flag" in str(error)


class _Watch:
    """One thread that looks at the runs of this process now and then; there is none while nothing runs.

    A timer for each run would cost several times what a prediction of one row does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None

    def over(self, options: Any, seconds: float) -> _Watched:
        """Return a context in which the options' run is ended once that many seconds have gone by."""
        return _Watched(self, options, seconds)

    def begin(self, options: Any, seconds: float) -> None:
        with self._lock:
            self._running[id(options)] = (time.monotonic() + seconds, options)
            if self._thread is None or not self._thread.is_alive():  # after a fork it is not
                self._thread = threading.Thread(target=self._look, name="onnx-watch", daemon=True)
                self._thread.start()

    def end(self, options: Any) -> None:
        with self._lock:
            del self._running[id(options)]

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_AGAIN)
            with self._lock:
                for until, options in self._running.values():
                    if time.monotonic() > until:
                        options.terminate = True
                if not self._running:
                    self._thread = None
                    return


class _Watched:
    def __init__(self, watch: _Watch, options: Any, seconds: float) -> None:
        self._watch, self._options, self._seconds = watch, options, seconds

    def __enter__(self) -> None:
        self._watch.begin(self._options, self._seconds)

    def __exit__(self, *_: object) -> None:
        self._watch.end(self._options)


_WATCH = _Watch()
