"""Building the site: what changed since the last build is made anew, and nothing else is touched.

A page whose making began is not known until it is there, so a build that was killed is finished by the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

from gitops_registry import drawing
from gitops_registry.connecting import where
from gitops_registry.errors import RegistryError
from gitops_registry.site import rendering, views
from gitops_registry.site.contents import Contents, contents
from gitops_registry.site.feed import feed
from gitops_registry.site.pages import Page, pages
from gitops_registry.site.version import bodies
from gitops_registry.site.words import words_in
from gitops_registry.snapshot import Snapshot
from gitops_registry.workplace import Workplace

STATE = ".built.json"
_FORMAT = 1
_AT_ONCE = 500
"""Pages whose data and charts are held at a time."""
_SEARCHED = 400
_PAGE = re.compile(
    r"assets|index|policies|audit/(index|page-[0-9]+)|models/[A-Za-z0-9][A-Za-z0-9._-]*/(index|compare|v[0-9]+)|decisions/[0-9a-f]+"
)
"""What a build makes, so what it may take away again, whatever the list of the last build says."""
_FILES = ("site.css", "theme.js", "site.js", "vega.js", "charts.js")


@dataclass(frozen=True)
class Built:
    """What a build did: where the site is, of which commit, how many pages there are, were made and were taken away.

    `problems` are the pages that lack what should be on them and say so, with why. They are made again by each build until
    nothing is wrong with them. `unread` says of each model and version that has no page why it cannot be read.
    """

    folder: Path
    commit: str
    pages: int
    made: int
    removed: int
    problems: Mapping[str, RegistryError] = field(default_factory=dict)
    unread: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all that the registry holds is shown."""
        return not self.problems and not self.unread

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready data."""
        told = [{"page": path, "message": why.message, "hint": why.hint} for path, why in self.problems.items()]
        return {**self.__dict__, "folder": str(self.folder), "problems": told, "unread": list(self.unread)}


def build(place: Workplace, folder: Path, *, url: str = "", is_anew: bool = False) -> Built:
    """Bring the site in a folder to what the registry holds now; every page of it, where all is to be made `is_anew`.

    `url` is where the site will be seen, for the addresses in the feed. A card that the registry's own template fails at costs
    its page the card, and no other page anything (`problems`). Raises RegistryError where the folder holds anything else,
    nothing may be written there, or a library that draws is missing.
    """
    drawing.require()
    there = _known(folder)
    known = {} if is_anew else there
    site = contents(place, commit_page=_commit_page(place), is_anew=is_anew)
    words = words_in(site.language)
    studio = drawing.Studio(words, _kept())
    made_by = rendering.made_by(drawing.version(), site.language, site.title, url)
    found = list(pages(place, site, made_by, words))
    there_are = set(_files(folder))
    stale = [
        page
        for page in found
        if known.get(page.path) != page.key or not {f"{page.path}.html", f"{page.path}.json"} <= there_are
    ]
    gone = sorted(set(there) - {page.path for page in found} - {_ASSETS})
    folder.mkdir(parents=True, exist_ok=True)
    kept = {page.path: page.key for page in found} | {_ASSETS: made_by}
    _keep(folder, {path: key for path, key in known.items() if kept.get(path) == key})
    _put(folder, ".gitignore", b"*\n")  # whoever builds below a registry does not want the pages in it
    if known.get(_ASSETS) != made_by or not all(_is_file(folder, f"assets/{name}") for name in _FILES):
        _assets(folder, studio)
    shared = {"title": site.title, "language": site.language, "words": words}
    problems: dict[str, RegistryError] = {}
    for start in range(0, len(stale), _AT_ONCE):
        place.tell(f"making pages: {start} of {len(stale)}")
        problems |= _make(folder, site.snapshot, studio, stale[start : start + _AT_ONCE], shared)
    _lists(folder, site, url)
    for path in gone:
        _remove(folder, path)
    _keep(folder, kept | dict.fromkeys(problems, ""))
    place.tell("")
    return Built(folder, site.commit, len(found), len(stale), len(gone), problems, site.problems)


_ASSETS = "assets"


def _kept() -> Path:
    """Return where what is alike in the sites of all registries is kept: what draws takes seconds to be made."""
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("gitops-registry")) / "drawings"


def _commit_page(place: Workplace) -> str:
    try:
        forge = where(place)
    except RegistryError:  # registry.yaml and the remote disagree, which is `doctor`'s to tell
        return ""
    if forge is None:
        return ""
    between = "-/commit" if forge.kind == "gitlab" else "commit"
    return f"{forge.server}/{forge.path}/{between}/"


# ── making pages


def _make(
    folder: Path, snapshot: Snapshot, studio: drawing.Studio, some: Sequence[Page], shared: Mapping[str, Any]
) -> dict[str, RegistryError]:
    """Write some pages, and return by path why a card is not on one of them."""
    shown = [page.show() for page in some]
    wanted = [page.draw(data) for page, data in zip(some, shown, strict=True)]
    drawn = iter(studio.draw([picture for charts in wanted for picture in charts.values()]))
    charts = [
        {name: rendering.chart(picture, next(drawn), shared["words"]) for name, picture in own.items()}
        for own in wanted
    ]
    cards = [at for at, page in enumerate(some) if page.template == "version"]
    made = bodies(snapshot, [shown[at] for at in cards], [charts[at] for at in cards])
    body = {at: one for at, one in zip(cards, made, strict=True) if isinstance(one, str)}
    problems = {some[at].path: one for at, one in zip(cards, made, strict=True) if isinstance(one, RegistryError)}
    for at, (page, data) in enumerate(zip(some, shown, strict=True)):
        if page.path in problems:
            data["problems"] = [*data["problems"], f"{shared['words']['no_card']}: {problems[page.path].message}"]
        html = rendering.page_html(page, data, charts[at], body.get(at, ""), shared)
        _put(folder, f"{page.path}.html", html)
        _put(folder, f"{page.path}.json", rendering.page_json(data))
    return problems


def _assets(folder: Path, studio: drawing.Studio) -> None:
    for name in ("site.css", "theme.js", "site.js"):
        _put(folder, f"assets/{name}", rendering.asset(name).encode())
    _put(folder, "assets/vega.js", studio.script.encode())
    _put(folder, "assets/charts.js", _script("charts", studio.specifications))


def _lists(folder: Path, site: Contents, url: str) -> None:
    """Write what all of the registry is in: the feed, what the search looks through, what the log filters."""
    decisions = [views.decision(event, site) for event in site.decisions]
    first = site.decisions[-1].commit.oid if site.decisions else ""
    _put(folder, "feed.xml", feed(site.title, decisions, first, language=site.language, url=url))
    kept = ("commit", "time", "actor", "signer", "grade", "subject")
    slim = [
        {
            **{key: one[key] for key in kept},
            "changes": [
                {key: change[key] for key in ("kind", "model", "text", "renamed_to") if key in change}
                for change in one["changes"]
            ],
        }
        for one in decisions
    ]
    _put(folder, "assets/log.js", _script("log", slim))
    _put(folder, "assets/search.js", _script("search", list(_searched(site))))


def _searched(site: Contents) -> Iterable[list[str]]:
    """Yield what can be found: title, more about it, page, and the text that is looked through."""
    for model in site.models:
        tags = " ".join(f"{key} {value}" for key, value in model.state["tags"].items())
        owners = ", ".join(model.state["owners"])
        about = f"{model.title} {model.name} {owners} {tags} {model.state['description']}"
        yield [views.shortened(model.title, 80), model.name, f"models/{model.name}/index.html", _folded(about)]
        for one in reversed(model.versions):
            number = one.reference.number
            title = f"{views.shortened(model.title, 80)} v{number}"
            more = " ".join([one.stage, *one.aliases])
            about = f"{title} {one.reference} {more} {one.facts['model_type']} {one.facts['author']['name']} {one.description}"
            yield [title, more, f"models/{model.name}/v{number}.html", _folded(about)]


def _folded(text: str) -> str:
    return views.shortened(unicodedata.normalize("NFKC", text).lower(), _SEARCHED)


def _script(name: str, data: Any) -> bytes:
    """Return data as a script that a page opened as a file can load."""
    told = (
        json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
        .replace("</", "<\\/")
        .replace("<!--", "<\\!--")
    )
    return f"(window.registry = window.registry || {{}}).{name} = {told};\n".encode("utf-8", "replace")


# ── files


def _known(folder: Path) -> dict[str, str]:
    """Return the keys of the pages that are there. Raises RegistryError for a folder that holds anything but a site."""
    if folder.is_symlink():
        raise _linked(folder)
    try:
        names = {entry.name for entry in folder.iterdir()}
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise RegistryError(
            f"{folder} is a file", hint="name a folder: gitops-registry site build --out FOLDER"
        ) from error
    if not names:
        return {}
    if STATE not in names:
        raise RegistryError(
            f"{folder} holds files that are no site, and nothing there is overwritten",
            hint="name an empty folder: gitops-registry site build --out FOLDER",
        )
    try:
        told = json.loads((folder / STATE).read_bytes())
        found = told["pages"] if told["format"] == _FORMAT else {}
        return {path: str(key) for path, key in found.items() if _PAGE.fullmatch(path)}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _files(folder: Path, below: str = "") -> Iterator[str]:
    """Yield the paths of all files of a site. What a symbolic link leads to is none."""
    with suppress(FileNotFoundError), os.scandir(folder / below) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(folder, f"{below}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield f"{below}{entry.name}"


def _is_file(folder: Path, path: str) -> bool:
    file = _in(folder, path)
    return file.is_file() and not file.is_symlink()


def _in(folder: Path, path: str) -> Path:
    """Return a file of the site. Raises RegistryError where a symbolic link leads out of the folder on the way to it."""
    place = folder
    for part in path.split("/")[:-1]:
        place /= part
        if place.is_symlink():
            raise _linked(place)
    return folder / path


def _linked(place: Path) -> RegistryError:
    return RegistryError(
        f"{place} is a symbolic link, and nothing behind one is written or removed",
        hint="remove it, or name another folder: gitops-registry site build --out FOLDER",
    )


def _keep(folder: Path, keys: Mapping[str, str]) -> None:
    _put(folder, STATE, json.dumps({"format": _FORMAT, "pages": dict(sorted(keys.items()))}).encode())


def _put(folder: Path, path: str, data: bytes) -> None:
    """Write a file whole, where it is not as it should be already."""
    file = _in(folder, path)
    with suppress(OSError):
        if not file.is_symlink() and hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(data).digest():
            return
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{token_hex(8)}")
    try:
        draft.write_bytes(data)
        draft.replace(file)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _remove(folder: Path, path: str) -> None:
    for suffix in ("html", "json"):
        with suppress(FileNotFoundError):
            _in(folder, f"{path}.{suffix}").unlink()
    parent = (folder / path).parent
    with suppress(OSError):  # it is not empty
        if parent != folder:
            parent.rmdir()
