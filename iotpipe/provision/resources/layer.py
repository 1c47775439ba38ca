"""Lambda layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource
from iotpipe.provision.rights import Right, regional_arn
from iotpipe.provision.run import Run

_MARK = "iotpipe "


@dataclass(frozen=True, eq=False)
class Layer(Resource):
    """The handlers' dependencies. `digest` is a hash of what it is built from, `content` builds its zip.

    Layer versions cannot be changed and every publication makes a new one, also of the same bytes: the digest, kept
    in the description, decides whether there is anything to publish. Layers cannot bear tags: the description also
    tells the environment.
    """

    kind: ClassVar[str] = "layer"
    aws_service: ClassVar[str] = "lambda"
    assigned: ClassVar[tuple[str, ...]] = ("LayerVersionArn",)
    ids_change_on_update: ClassVar[bool] = True
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Layers",
            "lambda",
            (regional_arn("lambda", "layer:{name}"),),
            plan="ListLayerVersions",
            up="PublishLayerVersion",
        ),
        Right("Anywhere", "lambda", ("*",), plan="ListLayers"),
        # Lambda checks GetLayerVersion on each layer that a function is given.
        Right(
            "LayerVersions",
            "lambda",
            (regional_arn("lambda", "layer:{name}:*"),),
            plan="GetLayerVersionPolicy",
            up="GetLayerVersion RemoveLayerVersionPermission",
            down="DeleteLayerVersion",
        ),
    )

    digest: str
    content: Callable[[], bytes]
    runtime: str
    architecture: str

    def desired(self, run: Run) -> Properties:
        return {
            "Description": self._description(run),
            "CompatibleRuntimes": [self.runtime],
            "CompatibleArchitectures": [self.architecture],
        }

    def read(self, run: Run) -> Properties | None:
        ours = _ours(run, layer_versions(run, self))
        wanted = self._description(run)
        found = next((each for each in ours if each["Description"] == wanted), ours[0] if ours else None)
        if found is None:
            return None
        return {
            "Description": found["Description"],
            "CompatibleRuntimes": found.get("CompatibleRuntimes", []),
            "CompatibleArchitectures": found.get("CompatibleArchitectures", []),
            "LayerVersionArn": found["LayerVersionArn"],
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        return self._publish(run, desired, self.content())

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        # What cannot be built must not cost the versions there are.
        content = self.content()
        # Functions keep a copy of their layers, so a version in use can go. It goes first: once the new one is
        # there, nothing would be left to do for the next command, were this one to die before it has tidied up.
        _delete_versions(run, self.name)
        return self._publish(run, desired, content)

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        _delete_versions(run, recorded.name)

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        """Layers cannot have tags: the owner tags, if the descriptions of the versions name the environment."""
        return run.owner_tags if _ours(run, _versions(run, recorded.name)) else None

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        for page in run.client("lambda").get_paginator("list_layers").paginate():
            for layer in page["Layers"]:
                if _is_of(run, layer["LatestMatchingVersion"]):
                    yield Recorded(f"{cls.kind}/{layer['LayerName']}", cls.kind, layer["LayerName"], {})

    def _description(self, run: Run) -> str:
        return f"{_MARK}{self.digest} {run.environment}"

    def _publish(self, run: Run, desired: Properties, content: bytes) -> Properties:
        published = run.client("lambda").publish_layer_version(
            LayerName=self.name, Content={"ZipFile": content}, **desired
        )
        return {"LayerVersionArn": published["LayerVersionArn"]}


def _delete_versions(run: Run, name: str) -> None:
    for each in _ours(run, _versions(run, name)):
        run.client("lambda").delete_layer_version(LayerName=name, VersionNumber=each["Version"])


def layer_versions(run: Run, layer: Layer) -> list[dict[str, Any]]:
    """All versions in the layer's name, asked for once per command."""
    return run.once(f"versions of {layer.address}", lambda: _versions(run, layer.name))


def published_by_iotpipe(version: Mapping[str, Any]) -> bool:
    """Whether iotpipe published the version, for any environment, by its description: layers cannot have tags."""
    description: str = version.get("Description", "")
    return description.startswith(_MARK)


def _ours(run: Run, versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in versions if _is_of(run, each)]


def _is_of(run: Run, version: Mapping[str, Any]) -> bool:
    description: str = version.get("Description", "")
    return published_by_iotpipe(version) and description.endswith(f" {run.environment}")


def _versions(run: Run, name: str) -> list[dict[str, Any]]:
    """All versions in the name, the newest first."""
    client = run.client("lambda")
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=name)
    try:
        return [each for page in pages for each in page["LayerVersions"]]
    except client.exceptions.ResourceNotFoundException:
        return []
