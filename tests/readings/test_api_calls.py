"""Calls of the API: signed so that it lets them in, tried again in its own time, refusals told in words."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from urllib3.util import connection

from iotpipe.errors import CredentialsError, Interrupted, IotpipeError, UsageError
from iotpipe.provision.run import Run
from iotpipe.readings import stored_rows
from iotpipe.readings.api_client import Api, Unreachable
from iotpipe.readings.generate import body, generate
from tests.support.handlers_world import NOON, World
from tests.support.local_gateway import Gateway, Request, answering

ONE = body(list(generate(1, 1, 7, NOON)))


def test_a_signed_reading_gets_in_and_one_signed_with_another_key_does_not(api: Api, gateway: Gateway) -> None:
    assert api.post("/ingest", ONE).status == 200
    gateway.secret = "another"
    assert api.post("/ingest", ONE).status == 403


def test_a_body_does_not_wait_until_the_headers_are_acknowledged(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    connect = connection.create_connection

    def create_connection(*args: Any, **options: Any) -> socket.socket:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(connection, "create_connection", create_connection)
    api.post("/ingest", "{}")
    assert [each.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for each in opened] == [1]


def test_a_device_of_any_allowed_name_is_asked_for_as_it_is(api: Api, world: World) -> None:
    device = "a/b#c:d._-"
    world.ingest({"device_id": device, "timestamp": NOON, "sensor_data": {"temperature": 1}})
    (page,) = stored_rows.pages(api, {"device_id": device, "table": "raw"})
    assert [row["device_id"] for row in page.items] == [device]


@pytest.mark.matrix
def test_passing_trouble_is_tried_again_and_not_before_the_api_says(api: Api, gateway: Gateway, run: Run) -> None:
    gateway.faults.extend([answering(503, Retry_After="7"), answering(429), answering(502), answering(504)])
    answer = api.post("/ingest", ONE)
    assert (answer.status, answer.retried) == (200, ("503", "429", "502", "504"))
    first, *others = run.clock.slept
    assert 7 <= first <= 8
    assert others == sorted(others) and all(0 < pause <= 5 for pause in others)


def test_a_lost_answer_is_asked_for_again_and_stores_nothing_twice(api: Api, gateway: Gateway, world: World) -> None:
    def stored_but_lost(request: Request) -> tuple[int, dict[str, str], str]:
        world.ingest(request.body)
        return 0, {}, ""

    gateway.faults.append(stored_but_lost)
    answer = api.post("/ingest", ONE)
    assert (answer.status, answer.retried) == (200, ("ConnectionClosedError",))
    assert len(world.rows(world.raw)) == 1


def test_trouble_that_does_not_pass_is_answered_after_some_tries(
    make_api: Callable[..., Api], gateway: Gateway
) -> None:
    gateway.faults.extend([answering(503)] * 3)
    answer = make_api(attempts=3).post("/ingest", ONE)
    assert (answer.status, answer.retried, len(gateway.requests)) == (503, ("503", "503"), 3)


def test_a_function_that_will_not_start_is_not_asked_again_and_says_why(
    make_api: Callable[..., Api], gateway: Gateway, run: Run
) -> None:
    def explain(path: str) -> str:
        asked.append(path)
        return "" if len(asked) == 1 else "the query function does not start: No module named 'x'"

    asked: list[str] = []
    gateway.faults.extend([answering(503), answering(502), answering(502)])
    with pytest.raises(IotpipeError, match="the query function does not start: No module named 'x'"):
        make_api(explain=explain).get("/query", {"device_id": "a"})
    # Logs come late: it asks again after each failure that may be of that kind.
    assert [path.partition("?")[0] for path in asked] == ["/query", "/query"]
    assert len(gateway.requests) == 3


def test_pauses_differ_from_client_to_client(make_api: Callable[..., Api], gateway: Gateway, run: Run) -> None:
    for chance in (0.1, 0.9):
        gateway.faults.append(answering(503))
        make_api(chance=lambda chance=chance: chance).post("/ingest", ONE)
    assert run.clock.slept[0] < run.clock.slept[1]


def test_an_endpoint_where_nobody_listens_is_told_in_a_sentence(make_api: Callable[..., Api]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        api = make_api(endpoint=f"http://127.0.0.1:{nobody.getsockname()[1]}/prod", attempts=2)
        with pytest.raises(Unreachable, match=r"is unreachable.*iotpipe status"):
            api.check()


def test_a_stop_ends_the_waiting_between_tries(api: Api, gateway: Gateway, run: Run) -> None:
    gateway.faults.append(answering(503))
    run.stop.set()
    with pytest.raises(Interrupted):
        api.post("/ingest", ONE)


def test_the_check_stores_nothing(api: Api, world: World, gateway: Gateway) -> None:
    api.check()
    assert len(gateway.requests) == 1
    assert not world.rows(world.raw)


@pytest.mark.parametrize(
    ("status", "said", "kind", "told"),
    [
        (403, "The security token included in the request is expired", CredentialsError, "expired"),
        (403, "The security token included in the request is invalid.", CredentialsError, "AWS_PROFILE"),
        (403, "The request signature we calculated does not match", CredentialsError, "does not accept"),
        (403, "Missing Authentication Token", IotpipeError, "no such route or stage.*iotpipe up"),
        (
            403,
            "User: arn:x is not authorized to perform: execute-api:Invoke",
            IotpipeError,
            "Allow them execute-api:Invoke",
        ),
        (403, "Forbidden", IotpipeError, "denies access"),
        (404, "Not Found", IotpipeError, "there is no such route: 404 .*iotpipe up"),
        (405, "Method Not Allowed", IotpipeError, "there is no such route: 405 .*iotpipe up"),
        (401, "unauthorized", IotpipeError, "require_api_key"),
        (200, "hello", IotpipeError, "does not respond like an iotpipe API"),
        (400, "hello", IotpipeError, "does not respond like an iotpipe API"),
    ],
)
def test_each_refusal_says_what_to_do(
    api: Api, gateway: Gateway, status: int, said: str, kind: type[Exception], told: str
) -> None:
    gateway.faults.append(answering(status, f'{{"message": "{said}"}}'))
    with pytest.raises(IotpipeError, match=told) as caught:
        api.check()
    assert type(caught.value) is kind
    assert caught.value.hint
    assert len(gateway.requests) == 1, "no repetition helps"


@pytest.mark.parametrize(("ahead", "told"), [(900, "behind"), (-900, "ahead of")])
def test_a_wrong_clock_is_told_with_its_error(api: Api, gateway: Gateway, ahead: int, told: str) -> None:
    date = formatdate(time.time() + ahead, usegmt=True)
    said = '{"message": "Signature expired: 20240115T000000Z is now earlier than 20240115T001000Z"}'
    gateway.faults.append(answering(403, said, Date=date))
    with pytest.raises(CredentialsError, match=rf"(8[5-9]\d|9[0-4]\d) s {told}"):
        api.check()


def test_a_wrong_clock_is_told_also_where_nobody_says_what_time_it_is(api: Api, gateway: Gateway) -> None:
    gateway.faults.append(answering(403, '{"message": "Signature not yet current"}', Date="some day"))
    with pytest.raises(CredentialsError, match="this machine's clock is far from the API's: 403"):
        api.check()


def test_the_key_is_sent_where_there_is_one(make_api: Callable[..., Api], gateway: Gateway, world: World) -> None:
    world.configure(require_api_key=True)
    world.set_key("the-key")
    make_api(api_key="the-key").check()
    with pytest.raises(IotpipeError, match="X-Api-Key"):
        make_api().check()


def test_a_question_that_the_api_refuses_says_what_is_wrong_with_it(api: Api) -> None:
    with pytest.raises(UsageError, match="event_date: YYYY-MM-DD required"):
        list(stored_rows.pages(api, {"device_id": "a", "event_date": "yesterday"}))
