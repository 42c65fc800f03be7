"""References: how people name a version, and what to suggest where they name none that is there."""

from __future__ import annotations

from typing import NamedTuple

from gitops_registry.errors import RegistryError


class Reference(NamedTuple):
    """A model and one version of it."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


def split_reference(text: str) -> tuple[str, str]:
    """Split a reference into the model's name and what follows it (empty for a bare name)."""
    if text.startswith("models:/"):
        rest = text.removeprefix("models:/").lstrip("/")
        name, sign, wanted = rest.partition("@") if "@" in rest else rest.partition("/")
    else:
        name, sign, wanted = text.partition("@")
    if sign and not wanted:
        raise RegistryError(f"{text!r} names no version", hint=f"write {name}@3, {name}@production or {name}@latest")
    return name, wanted


def did_you_mean(wanted: str, choices: tuple[str, ...]) -> str:
    """Return a hint: the choices that are close to what was wanted, else some of what there is."""
    import difflib

    folded = {choice.lower(): choice for choice in reversed(choices)}
    close = [folded[match] for match in difflib.get_close_matches(wanted.lower(), folded, n=3)]
    if close:
        return "did you mean " + " or ".join(close) + "?"
    some = ", ".join(choices[:8]) + (", …" if len(choices) > 8 else "")
    return f"there is: {some}" if choices else "there is none yet"


def there_are(name: str, numbers: tuple[int, ...]) -> str:
    """Return a hint: the newest versions that a model has."""
    if not numbers:
        return f"{name} has no version yet"
    some = ", ".join(map(str, numbers[-8:]))
    return f"{name} has {'…, ' if len(numbers) > 8 else ''}{some}; see: gitops-registry show {name}"
