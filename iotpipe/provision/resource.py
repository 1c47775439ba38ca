"""What a resource is: a frozen dataclass that can say what it should be, read what it is, and make it so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from iotpipe.provision.rights import Right

if TYPE_CHECKING:
    from iotpipe.provision.run import Run

Properties = dict[str, Any]
"""What AWS says of a resource or is told to make of it, under AWS's own names, as JSON would hold it."""

DATA, MESSAGES, KEY, URL = "data", "messages", "key", "URL"
"""What a resource may hold that cannot be made again."""

UNKNOWN = "(known after apply)"
"""Stands in a plan for an id that only AWS assigns and that is not assigned yet."""


def by_name() -> Any:
    """A field whose resource AWS lets one name before it exists: no waiting for it, no edge."""
    return field(metadata={"waits": False})


@dataclass(frozen=True)
class Recorded:
    """What the ledger knows of one resource: enough to find it and delete it without its declaration."""

    address: str
    kind: str
    name: str
    properties: Properties


@dataclass(frozen=True, eq=False)
class Resource:
    """One thing in AWS that an operator would name. Subclasses add what it is made of as fields.

    A field that holds another resource makes this one wait for it, unless it is declared with `by_name()`.
    """

    kind: ClassVar[str]
    aws_service: ClassVar[str] = ""
    """The AWS service that it belongs to, by boto3's name."""
    kinds: ClassVar[dict[str, type[Resource]]] = {}
    assigned: ClassVar[tuple[str, ...]] = ()
    """Properties that AWS chooses; `read` returns them and `create` answers with them."""
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Properties that AWS cannot change in place; iotpipe refuses to, it never replaces."""
    renewed: ClassVar[bool] = False
    """An update assigns the `assigned` properties anew."""
    identity: ClassVar[tuple[str, ...]] = ()
    """Properties that together no other resource of that name can ever have, such as an id that AWS gives once."""
    global_name: ClassVar[bool] = False
    """Its name belongs to the whole account: one region's environment can find another region's."""
    arn_form: ClassVar[str] = ""
    """A regular expression for `service:resource` of the ARN by which the tagging service lists it; its groups are
    the name and properties. What is part of another resource and has none cannot bear tags."""
    holds: ClassVar[str] = ""
    """What is lost for good with it: data, messages, key or URL; empty where it can be made again as it was."""
    shared: ClassVar[bool] = False
    """Belongs to the account, not to one environment: `down` always leaves it."""
    finishes: ClassVar[bool] = False
    """Its deletion is only sure when everything else is gone: `finish` is called then."""
    leaves: ClassVar[bool] = False
    """AWS leaves something of a deleted one behind, under its ids: `finish` deletes that."""
    cool_down: ClassVar[int] = 0
    """Seconds for which AWS keeps the name of a deleted one back."""
    questions: ClassVar[tuple[Callable[[Run, Any], Any], ...]] = ()
    """What `read` asks besides, each by `Run.answer` and none needing another's answer: a plan asks all of them at
    once of what was made here."""
    chosen_by: ClassVar[str] = ""
    """The property with an id by which a user tells which one `--adopt` takes over, where several may have its name."""
    grants: ClassVar[str] = ""
    """The property with the rights that it gives to who uses what it mentions. What is changed to something on which
    rights are only given now, such as a key, is changed after it."""
    inside: ClassVar[str] = ""
    """The field with the resource that this one is part of: AWS deletes both together."""
    rights: ClassVar[tuple[Right, ...]] = ()
    """What whoever runs iotpipe has to be allowed in IAM for resources of this kind, by group of commands."""

    name: str

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Resource.kinds[cls.kind] = cls

    @property
    def address(self) -> str:
        return f"{self.kind}/{self.name}"

    @classmethod
    def keeps_data(cls) -> bool:
        """Whether `down` keeps it unless the data is asked to go too."""
        return cls.holds == DATA

    @property
    def parent(self) -> str:
        """The address of the resource that this one is part of; empty where it stands alone."""
        return str(getattr(self, self.inside).address) if self.inside else ""

    def needs(self) -> tuple[Resource, ...]:
        """The resources that must be done before this one, derived from the fields."""
        waited_for = (getattr(self, each.name) for each in fields(self) if each.metadata.get("waits", True))
        return tuple(dict.fromkeys(resource for value in waited_for for resource in _resources_in(value)))

    def mentions(self) -> tuple[Resource, ...]:
        """Every resource in the fields, waited for or not."""
        values = (getattr(self, each.name) for each in fields(self))
        return tuple(dict.fromkeys(resource for value in values for resource in _resources_in(value)))

    def desired(self, run: Run) -> Properties:
        """What the declaration says, without any call; ids not assigned yet are UNKNOWN."""
        raise NotImplementedError

    def read(self, run: Run) -> Properties | None:
        """What AWS has, in the shape of `desired` plus the `assigned` properties; None where it has nothing."""
        raise NotImplementedError

    def create(self, run: Run, desired: Properties) -> Properties:
        """Make it, and answer with the `assigned` properties."""
        raise NotImplementedError

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        """Change what differs, and answer with `assigned` properties that changed."""
        raise NotImplementedError

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        """Delete it by what the ledger knows; that it is gone already is success."""
        raise NotImplementedError

    @classmethod
    def finish(cls, run: Run, recorded: Recorded) -> None:
        """Make sure, when everything else of the environment is deleted; only for kinds with `finishes`."""
        raise NotImplementedError

    def obstacle(self, run: Run) -> str:
        """Why it cannot be created, besides what has its name; empty where nothing stands in the way."""
        return ""

    def namesakes(self, run: Run) -> list[str]:
        """What has its name and bears no environment's tags, by id and time; only for kinds with `chosen_by`."""
        return []

    def taken_off(self, observed: Properties) -> list[str]:
        """What others gave it that an update takes off for good, besides its settings, in plain words."""
        return []

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The live tags, by which iotpipe knows whose it is; None where there is no such resource.

        Kinds that cannot bear tags answer with those of the resource that they are part of.
        """
        raise NotImplementedError

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        """The live `identity` properties, asked for where the tags do not tell; only for kinds with an identity."""
        raise NotImplementedError

    @classmethod
    def hindrance(cls, run: Run, recorded: Recorded) -> str:
        """Why AWS would refuse to delete it, and what to do; empty where nothing stands in the way."""
        return ""

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        """Resources of this kind that may belong to the environment and that the tagging service does not list."""
        return iter(())


def optional(run: Run, resource: Resource, name: str, value: Any, absent: Any) -> Properties:
    """A property that is only declared where it has a value: what somebody else sets otherwise is foreign.

    Where iotpipe itself has set it, and it is not wanted any more, `absent` is declared, with which it is taken off.
    """
    if value:
        return {name: value}
    return {name: absent} if run.recorded(resource).get(name) else {}


def optional_found(run: Run, resource: Resource, name: str, value: str) -> Properties:
    """What AWS has of an `optional` property that is a text; without a value it is only there if iotpipe had set it."""
    return {name: value} if value or name in run.recorded(resource) else {}


def _resources_in(value: Any) -> Iterator[Resource]:
    if isinstance(value, Resource):
        yield value
    elif isinstance(value, Mapping):
        yield from _resources_in(value.values())
    elif is_dataclass(value):
        yield from _resources_in([getattr(value, each.name) for each in fields(value)])
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            yield from _resources_in(each)


def everything(*roots: Resource) -> list[Resource]:
    """The roots and all that they mention, each once, every resource after the ones it needs."""
    found: dict[Resource, None] = {}

    def add(resource: Resource) -> None:
        if resource in found:
            return
        for mentioned in resource.mentions():
            add(mentioned)
        found[resource] = None

    for root in roots:
        add(root)
    return list(found)


def tag_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags as the services take them that want a list."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def tag_dict(tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags as one mapping, from the services that answer with a list."""
    return {each[key]: each[value] for each in tags}


def tag_changes(desired: Properties, observed: Properties) -> tuple[dict[str, str], list[str]]:
    """What to set and which keys to remove to come from the observed tags to the desired ones."""
    wanted, live = desired["Tags"], observed.get("Tags", {})
    changed = {key: value for key, value in wanted.items() if live.get(key) != value}
    return changed, sorted(live.keys() - wanted.keys())
