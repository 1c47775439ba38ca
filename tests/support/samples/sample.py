"""What a sample of a kind is: how to declare it, how somebody else spoils it, and which properties then drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iotpipe.provision.resource import Resource

Act = Callable[[], Any]


@dataclass(frozen=True)
class Tampering:
    """`act` changes something behind our back; `drifts` are the paths of the properties that a plan must name,
    `repairs` the write calls that `up` needs, in any order."""

    what: str
    act: Act
    drifts: tuple[str, ...]
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class Tagging:
    """How somebody else reads, sets and removes the tags, and the calls with which `up` does."""

    live: Callable[[], dict[str, str]]
    put: Callable[[dict[str, str]], Any]
    drop: Callable[[list[str]], Any]
    put_call: str
    drop_call: str


@dataclass(frozen=True)
class Sample:
    """`count` and `remove` are plain boto3. `by_hand` makes a thing of the same name with the given tags; None
    where a name alone proves nothing (REST APIs) or where the parent's owner is the owner."""

    make: Callable[[], Resource]
    count: Callable[[], int]
    remove: Act
    creates: tuple[str, ...]
    tamperings: tuple[Tampering, ...] = ()
    tagging: Tagging | None = None
    by_hand: Callable[[dict[str, str]], Any] | None = None
    fixed: Mapping[str, Act] = field(default_factory=dict)
    """What an immutable property, by its name, looks like when it is another one: ours by its tags."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Properties that nobody can change in place, and why."""


OURS = {"iotpipe:environment": "dev", "iotpipe:region": "us-east-1", "iotpipe:managed-by": "iotpipe"}
KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_KEY = "arn:aws:kms:us-east-1:123456789012:key/0987dcba-09fe-87dc-65ba-ab0987654321"
IDENTITY = "it is what the thing is found by: with another one it is another thing"
