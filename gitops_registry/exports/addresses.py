"""Addresses of repositories as others may see them: no name or password in them, no folder of somebody's machine."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

_SCHEMES = {"http", "https", "ssh", "git"}
_SHORT = re.compile(r"(?:[\w.-]+@)?([\w.-]+\.[A-Za-z]+):(?!/)([^\s:]+)")
"""The short form that git takes for ssh: git@example.com:group/project.git."""


def public(address: str) -> str:
    """Return an address as a URL without whoever's name and password; empty for what is no address on a network."""
    if (short := _SHORT.fullmatch(address)) and "://" not in address:
        address = f"ssh://{short[1]}/{short[2]}"
    try:
        url = urlsplit(address)
        port = url.port
    except ValueError:
        return ""
    if url.scheme not in _SCHEMES or not url.hostname or not re.fullmatch(r"[\w.:-]+", url.hostname):
        return ""
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    user = "git@" if url.scheme == "ssh" else ""
    return f"{url.scheme}://{user}{host}{f':{port}' if port else ''}{quote(url.path, safe='/~%')}"
