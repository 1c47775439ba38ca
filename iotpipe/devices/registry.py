"""The calls of AWS IoT that devices need. Each is paced, retried, and safe to repeat after a lost answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from iotpipe.devices.device_names import Device
from iotpipe.devices.rates import Rates
from iotpipe.errors import ResourceError
from iotpipe.names import Names
from iotpipe.provision.run import Run

GONE = "ResourceNotFoundException"
OWNER = "iotpipe"
"""The attribute of a thing that says to which environment it belongs, by its suffix."""
_PAGE = 250


@dataclass(frozen=True)
class Thing:
    """A thing. AWS increases its `version` with each update."""

    name: str
    attributes: Mapping[str, str]
    version: int


@dataclass(frozen=True)
class Certificate:
    """A certificate that AWS IoT has issued."""

    certificate_id: str
    status: str
    created: datetime
    pem: str = ""

    @property
    def active(self) -> bool:
        return self.status == "ACTIVE"


class Registry:
    """The things, certificates and policy of one environment. Raises ResourceError and what else `with_retries` does.

    Safe to use from several threads.
    """

    def __init__(self, run: Run, names: Names) -> None:
        self.run = run
        self.names = names
        self._rates = Rates(run.clock, limited=run.aws.eventually_consistent)

    def call(self, verb: str, device: str, operation: str, service: str = "iot", **parameters: Any) -> dict[str, Any]:
        """Call the operation, with retries. `device` is the address in messages."""

        def attempt(number: int) -> dict[str, Any]:
            return self.once(operation, service, **parameters)

        return self.run.with_retries(verb, device, attempt)

    def once(self, operation: str, service: str = "iot", **parameters: Any) -> dict[str, Any]:
        """Call the operation as soon as its rate allows it."""
        self._rates.wait(operation)
        response: dict[str, Any] = getattr(self.run.client(service), operation)(**parameters)
        return response

    def _unless(self, codes: tuple[str, ...], *arguments: Any, **parameters: Any) -> dict[str, Any] | None:
        """The answer of `call`; None if AWS answers with one of the codes."""
        try:
            return self.call(*arguments, **parameters)
        except ResourceError as error:
            if error.code not in codes:
                raise
            return None

    def _pages(self, verb: str, address: str, operation: str, key: str, **parameters: Any) -> Iterator[list[Any]]:
        """The pages of a list, of which some call the token `nextToken` and others `marker`."""
        parameters = {each: value for each, value in parameters.items() if value is not None}
        following: dict[str, str] = {}
        while True:
            response = self.call(verb, address, operation, **parameters, **following)
            yield response[key]
            if token := response.get("nextToken"):
                following = {"nextToken": token}
            elif token := response.get("nextMarker"):
                following = {"marker": token}
            else:
                return

    # Things

    def thing(self, device: Device) -> Thing | None:
        found = self._unless((GONE,), "read", device.address, "describe_thing", thingName=device.thing)
        return None if found is None else Thing(device.thing, found.get("attributes", {}), found["version"])

    def things(self) -> Iterator[list[Thing]]:
        """All things of the environment, in pages."""
        mine = {"attributeName": OWNER, "attributeValue": self.names.suffix}
        for page in self._pages("list", "devices", "list_things", "things", maxResults=_PAGE, **mine):
            yield [Thing(each["thingName"], each.get("attributes", {}), each["version"]) for each in page]

    def create_thing(self, device: Device, attributes: Mapping[str, str]) -> bool:
        """Create the thing; False if it exists with other attributes.

        AWS decides that atomically: of several calls with different attributes only one succeeds.
        """
        payload = {"attributes": dict(attributes)}
        made = ("enrol", device.address, "create_thing")
        taken = ("ResourceAlreadyExistsException",)
        return self._unless(taken, *made, thingName=device.thing, attributePayload=payload) is not None

    def update_thing(self, device: Device, thing: Thing, attributes: Mapping[str, str]) -> bool:
        """Replace the thing's attributes; False if it is gone, or was updated since it was read."""
        refused = ("VersionConflictException", GONE)
        answer = self._unless(
            refused,
            "update",
            device.address,
            "update_thing",
            thingName=device.thing,
            attributePayload={"attributes": dict(attributes), "merge": False},
            expectedVersion=thing.version,
        )
        return answer is not None

    def delete_thing(self, device: Device) -> None:
        self._unless((GONE,), "remove", device.address, "delete_thing", thingName=device.thing)

    # Certificates

    def arn(self, certificate_id: str) -> str:
        return self.run.aws.arn("iot", f"cert/{certificate_id}")

    def create_certificate(self, device: Device, csr: str, again: Callable[[], Certificate | None]) -> Certificate:
        """Have a certificate issued for the request, and activated.

        AWS issues another one for each call, so `again` is asked for the issued one before the call is repeated.
        """

        def attempt(number: int) -> Certificate:
            if number and (found := again()):
                return found
            issued = self.once("create_certificate_from_csr", certificateSigningRequest=csr, setAsActive=True)
            created = datetime.fromtimestamp(self.run.clock.now()).astimezone()
            return Certificate(issued["certificateId"], "ACTIVE", created, issued["certificatePem"])

        return self.run.with_retries("enrol", device.address, attempt)

    def certificate(self, certificate_id: str, address: str) -> Certificate | None:
        found = self._unless((GONE,), "read", address, "describe_certificate", certificateId=certificate_id)
        if found is None:
            return None
        described = found["certificateDescription"]
        pem = described["certificatePem"]
        return Certificate(certificate_id, described["status"], described["creationDate"], pem)

    def certificates(self) -> Iterator[list[Certificate]]:
        """All certificates of the account and region without their PEM, in pages, the newest first."""
        listed = self._pages(
            "list", "certificates", "list_certificates", "certificates", pageSize=_PAGE, ascendingOrder=False
        )
        for page in listed:
            yield [Certificate(each["certificateId"], each["status"], each["creationDate"]) for each in page]

    def deactivate(self, certificate_id: str, address: str) -> None:
        inactive = {"certificateId": certificate_id, "newStatus": "INACTIVE"}
        self._unless((GONE,), "revoke", address, "update_certificate", **inactive)

    def delete_certificate(self, certificate_id: str, address: str) -> None:
        force = {"certificateId": certificate_id, "forceDelete": True}
        self._unless((GONE,), "remove", address, "delete_certificate", **force)

    # What is attached to what

    def attach_policy(self, certificate_id: str, address: str) -> None:
        target = {"policyName": self.names.device_policy, "target": self.arn(certificate_id)}
        self.call("enrol", address, "attach_policy", **target)

    def detach_policy(self, certificate_id: str, address: str) -> None:
        target = {"policyName": self.names.device_policy, "target": self.arn(certificate_id)}
        self._unless((GONE,), "remove", address, "detach_policy", **target)

    def attach(self, device: Device, certificate_id: str) -> bool:
        """Attach the certificate to the device's thing and to no other; False if one of them is gone."""
        both = {"thingName": device.thing, "principal": self.arn(certificate_id)}
        exclusive = {"thingPrincipalType": "EXCLUSIVE_THING"}
        return self._unless((GONE,), "enrol", device.address, "attach_thing_principal", **both, **exclusive) is not None

    def detach(self, device: Device, certificate_id: str) -> None:
        both = {"thingName": device.thing, "principal": self.arn(certificate_id)}
        self._unless((GONE,), "remove", device.address, "detach_thing_principal", **both)

    def attached(self, device: Device) -> list[str]:
        """The ids of the certificates that are attached to the device's thing; none if there is no thing."""
        try:
            pages = self._pages(
                "read", device.address, "list_thing_principals", "principals", thingName=device.thing, maxResults=_PAGE
            )
            principals = [each for page in pages for each in page]
        except ResourceError as error:
            if error.code != GONE:
                raise
            return []
        return [each.partition(":cert/")[2] for each in principals if ":cert/" in each]

    def things_of(self, certificate_id: str, address: str) -> list[str]:
        """The things that the certificate is attached to."""
        try:
            pages = self._pages(
                "read", address, "list_principal_things", "things", principal=self.arn(certificate_id), maxResults=_PAGE
            )
            return [each for page in pages for each in page]
        except ResourceError as error:
            if error.code != GONE:
                raise
            return []

    # Connections

    def disconnect(self, device: Device) -> None:
        """End the device's connection if it is connected. It can connect again unless its certificate is inactive."""
        self._unless((GONE,), "disconnect", device.address, "delete_connection", "iot-data", clientId=device.thing)

    def connection(self, device: Device) -> dict[str, Any] | None:
        """Whether the device is connected, and since when, as GetConnection answers; None if it was not of late."""
        return self._unless((GONE,), "read", device.address, "get_connection", "iot-data", clientId=device.thing)

    def data_endpoint(self) -> str:
        """The host, perhaps with a port, at which devices connect."""
        found = self.call("read", "the endpoint of AWS IoT", "describe_endpoint", endpointType="iot:Data-ATS")
        return str(found["endpointAddress"])
