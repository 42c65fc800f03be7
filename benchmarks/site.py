"""The site of 1,000 versions: the first build, one where nothing changed, one after a promotion, and its index in a browser.

Of 20 models with 50 versions each, and of 500 with two, one of which serves.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import bulk
from ground import COMMAND, folder, started, table, verdict

from gitops_registry import drawing
from gitops_registry.drawing.charts import compiled
from gitops_registry.registry import Registry
from gitops_registry.site.words import words_in

SHAPES = ((20, bulk.EACH), (500, 2))
"""How many models, and how many versions of each."""
FIRST, AGAIN, SIZE, READY = 60.0, 3.0, 1_000_000, 1_000.0


def main() -> None:
    """Print the tables."""
    for models, each in SHAPES:
        with folder() as there:
            root, site = there / "registry", there / "site"
            facts = started(root)
            bulk.fill(root, facts, models, each=each)
            building(root, site, models, each)
            looking(site, each)
    charting()


def building(root: Path, site: Path, models: int, each: int) -> None:
    """Print the seconds by the clock and of the processor that a build takes, from the start of Python."""
    command = [*COMMAND, "site", "build", "--out", str(site)]
    rows = [_row("the first", root, command, FIRST)]
    rows.append(_row("nothing changed", root, command, AGAIN))
    registry = Registry.open(root)
    for number in (1, 2, 3):
        done = registry.promote(f"model-{number:03}", 1, to="staging", direct=True)
        assert done.commit, "the promotion was refused"
        rows.append(_row(f"after promotion {number}", root, command, AGAIN))
    pages = len(list(site.rglob("*.html")))
    title = f"site build of {models:,} models with {each} versions, {pages:,} pages"
    table(title, ["", "s", "CPU s", "target, s", "", "said"], rows)


def _row(name: str, root: Path, command: Sequence[str], target: float) -> list[str]:
    start = time.perf_counter()
    before = _children()
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    took, used = time.perf_counter() - start, _children() - before
    return [
        name,
        f"{took:.2f}",
        f"{used:.2f}",
        f"{target:g}",
        verdict(took, target),
        done.stdout.split("  ")[1].strip(),
    ]


def _children() -> float:
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def looking(site: Path, each: int) -> None:
    """Print the size of pages, and the milliseconds until a browser could use them; nothing where there is no browser."""
    names = (
        "index.html",
        "models/model-003/index.html",
        f"models/model-003/v{each}.html",
        "models/model-003/compare.html",
        "audit/index.html",
    )
    try:
        ready = _ready([site / name for name in names])
    except Exception as error:
        print(f"no browser to look with: {error}")
        return
    rows = []
    for name, took in zip(names, ready, strict=True):
        size = (site / name).stat().st_size
        rows.append([name, f"{size:,}", f"{took:.0f}", verdict(max(size / SIZE, took / READY), 1.0)])
    table(
        "pages: bytes (target 1,000,000 for the index), milliseconds until interactive (1,000)",
        ["", "bytes", "ms", ""],
        rows,
    )


def _ready(files: Sequence[Path]) -> list[float]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(files[0].as_uri())  # once, so that no start of the browser is in it
        found = []
        for file in files:
            page.goto(file.as_uri(), wait_until="load")
            told = page.evaluate("performance.getEntriesByType('navigation')[0].domComplete")
            found.append(float(told))
        chromium.close()
        return found


def charting() -> None:
    """Print what one chart takes when its kind was compiled before, and when it is compiled for each."""
    words = words_in("en")
    rows = [{"metric": f"m{n}", "version": v, "value": n / 10} for n in range(8) for v in ("v2", "champion v1")]
    picture = drawing.Picture("metrics", rows, "metrics")
    studio = drawing.Studio(words)
    studio.draw([picture])

    def anew() -> None:
        compiled("metrics", words)
        studio.draw([picture])

    took = [_each(lambda: studio.draw([picture])), _each(anew)]
    table("one chart, ms", ["", "ms"], [["compiled before", f"{took[0]:.1f}"], ["compiled for each", f"{took[1]:.1f}"]])


def _each(call: Callable[[], object], times: int = 15) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return 1000 * (time.perf_counter() - start) / times


if __name__ == "__main__":
    main()
