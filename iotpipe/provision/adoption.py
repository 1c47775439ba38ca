"""`--adopt`: existing resources without ownership tags that iotpipe may adopt, all declared ones or single ones."""

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
    """What may be adopted. Resources with another environment's tags never are.

    `named` maps single addresses to the id that the user gave, or to an empty text. If only single addresses are
    given, the command is limited to them and their dependencies.
    """

    everything: bool = False
    named: Mapping[str, str] = field(default_factory=dict)

    def covers(self, address: str) -> bool:
        return self.everything or address in self.named

    @property
    def limited(self) -> bool:
        """Whether the command is limited to single resources."""
        return bool(self.named) and not self.everything

    def scope(self, resources: Sequence[Resource]) -> list[Resource]:
        """Return the resources that the command covers, in the order of the declaration."""
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
        """Return the recorded properties with the ids that the user gave, so that AWS is read by those ids."""
        chosen = {
            each.address: {each.chosen_by: self.named[each.address]} for each in resources if self.chosen_for(each)
        }
        return {**recorded, **{address: {**recorded.get(address, {}), **given} for address, given in chosen.items()}}

    def missed(self, resource: Resource, run: Run, observed: Properties | None) -> str:
        """Return why a named resource cannot be adopted: it does not exist. Empty if it exists, or is not named."""
        chosen = self.chosen_for(resource)
        if resource.address in self.named and not chosen and observed is None:
            absent = (
                f"{resource.address} cannot be adopted: it does not exist. `iotpipe up` without this address creates it"
            )
            return resource.creation_obstacle(run) or absent
        if not chosen or (observed or {}).get(resource.chosen_by) == chosen:
            return ""
        found = ", ".join(resource.namesakes(run)) or "none"
        return (
            f"{resource.address} cannot be adopted as {chosen}: there is none with this id in {run.aws.region}, or it "
            f"bears another environment's tags. Of that name and without any environment's tags there is: {found}"
        )

    def chosen_for(self, resource: Resource) -> str:
        """Return the id that the user gave for the resource; empty if none was given."""
        return self.named.get(resource.address, "")


NOTHING, EVERYTHING = Adoption(), Adoption(everything=True)


def adoption(everything: bool, arguments: Sequence[str], resources: Sequence[Resource]) -> Adoption:
    """Parse the values of `--adopt`: ADDRESS or ADDRESS=ID.

    Raises UsageError for an address that is not declared, listing all declared ones, and for an id that is missing
    or that the kind does not have.
    """
    declared = {each.address: each for each in resources}
    named: dict[str, str] = {}
    for text in arguments:
        address, identifier = _parsed(text, declared)
        if named.get(address, identifier) != identifier:
            raise UsageError(f"{adopt_option(address)}: it is named twice with different values; nothing was changed")
        named[address] = identifier
    return Adoption(everything, named)


def _parsed(text: str, declared: Mapping[str, Resource]) -> tuple[str, str]:
    # The name of a subscription is an email address, which may contain "=".
    if text in declared:
        return text, ""
    address, equals, identifier = text.rpartition("=")
    if address not in declared:
        lines = "\n".join(f"  {each}" for each in sorted(declared))
        raise UsageError(
            f"{adopt_option(text)}: nothing was changed, no such resource is declared. Declared are:\n{lines}"
        )
    if not identifier:
        raise UsageError(f"{adopt_option(text)}: nothing was changed, no id follows the `{equals}`")
    if not declared[address].chosen_by:
        raise UsageError(
            f"{adopt_option(text)}: nothing was changed, AWS has only one {declared[address].kind} of a name",
            f"Leave out `={identifier}`",
        )
    return address, identifier


def adopt_option(address: str) -> str:
    """Return the option that adopts this one resource."""
    return f"--adopt {shlex.quote(address)}"
