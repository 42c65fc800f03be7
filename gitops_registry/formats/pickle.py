"""Pickles: opened only where registry.yaml trusts the format, and only after the default-deny reader has read them.

A file that joblib wrote with arrays in it is no pickle, whatever its name; nor is one that is packed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from gitops_registry.formats.loaded import Description, LoadedModel, Trust
from gitops_registry.formats.pickle_reader import (
    Resolve,
    described,
    examine,
    opened,
    read,
    reads,
    refuse_untrusted_format,
)


def is_format(path: Path) -> bool:
    """True for a file that is one whole pickle of any protocol, to the last byte. Nothing of it runs."""
    return reads(read(path))


def describe(path: Path) -> Description:
    """Return the class of the model in a pickle, and the modules it names. Nothing is imported or built."""
    return described("pickle", examine(read(path), name=path.name))


def load(path: Path, trust: Trust = Trust()) -> LoadedModel:  # noqa: B008 - a frozen value
    """Return the estimator in a pickle, ready to predict.

    Raises Unreviewed before anything is built if registry.yaml does not trust the format or the file names or does
    what nobody has reviewed, and RegistryError for damaged files and what is no fitted estimator.
    """
    import pickle

    refuse_untrusted_format("pickle", path, trust)
    data = read(path)

    def unpickle(resolve: Resolve) -> object:
        class Reviewed(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> object:
                return resolve(module, name)

        return Reviewed(BytesIO(data)).load()

    return opened("pickle", path, examine(data, name=path.name), trust, unpickle)
