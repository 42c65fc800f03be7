"""A signature of a version's files that others can check without this registry: OpenSSF model signing's bundle.

Nothing is asked of a network: the signature is of a key of the caller's own, and neither Fulcio nor a log sees it.
Specification: https://github.com/ossf/model-signing-spec
"""

from __future__ import annotations

import stat
from pathlib import Path
from shlex import quote

from gitops_registry.errors import RegistryError
from gitops_registry.exports.subject import Subject, Written
from gitops_registry.exports.writing import copy_files, new_folder
from gitops_registry.formats.loaded import reason

SIGNATURE = "model.sig"
_MAKE_ONE = "openssl ecparam -name prime256v1 -genkey -noout -out signing.pem, and give it: --key signing.pem"
_LARGEST_KEY = 1 << 16


def write(subject: Subject, target: Path) -> Written:
    """Write a folder of the version's files and their signature, `model.sig`.

    `options["key"]` is the path of a private key: PEM, on the curve P-256, P-384 or P-521, without a passphrase. Raises
    RegistryError where there is none or it is another one; then nothing is written. Nothing of the key is ever told.
    """
    key = _key(subject)
    try:
        from model_signing import hashing, signing
    except ImportError as error:
        raise RegistryError(
            "signing needs the library model-signing", hint="pip install 'gitops-registry[sign]'"
        ) from error
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key)
    except Exception as error:
        # What a parser says may hold what it parsed: neither its words nor itself go on.
        why = (
            "it has a passphrase"
            if isinstance(error, TypeError)
            else "it is no private key in PEM on a curve P-256, P-384 or P-521"
        )
        raise RegistryError(f"{key.name} cannot sign: {why}", hint=_MAKE_ONE) from None
    public_half = f"openssl ec -in {quote(str(key))} -pubout -out PUBLIC.pem"
    checked = f"{quote(str(target))} --signature {quote(str(target / SIGNATURE))} --public_key PUBLIC.pem"
    notes = [
        f"check it: {public_half} && python -m model_signing verify key {checked}",
        "it says that these bytes were signed with that key: not whose key it is, nor what is measured or approved",
    ]
    if key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        notes.append(f"others on this machine can read {key.name}: chmod 600 it")
    with new_folder(target) as folder:
        copy_files(subject, folder, reserved=(SIGNATURE,))
        counted = hashing.Config().set_ignored_paths(paths=[Path(SIGNATURE)], ignore_git_paths=False)
        try:
            signer.set_hashing_config(counted).sign(folder, folder / SIGNATURE)
        except (ValueError, TypeError) as error:
            raise RegistryError(
                f"the files of {subject.reference} cannot be signed: {reason(error)}",
                hint="only plain files and folders can be",
            ) from error
    return Written(target, tuple(notes))


def _key(subject: Subject) -> Path:
    named = subject.options.get("key", "")
    if not named:
        raise RegistryError("a signature needs a private key of yours", hint=f"make one: {_MAKE_ONE}")
    key = Path(named).expanduser()
    try:
        if not key.is_file() or key.stat().st_size > _LARGEST_KEY:
            raise RegistryError(f"there is no private key {key}", hint=f"make one: {_MAKE_ONE}")
        key.open("rb").close()
    except OSError as error:
        raise RegistryError(f"cannot read {key}: {error.strerror}", hint="check its permissions") from error
    return key
