"""What an unquoted word in a manifest means: text, a number, a truth value or nothing."""

from __future__ import annotations

import math
import re

MAX_DIGITS = 4300
"""Digits of a whole number: Python itself refuses to read or write longer ones."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?=\.?[0-9])(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for spelling in (word, word.capitalize(), word.upper())
}


def resolve(text: str) -> str | int | float | bool | None:
    """Return what an unquoted scalar means; not-a-number and infinities come back as such floats.

    The core schema of YAML 1.2 in decimal: `no`, `0012`, `0x1F`, `12:30:45` and `2026-01-01` are text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= MAX_DIGITS else math.nan
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return math.nan
    return text
