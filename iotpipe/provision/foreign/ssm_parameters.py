"""What others added to parameters and secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.ssm_parameters import ACCOUNTS_KEY, described, tier
from iotpipe.provision.run import Run

_NO_POLICY = "[{}]"
"""The value that removes all policies. SSM keeps the policies if a request does not set them."""


def _described(run: Run, resource: Parameter | Secret) -> dict[str, Any]:
    return described(run, resource.name)


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    live, name = checked.read(_described), checked.resource.name
    if not live:
        return
    yield from _policies(checked, live.get("Policies", []))
    if pattern := live.get("AllowedPattern"):
        text = f"SSM refuses values of {name} that do not match {pattern}, also from `up`"
        yield checked.finding("AllowedPattern", ALTERS, text, partial(_write, checked, AllowedPattern=""))
    if live.get("Tier", "Standard") == "Advanced":
        text = f"{name} is an advanced parameter: it costs money, and it can be shared with other accounts"
        yield checked.finding(
            "Tier", ALTERS, text, partial(_refuse_change, checked, "an advanced parameter cannot become standard")
        )
    if live.get("KeyId", ACCOUNTS_KEY) != ACCOUNTS_KEY and "KeyId" not in checked.resource.desired(checked.run):
        text = f"{name} is encrypted with the KMS key {live['KeyId']}: the functions have no right to decrypt it"
        reason = "its key is changed only by writing its value anew, which iotpipe does not know"
        yield checked.finding("KeyId", STOPS, text, partial(_refuse_change, checked, reason))


def _policies(checked: CheckedResource, policies: list[dict[str, str]]) -> Iterator[Foreign]:
    name = checked.resource.name
    for each in policies:
        kind, text = each["PolicyType"], each["PolicyText"]
        left = [other["PolicyText"] for other in policies if other is not each]
        remove = partial(_write, checked, Policies=f"[{', '.join(left)}]" if left else _NO_POLICY)
        if kind == "Expiration":
            when = json.loads(text).get("Attributes", {}).get("Timestamp", "a time of its own")
            message = f"SSM deletes {name} at {when}, and the functions cannot work without it"
            yield checked.finding(f"policy {kind}", STOPS, message, remove)
        else:
            yield checked.finding(f"policy {kind}", ALTERS, f"SSM sends events about {name}: {text}", remove)


def _write(checked: CheckedResource, **settings: str) -> None:
    """Write the declared value with other settings: SSM has no other call to change them."""
    if isinstance(checked.resource, Secret):
        _refuse_change(checked, "its settings are changed only by writing its value anew, which iotpipe does not know")
    wanted = checked.resource.desired(checked.run)
    text = json.dumps(wanted["Value"], sort_keys=True)
    checked.run.client("ssm").put_parameter(
        Name=checked.resource.name,
        Type=wanted["Type"],
        Tier=tier(checked.run, checked.resource.name),
        Value=text,
        Overwrite=True,
        **settings,
    )


def _refuse_change(checked: CheckedResource, reason: str) -> NoReturn:
    name = checked.resource.name
    lost = ". Its value is lost with it: `up` makes a new one" if isinstance(checked.resource, Secret) else ""
    raise RefusedError(
        f"{name}: {reason}",
        f"Delete it with `aws ssm delete-parameter --name {name}`, and run "
        f"`iotpipe up --env {checked.run.environment}` after 30 s{lost}",
    )


CHECK = Check(_check, (_described,))
