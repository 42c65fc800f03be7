"""Templates and content to text: Jinja in a sandbox, where an unknown name is an error and HTML is escaped.

Nothing is looked up but what is handed in, so the same templates, labels and content give the same bytes anywhere. How much
a template may take is not limited here: templates of a registry's own are rendered by whoever limits them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from gitops_registry.card.escaping import cell, language_of, metric_names, number, prose_text, told, visible
from gitops_registry.card.words import PROSE, REQUIRED
from gitops_registry.errors import RegistryError

if TYPE_CHECKING:
    from jinja2 import Environment

    from gitops_registry.card.content import Content

MARKDOWN, PAGE, BODY = "card.md.j2", "card.html.j2", "card_body.html.j2"
"""The templates of the committed card, of a page, and of what stands below the title of a page."""
RENDERING = 1
"""Goes up with every change here that gives other bytes for the same template: the digest on a card says so too."""
LARGEST = 1 << 20
"""Signs that one card may have."""
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_BLANK_LINES = re.compile(r"\n{3,}")
_STAMP = re.compile(rb"<!-- card template sha256:([0-9a-f]{64}) -->\n?\Z")


@dataclass(frozen=True)
class Templates:
    """Every template there is, by name, with the labels of one language. `own` are those that a registry wrote itself."""

    sources: Mapping[str, str]
    labels: Mapping[str, str]
    language: str = "en"
    own: frozenset[str] = frozenset()

    def is_own(self, name: str) -> bool:
        """Whether rendering a template may run what a registry wrote: it, or another one that it can include."""
        return any(_kind(one) == _kind(name) for one in self.own)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of all that decides on what a template makes of a content: templates, labels that they name, and
        the language.
        """
        return self._digests[_kind(name)]

    @cached_property
    def _digests(self) -> dict[str, str]:
        kinds = {_kind(name) for name in self.sources}
        return {kind: self._digest(kind) for kind in kinds}

    def _digest(self, kind: str) -> str:
        sources = {name: text for name, text in self.sources.items() if _kind(name) == kind}
        asked = {*PROSE, *(name for text in sources.values() for name in _NAME.findall(text))}
        labels = {name: text for name, text in sorted(self.labels.items()) if name in asked}
        written = json.dumps([RENDERING, self.language, labels, dict(sorted(sources.items()))], ensure_ascii=False)
        return hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()


def _kind(name: str) -> str:
    """`card_body.html.j2` → `html`."""
    return name.removesuffix(".j2").rpartition(".")[2]


def stamped(text: str, templates: Templates) -> bytes:
    """Return rendered Markdown as it is committed."""
    tidy = _BLANK_LINES.sub("\n\n", text).strip()
    return f"{tidy}\n\n<!-- card template sha256:{templates.digest(MARKDOWN)} -->\n".encode("utf-8", "replace")


def template_of(card: bytes) -> str:
    """Return the digest of the template that a committed card says it was rendered by; empty where it says none."""
    found = _STAMP.search(card[-100:])
    return found[1].decode() if found else ""


def rendered(
    name: str, templates: Templates, content: Content,
    *, html: Mapping[str, str] | None = None, charts: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Return what a template makes of a content. Raises RegistryError, in one line, where it is wrong or says too much."""
    from jinja2 import TemplateError
    from markupsafe import Markup

    safe = {
        "html": {field: Markup(text) for field, text in (html or {}).items()},  # noqa: S704 - made by `prose`
        "charts": {section: Markup(text) for section, text in (charts or {}).items()},  # noqa: S704
    }
    told = {**content, **_told_to(templates, content), **safe}
    try:
        template = _environment(name, templates).get_template(name)
        return _bounded(name, template.generate(told)) if templates.is_own(name) else template.render(told)
    except (
        TemplateError,
        TypeError,
        ValueError,
        ArithmeticError,
        LookupError,
        AttributeError,
        RecursionError,
    ) as error:
        raise RegistryError(f"{name}{_line_of(error, name)}: {_told(error)}", hint=HINT) from error


def _bounded(name: str, pieces: Iterator[str]) -> str:
    """Return pieces as one text, as long as they are not too much together."""
    found, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > LARGEST:
            raise RegistryError(f"{name} writes more than {LARGEST >> 20} MB", hint=HINT)
        found.append(piece)
    return "".join(found)


def compiled(name: str, templates: Templates) -> None:
    """Raise RegistryError where a template cannot be read as one. Nothing of it is run."""
    from jinja2 import TemplateError

    try:
        _environment(name, templates).parse(templates.sources[name], name)
    except (TemplateError, RecursionError) as error:
        raise RegistryError(f"{name}{_line_of(error, name)}: {_told(error)}", hint=HINT) from error


HINT = "correct it in cards/templates, or remove it there: the packaged one takes its place"


def _told_to(templates: Templates, content: Content) -> dict[str, Any]:
    """Return what a template is told beside the content: labels, language, and the words once more, by field and in order."""
    words = {field: content[field].strip() for field in PROSE}
    return {"labels": templates.labels, "language": templates.language, "words": words, "needed": REQUIRED}


_environments: dict[str, Environment] = {}
"""What is compiled, by the digest of its templates."""
_MOST_KEPT = 8


def _environment(name: str, templates: Templates) -> Environment:
    digest = templates.digest(name)
    if digest not in _environments:
        if len(_environments) >= _MOST_KEPT:
            _environments.clear()
        _environments[digest] = _new_environment(templates, is_html=_kind(name) == "html")
    return _environments[digest]


def _new_environment(templates: Templates, *, is_html: bool) -> Environment:
    from jinja2 import DictLoader, StrictUndefined

    kind = "html" if is_html else "md"
    environment: Environment = _sandbox()(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=is_html,
        finalize=_shown if is_html else None, auto_reload=False,
        loader=DictLoader({name: text for name, text in templates.sources.items() if _kind(name) == kind}),
    )  # fmt: skip
    environment.globals = {
        "range": environment.globals["range"],
        "dict": dict,
        "namespace": environment.globals["namespace"],
    }
    filters: dict[str, Callable[..., Any]] = {"number": number, "metric_names": metric_names, "day": _day}
    if is_html:
        filters["told"] = told
        filters["spoken"] = lambda text: language_of(str(text), templates.language)
    else:
        filters |= {"cell": cell, "text": prose_text}
    environment.filters.update(filters)
    return environment


@lru_cache(maxsize=1)
def _sandbox() -> type[Environment]:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class OfData(ImmutableSandboxedEnvironment):
        """Looks into plain data first: most of what a card costs is looking for attributes that dicts do not have."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            return obj[attribute] if type(obj) is dict and attribute in obj else super().getattr(obj, attribute)

    return OfData


def _shown(value: Any) -> Any:
    """What a page shows of a value: nothing of None, and no mark that cannot be seen."""
    if value is None:
        return ""
    return visible(value) if type(value) is str else value


def _day(moment: str) -> str:
    """`2026-11-22T10:00:00Z` → `2026-11-22`."""
    return moment[:10]


def _line_of(error: BaseException, name: str) -> str:
    """Return the line of a template that an error is about, as `:3`; empty where nothing says it."""
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in {"<template>", name}:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f":{line}" if line else ""


def _told(error: BaseException) -> str:
    """Return what an error says, as one line."""
    if isinstance(error, RecursionError):
        return "is nested too deep"
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in text[:200])
