"""The newest decisions as an Atom feed (RFC 4287), for who wants to be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

from gitops_registry.card.escaping import visible

_ATOM = "http://www.w3.org/2005/Atom"
_MOST = 50


def feed(title: str, decisions: Sequence[dict[str, Any]], first: str, *, language: str, url: str = "") -> bytes:
    """Return the feed of decisions (as `views.decision` shows them, newest first) of a registry whose first commit is `first`.

    Ids are made from commits, so they are the same wherever the site is. Links are relative to where the feed is, or below
    `url`, where one is given.
    """
    ElementTree.register_namespace("", _ATOM)
    root = ElementTree.Element(f"{{{_ATOM}}}feed", {"{http://www.w3.org/XML/1998/namespace}lang": language})
    base = f"{url.rstrip('/')}/" if url else ""
    _put(root, "id", _id(first or title))
    _put(root, "title", title)
    _put(root, "updated", decisions[0]["time"] if decisions else "1970-01-01T00:00:00Z")
    _put(root, "link", rel="self", href=f"{base}feed.xml")
    _put(root, "link", rel="alternate", href=f"{base}index.html")
    for one in decisions[:_MOST]:
        entry = ElementTree.SubElement(root, f"{{{_ATOM}}}entry")
        texts = [change["text"] for change in one["changes"]] or [one["subject"]]
        _put(entry, "id", _id(one["commit"]))
        _put(entry, "title", texts[0])
        _put(entry, "updated", one["time"])
        _put(ElementTree.SubElement(entry, f"{{{_ATOM}}}author"), "name", one["actor"] or "?")
        _put(entry, "link", rel="alternate", href=f"{base}decisions/{one['commit']}.html")
        _put(entry, "summary", "\n".join(texts))
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _put(parent: ElementTree.Element, name: str, text: str = "", **attributes: str) -> None:
    element = ElementTree.SubElement(parent, f"{{{_ATOM}}}{name}", attributes)
    if text:
        element.text = visible(text)


def _id(text: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'gitops-registry:{text}')}"
