"""The declaration of the pipeline: every resource of an environment, in the order in which a reading travels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iotpipe.pipeline.alarms import alarms
from iotpipe.pipeline.api import api
from iotpipe.pipeline.artifacts import Artifacts
from iotpipe.pipeline.dashboard import dashboard
from iotpipe.pipeline.devices import devices
from iotpipe.pipeline.functions import Functions, feed, layer
from iotpipe.pipeline.storage import storage
from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.subscription import Subscription

if TYPE_CHECKING:
    from iotpipe.configuration import Environment

__all__ = ["Artifacts", "pipeline"]


def pipeline(env: Environment, built: Artifacts, region: str) -> list[Resource]:
    """Every resource of the environment, each after the resources that it depends on."""
    stored = storage(env)
    declared = Functions(env, built, layer(env, built), stored)
    ingestion, processor, query = functions = (declared.ingestion(), declared.processor(), declared.query())
    exposed = api(env, region, ingestion, processor, query)
    published = devices(env, stored, ingestion)
    return everything(
        *((published.policy, published.feed) if published else ()),
        *exposed.permissions,
        exposed.stage,
        feed(env, stored.readings, processor),
        *(Subscription(email.lower(), topic=stored.alerts, endpoint=email) for email in env.alerts.emails),
        *alarms(env, exposed, functions, stored, published),
        dashboard(env, exposed, functions, stored, published),
    )
