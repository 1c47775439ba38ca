"""Values that name a resource, such as those of a function's environment: the dependency graph finds it in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from iotpipe.provision.resource import Resource
from iotpipe.provision.run import Run


class _HasArn(Protocol):
    def arn(self, run: Run) -> str: ...


class _HasUrl(Protocol):
    def url(self, run: Run) -> str: ...


@dataclass(frozen=True)
class NameOf:
    """The name of a resource."""

    resource: Resource

    def value(self, run: Run) -> str:
        return self.resource.name


@dataclass(frozen=True)
class ArnOf:
    """The ARN of a resource, which has to follow from its name."""

    resource: _HasArn

    def value(self, run: Run) -> str:
        return self.resource.arn(run)


@dataclass(frozen=True)
class UrlOf:
    """The URL of a queue."""

    resource: _HasUrl

    def value(self, run: Run) -> str:
        return self.resource.url(run)


Reference = NameOf | ArnOf | UrlOf
