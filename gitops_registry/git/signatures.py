"""What git itself says of the signatures of commits: one git process for any number of them, two of OpenSSH for each.

Keys and settings are given on the command line, so that no configuration of the repository, of the user or of the system
changes the answer. `gitops_registry.signing` answers the same question in process, and tells more.
"""

from __future__ import annotations

import math
import re
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from gitops_registry.errors import RegistryError
from gitops_registry.git.process import run
from gitops_registry.git.repository import Repository

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names that an allowed-signers file takes for one principal: no pattern, no list, no comment."""
_KEY = re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]+={0,2}")
_OID = re.compile(r"[0-9a-f]{40}")
_SSH = b"-----BEGIN SSH SIGNATURE-----"
_LARGEST = 1 << 20
_TRIES = 5


class Signer(NamedTuple):
    """A key and whose it is: the key's kind and base64; signatures made at `not_after` or later do not count."""

    member: str
    key: str
    not_after: datetime | None = None
    revoked: bool = False


class GitVerdict(NamedTuple):
    """What git prints of one commit: `%G?`, `%GF` and `%GS`. `fingerprint` and `principal` are empty where it names none.

    `letter`: G good; U true, by a key that is nobody's or had expired; B false, revoked or made for something else; N not
    signed; E not asked, because the signature is no SSH signature or the commit larger than 1 MiB.
    """

    letter: str
    fingerprint: str
    principal: str


def verified(
    repository: Repository, oids: Sequence[str], signers: Sequence[Signer], *, at: datetime | None = None
) -> dict[str, GitVerdict]:
    """Return commit → what git says of its signature, for commits by full id, under exactly those keys.

    Whether a key had expired is judged `at` an aware time, and without one at the committer's. A revoked key is
    revoked, expired or not. Works in a bare repository and on commits that a push brings. Raises RegistryError where an id
    is no commit's, OpenSSH is missing or git does not answer for each; a member's name or a key that would mean something
    else to OpenSSH raises ValueError.
    """
    allowed = "".join(line for signer in signers if (line := _line(signer, at)))
    revoked = "".join(f"{signer.key}\n" for signer in signers if signer.revoked)
    found = {oid: GitVerdict("E", "", "") for oid in oids}
    asked = [oid for oid in found if _is_for_git(repository, oid)]
    if not asked:
        return found
    if shutil.which("ssh-keygen") is None:  # git would call every signature bad
        raise RegistryError(
            "ssh-keygen is not installed, and git checks signatures with it", hint="install OpenSSH's client"
        )
    with _file(allowed) as allowed_file, _file(revoked) as revoked_file:
        settings = tuple(_settings(allowed_file, revoked_file))
        deaths: Counter[str] = Counter()
        while asked:
            answers = _answers(repository, asked, settings)
            found |= answers
            asked = [oid for oid in asked if oid not in answers]
            if asked:
                deaths[asked[0]] += 1
            if asked and deaths[asked[0]] > _TRIES:
                asked.pop(0)
    return found


def _answers(repository: Repository, oids: Sequence[str], settings: Sequence[str]) -> dict[str, GitVerdict]:
    """Return what git says of commits in their order, up to where it dies.

    It does where ssh-keygen refuses a signature so soon that git is still handing over what was signed (SIGPIPE). Raises
    RegistryError where it answers in another order, or fails.
    """
    told = run(
        repository.folder,
        *settings,
        "log", "--no-walk=unsorted", "--stdin", "--no-show-signature", "--no-patch", "--no-color", "--no-notes",
        "--no-mailmap", "--encoding=UTF-8", "--format=tformat:%H %G? %GF %GS",
        stdin="".join(f"{oid}\n" for oid in oids).encode(),
        extra={"TZ": "UTC0"},  # OpenSSH reads times without a zone, and git writes them in the local one
        ok=(0, -signal.SIGPIPE),
    ).decode(errors="replace")  # fmt: skip
    answers = {oid: GitVerdict(*rest) for oid, *rest in (line.split(" ", 3) for line in told.splitlines())}
    if list(answers) != list(oids[: len(answers)]):
        raise RegistryError("git did not say of every commit who signed it", hint="try: git fsck")
    return answers


def _is_for_git(repository: Repository, oid: str) -> bool:
    """Say whether git can be asked: it ends at a signature of no kind that it knows, and starts other programs for others.

    Raises RegistryError where there is no such commit.
    """
    found = repository.objects.get(oid, limit=_LARGEST) if _OID.fullmatch(oid) else None
    if found is None or found.type != "commit":
        raise RegistryError(f"no commit {oid[:12]!a} here", hint="give the full id of a commit")
    if found.data is None:
        return False
    headers = found.data.partition(b"\n\n")[0]
    first = next((line for line in headers.split(b"\n") if line.startswith(b"gpgsig ")), b"gpgsig " + _SSH)
    return first.removeprefix(b"gpgsig ").startswith(_SSH)


def _line(signer: Signer, at: datetime | None) -> str:
    """Return a key's line of an allowed-signers file; empty for one that had expired by then.

    OpenSSH takes a signature of the very second that `valid-before` names, so the one before it is written. A revoked key has
    no end: OpenSSH looks for the end first, and would only call it unknown afterwards.
    """
    if not _NAME.fullmatch(signer.member) or not _KEY.fullmatch(signer.key):
        raise ValueError(f"{signer.member!a} or its key is nothing that an allowed-signers file takes as it stands")
    end = ""
    if signer.not_after is not None and not signer.revoked:
        last = math.ceil(signer.not_after.timestamp()) - 1
        if last <= 0 or (at is not None and at >= signer.not_after):  # OpenSSH reads 0 as no end
            return ""
        if at is None:
            end = f',valid-before="{datetime.fromtimestamp(last, UTC):%Y%m%d%H%M%S}"'
    return f'{signer.member} namespaces="git"{end} {signer.key}\n'


def _settings(allowed: str, revoked: str) -> Iterator[str]:
    values = {
        "gpg.format": "ssh", "gpg.ssh.allowedSignersFile": allowed, "gpg.ssh.revocationFile": revoked,
        "gpg.ssh.program": "ssh-keygen", "gpg.program": "false", "gpg.x509.program": "false", "gpg.minTrustLevel": "undefined",
        "log.showSignature": "false", "log.mailmap": "false",
    }  # fmt: skip
    for name, value in values.items():
        yield from ("-c", f"{name}={value}")


@contextmanager
def _file(text: str) -> Iterator[str]:
    """Give a file that only we can read, which is gone afterwards."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", prefix="signers-") as file:
        file.write(text)
        file.flush()
        yield file.name
