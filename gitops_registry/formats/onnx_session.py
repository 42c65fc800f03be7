"""Sessions of onnxruntime for graphs of others: few threads, bounded memory, nothing told to anybody."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

MOST_MEMORY = 8 << 30
"""Bytes that the sessions of a process may have between them."""
_MOST_THREADS = 4


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
