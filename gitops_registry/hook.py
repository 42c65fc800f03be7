"""What a server runs: `pre-receive` and `post-receive` for git, and `serve` for a connection over SSH.

This is an entry point: it alone, with the command line, reads the environment and prints. Whatever goes wrong refuses.
"""

from __future__ import annotations

import os
import pwd
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_registry.errors import RegistryError
from gitops_registry.later import start_lean

if TYPE_CHECKING:
    from gitops_registry.receiving.pushes import Pusher
    from gitops_registry.receiving.updates import Refusal, Update
    from gitops_registry.workplace import Workplace

_PUSHER = "GITOPS_REGISTRY_PUSHER"
_QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
_SHOWN = 20
_INTERNAL = "the server could not judge this push, so it is refused"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the three and return its exit code: 0 lets a push in, anything else refuses it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    runs: dict[str, Callable[[], int]] = {"pre-receive": pre_receive, "post-receive": post_receive}
    try:
        os.umask(0o027)
        start_lean(os.environ)
        if len(words) == 3 and words[0] == "serve":
            return serve(Path(words[1]), words[2])
        if len(words) == 1 and words[0] in runs:
            return runs[words[0]]()
    except BaseException as error:
        if words == ["post-receive"]:
            _say(
                f"note: your push was taken, but not written down ({type(error).__name__})",
                "tell whoever runs the server",
            )
        else:
            _say(f"refused: {_INTERNAL} ({type(error).__name__})", "tell whoever runs it; nothing was taken")
        return 1
    _say(
        "refused: gitops_registry.hook runs as pre-receive, post-receive or serve",
        "gitops-registry hook install REPOSITORY",
    )
    return 1


def pre_receive() -> int:
    """Judge what git tells on standard input and return 0 to take all of it, 1 to refuse all of it."""
    from gitops_registry.receiving import records
    from gitops_registry.receiving.pushes import judge
    from gitops_registry.receiving.updates import Refusal, updates

    now, pusher, place = datetime.now(UTC), _pusher(), _opened()
    moves: list[Update] = []
    internal = ""
    try:
        moves = list(updates(sys.stdin.buffer.read().decode(errors="surrogateescape").splitlines()))
        refusals = list(judge(place, moves, pusher, now=now))
    except BaseException as error:
        told = error.message if isinstance(error, RegistryError) else type(error).__name__
        refusals = [Refusal("internal", f"{_INTERNAL} ({told})", "tell whoever runs it; nothing was taken")]
        internal = traceback.format_exc()
    if not refusals:
        return 0
    for refusal in refusals[:_SHOWN]:
        _tell(refusal)
    if len(refusals) > _SHOWN:
        _say(f"refused: and {len(refusals) - _SHOWN} more", "")
    with suppress(Exception):  # it is refused, whether or not it can be written down
        records.refused(
            place.repository, moves, pusher, refusals, now=now, signer=_claimed(place, moves), internal=internal
        )
    return 1


def post_receive() -> int:
    """Write down what was taken, let new members in, and keep git's graph of commits; what fails here undoes nothing."""
    from gitops_registry.git import graph
    from gitops_registry.receiving import records
    from gitops_registry.receiving.installing import open_doors
    from gitops_registry.receiving.updates import updates

    place, pusher = _opened(), _pusher()
    moves = list(updates(sys.stdin.buffer.read().decode(errors="surrogateescape").splitlines()))
    steps: dict[str, Callable[[], None]] = {
        "it was not written down": lambda: records.accepted(place.repository, moves, pusher, now=datetime.now(UTC)),
        "the keys of members were not renewed": lambda: open_doors(place.repository),
        "git's graph of commits was not renewed": lambda: graph.renew(place.repository),
    }
    for what, take in steps.items():
        try:
            take()
        except Exception as error:
            _say(f"note: your push was taken, but {what} ({type(error).__name__})", "tell whoever runs the server")
    return 0


def serve(door: Path, key: str) -> int:
    """Let one connection of a member's key read or push a repository behind a file of keys, and nothing else."""
    from gitops_registry.receiving import doors
    from gitops_registry.receiving.serving import admit

    command = os.environ.get("SSH_ORIGINAL_COMMAND", "")
    try:
        service, folder = admit(door, key, command, account=_account(), now=datetime.now(UTC))
    except RegistryError as error:
        _say(f"refused: {error.message}", error.hint)
        return 1
    words = ["git", service.removeprefix("git-"), str(folder)]
    return os.execvpe("git", words, doors.environment(os.environ, key))  # noqa: S606 - no shell is meant


def _opened() -> Workplace:
    """Return the repository that git runs this hook in, with nothing of the environment that a pusher could have set."""
    from gitops_registry.git.repository import Repository
    from gitops_registry.workplace import Workplace

    for name in [name for name in os.environ if name.startswith("GIT_") and name not in _QUARANTINE]:
        del os.environ[name]
    return Workplace(Repository.open(Path.cwd()))


def _pusher() -> Pusher:
    from gitops_registry.receiving.pushes import Pusher

    return Pusher(os.environ.get(_PUSHER, ""), _account())


def _account() -> str:
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _claimed(place: Workplace, moves: Sequence[Update]) -> str:
    """Return who the newest commit of a push says it is from: a claim, written down as one."""
    for update in moves:
        with suppress(RegistryError):
            small = place.repository.objects.get(update.new, limit=1 << 16)
            if small and small.data and small.type == "commit":
                commit = place.repository.commit(update.new)
                return f"{commit.committer} <{commit.committer_email}>"
    return ""


def _tell(refusal: Refusal) -> None:
    about = ", ".join(word for word in (refusal.rule, refusal.commit[:12]) if word)
    where = f"{refusal.where}: " if refusal.where else ""
    _say(f"refused: {where}{refusal.message} [{about}]", refusal.hint)


def _say(line: str, hint: str) -> None:
    """Print one line for whoever pushes, and the next step; neither can move their cursor."""
    for text in (line, f"hint: {hint}" if hint else ""):
        shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
        if shown:
            sys.stderr.write(shown.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
