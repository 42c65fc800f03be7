"""What the pages say beside the registry's own words, by language; English where a language lacks something."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

FALLBACK = "en"


@lru_cache(maxsize=4)
def words_in(language: str) -> Mapping[str, str]:
    """Return the words of the pages in a language."""
    return {**_catalogue(FALLBACK), **_catalogue(language)}


def _catalogue(language: str) -> Mapping[str, str]:
    import yaml

    file = resources.files("gitops_registry") / "templates" / "site" / f"{language}.yaml"
    return dict(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.is_file() else {}
