"""The context of one command: cached reads, waiting, retries and progress events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from botocore.exceptions import ClientError

from iotpipe.errors import CredentialsError, Interrupted, IotpipeError, ResourceError
from iotpipe.provision import error_advice
from iotpipe.provision.aws import Aws
from iotpipe.provision.call_errors import CALL_ERRORS, CallError
from iotpipe.provision.resource import UNKNOWN, Properties, Resource
from iotpipe.provision.retry_rules import rule_for
from iotpipe.provision.retry_schedule import RetryBudget, Rule
from iotpipe.provision.throttling import wait_when_throttled
from iotpipe.times import seconds as to_seconds

ENVIRONMENT_TAG = "iotpipe:environment"
REGION_TAG = "iotpipe:region"
MANAGED_TAG = "iotpipe:managed-by"

COUNTDOWN_FROM = 10
"""Waits of at least this many seconds show a countdown."""

T = TypeVar("T")


class Clock(Protocol):
    """Time and sleep, replaceable by tests. `sleep` returns early when `stop` is set."""

    def now(self) -> float: ...

    def sleep(self, seconds: float, stop: threading.Event) -> None: ...


class RealClock:
    """The clock of this machine."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)


@dataclass(frozen=True)
class Event:
    """A progress event for the user. `phase` is started, waiting, done, failed, skipped or kept."""

    address: str
    phase: str
    detail: str = ""


