"""Photographs of the emulated account: taken and put back in milliseconds, where bringing one up costs hundreds."""

from __future__ import annotations

import copy
import copyreg
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from unittest.mock import patch

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.ssm.models import ParameterDict

from tests.support.account_versions import Versions, put_back_versions, versions
from tests.support.engine_world import World

T = TypeVar("T")
Place = tuple[str, str, str]


@dataclass(frozen=True)
class Photograph:
    """What each service holds, and its version."""

    held: dict[Place, Any] = field(default_factory=dict)
    versions: Versions = field(default_factory=dict)


def photograph() -> Photograph:
    """All that the account holds, as it is now."""
    return Photograph(_copy({place: there for place, _, there in _held()}), versions())


def put_back(taken: Photograph) -> None:
    """The account is again as it was when the photograph was taken; the photograph stays good."""
    for service, account, region in taken.held:
        _ = get_backend(service)[account][region]  # from now on it is there to hold something
    copied = _copy(taken.held)
    for place, regions, there in list(_held()):
        if place in copied:
            dict.__setitem__(regions, place[2], copied[place])
        else:
            there.reset()
    put_back_versions(taken.versions)


@dataclass(frozen=True)
class Begun:
    """What a way of beginning leaves: the account, the state file, the time, and what it answers."""

    account: Photograph
    state: bytes | None
    time: float
    answer: Any


_begun: dict[Hashable, Begun] = {}


def once(key: Hashable, world: World, begin: Callable[[], T]) -> T:
    """Let `begin` change an empty account, once in this process: from then on put back what it has left.

    `key` names all that it depends on. Its answer is the same object for all.
    """
    if key not in _begun:
        answer = begin()
        state = world.path.read_bytes() if world.path.exists() else None
        _begun[key] = Begun(photograph(), state, world.clock.time, answer)
        return answer
    begun = _begun[key]
    put_back(begun.account)
    world.clock.time = begun.time
    if begun.state is not None:
        world.path.write_bytes(begun.state)
    return begun.answer  # type: ignore[no-any-return] # it is what `begin` has answered


def _held() -> Iterator[tuple[Place, Any, Any]]:
    for service in BackendDict._instances:
        if service.service_name == "resourcegroupstaggingapi":
            continue  # it holds nothing of its own but answers that are half given
        for account, regions in service.items():
            for region, there in regions.items():
                yield (service.service_name, account, region), regions, there


def _copy(held: dict[Place, Any]) -> dict[Place, Any]:
    # In one go: the services hold on to things of one another.
    with (
        patch.dict(copyreg.dispatch_table, {type(threading.RLock()): lambda lock: (threading.RLock, ())}),
        patch.dict(copyreg.dispatch_table, {threading.Condition: lambda condition: (threading.Condition, ())}),
        patch.object(weakref.WeakValueDictionary, "__deepcopy__", _copy_of_weak),
        patch.object(ParameterDict, "__deepcopy__", _copy_of_parameters, create=True),
    ):
        return copy.deepcopy(held)


def _copy_of_weak(weak: Any, memo: dict[int, Any]) -> Any:
    """With copies of what it refers to; Python's own goes on referring to the originals."""
    found: Any = weakref.WeakValueDictionary()
    for key, value in weak.items():
        found[key] = copy.deepcopy(value, memo)
    return found


def _copy_of_parameters(parameters: Any, memo: dict[int, Any]) -> Any:
    """Its constructor wants to know where it is."""
    found = ParameterDict(parameters.account_id, parameters.region_name)
    found.__dict__.update(parameters.__dict__)
    found.update({name: copy.deepcopy(versions, memo) for name, versions in parameters.items()})
    return found
