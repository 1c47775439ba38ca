"""A resource: a frozen dataclass with the desired state of one AWS resource and the calls that reconcile it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from iotpipe.provision.rights import Right

if TYPE_CHECKING:
    from iotpipe.provision.run import Run

Properties = dict[str, Any]
"""The properties of a resource, as AWS answers with them or is asked to set them: AWS's own names, JSON values."""

DATA, MESSAGES, KEY, URL = "data", "messages", "key", "URL"
"""What a resource may hold that cannot be created again."""

UNKNOWN = "(known after apply)"
"""In a plan: an id that AWS assigns and has not assigned yet."""


def by_name() -> Any:
    """A field with resources that need not exist first: AWS accepts their names before. It makes no dependency."""
    return field(metadata={"waits": False})


@dataclass(frozen=True)
class Recorded:
    """One resource as the ledger records it: enough to find and delete it without its declaration."""

    address: str
    kind: str
    name: str
    properties: Properties


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource in AWS. A subclass is a kind of resource, its fields are the settings.

    A field that holds another resource makes this one depend on it, unless it is declared with `by_name()`.
    """

    kind: ClassVar[str]
    aws_service: ClassVar[str] = ""
    """The AWS service that it belongs to, by boto3's name."""
    kinds: ClassVar[dict[str, type[Resource]]] = {}
    assigned: ClassVar[tuple[str, ...]] = ()
    """Properties that AWS assigns. `read` and `create` return them."""
    immutable: ClassVar[frozenset[str]] = frozenset()
    """Properties that AWS cannot change in place. iotpipe refuses such a change: it never replaces a resource."""
    ids_change_on_update: ClassVar[bool] = False
    """An update changes the `assigned` properties."""
    identity: ClassVar[tuple[str, ...]] = ()
    """Properties that together identify the resource: another one of the same name has other values."""
    global_name: ClassVar[bool] = False
    """Its name is unique in the account, not in the region: an environment can find a resource of another region."""
    arn_form: ClassVar[str] = ""
    """A regular expression for `service:resource` of the ARN that the tagging service lists. Its groups are the name
    and properties. Empty for kinds that cannot have tags."""
    holds: ClassVar[str] = ""
    """What is lost when it is deleted: data, messages, key or URL; empty where it can be created again as it was."""
    shared: ClassVar[bool] = False
    """Belongs to the account, not to one environment: `down` never deletes it."""
    needs_final_cleanup: ClassVar[bool] = False
    """`final_cleanup` is called when everything else of the environment is deleted."""
    leaves_residue: ClassVar[bool] = False
    """AWS keeps something of a deleted one, under its ids: `final_cleanup` deletes it."""
    name_reuse_delay: ClassVar[int] = 0
    """Seconds after a deletion during which AWS refuses to create one of the same name."""
    extra_reads: ClassVar[tuple[Callable[[Run, Any], Any], ...]] = ()
    """The further calls of `read`, each made by `Run.answer` and independent of the others: a plan makes them all in
    parallel for the resources that are recorded."""
    chosen_by: ClassVar[str] = ""
    """The property with the id that `--adopt ADDRESS=ID` names, where several resources can have the same name."""
    grants: ClassVar[str] = ""
    """The property with the permissions that it grants on the resources and keys that it mentions. It is updated before
    the resources that begin to use such a key."""
    inside: ClassVar[str] = ""
    """The field with the resource that contains this one: AWS deletes both together."""
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
        """Whether `down` keeps it without `--delete-data`."""
        return cls.holds == DATA

    @property
    def parent(self) -> str:
        """The address of the resource that contains this one; empty if there is none."""
        return str(getattr(self, self.inside).address) if self.inside else ""

    def needs(self) -> tuple[Resource, ...]:
        """The resources that this one depends on, derived from the fields."""
        waited_for = (getattr(self, each.name) for each in fields(self) if each.metadata.get("waits", True))
        return tuple(dict.fromkeys(resource for value in waited_for for resource in _resources_in(value)))

    def mentions(self) -> tuple[Resource, ...]:
        """Every resource in the fields, with those that make no dependency."""
        values = (getattr(self, each.name) for each in fields(self))
        return tuple(dict.fromkeys(resource for value in values for resource in _resources_in(value)))

    def desired(self, run: Run) -> Properties:
        """The declared properties, without any call to AWS. An id that is not assigned yet is UNKNOWN."""
        raise NotImplementedError

    def read(self, run: Run) -> Properties | None:
        """The live properties: at least those of `desired` and the `assigned` ones; None if it does not exist."""
        raise NotImplementedError

    def create(self, run: Run, desired: Properties) -> Properties:
        """Create it, and return the `assigned` properties.

        The tags belong into the call that creates it: where a command dies between two calls, nothing tells the next
        one that the resource is the environment's.
        """
        raise NotImplementedError

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        """Change what differs, and return the `assigned` properties that changed."""
        raise NotImplementedError

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        """Delete the recorded resource. Idempotent: one that does not exist is no error."""
        raise NotImplementedError

    @classmethod
    def final_cleanup(cls, run: Run, recorded: Recorded) -> None:
        """Delete what is left when everything else is deleted; only for kinds with `needs_final_cleanup`."""
        raise NotImplementedError

    def creation_obstacle(self, run: Run) -> str:
        """Why it cannot be created, apart from a resource of the same name; empty if it can."""
        return ""

    def namesakes(self, run: Run) -> list[str]:
        """The id and creation time of each resource with its name and without the tags of any environment; only for
        kinds with `chosen_by`."""
        return []

    def removed_by_update(self, observed: Properties) -> list[str]:
        """What somebody attached to it and an update removes, one sentence each."""
        return []

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """The live tags, which tell the environment that owns it; None if it does not exist.

        A kind that cannot have tags returns those of the resource that contains it.
        """
        raise NotImplementedError

    @classmethod
    def identify(cls, run: Run, recorded: Recorded) -> Properties:
        """The live `identity` properties, for when the tags do not tell the owner; only for kinds with an identity."""
        raise NotImplementedError

    @classmethod
    def deletion_obstacle(cls, run: Run, recorded: Recorded) -> str:
        """Why AWS would refuse to delete it, and what to do; empty if it would not."""
        return ""

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        """Resources that may belong to the environment and that the tagging service does not list."""
        return iter(())


def optional(run: Run, resource: Resource, name: str, value: Any, absent: Any) -> Properties:
    """A property that is only declared where it has a value. Without one, a value that somebody else sets is foreign.

    Where iotpipe has set a value that is no longer wanted, `absent` is declared, which removes it.
    """
    if value:
        return {name: value}
    return {name: absent} if run.recorded(resource).get(name) else {}


def optional_found(run: Run, resource: Resource, name: str, value: str) -> Properties:
    """The live value of an `optional` text property. An empty one is only returned where iotpipe had set a value."""
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
    """The roots and every resource that they mention, directly or not, each after the ones that it mentions."""
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
    """Tags in the form of a list, which most services require."""
    return [{key: name, value: text} for name, text in sorted(tags.items())]


def tag_dict(tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags as a mapping, from the list that most services answer with."""
    return {each[key]: each[value] for each in tags}


def tag_changes(desired: Properties, observed: Properties) -> tuple[dict[str, str], list[str]]:
    """The tags to set and the keys to remove, to get from the observed tags to the desired ones."""
    wanted, live = desired["Tags"], observed.get("Tags", {})
    changed = {key: value for key, value in wanted.items() if live.get(key) != value}
    return changed, sorted(live.keys() - wanted.keys())
