"""SSM parameters with a secret that iotpipe generates and never shows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import ClassVar

from iotpipe.provision.resource import KEY, Properties, optional, optional_found, tag_list
from iotpipe.provision.resources.ssm_parameters import (
    ACCOUNTS_KEY,
    FIND_PARAMETERS,
    PARAMETER_ARN,
    TIER,
    WRITE_PARAMETERS,
    SsmParameter,
    described,
    known_tags,
    tier,
)
from iotpipe.provision.rights import Right, use_key
from iotpipe.provision.run import Run


@dataclass(frozen=True, eq=False)
class Secret(SsmParameter):
    """A SecureString with a random value, generated once, which never changes.

    `kms_key` is the ARN of the KMS key that encrypts it; None leaves that to the account's own of SSM. The value is
    only read where the key changes, since SSM encrypts nothing anew by itself: it goes from SSM's answer into the next
    request and nowhere else.
    """

    kind: ClassVar[str] = "secret"
    aws_service: ClassVar[str] = "ssm"
    # An ARN does not contain the type of the parameter: the name has to tell it.
    arn_form: ClassVar[str] = r"ssm:parameter(?P<name>/.+-key)"
    holds: ClassVar[str] = KEY
    immutable: ClassVar[frozenset[str]] = frozenset({"Type"})
    rights: ClassVar[tuple[Right, ...]] = (
        # The AWS managed key aws/ssm needs no right in KMS.
        WRITE_PARAMETERS,
        FIND_PARAMETERS,
        # SSM encrypts with another key only when the value is written again.
        Right("EncryptApiKey", "ssm", PARAMETER_ARN, up="GetParameter", of="key"),
        use_key("ssm", up="Encrypt Decrypt", operate="Decrypt"),
    )

    kms_key: str | None = None

    def desired(self, run: Run) -> Properties:
        return {"Type": "SecureString", **optional(run, self, "KeyId", self.kms_key, ""), "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        tags = known_tags(run, self.name)
        if tags is None:
            return None
        # It returns type and key without the value, and may not list a new parameter yet.
        found = described(run, self.name) or {"Type": "SecureString", "KeyId": self.kms_key or ACCOUNTS_KEY}
        key = found.get("KeyId", ACCOUNTS_KEY)
        return {
            "Type": found["Type"],
            **optional_found(run, self, "KeyId", "" if key == ACCOUNTS_KEY else key),
            "Tags": tags,
        }

    def create(self, run: Run, desired: Properties) -> Properties:
        run.client("ssm").put_parameter(
            Name=self.name,
            Type="SecureString",
            Tier=TIER,
            Value=secrets.token_urlsafe(32),
            Overwrite=False,
            Tags=tag_list(desired["Tags"]),
            **({"KeyId": desired["KeyId"]} if desired.get("KeyId") else {}),
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        if "KeyId" in desired and desired["KeyId"] != observed.get("KeyId"):
            value = run.client("ssm").get_parameter(Name=self.name, WithDecryption=True)["Parameter"]["Value"]
            run.client("ssm").put_parameter(
                Name=self.name,
                Type="SecureString",
                Tier=tier(run, self.name),
                Value=value,
                KeyId=desired["KeyId"] or ACCOUNTS_KEY,
                Overwrite=True,
            )
        self._retag(run, desired, observed)
        return {}
