"""Four machines in one account: two of one environment, one of another, and one of the first in another region."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.account_inventory import REGION, Things, client, inventory, looking_at
from tests.support.account_snapshot import Photograph, photograph, put_back
from tests.support.engine_world import FakeClock
from tests.support.pipeline_world import Declared, Settings, World, declare

EAST, WEST = REGION, "eu-west-1"
UP, DOWN, DOWN_WITH_DATA = COMMANDS = ("up", "down", "down --delete-data")
SHARED_ROLE = "iotpipe-api-gateway-logging-"
EXECUTION_LOGS = "API-Gateway-Execution-Logs_"
READING = {"device_id": {"S": "sensor-1"}, "timestamp": {"N": "1700000000000"}}
Account = dict[str, Things]
Rows = dict[str, dict[str, Any]]


@dataclass
class Machine(World):
    """A state directory, and the configuration of one environment."""

    settings: Settings = field(default_factory=dict)
    pipeline: Declared = field(default_factory=lambda: Declared([], {}))

    def act(self, command: str) -> None:
        self.declared = self.pipeline.resources
        if command == UP:
            self.bring_up(self.pipeline)
        else:
            self.down(delete_data=command == DOWN_WITH_DATA)

    def pending(self) -> list[str]:
        """What an `up` would do."""
        return [f"{step.action} {step.address}" for step in self.planned(self.pipeline).pending]

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the state file by hand."""
        data = json.loads(self.path.read_text(encoding="utf-8"))
        change(data)
        self.path.write_text(json.dumps(data), encoding="utf-8")

    def edit_rows(self, change: Callable[[Rows], object]) -> None:
        self.edit(lambda data: change(data["resources"]))

    def owns(self, kind: str, name: str, thing: Any, there: Things) -> bool:
        """Whether this is the environment's: by its tags, or those of what it is part of."""
        if kind == "layers":
            return bool(thing["Description"].endswith(f" {self.environment}"))
        if name.startswith(EXECUTION_LOGS):
            api = re.split("_the api |/", name)[1]
            return api in there["apis"] and self.owns("apis", api, there["apis"][api], there)
        if kind == "subscriptions":
            topic = name.split(" #")[0].rsplit(":", 1)[1]
            return topic in there["topics"] and self.owns("topics", topic, there["topics"][topic], there)
        if kind == "account of API Gateway" or name.startswith(SHARED_ROLE):
            return False
        return (self.environment, self.region) == owner_of(thing)

    def share(self, account: Account) -> Things:
        """What is the environment's of all that the account holds."""
        return _only(account[self.region], self.owns)

    def rest(self, account: Account) -> Account:
        """What is not the environment's."""
        others: Account = {}
        for region, there in account.items():
            others[region] = _only(there, lambda *each, region=region: not (region == self.region and self.owns(*each)))
            for kind in ("roles", "dashboards"):  # are seen from every region
                if region != self.region:
                    mine = _only({**there, kind: there[kind]}, self.owns).get(kind, {})
                    others[region][kind] = {n: t for n, t in others[region].get(kind, {}).items() if n not in mine}
        return others


def owner_of(thing: Any) -> tuple[str, str]:
    """The environment and the region that the tags name."""
    found = thing.get("Tags") or thing.get("tags") or {}
    tags = found if isinstance(found, dict) else {each["Key"]: each["Value"] for each in found}
    return tags.get("iotpipe:environment", ""), tags.get("iotpipe:region", "")


def _only(there: Things, wanted: Callable[[str, str, Any, Things], bool]) -> Things:
    found = {kind: {n: t for n, t in things.items() if wanted(kind, n, t, there)} for kind, things in there.items()}
    return {kind: things for kind, things in found.items() if things}


def look_around(*regions: str) -> Account:
    """All that these regions hold."""
    found = {}
    for region in regions:
        with looking_at(region):
            found[region] = inventory()
    return found


@dataclass(frozen=True)
class Start:
    """The account, the state files and the time at which a command begins."""

    account: Photograph
    files: dict[Path, bytes]
    time: float
    settings: dict[str, Settings]


class Cast:
    """The machines. The suffix of each environment in the east is the name of the other one."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.directory = directory
        self.machines: dict[str, Machine] = {}
        self.mine = self._machine("mine", "dev", {"suffix": "blue"})
        self.second = self._machine("second", "dev", {"suffix": "blue"})
        self.other = self._machine("other", "blue", {"suffix": "dev"})
        self.west = self._machine("west", "dev", {"suffix": "west"}, WEST)

    def _machine(self, place: str, environment: str, settings: Settings, region: str = EAST) -> Machine:
        (self.directory / place).mkdir(exist_ok=True)
        machine = Machine(self.directory / place, environment, clock=self.clock, region=region)
        self.machines[place] = machine
        self.configure(machine, settings)
        return machine

    def third(self, environment: str, settings: Settings, region: str = EAST) -> Machine:
        """One more machine, with an empty state directory."""
        return self._machine(f"{environment}-{region}", environment, settings, region)

    def configure(self, machine: Machine, settings: Settings) -> None:
        """Change the configuration that the machine has."""
        every = {"alerts": {"emails": ["ops@example.com"]}, "region": machine.region}
        machine.settings = settings
        machine.pipeline = declare(machine.directory, every | settings, machine.environment, machine.region)

    def keep(self) -> Start:
        files = {path: path.read_bytes() for path in self.directory.glob("*/*.json")}
        settings = {place: machine.settings for place, machine in self.machines.items()}
        return Start(photograph(), files, self.clock.time, settings)

    def return_to(self, start: Start) -> None:
        put_back(start.account)
        for path in self.directory.glob("*/*.json"):
            path.unlink()
        for path, content in start.files.items():
            path.write_bytes(content)
        self.clock.time = start.time
        for place, settings in start.settings.items():
            if self.machines[place].settings != settings:
                self.configure(self.machines[place], settings)


@cache
def nobody_up(directory: Path) -> tuple[Cast, Start]:
    look_around(EAST, WEST)  # asks every service, so that each is there to be photographed
    cast = Cast(directory)
    return cast, cast.keep()


@cache
def everybody_up(directory: Path) -> tuple[Cast, Start]:
    """All three environments are up, with data, messages and keys."""
    cast, empty = nobody_up(directory)
    cast.return_to(empty)
    for machine in (cast.mine, cast.other, cast.west):
        machine.act(UP)
        suffix = machine.pipeline.resources[0].name.rsplit("-", 1)[1]
        with looking_at(machine.region):
            client("dynamodb").put_item(TableName=f"raw-sensor-data-{suffix}", Item=READING)
            url = client("sqs").get_queue_url(QueueName=f"iot-dlq-{suffix}")["QueueUrl"]
            client("sqs").send_message(QueueUrl=url, MessageBody="a bad reading")
    cast.clock.time += 3600
    return cast, cast.keep()
