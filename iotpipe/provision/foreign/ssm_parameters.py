"""What others added to parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, NoReturn

from iotpipe.errors import RefusedError
from iotpipe.provision.foreign.finding import ALTERS, STOPS, Check, Foreign, Seen
from iotpipe.provision.resources.parameter import Parameter
from iotpipe.provision.resources.secret import Secret
from iotpipe.provision.resources.ssm_parameters import ACCOUNTS_KEY, described, tier
from iotpipe.provision.run import Run

_NO_POLICY = "[{}]"
"""With which SSM removes all policies; those that a request does not mention stay."""


def _described(run: Run, resource: Parameter | Secret) -> dict[str, Any]:
    return described(run, resource.name)


def _judge(seen: Seen) -> Iterator[Foreign]:
    found, name = seen.read(_described), seen.resource.name
    if not found:
        return
    yield from _policies(seen, found.get("Policies", []))
    if pattern := found.get("AllowedPattern"):
        told = f"SSM refuses values of {name} that do not match {pattern}, also from `up`"
        yield seen.foreign("AllowedPattern", ALTERS, told, partial(_put, seen, AllowedPattern=""))
    if found.get("Tier", "Standard") == "Advanced":
        told = f"{name} is an advanced parameter: it costs money, and it can be shared with other accounts"
        yield seen.foreign("Tier", ALTERS, told, partial(_refuse, seen, "an advanced parameter cannot become standard"))
    if found.get("KeyId", ACCOUNTS_KEY) != ACCOUNTS_KEY and "KeyId" not in seen.resource.desired(seen.run):
        told = f"{name} is encrypted with the KMS key {found['KeyId']}: the functions have no right to decrypt it"
        reason = "its key is changed only by writing its value anew, which iotpipe does not know"
        yield seen.foreign("KeyId", STOPS, told, partial(_refuse, seen, reason))


def _policies(seen: Seen, policies: list[dict[str, str]]) -> Iterator[Foreign]:
    name = seen.resource.name
    for each in policies:
        kind, text = each["PolicyType"], each["PolicyText"]
        left = [other["PolicyText"] for other in policies if other is not each]
        remove = partial(_put, seen, Policies=f"[{', '.join(left)}]" if left else _NO_POLICY)
        if kind == "Expiration":
            when = json.loads(text).get("Attributes", {}).get("Timestamp", "a time of its own")
            told = f"SSM deletes {name} at {when}, and the functions cannot work without it"
            yield seen.foreign(f"policy {kind}", STOPS, told, remove)
        else:
            yield seen.foreign(f"policy {kind}", ALTERS, f"SSM sends events about {name}: {text}", remove)


def _put(seen: Seen, **settings: str) -> None:
    """Write the declared value with other settings: SSM changes them in no other way."""
    if isinstance(seen.resource, Secret):
        _refuse(seen, "its settings are changed only by writing its value anew, which iotpipe does not know")
    wanted = seen.resource.desired(seen.run)
    text = json.dumps(wanted["Value"], sort_keys=True)
    seen.run.client("ssm").put_parameter(
        Name=seen.resource.name,
        Type=wanted["Type"],
        Tier=tier(seen.run, seen.resource.name),
        Value=text,
        Overwrite=True,
        **settings,
    )


def _refuse(seen: Seen, reason: str) -> NoReturn:
    name = seen.resource.name
    lost = ". Its value is lost with it: `up` makes a new one" if isinstance(seen.resource, Secret) else ""
    raise RefusedError(
        f"{name}: {reason}",
        f"Delete it with `aws ssm delete-parameter --name {name}`, and run "
        f"`iotpipe up --env {seen.run.environment}` after 30 s{lost}",
    )


CHECK = Check(_judge, (_described,))
