"""What lets a command of seconds start in tenths of one: modules are imported when somebody uses them."""

from __future__ import annotations

import gc
import sys
from collections.abc import MutableMapping
from functools import partial
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import Any

_LOCK = RLock()


class _Later(ModuleType):
    """Stands for a module until somebody asks it for anything. Python's own lazy loader lets two threads see half of one."""

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            module = import_module(self.__name__)
        return getattr(module, name)


def start_lean(environment: MutableMapping[str, str]) -> None:
    """Prepare this process, which has one command to run and ends then. For entry points alone."""
    environment.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # nothing beside us changes what a manifest may hold
    put_off("importlib.metadata", "entry_points")  # where pydantic looks for plug-ins: it takes longer than to start
    gc.set_threshold(20_000, 20, 20)  # it makes little garbage that needs a search


def put_off(name: str, *functions: str) -> None:
    """Let a package in one of the standard library's be imported not before it is used: naming one of the functions is no use yet.

    For entry points alone: a program that imports this package has its modules as it wants them.
    """
    if name in sys.modules:
        return
    stand_in = _Later(name)
    above, _, last = name.rpartition(".")
    parent = import_module(above)
    stand_in.__path__ = [f"{folder}/{last}" for folder in parent.__path__]  # asked for by every import
    for function in functions:
        setattr(stand_in, function, partial(_call, stand_in, function))
    sys.modules[name] = stand_in
    setattr(parent, last, stand_in)


def _call(stand_in: _Later, function: str, *given: Any, **named: Any) -> Any:
    return _Later.__getattr__(stand_in, function)(*given, **named)
