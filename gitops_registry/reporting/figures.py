"""The figures of formats side by side: cells of a table, Markdown, and a chart as SVG.

Numbers have their unit in the heading, and the best of a column is marked by a sign, not by colour alone. The same figures
give the same text and, with the same versions of the drawing libraries, the same chart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gitops_registry.errors import RegistryError
from gitops_registry.manifest.figures import FormatFigures
from gitops_registry.reporting.markdown import code, escaped, row

COLUMNS = ("size", "save_ms", "load_ms", "predict_1_ms", "predict_100_ms")
"""What is better when it is less: bytes first, then milliseconds."""
WORDS: dict[str, dict[str, str]] = {
    "en": {
        "title": "Formats of {0}", "format": "format", "size": "size", "save_ms": "save", "load_ms": "load",
        "predict_1_ms": "predict 1 row", "predict_100_ms": "predict 100 rows", "agreement": "agreement", "bytes": "bytes",
        "best": "smallest or fastest", "left_out": "Not measured", "runs": "medians of {0} runs, each in a process of its own",
        "run": "one run in a process of its own",
    },
    "ja": {
        "title": "{0} の保存形式の比較", "format": "形式", "size": "サイズ", "save_ms": "保存", "load_ms": "読み込み",
        "predict_1_ms": "推論（1 行）", "predict_100_ms": "推論（100 行）", "agreement": "一致率", "bytes": "バイト",
        "best": "最小または最速", "left_out": "測定できなかった形式", "runs": "それぞれ別プロセスでの {0} 回の中央値",
        "run": "別プロセスでの 1 回の測定",
    },
}  # fmt: skip


def _words(language: str) -> dict[str, str]:
    """Return the words of a language, English ones of a language that has none here."""
    return WORDS.get(language, WORDS["en"])


_STAR = "★"
_INK, _FAINT, _BAR = "#24292f", "#d0d7de", "#3b7dd8"
_STYLE = (
    f'<style>@media (prefers-color-scheme: dark) {{ [fill="{_INK}"] {{ fill: #e6edf3 }} '
    f'[stroke="{_INK}"] {{ stroke: #e6edf3 }} [stroke="{_FAINT}"] {{ stroke: #3d444d }} }}</style>'
)
"""Turns what is dark on a light page into what is light on a dark one; the bars can be seen on both."""
_INSTALL = "pip install 'gitops-registry[charts]'"


def cells(figures: Sequence[FormatFigures], mark: str = "*") -> list[list[str | None]]:
    """Return a row of text for each format: its name, `COLUMNS` (the best of each with a mark), and the agreement.

    Numbers without the mark have a space in its place, so that a column set to the right stays in line.
    """
    best = differing(figures)
    return [
        [
            one.format,
            *(_marked(shown(name, getattr(one, name)), best.get(name) == getattr(one, name), mark) for name in COLUMNS),
            share(one.agreement),
        ]
        for one in figures
    ]


def shown(name: str, value: float | None) -> str | None:
    """Return a number of a column as text: bytes whole, milliseconds with three or more digits; None for None."""
    if value is None:
        return None
    if name == "size" or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def share(value: float | None) -> str | None:
    """Return a share as percent, never rounded up to all of it."""
    if value is None:
        return None
    return "100 %" if value == 1 else f"{int(value * 10_000) / 100:.2f} %"


def heading(name: str, language: str = "en") -> str:
    """Return the heading of a column with its unit."""
    words = _words(language)
    unit = words["bytes"] if name == "size" else "ms" if name in COLUMNS else ""
    return f"{words[name]} ({unit})" if unit else words[name]


def note(figures: Sequence[FormatFigures], language: str = "en") -> str:
    """Return how often was measured."""
    runs = max((one.runs for one in figures), default=1)
    return _words(language)["runs"].format(runs) if runs > 1 else _words(language)["run"]


def markdown(
    reference: object, figures: Sequence[FormatFigures], left_out: Mapping[str, str], *, language: str = "en"
) -> str:
    """Return the figures as Markdown: a heading, a table whose best numbers are bold, and why formats are left out."""
    words = _words(language)
    parts = [f"## {words['title'].format(escaped(reference))}"]
    if figures:
        best = differing(figures)
        names = ["format", *COLUMNS, "agreement"]
        lines = [row([heading(name, language) for name in names]), "| --- |" + " ---: |" * (len(names) - 1)]
        lines += [row(_line(one, best)) for one in figures]
        bold = f" **{words['best']}**" if best else ""
        parts += ["\n".join(lines), f"{note(figures, language)}.{bold}"]
    if left_out:
        told = [f"- {code(name)}: {escaped(why)}" for name, why in left_out.items()]
        parts += [f"### {words['left_out']}", "\n".join(told)]
    return "\n\n".join(parts)


def _line(one: FormatFigures, best: Mapping[str, float]) -> list[str]:
    told = [code(one.format)]
    for name in COLUMNS:
        value = getattr(one, name)
        text = shown(name, value) or "—"
        told.append(f"**{text}**" if value is not None and best.get(name) == value else text)
    return [*told, share(one.agreement) or "—"]


def differing(figures: Sequence[FormatFigures]) -> dict[str, float]:
    """Return the least of each column in which the formats differ, which is the best."""
    found = {}
    for name in COLUMNS:
        values = [value for one in figures if (value := getattr(one, name)) is not None]
        if values and min(values) < max(values):
            found[name] = min(values)
    return found


def _marked(text: str | None, is_best: bool, mark: str) -> str | None:
    return None if text is None else f"{text} {mark if is_best else ' ' * len(mark)}"


# ── the chart


def require_charts() -> None:
    """Raise RegistryError where the libraries that draw are not installed."""
    from importlib.util import find_spec

    if find_spec("altair") is None or find_spec("vl_convert") is None:
        raise RegistryError("a chart needs altair and vl-convert, which are not installed", hint=_INSTALL)


def chart(reference: object, figures: Sequence[FormatFigures], *, language: str = "en") -> str:
    """Return the figures as an SVG: bars for each column, in milliseconds or bytes from zero, on a transparent ground.

    It has a title and a description for who does not see it, and can be read on a light and on a dark page. Raises
    RegistryError where there is nothing to draw, or nothing to draw with.
    """
    require_charts()
    import altair

    words = _words(language)
    drawn = [name for name in COLUMNS if any(getattr(one, name) is not None for one in figures)]
    if not drawn:
        raise RegistryError("no format was measured, so there is nothing to draw", hint="see why: leave out --chart")
    title = words["title"].format(reference)
    best = differing(figures)
    below = f"{_STAR} {words['best']} · {note(figures, language)}" if best else note(figures, language)
    panels = [_panel(altair, name, figures, best.get(name), language) for name in drawn]
    whole = (
        altair.vconcat(*panels, spacing=14)
        .properties(title=altair.TitleParams(title, subtitle=below, anchor="start", fontSize=16, offset=12))
        .configure(aria=False, background="transparent", font="sans-serif", padding=12)
        .configure_title(color=_INK, subtitleColor=_INK, subtitleFontWeight="normal")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_INK,
            titleColor=_INK,
            gridColor=_FAINT,
            domainColor=_FAINT,
            tickColor=_FAINT,
            labelFontSize=11,
            titleFontWeight="normal",
        )
    )
    try:
        drawing = io.StringIO()
        whole.save(drawing, format="svg")
    except Exception as error:  # the renderer is a program of its own behind the library
        raise RegistryError(f"the chart cannot be drawn: {error}", hint=_INSTALL) from error
    return _accessible(drawing.getvalue(), title, _described(figures, language))


def _panel(altair: Any, name: str, figures: Sequence[FormatFigures], best: float | None, language: str) -> Any:
    """Return one column as bars from zero, each with its number at the end."""
    values = []
    for one in figures:
        value = getattr(one, name)
        text = shown(name, value) or "—"
        values.append({"format": one.format, "value": value or 0, "text": f"{text} {_STAR}" if value == best else text})
    order = [one.format for one in figures]
    base = altair.Chart(altair.Data(values=values), width=420, height=altair.Step(20)).encode(
        y=altair.Y("format:N", sort=order, title=None, axis=altair.Axis(ticks=False, domain=False)),
        x=altair.X("value:Q", title=heading(name, language), axis=altair.Axis(tickCount=5, format="~s" if name == "size" else "~r")),
    )  # fmt: skip
    numbers = base.mark_text(align="left", dx=4, color=_INK, fontSize=11).encode(text="text:N")
    return base.mark_bar(color=_BAR, height=12) + numbers


def _described(figures: Sequence[FormatFigures], language: str) -> str:
    told = []
    for one in figures:
        parts = [f"{heading(n, language)} {shown(n, getattr(one, n))}" for n in COLUMNS if getattr(one, n) is not None]
        parts += [f"{_words(language)['agreement']} {share(one.agreement)}"] if one.agreement is not None else []
        told.append(f"{one.format}: {', '.join(parts)}.")
    return " ".join(told)


def _accessible(drawing: str, title: str, description: str) -> str:
    """Return an SVG with a title, a description, and colours that follow the page's."""
    start, _, rest = drawing.partition("<svg")
    attributes, _, inside = rest.partition(">")
    named = f'<title id="figures-title">{escape(title)}</title><desc id="figures-desc">{escape(description)}</desc>'
    labelled = 'role="img" aria-labelledby="figures-title figures-desc"'
    return f"{start}<svg {labelled}{attributes}>{named}{_STYLE}{inside.rstrip()}\n"
