"""Text of a version on its way into Markdown: it stays text, or the Markdown of its writer, and never becomes markup of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import category

_ESCAPED = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_[]<>|#&~"})
_KANA, _HANGUL, _HAN = re.compile("[\u3040-\u30ff]"), re.compile("[\uac00-\ud7af]"), re.compile("[\u3400-\u9fff]")
_LATIN = re.compile("[A-Za-z]{2}")
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})(.*)$")
_HEADING = re.compile(r"^( {0,3})(?=#|(=+|-+)\s*$)")


def cell(value: Any) -> str:
    """Return a value as the text of one table cell: one line, no markup."""
    text = value if isinstance(value, str) else told(value)
    text = text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)
    return text.translate(_ESCAPED)


def told(value: Any) -> str:
    """Return a value as people write it: nothing of None, true and false in small letters, what a list holds with commas."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{told(key)}: {told(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(told(item) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def prose_text(value: str) -> str:
    """Return people's words as they wrote them, without HTML: Markdown is theirs to use, tags are not.

    Nor are headings, which would look like ours, or a code block without an end, which would swallow what follows.
    """
    shown, fence = [], ""
    for line in value.split("\n"):
        text = line
        if not line.isprintable():
            text = "".join(sign if sign.isprintable() or sign == "\t" else " " for sign in line)
        mark = _FENCE.match(text)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) and not mark[2].strip() else fence
        elif mark:
            fence = mark[1]
        else:
            text = _HEADING.sub(r"\1\\", text)
        shown.append(text.replace("&", "&amp;").replace("<", "&lt;"))
    return "\n".join([*shown, *([fence] if fence else [])])


def metric_names(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the first metrics of groups, in order: a table on a card has no room for more."""
    return list(dict.fromkeys(name for group in groups for name in group["metrics"]))[:6]


def number(value: float) -> str:
    """Return a number with at most four decimals, or with six digits where that says nothing of it."""
    is_plain = value == 0 or 1e-4 <= abs(value) < 1e6
    return f"{value:.4f}".rstrip("0").rstrip(".") if is_plain else f"{value:.6g}"


def visible(text: str) -> str:
    """Return text of one or more lines without what cannot be seen: a mark that reorders it, a control character.

    Joiners stay, which Persian, Indic scripts and emoji are written with, and spaces of any width: Japanese has a wide one,
    French one that does not break.
    """
    if text.isprintable():
        return text
    return "".join(sign if _is_visible(sign) else "\ufffd" for sign in text.replace("\r\n", "\n"))


def _is_visible(sign: str) -> bool:
    return sign.isprintable() or sign in "\n\t\u200c\u200d" or category(sign) == "Zs"


def language_of(text: str, page: str) -> str:
    """Return the language that a reader of screens should speak a text in, which is on a page in the language `page`.

    Signs tell Japanese and Korean, and Latin letters on a page in a language without them; for all else it is the page's.
    """
    if _KANA.search(text):
        return "ja"
    if _HANGUL.search(text):
        return "ko"
    is_east = page.partition("-")[0] in {"ja", "zh", "ko"}
    if _HAN.search(text):
        return page if is_east else "zh"
    return "en" if is_east and _LATIN.search(text) else page
