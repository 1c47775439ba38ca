"""What others added to the stage of the API, and the stages that they added beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, HIDES, OPENS, STOPS, Check, Foreign, Seen
from iotpipe.provision.foreign.log_group import of_group, subscription_filters
from iotpipe.provision.resources.deployments import delete_outdated_deployments
from iotpipe.provision.resources.execution_logs import execution_logs
from iotpipe.provision.resources.stage import Stage, its_log_group
from iotpipe.provision.resources.stage_lookup import known_stages, stages
from iotpipe.provision.run import Run

Answer = Mapping[str, Any]
"""What AWS says of one stage."""

Patch = dict[str, str]


def every_stage(run: Run, stage: Stage) -> dict[str, dict[str, Any]]:
    """All stages of the API by name, which the declared one is read from as well."""
    identifier = (run.look(stage.api) or {}).get("RestApiId")
    return known_stages(run, identifier) if identifier else {}


def log_filters(run: Run, stage: Stage) -> list[dict[str, Any]]:
    """Whoever gets the lines that API Gateway writes of the stage as they come."""
    api = run.look(stage.api) if stage.logs else None
    return subscription_filters(run, execution_logs(api["RestApiId"]) + stage.name) if api else []


@dataclass(frozen=True)
class _Setting:
    """A setting of the stage: `tell` says what it does, or nothing where there is none; `undo` takes it off.

    It is foreign unless the stage declares the property `declared`.
    """

    subject: str
    risk: str
    tell: Callable[[Answer], str]
    undo: Callable[[Answer], list[Patch]]
    declared: str = ""


def _remove(path: str) -> Patch:
    return {"op": "remove", "path": path}


def _replace(path: str, value: str) -> Patch:
    return {"op": "replace", "path": path, "value": value}


def _for_all(found: Answer) -> Answer:
    """The settings of all methods."""
    settings: Answer = (found.get("methodSettings") or {}).get(_ALL, {})
    return settings


_ALL = "*/*"


def _canary(found: Answer) -> str:
    canary = found.get("canarySettings") or {}
    part, deployment = canary.get("percentTraffic", 0.0), canary.get("deploymentId")
    return f"{part} % of the requests go to the deployment {deployment} instead of the declared one" if canary else ""


def _traced(found: Answer) -> str:
    told = "whoever may read the log of the stage can read all requests and answers, readings and keys among them"
    return told if _for_all(found).get("dataTraceEnabled") else ""


def _cached(found: Answer) -> str:
    told = f"answers are cached for {_for_all(found).get('cacheTtlInSeconds')} s: queries are answered from before"
    return told if _for_all(found).get("cachingEnabled") else ""


def _cluster(found: Answer) -> str:
    size = found.get("cacheClusterSize")
    return f"a cache of {size} GB is there, which is paid for by the hour" if found.get("cacheClusterEnabled") else ""


def _variables(found: Answer) -> str:
    names = ", ".join(sorted(found.get("variables") or {}))
    return f"the stage has variables that nobody declared: {names}" if names else ""


def _certificate(found: Answer) -> str:
    certificate = found.get("clientCertificateId")
    return f"the stage shows the client certificate {certificate} to what it calls" if certificate else ""


def _access_log(found: Answer) -> str:
    place = (found.get("accessLogSettings") or {}).get("destinationArn")
    return f"who calls what is written into {place}, for whoever may read that" if place else ""


_SETTINGS = (
    _Setting("canary", DRAINS, _canary, lambda found: [_remove("/canarySettings")]),
    _Setting("data trace", OPENS, _traced, lambda found: [_replace("/*/*/logging/dataTrace", "false")]),
    _Setting("caching", ALTERS, _cached, lambda found: [_replace("/*/*/caching/enabled", "false")]),
    _Setting("cache", ALTERS, _cluster, lambda found: [_replace("/cacheClusterEnabled", "false")]),
    _Setting(
        "variables",
        ALTERS,
        _variables,
        lambda found: [_remove(f"/variables/{each}") for each in sorted(found["variables"])],
    ),
    _Setting("client certificate", ALTERS, _certificate, lambda found: [_replace("/clientCertificateId", "")]),
    _Setting("access log", ALTERS, _access_log, lambda found: [_remove("/accessLogSettings")], "accessLogSettings"),
)


def _of_stage(seen: Seen) -> Iterator[Foreign]:
    there = seen.read(every_stage)
    found, declared = there.get(seen.resource.name, {}), seen.resource.desired(seen.run)
    for setting in _SETTINGS:
        if setting.declared not in declared and (told := setting.tell(found)):
            yield seen.foreign(setting.subject, setting.risk, told, _patching(seen, setting.tell, setting.undo))
    yield from _overrides(seen, found)
    if "webAclArn" not in declared:
        yield from _firewall(seen, found)
    if group := seen.run.answer(seen.resource, its_log_group):
        yield from of_group(seen, group, seen.read(log_filters), declared["executionLogGroup"])
    yield from _others(seen, there)


def _patching(seen: Seen, tell: Callable[[Answer], str], undo: Callable[[Answer], list[Patch]]) -> Callable[[], None]:
    run, stage, identifier = seen.run, seen.resource, seen.observed["RestApiId"]

    def remove() -> None:
        client = run.client("apigateway")
        with run.exclusive(stage.api.address):
            try:
                found = stages(run, identifier).get(stage.name, {})
                # Of what is not there any more AWS refuses the removal.
                if tell(found):
                    client.update_stage(restApiId=identifier, stageName=stage.name, patchOperations=undo(found))
                    if found.get("canarySettings"):
                        # Nothing else may have kept an outdated deployment.
                        delete_outdated_deployments(run, identifier, stage.definition_hash(run))
            except client.exceptions.NotFoundException:
                return

    return remove


def _overrides(seen: Seen, found: Answer) -> Iterator[Foreign]:
    """Settings of single methods, which count instead of those of all."""
    for key, override in sorted((found.get("methodSettings") or {}).items()):
        if key != _ALL:
            risk, told = _weighed(seen.resource, override)
            yield seen.foreign(f"settings of {key}", risk, f"{_route_of(key)} {told}", _dropping_override(seen, key))


def _dropping_override(seen: Seen, key: str) -> Callable[[], None]:
    def tell(found: Answer) -> str:
        return key if key in (found.get("methodSettings") or {}) else ""

    return _patching(seen, tell, lambda found: [_remove(_path_of(key))])


def _weighed(stage: Stage, override: Answer) -> tuple[str, str]:
    """The worst that the override does, and how to say it. A limit of -1 is none of its own."""
    rate, burst = (override.get(f"throttling{each}Limit", -1) for each in ("Rate", "Burst"))
    if override.get("dataTraceEnabled"):
        return OPENS, "is traced: whoever may read the log of the stage can read its requests and answers"
    if 0 in (rate, burst):
        return STOPS, f"is never let through: its limits are {rate} requests/s and a burst of {burst}"
    if 0 < rate < stage.rate or 0 < burst < stage.burst:
        return STOPS, f"is let through less: its limits are {rate} requests/s and a burst of {burst}"
    if stage.logging != "OFF" and override.get("loggingLevel", "OFF") == "OFF":
        return HIDES, "is not logged"
    if stage.metrics and not override.get("metricsEnabled"):
        return HIDES, "has no metrics of its own"
    if override.get("cachingEnabled"):
        return ALTERS, f"is answered from a cache for {override.get('cacheTtlInSeconds')} s"
    return ALTERS, "has settings of its own, instead of those of the stage"


def _route_of(key: str) -> str:
    path, _, method = key.replace("~1", "/").rpartition("/")
    return f"{method} /{path.lstrip('/')}"


def _path_of(key: str) -> str:
    """Where a patch finds the settings: the path's own slashes are escaped, and the root is only one of them."""
    path, _, method = key.rpartition("/")
    return f"/{path.replace('/', '~1') or '~1'}/{method}"


