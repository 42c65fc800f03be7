"""What Gitea puts on a pull request beside its words: labels, which have numbers and are made where missing, and reviewers.

Each is written only where it is not there yet. What is not taken becomes a note, never an error: the pull request is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gitops_registry.errors import NotFound
from gitops_registry.forge.gitea_answers import count, listed
from gitops_registry.forge.http import Api
from gitops_registry.forge.interface import PullRequest, Refused, Review, Unanswered
from gitops_registry.forge.reading import entries, part, person, text

_COLOUR = "#1d76db"
_NOT_TAKEN = (NotFound, Refused, Unanswered)


class Marks:
    """The labels and reviewers of one pull request, as `shown` by the forge; `repository` is its path in the API."""

    def __init__(self, api: Api, repository: str, owner: str, request: PullRequest, shown: Any) -> None:
        self._api = api
        self._repository = repository
        self._owner = owner
        self._request = request
        self._shown = shown

    def label(self, labels: Iterable[str]) -> list[str]:
        """Put labels on it, and return what was not taken."""
        there = {text(entry, "name") for entry in entries(self._shown, "labels")}
        missing = [label for label in dict.fromkeys(labels) if label not in there]
        if not missing:
            return []
        notes: list[str] = []
        try:
            known = self._labels(missing)
        except _NOT_TAKEN as error:
            return [f"no label was put on it: {error}"]
        for label in missing:
            if label in known:
                continue
            try:
                body = {"name": label, "color": _COLOUR}
                known[label] = count(self._api.send("POST", f"{self._repository}/labels", json=body).data, "id")
            except _NOT_TAKEN as error:
                notes.append(f"the label {label} could not be made: {error}")
        numbers = [known[label] for label in missing if known.get(label)]
        if numbers:
            try:
                path = f"{self._repository}/issues/{self._request.number}/labels"
                self._api.send("POST", path, json={"labels": numbers})
            except _NOT_TAKEN as error:
                notes.append(f"no label was put on it: {error}")
        return notes

    def _labels(self, wanted: list[str]) -> dict[str, int]:
        """Return the numbers of the labels that the repository has, and of those its organisation has for all."""
        known = {text(e, "name"): count(e, "id") for e in listed(self._api, f"{self._repository}/labels")}
        if any(label not in known for label in wanted):
            try:
                shared = list(listed(self._api, f"orgs/{part(self._owner)}/labels"))
            except (NotFound, Refused):  # the repository is somebody's own
                shared = []
            known = {text(e, "name"): count(e, "id") for e in shared} | known
        return known

    def ask(self, reviewers: Iterable[str], reviews: Sequence[Review]) -> list[str]:
        """Ask for reviews of those who were not asked and have said nothing yet, and return what was not taken.

        A reviewer is a login, or `owner/team`; the author is never asked.
        """
        asked = {person(entry).login.lower() for entry in entries(self._shown, "requested_reviewers")}
        teams = entries(self._shown, "requested_reviewers_teams")
        asked |= {f"{self._owner}/{text(team, 'name')}".lower() for team in teams}
        asked |= {review.author.login.lower() for review in reviews if review.word != "dismissed"}
        asked.add(self._request.author.login.lower())
        names = (name.lstrip("@") for name in reviewers)
        wanted = [name for name in dict.fromkeys(names) if name.lower() not in asked]
        if len(wanted) > 1:
            try:
                self._invite(wanted)
            except _NOT_TAKEN:  # one that is not taken keeps the others from being asked
                pass
            else:
                return []
        notes = []
        for name in wanted:
            try:
                self._invite([name])
            except _NOT_TAKEN as error:
                notes.append(f"{name} was not asked to review: {error}")
        return notes

    def _invite(self, names: list[str]) -> None:
        body = {
            "reviewers": [name for name in names if "/" not in name],
            "team_reviewers": [name.partition("/")[2] for name in names if "/" in name],
        }
        path = f"{self._repository}/pulls/{self._request.number}/requested_reviewers"
        self._api.send("POST", path, json={name: value for name, value in body.items() if value})
