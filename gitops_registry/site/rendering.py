"""Pages from data: templates of this package alone, which escape everything, and what may stand in a page.

No text of the registry becomes markup: it is escaped, its control and direction marks are made visible, and no page runs a
script that is not a file of the site.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from gitops_registry.card.escaping import visible
from gitops_registry.drawing import Picture
from gitops_registry.site import views
from gitops_registry.site.pages import Page

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
"""No script, style or picture but the site's own files, and no address that a page could send anything to."""
_BLANK = re.compile(r"\n\s*\n+")
_LONGEST = 20_000
"""As many signs of one text as stand on a page; what people write into a card has a limit of its own."""


def page_html(
    page: Page, data: Mapping[str, Any], drawn: Mapping[str, str], body: str, site: Mapping[str, Any]
) -> bytes:
    """Return a page. `drawn` are its charts (see `chart`) by where they stand, `body` a card as safe HTML; `site` is what all
    pages know: title, language, words.
    """
    charts = {place: Markup(one) for place, one in drawn.items()}  # noqa: S704 - made by `chart`
    safe = Markup(body)  # noqa: S704 - made by the templates of cards, which escape
    template = _environment().get_template(f"{page.template}.html.j2")
    text = template.render(page=page, data=data, charts=charts, body=safe, csp=CSP, **site)
    return (_BLANK.sub("\n", text).strip() + "\n").encode("utf-8", "replace")


def chart(picture: Picture, svg: str, words: Mapping[str, str]) -> str:
    """Return a chart as it stands in a page: the drawing, and what a script needs to draw it again, livelier."""
    rows = escape(json.dumps(list(picture.rows), ensure_ascii=False))
    button = f'<button type="button" class="livelier" hidden>{escape(words["interactive"])}</button>'
    return f'<div class="picture" data-kind="{picture.kind}" data-rows="{rows}">{svg}{button}</div>'


def page_json(data: Mapping[str, Any]) -> bytes:
    """Return what a page shows as JSON in UTF-8."""
    return (json.dumps(data, ensure_ascii=False, indent=1, default=str) + "\n").encode("utf-8", "replace")


def made_by(*more: str) -> str:
    """Return a digest of this program, its templates, and of whatever else pages are made by."""
    told = hashlib.sha256(repr(more).encode())
    package = Path(__file__).parents[1]
    for file in sorted(file for kind in ("py", "j2", "yaml", "css", "js") for file in package.rglob(f"*.{kind}")):
        told.update(file.relative_to(package).as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return told.hexdigest()


def asset(name: str) -> str:
    """Return the text of a file of the site that is the same for every registry."""
    return _read(name)


def _folder() -> Any:
    return resources.files("gitops_registry") / "templates" / "site"


def _read(name: str) -> str:
    return str((_folder() / name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_read), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        finalize=_visible,
    )  # fmt: skip
    environment.filters.update(
        number=_number, day=_day, minute=_minute, short=views.shortened, points=views.sparkline, json=_json
    )
    return environment


def _visible(value: Any) -> Any:
    """Return a text as it may stand on a page: marks that cannot be seen, or that turn the direction of what follows, shown."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return "" if value is None else value
    return visible(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")


def _json(value: Any) -> Markup:
    return escape(json.dumps(value, ensure_ascii=True))  # whole, however long


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{Decimal(value):.6g}"
    return f"{value:.4f}".rstrip("0").rstrip(".") if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.4g}"


def _day(moment: str) -> str:
    return str(moment)[:10]


def _minute(moment: str) -> str:
    return str(moment)[:16].replace("T", " ")