class Run:
    """The context of one command. Its caches live as long as the command."""

    def __init__(
        self,
        aws: Aws,
        environment: str,
        *,
        command: str = "up",
        tags: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        tell: Callable[[Event], None] = lambda event: None,
        stop: threading.Event | None = None,
        patient: bool = True,
    ) -> None:
        """With `patient=False` no call is retried: whoever looks every few seconds gets the error at once."""
        self.aws = aws
        self.environment = environment
        self.command = command
        self.owner_tags = {ENVIRONMENT_TAG: environment, REGION_TAG: aws.region, MANAGED_TAG: "iotpipe"}
        self.all_tags = {**(tags or {}), **self.owner_tags}
        self.clock = clock or RealClock()
        self.tell = tell
        self.stop = stop or threading.Event()
        self.patient = patient
        self.resources: Sequence[Resource] = ()
        self.ledger: Mapping[str, Properties] = {}
        self.deleted: Mapping[str, str] = {}
        """Deletion times from the state file, by address, of names that AWS may still reserve."""
        self.verdicts: dict[str, tuple[float, Any]] = {}
        """By address: when the ownership of a recorded resource was checked, and the verdict (see ownership)."""
        self.new_apis: set[str] = set()
        """The addresses of the REST APIs that this command has created."""
        self._observed: dict[str, Future[Properties | None]] = {}
        self._answers: dict[str, Future[Any]] = {}
        self._final_errors: dict[BaseException, IotpipeError] = {}
        """The reported error of each throttled call whose retries ended: all that wait for the call raise the same."""
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @property
    def typed(self) -> str:
        """The command line that repeats this command from any directory."""
        return f"iotpipe {self.command} --env {self.environment}"

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    # Cached reads

    def look(self, resource: Resource) -> Properties | None:
        """Return the resource's properties as AWS has them, read once per command; None if it does not exist."""
        return self._memoized(self._observed, resource.address, lambda: self._read(resource))

    def _read(self, resource: Resource) -> Properties | None:
        # SQS answers for a deleted queue for up to a minute as if it still existed.
        return None if self.kept_back(resource) > 0 else resource.read(self)

    def kept_back(self, resource: Resource) -> float:
        """Return for how many more seconds AWS reserves the name of the deleted resource."""
        deleted = self.deleted.get(resource.address)
        if deleted is None or not self.aws.eventually_consistent:
            return 0
        # A time in the future comes from another machine's clock: count from now at most.
        return min(resource.name_reuse_delay, to_seconds(deleted) + resource.name_reuse_delay - self.clock.now())

    def clear_cache(self) -> None:
        """Forget all cached reads, after a change in AWS."""
        with self._guard:
            self._answers.clear()
            self._observed.clear()

    def look_again(self, resource: Resource) -> Properties | None:
        """Read the resource from AWS again, bypassing the cache."""
        with self._guard:
            self._answers.clear()
            self._observed.pop(resource.address, None)
        return self.look(resource)

    def remember(self, resource: Resource, observed: Properties | None) -> None:
        """Cache the properties that iotpipe has just written to AWS."""
        future: Future[Properties | None] = Future()
        future.set_result(observed)
        with self._guard:
            self._observed[resource.address] = future

    def assigned(self, resource: Resource, name: str) -> Any:
        """Return an id that AWS assigned to the resource; UNKNOWN if AWS has not assigned it yet."""
        future = self._observed.get(resource.address)
        observed = future.result() if future else None
        return (observed or {}).get(name, UNKNOWN)

    def recorded(self, resource: Resource) -> Properties:
        """Return the resource's properties from the state file, which has the ids that AWS assigned."""
        return self.ledger.get(resource.address, {})

    def once(self, key: str, read: Callable[[], T]) -> T:
        """Call `read` once per command and share its result, also between threads."""
        answer: T = self._memoized(self._answers, key, read)
        return answer

    def answer(self, resource: Resource, ask: Callable[[Run, Any], T]) -> T:
        """Return `ask(run, resource)`, called once per command and resource."""
        return self.once(question(resource, ask), lambda: ask(self, resource))

    def _memoized(self, cache: dict[str, Future[T]], key: str, read: Callable[[], T]) -> T:
        with self._guard:
            future, is_reader = cache.get(key), False
            if future is None:
                future, is_reader = cache.setdefault(key, Future()), True
        if is_reader:
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001 - every thread that waits for the result must get the error
                with self._guard:
                    # Keep an error whose retries are spent: the next caller must not start them again.
                    if error not in self._final_errors:
                        cache.pop(key, None)
                future.set_exception(error)
        return future.result()

    # Waiting

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`. Raises Interrupted if the command is to stop."""
        if not self.stop.is_set():
            self.clock.sleep(seconds, self.stop)
        if self.stop.is_set():
            raise Interrupted("stopped while waiting")

    def count_down(self, address: str, end: float, message: str) -> None:
        """Sleep until the time `end`. Each second report `message`, formatted with the seconds that are left."""
        while (left := end - self.clock.now()) > 0:
            self.tell(Event(address, "waiting", message.format(left)))
            self.pause(min(1, left))

    def until(self, resource: str, reason: str, probe: Callable[[], bool], budget: float = 600) -> None:
        """Poll once a second until `probe` returns true. Raises ResourceError after `budget` seconds."""
        deadline = self.clock.now() + budget
        while not probe():
            if self.clock.now() > deadline:
                raise ResourceError(f"{resource}: {reason} for more than {budget:.0f} s", "Check it in the AWS console")
            self.tell(Event(resource, "waiting", reason))
            self.pause(1)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """Hold the lock `key`, for changes that AWS accepts from only one writer at a time."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield

    def with_retries(self, verb: str, address: str, attempt: Callable[[int], T], inside: str = "") -> T:
        """Call `attempt(n)` until it succeeds, with retries as the retry table allows.

        `inside` is the address of the resource that contains this one. A throttled call is retried within the same
        attempt. Errors of AWS calls become ResourceError, or CredentialsError if the credentials are expired or
        invalid or this machine's clock is off.
        """
        budget = RetryBudget()
        began = self.clock.now()
        number, call_retries = 0, 0

        def wait_throttled(rule: Rule, budget: RetryBudget, error: ClientError) -> None:
            """Wait until a throttled call may be retried."""
            nonlocal call_retries
            wait = budget.delay(rule, self.clock.now()) if self.patient else None
            if wait is None:
                self._final_errors[error] = self._final_error(verb, address, error, number + call_retries, began)
                raise error
            call_retries += 1
            self._wait(address, rule, wait)

        while True:
            try:
                with wait_when_throttled(wait_throttled):
                    return attempt(number)
            except CALL_ERRORS as error:
                if error in self._final_errors:
                    raise self._final_errors[error] from error
                rule = rule_for(error, bool({inside, address} & self.new_apis))
                wait = budget.delay(rule, self.clock.now()) if rule and self.patient else None
                if rule is None or wait is None:
                    raise self._final_error(verb, address, error, number + call_retries, began) from error
                self._wait(address, rule, wait)
                number += 1

    def _wait(self, address: str, rule: Rule, seconds: float) -> None:
        if seconds < COUNTDOWN_FROM:
            self.tell(Event(address, "waiting", rule.reason))
            self.pause(seconds)
        else:
            self.count_down(address, self.clock.now() + seconds, f"{rule.reason}: next try in {{:.0f}} s")

    def _final_error(self, verb: str, address: str, error: CallError, retries: int, began: float) -> IotpipeError:
        reason, region = error_advice.describe(error), self.aws.region
        if error_advice.is_clock_skew(error):
            # Every other call fails too: stop all waiting threads.
            self.stop.set()
            hint = f"What was done is recorded: set the clock and run `{self.typed}` again"
            return CredentialsError(error_advice.clock_skew(error, self.clock.now()), hint)
        if error_advice.is_credentials_error(error):
            self.stop.set()
            hint = f"What was done is recorded: renew them and run `{self.typed}` again"
            message = f"the AWS credentials are expired or invalid: {reason}"
            return CredentialsError(message, error_advice.with_region_hint(hint, error, region))
        tried = f" (tried {retries + 1} times over {self.clock.now() - began:.0f} s)" if retries else ""
        return ResourceError(
            f"cannot {verb} {address}: {reason}{tried}",
            error_advice.hint_for(error, self.environment, region),
            address=address,
            code=error_advice.code_of(error),
        )


def question(resource: Resource, ask: Callable[[Run, Any], Any]) -> str:
    """Return the cache key of a question about a resource."""
    return f"{ask.__module__}.{ask.__qualname__} of {resource.address}"
