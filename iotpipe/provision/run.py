"""One command's view of AWS: what it has read so far, what it waits for, and whom it tells."""

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
from iotpipe.provision.resource import UNKNOWN, Properties, Resource
from iotpipe.provision.retry_rules import FAILED, Failure, Patience, Rule, rule_for
from iotpipe.provision.throttling import waited_out
from iotpipe.times import seconds as to_seconds

ENVIRONMENT_TAG = "iotpipe:environment"
REGION_TAG = "iotpipe:region"
MANAGED_TAG = "iotpipe:managed-by"

LONG = 10
"""Seconds of waiting from which on the user wants to see how many are left."""

T = TypeVar("T")


class Clock(Protocol):
    """Time and sleep, so that tests need not wait. `sleep` ends early when `stop` is set."""

    def now(self) -> float: ...

    def sleep(self, seconds: float, stop: threading.Event) -> None: ...


class RealClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float, stop: threading.Event) -> None:
        stop.wait(seconds)


@dataclass(frozen=True)
class Event:
    """Something to tell the user: `phase` is started, waiting, done, failed, skipped or kept."""

    address: str
    phase: str
    detail: str = ""


class Run:
    """The context of one command. Everything it holds is forgotten with the command."""

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
    ) -> None:
        self.aws = aws
        self.environment = environment
        self.command = command
        self.owner_tags = {ENVIRONMENT_TAG: environment, REGION_TAG: aws.region, MANAGED_TAG: "iotpipe"}
        self.all_tags = {**(tags or {}), **self.owner_tags}
        self.clock = clock or RealClock()
        self.tell = tell
        self.stop = stop or threading.Event()
        self.resources: Sequence[Resource] = ()
        self.ledger: Mapping[str, Properties] = {}
        self.deleted: Mapping[str, str] = {}
        """When the names were given up that AWS may be keeping back, from the state file."""
        self.verdicts: dict[str, tuple[float, Any]] = {}
        """Whose it is that a row of the state file records, and when that was looked at (see ownership)."""
        self.new_apis: set[str] = set()
        """The addresses of the REST APIs that this command has made."""
        self._looks: dict[str, Future[Properties | None]] = {}
        self._once: dict[str, Future[Any]] = {}
        self._given_up: dict[BaseException, IotpipeError] = {}
        """What was said of each throttled call that was given up: who needs the same answer hears the same."""
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @property
    def typed(self) -> str:
        """The command as it can be typed again, wherever it was typed first."""
        return f"iotpipe {self.command} --env {self.environment}"

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    # What was read

    def look(self, resource: Resource) -> Properties | None:
        """What AWS has of the resource, read once per command, also when several threads ask."""
        return self._memoized(self._looks, resource.address, lambda: self._read(resource))

    def _read(self, resource: Resource) -> Properties | None:
        # A queue that was deleted answers for up to a minute more, as if it were there to stay.
        return None if self.kept_back(resource) > 0 else resource.read(self)

    def kept_back(self, resource: Resource) -> float:
        """For how many seconds AWS still keeps back the name that a deleted one has given up."""
        deleted = self.deleted.get(resource.address)
        if deleted is None or not self.aws.keeps_names_back:
            return 0
        # A time in the future is another clock's: the name is not kept back for longer than from now on.
        return min(resource.name_reuse_delay, to_seconds(deleted) + resource.name_reuse_delay - self.clock.now())

    def ask_anew(self) -> None:
        """Forget everything that was read: AWS has been changed since."""
        with self._guard:
            self._once.clear()
            self._looks.clear()

    def look_again(self, resource: Resource) -> Properties | None:
        """Read the resource anew, past everything that was remembered."""
        with self._guard:
            self._once.clear()
            self._looks.pop(resource.address, None)
        return self.look(resource)

    def remember(self, resource: Resource, observed: Properties | None) -> None:
        """From now on this is what AWS has: we have just written it."""
        future: Future[Properties | None] = Future()
        future.set_result(observed)
        with self._guard:
            self._looks[resource.address] = future

    def assigned(self, resource: Resource, name: str) -> Any:
        """An id that AWS assigned to the resource; UNKNOWN as long as it has not."""
        future = self._looks.get(resource.address)
        observed = future.result() if future else None
        return (observed or {}).get(name, UNKNOWN)

    def recorded(self, resource: Resource) -> Properties:
        """What the ledger holds of the resource: where ids are to be found that a name does not tell."""
        return self.ledger.get(resource.address, {})

    def once(self, key: str, read: Callable[[], T]) -> T:
        """One answer that serves several resources, asked for once per command."""
        answer: T = self._memoized(self._once, key, read)
        return answer

    def answer(self, resource: Resource, ask: Callable[[Run, Any], T]) -> T:
        """What AWS answers to a question about the resource, asked once per command."""
        return self.once(question(resource, ask), lambda: ask(self, resource))

    def _memoized(self, memory: dict[str, Future[T]], key: str, read: Callable[[], T]) -> T:
        with self._guard:
            future, ours = memory.get(key), False
            if future is None:
                future, ours = memory.setdefault(key, Future()), True
        if ours:
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001 - whoever else waits for the answer gets it as well
                with self._guard:
                    # What was asked until the patience was at an end is not asked once more by the next who needs it.
                    if error not in self._given_up:
                        memory.pop(key, None)
                future.set_exception(error)
        return future.result()

    # Waiting

    def pause(self, seconds: float) -> None:
        """Sleep, unless the command was told to stop: raises Interrupted then."""
        if not self.stop.is_set():
            self.clock.sleep(seconds, self.stop)
        if self.stop.is_set():
            raise Interrupted("stopped while waiting")

    def count_down(self, address: str, end: float, told: str) -> None:
        """Sleep until then, telling every second how many are left, where `told` has its braces."""
        while (left := end - self.clock.now()) > 0:
            self.tell(Event(address, "waiting", told.format(left)))
            self.pause(min(1, left))

    def until(self, resource: str, reason: str, probe: Callable[[], bool], budget: float = 600) -> None:
        """Ask once a second until the probe says yes; raises ResourceError when the budget (s) is spent."""
        deadline = self.clock.now() + budget
        while not probe():
            if self.clock.now() > deadline:
                raise ResourceError(f"{resource}: {reason} for more than {budget:.0f} s", "Check it in the AWS console")
            self.tell(Event(resource, "waiting", reason))
            self.pause(1)

    @contextmanager
    def exclusive(self, key: str) -> Iterator[None]:
        """One writer at a time, for what AWS lets only one writer change."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield

    def with_retries(self, verb: str, address: str, attempt: Callable[[int], T], inside: str = "") -> T:
        """Call `attempt(n)` until it succeeds, as long as the retry table says that another try is worth it.

        `inside` is the address of what the resource is part of.
        A call that was only throttled is made again by itself, within the same attempt. This is where AWS's errors
        become ours: raises ResourceError, or CredentialsError when the credentials have expired.
        """
        patience = Patience()
        began = self.clock.now()
        number, repeated = 0, 0

        def again(rule: Rule, patience: Patience, error: ClientError) -> None:
            """Wait until a throttled call may be made again."""
            nonlocal repeated
            wait = patience.wait(rule, self.clock.now())
            if wait is None:
                self._given_up[error] = self._final(verb, address, error, number + repeated, began)
                raise error
            repeated += 1
            self._wait(address, rule, wait)

        while True:
            try:
                with waited_out(again):
                    return attempt(number)
            except FAILED as error:
                if error in self._given_up:
                    raise self._given_up[error] from error
                rule = rule_for(error, bool({inside, address} & self.new_apis))
                wait = patience.wait(rule, self.clock.now()) if rule else None
                if rule is None or wait is None:
                    raise self._final(verb, address, error, number + repeated, began) from error
                self._wait(address, rule, wait)
                number += 1

    def _wait(self, address: str, rule: Rule, seconds: float) -> None:
        if seconds < LONG:
            self.tell(Event(address, "waiting", rule.reason))
            self.pause(seconds)
        else:
            self.count_down(address, self.clock.now() + seconds, f"{rule.reason}: next try in {{:.0f}} s")

    def _final(self, verb: str, address: str, error: Failure, tries: int, began: float) -> IotpipeError:
        told, region = error_advice.told(error), self.aws.region
        if error_advice.skewed(error):
            # Nobody else gets further either: what waits for something, ends now.
            self.stop.set()
            hint = f"What was done is recorded: set the clock and run `{self.typed}` again"
            return CredentialsError(error_advice.clock_refused(error, self.clock.now()), hint)
        if error_advice.is_credentials_error(error):
            self.stop.set()
            hint = f"What was done is recorded: renew them and run `{self.typed}` again"
            message = f"the AWS credentials are expired or invalid: {told}"
            return CredentialsError(message, error_advice.also_enable(hint, error, region))
        waited = f" (tried {tries + 1} times over {self.clock.now() - began:.0f} s)" if tries else ""
        return ResourceError(
            f"cannot {verb} {address}: {told}{waited}",
            error_advice.hint_for(error, self.environment, region),
            address=address,
            code=error_advice.code_of(error),
        )


def question(resource: Resource, ask: Callable[[Run, Any], Any]) -> str:
    """How a question about a resource is remembered."""
    return f"{ask.__module__}.{ask.__qualname__} of {resource.address}"
