"""Charts of the site, drawn as SVG here and, where somebody asks, again in a browser.

A chart is described once for each kind and language and compiled to Vega; what differs from page to page are rows of
data. Importing altair takes seconds and compiling is a third of a drawing (`benchmarks/site.py`), so what was compiled is
kept. Many charts are drawn by several processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from html import escape
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as release_of
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, TypeVar

from gitops_registry.child import talk
from gitops_registry.drawing import charts
from gitops_registry.drawing.charts import DATA, KINDS, Kind
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
_Made = TypeVar("_Made")
_LOADER = "window.vegaEmbed = vegaEmbed;"


class Picture(NamedTuple):
    """One chart: its kind, its rows, and what it shows in words for who does not see it."""

    kind: Kind
    rows: Sequence[Mapping[str, Any]]
    told: str


def require() -> None:
    """Raise RegistryError where the libraries that draw are not installed."""
    if find_spec("altair") is None or find_spec("vl_convert") is None:
        raise RegistryError("charts need altair and vl-convert, which are not installed", hint=_INSTALL)


def version() -> str:
    """Return a word for whatever decides on how a chart looks, but its words: the libraries and the descriptions here."""
    try:
        libraries = [release_of(name) for name in ("altair", "vl-convert-python")]
    except PackageNotFoundError:
        libraries = []
    described = hashlib.sha256(Path(charts.__file__).read_bytes()).hexdigest()
    return " ".join([*libraries, described])


class Studio:
    """Draws charts whose titles are in some words. `folder` is where what was compiled may be kept; nowhere without one."""

    def __init__(self, words: Mapping[str, str], folder: Path | None = None) -> None:
        self._words = words
        self._folder = folder

    @cached_property
    def specifications(self) -> Mapping[str, Any]:
        """Vega specifications by kind, without data; also for the script that draws them again in a browser."""
        require()

        def compiled() -> dict[str, Any]:
            return {kind: charts.compiled(kind, self._words) for kind in KINDS}

        return self._kept("charts", dict(self._words), compiled)

    @cached_property
    def script(self) -> str:
        """The JavaScript that draws: Vega, Vega-Lite and Vega-Embed in one file, which asks no network."""
        require()

        def bundled() -> str:
            import vl_convert

            return str(vl_convert.javascript_bundle(_LOADER))

        return self._kept("script", _LOADER, bundled)

    def _kept(self, kind: str, of: Any, make: Callable[[], _Made]) -> _Made:
        """Return what was made before by the same libraries and of the same words, else make it and keep it."""
        told = json.dumps([version(), of], sort_keys=True)
        file = self._folder and self._folder / f"{kind}-{hashlib.sha256(told.encode()).hexdigest()[:32]}.json"
        if file is not None:
            with suppress(OSError, ValueError):
                kept: _Made = json.loads(file.read_bytes())
                return kept
        made = make()
        if file is not None:
            with suppress(OSError):  # then it is made again
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                draft = file.with_name(token_hex(8))
                draft.write_text(json.dumps(made), encoding="utf-8")
                draft.replace(file)
        return made

    def draw(self, pictures: Sequence[Picture]) -> list[str]:
        """Return each picture as an SVG element that stands in a page: no script, no style, no address, ids of its own.

        Pictures of the same rows are drawn once. Raises RegistryError where the renderer does not manage one.
        """
        distinct = {json.dumps([picture.kind, picture.rows]): picture for picture in pictures}
        drawn = dict(zip(distinct, self._drawn([*distinct.values()]), strict=True))
        return [_standing(drawn[json.dumps([picture.kind, picture.rows])], picture) for picture in pictures]

    def _drawn(self, pictures: Sequence[Picture]) -> list[str]:
        workers = min(os.cpu_count() or 1, 4) if len(pictures) >= _MANY else 1
        if workers == 1:
            return [self._here(picture) for picture in pictures]
        parts = [pictures[start::workers] for start in range(workers)]
        self.specifications  # noqa: B018 - once, before they are asked for by several threads
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(self._by_a_child, parts))
        return [found[at % workers][at // workers] for at in range(len(pictures))]

    def _here(self, picture: Picture) -> str:
        import vl_convert

        specified = self.specifications[picture.kind]
        data = [{**one, "values": list(picture.rows)} if one["name"] == DATA else one for one in specified["data"]]
        try:
            return str(vl_convert.vega_to_svg({**specified, "data": data}))
        except Exception as error:  # the renderer is a program of its own behind the library
            raise RegistryError(f"a chart cannot be drawn: {error}", hint=_INSTALL) from error

    def _by_a_child(self, pictures: Sequence[Picture]) -> list[str]:
        jobs = [[picture.kind, list(picture.rows)] for picture in pictures]
        told = {"data": DATA, "charts": self.specifications, "jobs": jobs}
        until = time.monotonic() + _PATIENCE + _EACH * len(pictures)
        command = [sys.executable, "-I", str(Path(__file__).with_name("worker.py"))]
        done = talk(command, json.dumps(told).encode(), until=until, longest=_LONGEST)
        lines = done.output.splitlines()
        if done.code or done.is_late or len(lines) != len(pictures):
            raise RegistryError(
                f"the charts cannot be drawn: {done.last_words or f'exit code {done.code}'}", hint=_INSTALL
            )
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
