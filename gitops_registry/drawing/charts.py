"""What each kind of chart looks like: Vega-Lite through altair, compiled to Vega once for a kind and a language."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["confusion", "metrics", "history", "slices", "formats"]
KINDS: tuple[Kind, ...] = ("confusion", "metrics", "history", "slices", "formats")
DATA = "rows"
"""What the data of a chart is called in its specification."""
_INK, _FAINT, _ACCENT, _OTHER = "#6b7280", "#9ca3af", "#2563eb", "#d97706"


def compiled(kind: Kind, words: Mapping[str, str]) -> Any:
    """Return the Vega specification of a kind of chart with its titles in some words, without data."""
    import altair
    import vl_convert

    chart = _CHARTS[kind](altair, words)
    told = _configured(chart).to_dict()
    compiled = vl_convert.vegalite_to_vega(told)
    compiled = json.loads(compiled) if isinstance(compiled, str) else compiled
    for data in compiled["data"]:
        if data["name"] == DATA:
            data.pop("values", None)
    return compiled


def _configured(chart: Any) -> Any:
    return (
        chart.configure(aria=False, background="transparent", font="sans-serif", padding=4)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=_INK, titleColor=_INK, gridColor=_FAINT, gridOpacity=0.35, domainColor=_FAINT, tickColor=_FAINT,
            labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=360,
        )
        .configure_legend(labelColor=_INK, titleColor=_INK, labelFontSize=12, orient="top", titleFontWeight="normal", columnPadding=24)
        .configure_header(labelColor=_INK, titleColor=_INK, labelFontSize=12)
    )  # fmt: skip


def _rows(altair: Any) -> Any:
    return altair.Data(name=DATA, values=[])


_IN_LINES = r"split(replace(datum.label, /([ _-]+)/g, '$1\n'), '\n')"
"""Names of classes below their columns are broken where words end; beside the rows the same names stand whole."""


def _confusion(altair: Any, words: Mapping[str, str]) -> Any:
    base = altair.Chart(_rows(altair), width=altair.Step(64), height=altair.Step(44)).encode(
        x=altair.X(
            "predicted:N", sort=None, title=words["predicted"],
            axis=altair.Axis(labelAngle=0, labelLimit=62, labelExpr=_IN_LINES),
        ),
        y=altair.Y("true:N", sort=None, title=words["true"]),
        tooltip=[altair.Tooltip(name, type=kind) for name, kind in (("true", "nominal"), ("predicted", "nominal"), ("count", "quantitative"))],
    )  # fmt: skip
    cells = base.mark_rect(stroke="#ffffff", strokeWidth=1).encode(
        color=altair.Color("share:Q", scale=altair.Scale(range=["#dbeafe", "#1e3a8a"], domain=[0, 1]), legend=None)
    )
    ink = altair.condition("datum.share > 0.5", altair.value("#ffffff"), altair.value("#111827"))
    return cells + base.mark_text(fontSize=13).encode(text="count:Q", color=ink)


def _metrics(altair: Any, words: Mapping[str, str]) -> Any:
    return (
        altair.Chart(_rows(altair), width=420, height=altair.Step(15))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            y=altair.Y("metric:N", sort=None, title=None, axis=altair.Axis(ticks=False, domain=False)),
            yOffset=altair.YOffset("version:N", sort=None),
            x=altair.X("value:Q", title=None, axis=altair.Axis(tickCount=5)),
            color=altair.Color(
                "version:N", sort=None, title=words["version"], scale=altair.Scale(range=[_ACCENT, _FAINT])
            ),
            tooltip=[altair.Tooltip("version:N"), altair.Tooltip("metric:N"), altair.Tooltip("value:Q")],
        )
    )


def _history(altair: Any, words: Mapping[str, str]) -> Any:
    base = altair.Chart(_rows(altair), width=640, height=180).encode(
        x=altair.X(
            "version:Q",
            title=words["version"],
            axis=altair.Axis(format="~g", grid=False, labelExpr="datum.value % 1 ? '' : datum.label"),
        ),
        y=altair.Y("value:Q", title=None, scale=altair.Scale(zero=False, nice=True), axis=altair.Axis(tickCount=5)),
    )
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        color=altair.Color(
            "stage:N", title=words["stage"],
            scale=altair.Scale(range=[_ACCENT, _OTHER, "#059669", _INK, "#7c3aed", "#dc2626"]),
        ),
        tooltip=[altair.Tooltip("version:Q"), altair.Tooltip("value:Q"), altair.Tooltip("stage:N")],
    )  # fmt: skip
    return base.mark_line(color=_FAINT, strokeWidth=1.5) + points


def _slices(altair: Any, words: Mapping[str, str]) -> Any:
    bars = (
        altair.Chart(width=180, height=altair.Step(18))
        .mark_bar(color=_ACCENT, cornerRadiusEnd=2)
        .encode(
            y=altair.Y("group:N", sort=None, title=None, axis=altair.Axis(ticks=False, domain=False)),
            x=altair.X("value:Q", title=None, axis=altair.Axis(tickCount=4)),
            tooltip=[altair.Tooltip("group:N"), altair.Tooltip("rows:Q", title=words["rows"]), altair.Tooltip("value:Q")],
        )
    )  # fmt: skip
    return bars.facet(facet=altair.Facet("metric:N", sort=None, title=None), columns=3, data=_rows(altair)).resolve_scale(
        x="independent"
    )  # fmt: skip


def _formats(altair: Any, words: Mapping[str, str]) -> Any:  # noqa: ARG001
    bars = (
        altair.Chart(width=180, height=altair.Step(18))
        .mark_bar(color=_ACCENT, cornerRadiusEnd=2)
        .encode(
            y=altair.Y("format:N", sort=None, title=None, axis=altair.Axis(ticks=False, domain=False)),
            x=altair.X(
                "value:Q",
                title=None,
                axis=altair.Axis(tickCount=4, labelExpr="format(datum.value, datum.value < 1000 ? '~g' : '~s')"),
            ),
            tooltip=[altair.Tooltip("format:N"), altair.Tooltip("measure:N"), altair.Tooltip("value:Q")],
        )
    )
    return bars.facet(facet=altair.Facet("measure:N", sort=None, title=None), columns=3, data=_rows(altair)).resolve_scale(
        x="independent"
    )  # fmt: skip


_CHARTS = {
    "confusion": _confusion,
    "metrics": _metrics,
    "history": _history,
    "slices": _slices,
    "formats": _formats,
}
