"""What `--adopt` takes over of what bears no environment's tags: all that is declared, or single resources."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iotpipe.errors import UsageError
from iotpipe.provision.resource import Properties, Resource

if TYPE_CHECKING:
    from iotpipe.provision.run import Run


@dataclass(frozen=True)
class Adoption:
    """What may be taken over. Nothing is, unless it bears no environment's tags.

    `named` are single addresses, each with the id that was given for it, else with an empty text. Where only these
    were given, the command is about them and what they need, and leaves everything else as it is.
    """

    everything: bool = False
    named: Mapping[str, str] = field(default_factory=dict)

    def covers(self, address: str) -> bool:
        return self.everything or address in self.named

    @property
    def limited(self) -> bool:
        """Whether the command is about single resources only."""
        return bool(self.named) and not self.everything

    def scope(self, resources: Sequence[Resource]) -> list[Resource]:
        """What the command is about, in the order of the declaration."""
        if not self.limited:
            return list(resources)
        waiting = [each for each in resources if each.address in self.named]
        within: set[str] = set()
        while waiting:
            resource = waiting.pop()
            within.add(resource.address)
            waiting += resource.needs()
        return [each for each in resources if each.address in within]

    def with_chosen(self, resources: Sequence[Resource], recorded: Mapping[str, Properties]) -> dict[str, Properties]:
        """What the state file records, but with the ids that the user gave: by these AWS is asked instead."""
        chosen = {
            each.address: {each.chosen_by: self.named[each.address]} for each in resources if self.chosen_for(each)
        }
        return {**recorded, **{address: {**recorded.get(address, {}), **given} for address, given in chosen.items()}}

    def missed(self, resource: Resource, run: Run, observed: Properties | None) -> str:
        """Why what the user named cannot be taken over, since it is not there; empty where it is, or was not named."""
        chosen = self.chosen_for(resource)
        if resource.address in self.named and not chosen and observed is None:
            nothing = (
                f"{resource.address} cannot be adopted: it does not exist. `iotpipe up` without this address creates it"
            )
            return resource.creation_obstacle(run) or nothing
        if not chosen or (observed or {}).get(resource.chosen_by) == chosen:
            return ""
        found = ", ".join(resource.namesakes(run)) or "none"
        return (
            f"{resource.address} cannot be adopted as {chosen}: there is none with this id in {run.aws.region}, or it "
            f"bears another environment's tags. Of that name and without any environment's tags there is: {found}"
        )

    def chosen_for(self, resource: Resource) -> str:
        """The id that the user gave for it; empty where none was given."""
        return self.named.get(resource.address, "")


NOTHING, EVERYTHING = Adoption(), Adoption(everything=True)


def adoption(everything: bool, said: Sequence[str], resources: Sequence[Resource]) -> Adoption:
    """Everything that is declared, or what was said: addresses, or addresses with ids (ADDRESS=ID).

    Raises UsageError for what is not declared, with all that is, and where an id makes no sense.
    """
    declared = {each.address: each for each in resources}
    named: dict[str, str] = {}
    for text in said:
        address, identifier = _parsed(text, declared)
        if named.get(address, identifier) != identifier:
            raise UsageError(f"{advised(address)}: it is named twice with different values; nothing was changed")
        named[address] = identifier
    return Adoption(everything, named)


def _parsed(text: str, declared: Mapping[str, Resource]) -> tuple[str, str]:
    # The name of a subscription is a mail address, which may have a "=" of its own.
    if text in declared:
        return text, ""
    address, equals, identifier = text.rpartition("=")
    if address not in declared:
        lines = "\n".join(f"  {each}" for each in sorted(declared))
        raise UsageError(f"{advised(text)}: nothing was changed, no such resource is declared. Declared are:\n{lines}")
    if not identifier:
        raise UsageError(f"{advised(text)}: nothing was changed, no id follows the `{equals}`")
    if not declared[address].chosen_by:
        raise UsageError(
            f"{advised(text)}: nothing was changed, AWS has only one {declared[address].kind} of a name",
            f"Leave out `={identifier}`",
        )
    return address, identifier


def advised(address: str) -> str:
    """How to say that this one resource is to be taken over."""
    return f"--adopt {shlex.quote(address)}"
