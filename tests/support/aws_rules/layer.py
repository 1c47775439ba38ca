"""AWS's own rules and delays on top of moto: who is asked before each call, and what AWS takes its time for.

Each service's rules are a class with methods named after the calls: `before_create_queue(asked)` may raise Refused
or answer itself, `after_create_queue(asked, answer)` notes what was done, or changes what is seen of it yet.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import ConnectionClosedError

from tests.support.aws_rules.delays import Delays, Limits
from tests.support.virtual_time import VirtualTime

Asked = dict[str, Any]


class Refused(Exception):
    """What AWS answers instead of doing it."""

    def __init__(self, code: str, message: str, status: int = 400, shape: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.shape = shape
        """The error's name in the service's model, where the wire has another code (SQS)."""


class Late:
    """A value that others see some time after it was set."""

    def __init__(self, at: float, value: Any, lag: float = 0) -> None:
        self._versions = [(at + lag, value)]

    def set(self, at: float, value: Any, lag: float) -> None:
        if value != self.newest:
            self._versions.append((at + lag, value))

    @property
    def newest(self) -> Any:
        return self._versions[-1][1]

    def seen(self, now: float, otherwise: Any = None) -> Any:
        return next((value for since, value in reversed(self._versions) if since <= now), otherwise)


class Bucket:
    """A quota as AWS keeps it: `rate` calls a second, `burst` at once after a rest."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.tokens, self.at = rate, burst, burst, 0.0

    def take(self, now: float) -> bool:
        """Whether one more call is let through."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        # Sums of delays are not exact: a call that is due to the millisecond is due.
        if self.tokens < 0.999:
            return False
        self.tokens -= 1
        return True


class Service:
    """What the rules of all services have in common."""

    def __init__(self, reality: Reality) -> None:
        self.reality = reality

    @property
    def now(self) -> float:
        return self.reality.time.now()

    @property
    def delays(self) -> Delays:
        return self.reality.delays

    def every_call(self, operation: str, asked: Asked) -> None:
        """Before each call of the service."""

    def alone(self, key: str, refusal: Refused) -> None:
        """Refuse the call while another one that changes the same thing is on its way."""
        self.reality.alone(key, refusal)


@dataclass
class Call:
    """One call on its way through the layer."""

    service: str
    operation: str
    asked: Asked
    holds: list[str] = field(default_factory=list)
    refused: Refused | None = None


class Killed(BaseException):
    """The process is gone: nobody catches this."""


@dataclass
class Killer:
    """Ends the process right `before` or `after` a call; from then on no call of it gets through."""

    operation: str
    moment: str
    struck: bool = False

    def strike(self, operation: str, moment: str) -> None:
        self.struck = self.struck or (operation, moment) == (self.operation, self.moment)
        if self.struck:
            raise Killed(f"{self.moment} {self.operation}")


@dataclass(frozen=True)
class Refusal:
    """A refusal that the account has given, to be looked at by a test."""

    at: float
    operation: str
    code: str
    message: str


_plain: dict[str, Any] = {}


class Reality:
    """One account: its time, its delays and limits, and what its services have in mind."""

    def __init__(self, time: VirtualTime, delays: Delays, limits: Limits) -> None:
        # The rules know this class: they come after it.
        from tests.support.aws_rules.apigateway import ApiGateway
        from tests.support.aws_rules.dynamodb import DynamoDb
        from tests.support.aws_rules.iam import Iam
        from tests.support.aws_rules.iot import Iot
        from tests.support.aws_rules.mappings import Lambda
        from tests.support.aws_rules.others import CloudWatch, Logs, Sns, Ssm
        from tests.support.aws_rules.sqs import Sqs

        self.time, self.delays, self.limits = time, delays, limits
        self.refusals: list[Refusal] = []
        self.calls: list[tuple[float, str]] = []
        self.killer: Killer | None = None
        self.losing, self.chance = 0.0, random.Random(1)
        """How likely the answer of any call is lost."""
        self._lost: list[str] = []
        self._busy: set[str] = set()
        self._call: Call | None = None
        self.iam = Iam(self)
        self.sqs = Sqs(self)
        self.functions = Lambda(self)
        self.api = ApiGateway(self)
        self.logs = Logs(self)
        self.sns = Sns(self)
        self.services: dict[str, Service] = {
            "iam": self.iam,
            "sqs": self.sqs,
            "lambda": self.functions,
            "apigateway": self.api,
            "dynamodb": DynamoDb(self),
            "iot": Iot(self),
            "logs": self.logs,
            "sns": self.sns,
            "ssm": Ssm(self),
            "cloudwatch": CloudWatch(self),
        }

    def plain(self, service: str) -> Any:
        """A client to which nothing of this applies."""
        if service not in _plain:
            _plain[service] = boto3.session.Session(region_name="us-east-1").client(service)
        return _plain[service]

    def lose_answer_of(self, operation: str) -> None:
        """The next such call is carried out, but the connection breaks before its answer comes."""
        self._lost.append(operation)

    def refused(self, operation: str = "", text: str = "") -> list[Refusal]:
        """The refusals so far of this operation with this in their code or message."""
        wanted = (each for each in self.refusals if text in each.message or text in each.code)
        return [each for each in wanted if operation in ("", each.operation)]

    def alone(self, key: str, refusal: Refused) -> None:
        assert self._call is not None
        if key in self._busy:
            raise refusal
        self._busy.add(key)
        self._call.holds.append(key)

    @contextlib.contextmanager
    def occupied(self, key: str) -> Iterator[None]:
        """Somebody else is changing this."""
        self._busy.add(key)
        yield
        self._busy.discard(key)

    # What botocore calls

    def keep(self, params: Asked, context: dict[str, Any], **call: Any) -> None:
        """The parameters as they were given; later there is only the request."""
        context["asked"] = dict(params)

    def before(self, model: Any, context: dict[str, Any], **ignored: Any) -> Any:
        call = Call(model.service_model.service_name, model.name, context.get("asked", {}))
        context["call"] = call
        self.calls.append((self.time.now(), call.operation))
        self._travel(call)
        self._call = call
        if self.killer:
            self.killer.strike(call.operation, "before")
        try:
            answer = self._ask("before", call)
        except Refused as refused:
            call.refused = refused
            self.refusals.append(Refusal(self.time.now(), call.operation, refused.code, refused.message))
            error = {"Code": refused.code, "Message": refused.message, "Type": "Sender"}
            answer = {"Error": error, "message": refused.message}
            if refused.shape:
                error["QueryErrorCode"] = context["error_code_override"] = refused.shape
        if answer is None:
            return None
        status = call.refused.status if call.refused else 200
        http = type("Answer", (), {"status_code": status, "headers": {}, "content": b""})()
        return http, {**answer, "ResponseMetadata": {"HTTPStatusCode": status}}

    def after(self, parsed: dict[str, Any], context: dict[str, Any], **ignored: Any) -> None:
        call: Call = context["call"]
        self._call = call
        if "Error" not in parsed:
            self._ask("after", call, parsed)
        self._busy_until_answered(call)
        if self.killer:
            self.killer.strike(call.operation, "after")
        lost = call.operation in self._lost
        if lost:
            self._lost.remove(call.operation)
        if lost or self.chance.random() < self.losing:
            raise ConnectionClosedError(endpoint_url="https://aws.example")

    def _busy_until_answered(self, call: Call) -> None:
        self._travel(call)
        self._busy.difference_update(call.holds)

    def _travel(self, call: Call) -> None:
        turn = self.time.turn
        before, turn.why = turn.why, call.operation
        self.time.sleep(self.delays.latency / 2)
        turn.why = before

    def _ask(self, moment: str, call: Call, *answer: Any) -> Any:
        rules = self.services.get(call.service)
        if rules is None:
            return None
        if moment == "before":
            rules.every_call(call.operation, call.asked)
        ask: Callable[..., Any] | None = getattr(rules, f"{moment}_{xform_name(call.operation)}", None)
        return ask(call.asked, *answer) if ask else None
