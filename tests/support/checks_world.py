"""An account whose answers can be written by hand, and the pipeline that is to be brought up in it."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from iotpipe.checks import preflight
from iotpipe.checks.finding import Finding
from iotpipe.configuration import Environment, load
from iotpipe.packaging import handler_zip
from iotpipe.packaging.lambda_target import Target
from iotpipe.pipeline import Artifacts, pipeline
from iotpipe.provision import ledger
from iotpipe.provision.adoption import NOTHING, Adoption
from iotpipe.provision.aws import Aws, connect
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run
from tests.support import engine_world

ACCOUNT = "123456789012"
Answer = Callable[[dict[str, Any]], dict[str, Any] | ClientError]


@dataclass
class Zipped:
    """A layer with these files."""

    names: tuple[str, ...]
    size: int = 10
    target: Target = field(default_factory=lambda: Target("python3.14", "arm64"))
    identity: str = "0123456789abcdef"

    def content(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
            for name in self.names:
                target.writestr(name, bytes(self.size))
        return buffer.getvalue()


HANDLERS = {name: handler_zip(name) for name in ("ingestion", "processor", "query")}


def settings(text: str, directory: Path) -> Environment:
    """The environment that this YAML configures."""
    (directory / "dev.yaml").write_text(text)
    return load("dev", directory)


COMPILED = Zipped(("python/a.py", "python/__pycache__/a.cpython-314.pyc"))


def artifacts(layer: Any = COMPILED) -> Artifacts:
    """What is packaged, with a layer that nobody has to build."""
    return Artifacts(HANDLERS, layer)


def declare(env: Environment) -> list[Resource]:
    """The pipeline of an environment."""
    return pipeline(env, artifacts(), "us-east-1")


def written(advice: str) -> str:
    """The settings that a remedy names, as the YAML that somebody would write who follows it."""
    tree: dict[str, Any] = {}
    for path, value in re.findall(r"([\w.]+): (\w+)", advice):
        *parents, key = path.split(".")
        place = tree
        for each in parents:
            place = place.setdefault(each, {})
        place[key] = yaml.safe_load(value)
    return yaml.safe_dump(tree)


@dataclass
class Clinic(engine_world.World):
    """One environment on moto; `answers` are AWS's words by operation, in place of moto's."""

    answers: dict[str, Answer] = field(default_factory=dict)
    caller: str = ""

    def connect(self) -> Aws:
        """All tests share the clients: making them takes longer than using them."""
        _current[0] = self
        if not _shared:
            aws = connect(None, "us-east-1", None)
            aws.session.events.register("before-call", lambda **call: _current[0].answer(**call))
            _shared.append(aws)
        return replace(_shared[0], caller=self.caller) if self.caller else _shared[0]

    def answer(self, model: Any, params: dict[str, Any], **call: Any) -> Any:
        if (refused := self._observe(model, params)) is not None:
            return refused
        if model.name not in self.answers:
            return None
        found = self.answers[model.name](params)
        status = 400 if isinstance(found, ClientError) else 200
        body = found.response if isinstance(found, ClientError) else found
        http = type("Answer", (), {"status_code": status, "headers": {}, "content": b""})()
        return http, {**body, "ResponseMetadata": {"HTTPStatusCode": status}}

    def planned(self, resources: list[Resource], adopt: Adoption = NOTHING) -> tuple[Plan, list[Finding], Run]:
        """What `plan` and `up` look at before the first write."""
        run, contents = self.run("up"), ledger.read(self.path)
        steps, findings = preflight.planned(resources, run, contents.rows if contents else {}, adopt)
        return steps, findings, run


_current: list[Clinic] = [Clinic(Path())]
_shared: list[Aws] = []


def limits(limit: int, unreserved: int | None = None, code: int = 0) -> Answer:
    """What GetAccountSettings says of an account."""
    free = limit if unreserved is None else unreserved
    most = {"TotalCodeSize": 80_530_636_800, "CodeSizeUnzipped": 262_144_000, "CodeSizeZipped": 52_428_800}
    return lambda params: {
        "AccountLimit": most | {"ConcurrentExecutions": limit, "UnreservedConcurrentExecutions": free},
        "AccountUsage": {"TotalCodeSize": code, "FunctionCount": 0},
    }


def results(findings: list[Finding]) -> Mapping[str, str]:
    """Result by check."""
    return {each.check: each.result for each in findings}
