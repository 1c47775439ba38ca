"""DynamoDB: tables take their time to come, to change and to go, and their backups a little longer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.aws_rules.layer import Asked, Refused, Service


@dataclass
class KnownTable:
    made: float
    status: str
    settled: float
    active: float
    last_words: Any = None


class DynamoDb(Service):
    def __init__(self, reality: Any) -> None:
        super().__init__(reality)
        self.tables: dict[str, KnownTable] = {}

    def _settle(self) -> None:
        for name, table in list(self.tables.items()):
            if self.now >= table.settled:
                if table.status == "DELETING":
                    del self.tables[name]
                table.status = "ACTIVE"

    def _table(self, asked: Asked) -> KnownTable | None:
        self._settle()
        return self.tables.get(asked["TableName"])

    def _room(self) -> None:
        limit = self.reality.limits.tables_changing
        if sum(each.status != "ACTIVE" for each in self.tables.values()) >= limit:
            text = f"Subscriber limit exceeded: Only {limit} tables can be created, updated, or deleted simultaneously"
            raise Refused("LimitExceededException", text)

    def _idle(self, asked: Asked) -> None:
        table = self._table(asked)
        if table and table.status != "ACTIVE":
            doing, name = table.status.lower().replace("ing", "ed"), asked["TableName"]
            text = f"Attempt to change a resource which is still in use: Table is being {doing}: {name}"
            raise Refused("ResourceInUseException", text)

    def before_create_table(self, asked: Asked) -> None:
        if (table := self._table(asked)) and table.status != "DELETING":
            raise Refused("ResourceInUseException", f"Table already exists: {asked['TableName']}")
        self._idle(asked)
        self._room()

    def after_create_table(self, asked: Asked, answer: Any) -> None:
        active = self.now + self.delays.table_creating
        self.tables[asked["TableName"]] = KnownTable(self.now, "CREATING", active, active)

    def before_describe_table(self, asked: Asked) -> Any:
        table = self._table(asked)
        if table and self.now < table.made + self.delays.unseen:
            name = asked["TableName"]
            text = f"Requested resource not found: Table: {name} not found"
            raise Refused("ResourceNotFoundException", text)
        if table and table.status == "DELETING":
            return {"Table": table.last_words | {"TableStatus": "DELETING"}}
        return None

    def after_describe_table(self, asked: Asked, answer: Any) -> None:
        table = self._table(asked)
        if table and table.status != "DELETING":
            answer["Table"]["TableStatus"] = table.status

    def before_update_table(self, asked: Asked) -> None:
        self._idle(asked)
        self._room()

    def after_update_table(self, asked: Asked, answer: Any) -> None:
        table = self.tables[asked["TableName"]]
        table.status, table.settled = "UPDATING", self.now + self.delays.table_updating

    def before_delete_table(self, asked: Asked) -> None:
        self._idle(asked)

    def after_delete_table(self, asked: Asked, answer: Any) -> None:
        table = self.tables[asked["TableName"]]
        table.last_words = answer["TableDescription"]
        table.status, table.settled = "DELETING", self.now + self.delays.table_deleting

    def before_update_continuous_backups(self, asked: Asked) -> None:
        table, name = self._table(asked), asked["TableName"]
        if table and self.now < table.active + self.delays.backups_unseen:
            raise Refused("TableNotFoundException", f"Table not found: {name}")
        if table and self.now < table.active + self.delays.backups:
            text = f"Backups are being enabled for the table: {name}. Please retry later"
            raise Refused("ContinuousBackupsUnavailableException", text)
