"""SSM parameters with the settings of the handlers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, tag_list
from iotpipe.provision.resources.ssm_parameters import (
    FIND_PARAMETERS,
    PARAMETER_ARN,
    TIER,
    WRITE_PARAMETERS,
    SsmParameter,
    known_tags,
    tier,
)
from iotpipe.provision.rights import Right
from iotpipe.provision.run import Run


@dataclass(frozen=True, eq=False)
class Parameter(SsmParameter):
    """A String parameter that holds a JSON object."""

    kind: ClassVar[str] = "parameter"
    aws_service: ClassVar[str] = "ssm"
    arn_form: ClassVar[str] = r"ssm:parameter(?P<name>/.+(?<!-key))"
    immutable: ClassVar[frozenset[str]] = frozenset({"Type"})
    rights: ClassVar[tuple[Right, ...]] = (
        WRITE_PARAMETERS,
        FIND_PARAMETERS,
        Right("ReadParameters", "ssm", PARAMETER_ARN, plan="GetParameter"),
    )

    value: Mapping[str, Any]

    def desired(self, run: Run) -> Properties:
        return {"Type": "String", "Value": dict(self.value), "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        ssm, tags = run.client("ssm"), known_tags(run, self.name)
        if tags is None:
            return None
        try:
            found = ssm.get_parameter(Name=self.name)["Parameter"]
        except ssm.exceptions.ParameterNotFound:
            return None
        return {"Type": found["Type"], "Value": _decoded(found["Value"]), "Tags": tags}

    def create(self, run: Run, desired: Properties) -> Properties:
        text = json.dumps(desired["Value"], sort_keys=True)
        run.client("ssm").put_parameter(
            Name=self.name, Type="String", Tier=TIER, Value=text, Overwrite=False, Tags=tag_list(desired["Tags"])
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if desired["Value"] != observed["Value"]:
            # Overwriting and tagging cannot go into one call.
            text = json.dumps(desired["Value"], sort_keys=True)
            run.client("ssm").put_parameter(
                Name=self.name, Type="String", Tier=tier(run, self.name), Value=text, Overwrite=True
            )
        self._retag(run, desired, observed)
        return {}


def _decoded(value: str) -> Any:
    """The JSON object; the text itself if it is not one."""
    try:
        decoded = json.loads(value)
    except ValueError:
        return value
    return decoded if isinstance(decoded, dict) else value