def _firewall(seen: Seen, found: Answer) -> Iterator[Foreign]:
    acl = found.get("webAclArn")
    if acl:
        arn = f"{seen.resource.api.arn(seen.run)}/stages/{seen.resource.name}"
        told = f"the web ACL {acl} decides which requests reach the stage, and stays, since it may protect the API"
        # WAF would take the stage from behind it, but Firewall Manager puts it back behind one that it manages:
        # https://docs.aws.amazon.com/waf/latest/developerguide/how-fms-manages-web-acls.html
        instead = (
            f"If it is wanted, set `api.web_acl` to it; if not: `aws wafv2 disassociate-web-acl --resource-arn {arn}`"
        )
        yield seen.foreign_that_stays("web ACL", ALTERS, told, instead)


def _others(seen: Seen, there: Mapping[str, Answer]) -> Iterator[Foreign]:
    """Stages that are neither recorded nor have the environment's tags."""
    run, identifier = seen.run, seen.observed["RestApiId"]
    for name, found in there.items():
        ours = run.owner_tags.items() <= (found.get("tags") or {}).items() or f"{Stage.kind}/{name}" in run.ledger
        if name == seen.resource.name or ours:
            continue
        url = f"https://{run.aws.host(f'{identifier}.execute-api')}/{name}"
        told = f"the deployment {found.get('deploymentId')} can be called at {url}, beside what is declared"
        yield seen.foreign(f"stage {name}", OPENS, told, _dropping(seen, name))


def _dropping(seen: Seen, name: str) -> Callable[[], None]:
    run, stage, identifier = seen.run, seen.resource, seen.observed["RestApiId"]

    def remove() -> None:
        client = run.client("apigateway")
        with run.exclusive(stage.api.address):
            with contextlib.suppress(client.exceptions.NotFoundException):
                client.delete_stage(restApiId=identifier, stageName=name)
            # Nothing else may have kept an outdated deployment.
            with contextlib.suppress(client.exceptions.NotFoundException):
                delete_outdated_deployments(run, identifier, stage.definition_hash(run))

    return remove


CHECK = Check(_of_stage, (every_stage, log_filters))
