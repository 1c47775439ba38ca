"""Resource policies of others: who may do what by each of their statements, in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from iotpipe.provision.foreign.finding import ALTERS, OPENS, STOPS, Foreign, Seen
from iotpipe.provision.policy_documents import canonical
from iotpipe.provision.run import Run

Statement = dict[str, Any]
Document = dict[str, Any]


@dataclass(frozen=True)
class Policy:
    """The resource policy of one kind.

    `says` gives in plain words what the actions do that matter. `needed` are those that the pipeline itself needs;
    to deny them has the risk `denied`. `read` gives the document as it is now, empty where there is none; `write`
    replaces it, and removes it where no statement is left.
    """

    says: Mapping[str, str]
    needed: tuple[str, ...]
    read: Callable[[Run, Any], Document]
    write: Callable[[Run, Any, Document], None]
    denied: str = STOPS
    anybody: str = "anybody"

    def judge(
        self, seen: Seen, document: Document, ours: Callable[[Statement], bool] = lambda statement: False
    ) -> Iterator[Foreign]:
        """One finding per statement, except those for which `ours` is true."""
        for number, statement in enumerate(statements(document), 1):
            if ours(statement):
                continue
            subject = f"statement {statement.get('Sid') or f'#{number}'}"
            told = self._told(statement, seen)
            yield seen.foreign(subject, self._risk(statement, seen), told, partial(self._take_out, seen, statement))

    def _told(self, statement: Statement, seen: Seen) -> str:
        can = "cannot" if denies(statement) else "can"
        who = principals_told(statement, seen.run.aws.account, self.anybody)
        return f"{who} {can} {self._done(statement)} {seen.resource.name}{condition(statement)}"

    def _done(self, statement: Statement) -> str:
        said = [told for action, told in self.says.items() if covers(statement, action)]
        return " and ".join(dict.fromkeys(said)) or f"do {actions(statement)} on"

    def _risk(self, statement: Statement, seen: Seen) -> str:
        if not denies(statement):
            return OPENS
        hits = any(covers(statement, action) for action in self.needed) and not only_without_tls(statement)
        return self.denied if hits and concerns(statement, seen.run.aws.account) else ALTERS

    def _take_out(self, seen: Seen, statement: Statement) -> None:
        # Each removal changes what the others have left.
        with seen.run.exclusive(f"policy of {seen.resource.address}"):
            document = self.read(seen.run, seen.resource)
            left = [each for each in statements(document) if not same([each], [statement])]
            if len(left) < len(statements(document)):
                self.write(seen.run, seen.resource, {**document, "Statement": left})


def parsed(text: str | None) -> Document:
    """The document that AWS gives as text; empty where there is none."""
    document: Document = json.loads(text or "{}")
    return document


def statements(document: Document) -> list[Statement]:
    found = document.get("Statement", [])
    return list(found) if isinstance(found, list) else [found]


def listed(value: Any) -> list[Any]:
    """A policy's value, which is a list or one element of it."""
    return list(value) if isinstance(value, list) else [value]


def same(one: list[Statement], other: list[Statement]) -> bool:
    """Whether both lists of statements mean the same, whatever words AWS answers in."""
    return canonical({"Statement": one}) == canonical({"Statement": other})


def denies(statement: Statement) -> bool:
    return str(statement.get("Effect")) == "Deny"


def covers(statement: Statement, action: str) -> bool:
    """Whether the statement is about this action."""
    excepted = "NotAction" in statement
    named = [str(each).lower() for each in listed(statement.get("NotAction" if excepted else "Action", []))]
    return excepted is not any(fnmatchcase(action.lower(), each) for each in named)


def actions(statement: Mapping[str, Any]) -> str:
    """The actions that the statement is about."""
    if "NotAction" in statement:
        return f"everything but {', '.join(map(str, listed(statement['NotAction'])))}"
    return ", ".join(map(str, listed(statement.get("Action", []))))


def principals(statement: Statement) -> list[tuple[str, str]]:
    """Each principal as (kind, value); anybody is ("AWS", "*")."""
    found = statement.get("Principal", statement.get("NotPrincipal", "*"))
    if not isinstance(found, Mapping):
        return [("AWS", str(found))]
    return [(kind, str(each)) for kind, values in found.items() for each in listed(values)]


def is_public(statement: Statement) -> bool:
    """Whether it is about everybody."""
    return any(value == "*" for _, value in principals(statement))


def who(statement: Statement) -> str:
    """Anybody, or the principals as AWS names them."""
    return "anybody" if is_public(statement) else ", ".join(value for _, value in principals(statement))


def concerns(statement: Statement, account: str) -> bool:
    """Whether it may match a principal of this account."""
    found = principals(statement)
    return "NotPrincipal" in statement or any(value == "*" or account in value for _, value in found)


def principals_told(statement: Statement, account: str, anybody: str = "anybody") -> str:
    """Whom the statement is about."""
    told = [anybody if value == "*" else _principal(kind, value, account) for kind, value in principals(statement)]
    found = " and ".join(dict.fromkeys(told))
    return f"everybody but {found}" if "NotPrincipal" in statement else found


def _principal(kind: str, value: str, account: str) -> str:
    if kind != "AWS":
        return f"the service {value}" if kind == "Service" else f"{value} ({kind})"
    # A principal that was deleted is shown by its id, without an account.
    owner = value if value.isdigit() else value.split(":")[4] if value.count(":") > 4 else account
    whole = value.isdigit() or value.endswith(":root")
    if owner == account:
        return f"whoever has the rights in account {account}" if whole else value
    return f"account {owner} (another one)" if whole else f"{value} (of another account)"


def condition(statement: Statement) -> str:
    """When the statement holds, as the end of a sentence."""
    tests = [
        f"{key} {operator} {' or '.join(map(str, listed(values)))}"
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    return f", if {' and '.join(tests)}" if tests else ""


def compared(statement: Statement, operator: str) -> dict[str, list[str]]:
    """The values that the statement compares with by this operator, by key in small letters."""
    return {
        key.lower(): [str(each) for each in listed(values)]
        for name, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
        if name.lower() == operator.lower()
    }


def only_without_tls(statement: Statement) -> bool:
    """Whether it holds only for calls that are not encrypted; the pipeline makes none."""
    return compared(statement, "Bool").get("aws:securetransport") == ["false"]
