"""What others added to the stage of the API, and further stages that they added to the API."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, DRAINS, HIDES, OPENS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.log_group import log_group_findings, subscription_filters
from iotpipe.provision.resources.deployments import delete_outdated_deployments
from iotpipe.provision.resources.execution_logs import execution_logs
from iotpipe.provision.resources.stage import Stage, its_log_group
from iotpipe.provision.resources.stage_lookup import known_stages, stages
from iotpipe.provision.run import Run

Response = Mapping[str, Any]
"""One stage as AWS returns it."""

Patch = dict[str, str]


def every_stage(run: Run, stage: Stage) -> dict[str, dict[str, Any]]:
    """Return all stages of the API by name. The read of the declared stage shares them."""
    identifier = (run.look(stage.api) or {}).get("RestApiId")
    return known_stages(run, identifier) if identifier else {}


def log_filters(run: Run, stage: Stage) -> list[dict[str, Any]]:
    """Return the subscription filters of the stage's execution log group."""
    api = run.look(stage.api) if stage.logs else None
    return subscription_filters(run, execution_logs(api["RestApiId"]) + stage.name) if api else []


@dataclass(frozen=True)
class _Setting:
    """A setting of the stage: `describe` returns its effect, empty if it is not set; `undo` resets it.

    It is foreign unless the stage declares the property `declared`.
    """

    subject: str
    risk: str
    describe: Callable[[Response], str]
    undo: Callable[[Response], list[Patch]]
    declared: str = ""


def _remove(path: str) -> Patch:
    return {"op": "remove", "path": path}


def _replace(path: str, value: str) -> Patch:
    return {"op": "replace", "path": path, "value": value}


def _all_methods(live: Response) -> Response:
    """Return the settings that apply to all methods."""
    settings: Response = (live.get("methodSettings") or {}).get(_ALL_METHODS, {})
    return settings


_ALL_METHODS = "*/*"


def _canary(live: Response) -> str:
    canary = live.get("canarySettings") or {}
    part, deployment = canary.get("percentTraffic", 0.0), canary.get("deploymentId")
    return f"{part} % of the requests go to the deployment {deployment} instead of the declared one" if canary else ""


def _data_trace(live: Response) -> str:
    text = "whoever may read the log of the stage can read all requests and answers, readings and keys among them"
    return text if _all_methods(live).get("dataTraceEnabled") else ""


def _caching(live: Response) -> str:
    text = f"answers are cached for {_all_methods(live).get('cacheTtlInSeconds')} s: queries may return old readings"
    return text if _all_methods(live).get("cachingEnabled") else ""


def _cluster(live: Response) -> str:
    size = live.get("cacheClusterSize")
    return f"a cache of {size} GB is there, which is paid for by the hour" if live.get("cacheClusterEnabled") else ""


def _variables(live: Response) -> str:
    names = ", ".join(sorted(live.get("variables") or {}))
    return f"the stage has variables that nobody declared: {names}" if names else ""


def _certificate(live: Response) -> str:
    certificate = live.get("clientCertificateId")
    return f"the stage shows the client certificate {certificate} to what it calls" if certificate else ""


def _access_log(live: Response) -> str:
    place = (live.get("accessLogSettings") or {}).get("destinationArn")
    return f"the callers of each route are logged into {place}: whoever may read that sees them" if place else ""


_SETTINGS = (
    _Setting("canary", DRAINS, _canary, lambda live: [_remove("/canarySettings")]),
    _Setting("data trace", OPENS, _data_trace, lambda live: [_replace("/*/*/logging/dataTrace", "false")]),
    _Setting("caching", ALTERS, _caching, lambda live: [_replace("/*/*/caching/enabled", "false")]),
    _Setting("cache", ALTERS, _cluster, lambda live: [_replace("/cacheClusterEnabled", "false")]),
    _Setting(
        "variables",
        ALTERS,
        _variables,
        lambda live: [_remove(f"/variables/{each}") for each in sorted(live["variables"])],
    ),
    _Setting("client certificate", ALTERS, _certificate, lambda live: [_replace("/clientCertificateId", "")]),
    _Setting("access log", ALTERS, _access_log, lambda live: [_remove("/accessLogSettings")], "accessLogSettings"),
)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    live_stages = checked.read(every_stage)
    live, declared = live_stages.get(checked.resource.name, {}), checked.resource.desired(checked.run)
    for setting in _SETTINGS:
        if setting.declared not in declared and (text := setting.describe(live)):
            yield checked.finding(setting.subject, setting.risk, text, _reset(checked, setting.describe, setting.undo))
    yield from _overrides(checked, live)
    if "webAclArn" not in declared:
        yield from _firewall(checked, live)
    if group := checked.run.answer(checked.resource, its_log_group):
        yield from log_group_findings(checked, group, checked.read(log_filters), declared["executionLogGroup"])
    yield from _other_stages(checked, live_stages)


