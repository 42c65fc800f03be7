"""Charts of the site, drawn as SVG here and, where somebody asks, again in a browser.

A chart is described once for each kind and language and compiled to Vega; what differs from page to page are rows of
data. Drawing one then takes a third of the time that compiling it anew would (`benchmarks/site.py`), and many are drawn by
several processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gitops_registry.child import talk
from gitops_registry.drawing.charts import DATA, KINDS, Kind, compiled
from gitops_registry.errors import RegistryError

_INSTALL = "install them: pip install 'gitops-registry[site]'"
_MANY = 60
"""From as many charts on it pays to start processes that draw."""
_PATIENCE, _EACH = 60.0, 2.0
"""Seconds until a process that draws is given up: so many, and some more for each chart."""
_LONGEST = 1 << 30
_ROLES = re.compile(r"""\s(?:role|aria-[a-z]+)=(?:"[^"]*"|'[^']*')""")
_SIZE = re.compile(r'<svg[^>]*?width="([\d.]+)" height="([\d.]+)" viewBox="([^"]+)"[^>]*>')
_IDS = re.compile(r'\b(id="|url\(#)([^")]+)')
_LOADER = "window.vegaEmbed = vegaEmbed;"

Words = Mapping[str, str]


class Picture(NamedTuple):
    """One chart: its kind, its rows, and what it shows in words for who does not see it."""

    kind: Kind
    rows: Sequence[Mapping[str, Any]]
    told: str


def require() -> None:
    """Raise RegistryError where the libraries that draw are not installed."""
    if find_spec("altair") is None or find_spec("vl_convert") is None:
        raise RegistryError("charts need altair and vl-convert, which are not installed", hint=_INSTALL)


def draw(pictures: Sequence[Picture], words: Words) -> list[str]:
    """Return each picture as an SVG element that stands in a page: no script, no style, no address, ids of its own.

    Raises RegistryError where the renderer does not manage one.
    """
    require()
    workers = min(os.cpu_count() or 1, 4) if len(pictures) >= _MANY else 1
    if workers == 1:
        drawn = [_drawn_here(picture, words) for picture in pictures]
    else:
        parts = [pictures[start::workers] for start in range(workers)]
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda part: _drawn_by_a_child(part, words), parts))
        drawn = [found[at % workers][at // workers] for at in range(len(pictures))]
    return [_standing(svg, picture) for svg, picture in zip(drawn, pictures, strict=True)]


def specifications(words: Words) -> dict[str, Any]:
    """Return Vega specifications by kind, without data, for the script that draws them again in a browser."""
    require()
    return {kind: compiled(kind, tuple(words.items())) for kind in KINDS}


@lru_cache(maxsize=1)
def script() -> str:
    """Return the JavaScript that draws: Vega, Vega-Lite and Vega-Embed in one file, which asks no network."""
    import vl_convert

    return str(vl_convert.javascript_bundle(_LOADER))


def version() -> str:
    """Return the versions of the libraries that draw; empty where they are not installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as of

    try:
        return f"{of('altair')} {of('vl-convert-python')}"
    except PackageNotFoundError:
        return ""


def _drawn_here(picture: Picture, words: Words) -> str:
    import vl_convert

    specification = dict(compiled(picture.kind, tuple(words.items())))
    specification["data"] = [
        {**data, "values": list(picture.rows)} if data["name"] == DATA else data for data in specification["data"]
    ]
    try:
        return str(vl_convert.vega_to_svg(specification))
    except Exception as error:  # the renderer is a program of its own behind the library
        raise RegistryError(f"a chart cannot be drawn: {error}", hint=_INSTALL) from error


def _drawn_by_a_child(pictures: Sequence[Picture], words: Words) -> list[str]:
    specified = {kind: compiled(kind, tuple(words.items())) for kind in {picture.kind for picture in pictures}}
    told = {"data": DATA, "charts": specified, "jobs": [[picture.kind, list(picture.rows)] for picture in pictures]}
    until = time.monotonic() + _PATIENCE + _EACH * len(pictures)
    command = [sys.executable, "-I", str(Path(__file__).with_name("worker.py"))]
    done = talk(command, json.dumps(told).encode(), until=until, longest=_LONGEST)
    lines = done.output.splitlines()
    if done.code or done.is_late or len(lines) != len(pictures):
        why = " ".join(done.errors.decode(errors="replace").strip().splitlines()[-1:]) or f"exit code {done.code}"
        raise RegistryError(f"the charts cannot be drawn: {why}", hint=_INSTALL)
    return [str(json.loads(line)) for line in lines]


def _standing(drawn: str, picture: Picture) -> str:
    """Return an SVG as an element among others: scaled by its page, one image with one name, ids that no other has."""
    # From what is drawn, not from its place among others: the same page has the same bytes, whatever else is built.
    prefix = f"c{hashlib.sha256(json.dumps(picture).encode()).hexdigest()[:12]}"
    found = _SIZE.search(drawn)
    if found is None:
        raise RegistryError("the renderer of charts gave no SVG", hint=_INSTALL)
    width, height, box = found.groups()
    inner = _ROLES.sub("", drawn[found.end() :])
    ids: dict[str, str] = {}  # numbered anew: the renderer counts on from chart to chart
    inner = _IDS.sub(lambda match: match[1] + ids.setdefault(match[2], f"{prefix}-{len(ids)}"), inner)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{width}" height="{height}" viewBox="{box}" role="img"'
    return f'{head} aria-label="{escape(picture.told, quote=True)}">{inner}'
