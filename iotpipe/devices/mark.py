"""What a thing says about its certificates: which it has, and whether one is being made.

Certificates bear no tags, and AWS lists them without the things that they are attached to. The mark tells after an
interruption that a certificate may exist that is attached to nothing, since when, and for which key. AWS replaces the
attributes of a thing only if it is still of the version that was read, which makes the mark a claim: of several
commands that enrol a device at once, one gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from iotpipe.devices.registry import OWNER, Thing

ATTRIBUTE = "enrolment"
_PENDING, _DONE = "pending", "done"
OTHERS_TURN = 120
"""Seconds that a command has for a device before it counts as interrupted."""


@dataclass(frozen=True)
class Mark:
    """The certificates of a thing, by id.

    `key` is the fingerprint of the key for which a certificate is being made, `since` when that was begun in epoch
    seconds; empty and 0 if none is.
    """

    certificates: tuple[str, ...] = ()
    key: str = ""
    since: int = 0

    @property
    def pending(self) -> bool:
        return bool(self.key)

    def is_recent(self, now: float) -> bool:
        """Whether the command that made the mark may still be running, so that others leave the device to it."""
        return self.pending and now - self.since < OTHERS_TURN

    @property
    def text(self) -> str:
        parts = (_PENDING, str(self.since), self.key) if self.pending else (_DONE,)
        return "/".join((*parts, *self.certificates))

    def with_certificate(self, certificate_id: str) -> Mark:
        """The mark after the certificate was made."""
        return Mark(tuple(dict.fromkeys((*self.certificates, certificate_id))))

    def claimed(self, key: str, now: float) -> Mark:
        """The mark while a certificate is made for the key. It keeps the time of an earlier one that is unfinished."""
        return replace(self, key=key, since=self.since if self.pending else int(now))


def read(thing: Thing) -> Mark:
    """The mark of a thing; an empty one if somebody else wrote the attribute, or nobody."""
    kind, *rest = thing.attributes.get(ATTRIBUTE, "").split("/")
    if kind == _PENDING and len(rest) >= 2 and rest[0].isdecimal():
        return Mark(tuple(rest[2:]), rest[1], int(rest[0]))
    return Mark(tuple(rest) if kind == _DONE else ())


def attributes(suffix: str, mark: Mark, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """The attributes of a thing with this mark; those that others gave it are kept."""
    return {**(before or {}), OWNER: suffix, ATTRIBUTE: mark.text}