def _reset(
    checked: CheckedResource, describe: Callable[[Response], str], undo: Callable[[Response], list[Patch]]
) -> Callable[[], None]:
    run, stage, identifier = checked.run, checked.resource, checked.observed["RestApiId"]

    def remove() -> None:
        client = run.client("apigateway")
        with run.exclusive(stage.api.address):
            try:
                live = stages(run, identifier).get(stage.name, {})
                # AWS refuses to remove a setting that is not set.
                if describe(live):
                    client.update_stage(restApiId=identifier, stageName=stage.name, patchOperations=undo(live))
                    if live.get("canarySettings"):
                        # The canary may have been the last user of an outdated deployment of iotpipe's.
                        delete_outdated_deployments(run, identifier, stage.definition_hash(run))
            except client.exceptions.NotFoundException:
                return

    return remove


def _overrides(checked: CheckedResource, live: Response) -> Iterator[Foreign]:
    """Yield settings of single methods, which override those of all methods."""
    for key, override in sorted((live.get("methodSettings") or {}).items()):
        if key != _ALL_METHODS:
            risk, text = _worst_effect(checked.resource, override)
            yield checked.finding(
                f"settings of {key}", risk, f"{_route_name(key)} {text}", _override_removal(checked, key)
            )


def _override_removal(checked: CheckedResource, key: str) -> Callable[[], None]:
    def describe(live: Response) -> str:
        return key if key in (live.get("methodSettings") or {}) else ""

    return _reset(checked, describe, lambda live: [_remove(_patch_path(key))])


def _worst_effect(stage: Stage, override: Response) -> tuple[str, str]:
    """Return the risk and the description of the worst effect of the override. A limit of -1 means no override."""
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


def _route_name(key: str) -> str:
    path, _, method = key.replace("~1", "/").rpartition("/")
    return f"{method} /{path.lstrip('/')}"


def _patch_path(key: str) -> str:
    """Return the patch path of the settings. Slashes of the method's path are escaped; the root is a single one."""
    path, _, method = key.rpartition("/")
    return f"/{path.replace('/', '~1') or '~1'}/{method}"


def _firewall(checked: CheckedResource, live: Response) -> Iterator[Foreign]:
    acl = live.get("webAclArn")
    if acl:
        arn = f"{checked.resource.api.arn(checked.run)}/stages/{checked.resource.name}"
        text = f"the web ACL {acl} decides which requests reach the stage, and stays, since it may protect the API"
        # iotpipe could disassociate the web ACL, but Firewall Manager associates a web ACL that it manages again:
        # https://docs.aws.amazon.com/waf/latest/developerguide/how-fms-manages-web-acls.html
        instead = (
            f"If it is wanted, set `api.web_acl` to it; if not: `aws wafv2 disassociate-web-acl --resource-arn {arn}`"
        )
        yield checked.kept_finding("web ACL", ALTERS, text, instead)


def _other_stages(checked: CheckedResource, live_stages: Mapping[str, Response]) -> Iterator[Foreign]:
    """Yield stages without the environment's tags. Stages with them, and recorded ones, belong to iotpipe."""
    run, identifier = checked.run, checked.observed["RestApiId"]
    for name, live in live_stages.items():
        owned = run.owner_tags.items() <= (live.get("tags") or {}).items() or f"{Stage.kind}/{name}" in run.ledger
        if name == checked.resource.name or owned:
            continue
        url = f"https://{run.aws.host(f'{identifier}.execute-api')}/{name}"
        text = f"the deployment {live.get('deploymentId')} can be called at {url}, beside what is declared"
        yield checked.finding(f"stage {name}", OPENS, text, _stage_removal(checked, name))


def _stage_removal(checked: CheckedResource, name: str) -> Callable[[], None]:
    run, stage, identifier = checked.run, checked.resource, checked.observed["RestApiId"]

    def remove() -> None:
        client = run.client("apigateway")
        with run.exclusive(stage.api.address):
            with contextlib.suppress(client.exceptions.NotFoundException):
                client.delete_stage(restApiId=identifier, stageName=name)
            # The stage may have been the last user of an outdated deployment of iotpipe's.
            with contextlib.suppress(client.exceptions.NotFoundException):
                delete_outdated_deployments(run, identifier, stage.definition_hash(run))

    return remove


CHECK = Check(_check, (every_stage, log_filters))
