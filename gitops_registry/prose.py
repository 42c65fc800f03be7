"""Markdown that people wrote as HTML that is safe on a page of ours, whatever they wrote.

Two readers stand between: markdown-it makes no tag but its own, for HTML is off, and nh3 lets through those that are listed
here, with links to https and mailto and nothing else that a browser would fetch or run. Work and length are bounded.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gitops_registry.card.escaping import visible
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from nh3 import Cleaner

LONGEST = 20_000
"""Signs of one text that are shown; a card that people read has fewer."""
_MOST_LINES = 2_000
_TAGS = frozenset({
    "p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "h2", "h3", "h4", "h5", "h6",
    "table", "thead", "tbody", "tr", "th", "td", "div",
})  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "div": {"class", "tabindex"}}
_SCHEMES = frozenset({"https", "mailto"})
_ROOM = '<div class="scroll" tabindex="0">\n<table>\n'
"""What a table stands in, which may be wider than a small screen: it is moved on its own, by keyboard too."""
_DEEPEST = 12
_MARKS = re.compile(r"[*_~`\[\]!<>&]{200,}")
"""Runs of marks that mean nothing and cost a reader of Markdown more than their length."""
_INSTALL = "pip install 'gitops-registry[site]'"


def safe_html(markdown: str, *, below: int = 2, shortened: str = "Shortened.") -> str:
    """Return Markdown as safe HTML, its headings under a heading of level `below`; empty for nothing.

    A text longer than `LONGEST` signs ends there, with the sentence `shortened` behind it. Images are their alternative text. Raises
    RegistryError where markdown-it-py or nh3 is not installed.
    """
    if not markdown.strip():
        return ""
    text, is_cut = _bounded(markdown)
    made = _cleaned(_reader().render(visible(text), {"below": below}))
    return made + (f"<p><em>{_cleaned(_escaped(shortened))}</em></p>\n" if is_cut else "")


def _bounded(markdown: str) -> tuple[str, bool]:
    """Return as much of a text as is shown, cut at the end of a line where there is one near, and whether it was cut."""
    text = markdown[:LONGEST]
    lines = text.split("\n", _MOST_LINES)
    is_cut = len(markdown) > LONGEST or len(lines) > _MOST_LINES
    text = "\n".join(lines[:_MOST_LINES])
    if is_cut and (end := text.rfind("\n")) > LONGEST // 2:
        text = text[:end]
    return _MARKS.sub(lambda match: match[0][:200], text), is_cut


@lru_cache(maxsize=1)
def _reader() -> MarkdownIt:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise RegistryError("pages need markdown-it-py, which is not installed", hint=_INSTALL) from error
    reader = MarkdownIt("commonmark", {"html": False, "linkify": False, "maxNesting": _DEEPEST}).enable(
        ["table", "strikethrough"]
    )
    reader.add_render_rule("image", _alternative)
    reader.add_render_rule("heading_open", _heading)
    reader.add_render_rule("heading_close", _heading)
    reader.add_render_rule("table_open", lambda *_: _ROOM)
    reader.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return reader


def _alternative(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    return _escaped(renderer.renderInlineAsText(tokens[at].children or [], options, env))


def _heading(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    """Return a heading that stands under the page's own, however high somebody wrote it."""
    del renderer, options
    level = min(int(tokens[at].tag[1:]) + env["below"], 6)
    return f"<h{level}>" if tokens[at].nesting == 1 else f"</h{level}>\n"


def _escaped(text: str) -> str:
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&#39;")
    )


def _cleaned(html: str) -> str:
    return _cleaner().clean(html)


@lru_cache(maxsize=1)
def _cleaner() -> Cleaner:
    try:
        import nh3
    except ImportError as error:
        raise RegistryError("pages need nh3, which is not installed", hint=_INSTALL) from error
    return nh3.Cleaner(
        tags=set(_TAGS), attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()}, url_schemes=set(_SCHEMES),
        url_relative="deny", link_rel="noopener noreferrer nofollow",
    )  # fmt: skip
