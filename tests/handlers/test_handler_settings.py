"""The two SSM parameters: the effect of the settings, and the check of the API key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iotpipe.handlers import processor
from tests.support.handlers_world import Calls, World, answered, failure, reading, sqs_record

TTL = 300 * 1.1
HOUR = 3600


def batch(count: int) -> list[dict[str, Any]]:
    return [reading(index) for index in range(count)]


def test_a_changed_limit_takes_effect_within_the_time_that_parameters_are_kept(world: World) -> None:
    assert world.ingest(batch(3))["statusCode"] == 200
    world.configure(max_readings=2)
    assert world.ingest(batch(3))["statusCode"] == 200
    world.clock.pass_(TTL)
    refused = world.ingest(batch(3))
    assert refused["statusCode"] == 400
    assert answered(refused)["error"]["details"][0]["message"] == "1 to 2 readings required"
    assert world.process(batch(3))["statusCode"] == 400
    assert world.ingest(batch(2))["statusCode"] == 200


def test_a_changed_alert_threshold_takes_effect_likewise(world: World) -> None:
    message = {"ReceiptHandle": "r", "Body": "null", "MD5OfBody": ""}
    event = {"Records": [sqs_record(message | {"MessageId": str(index)}) for index in range(3)]}
    processor.lambda_handler(event, world.context())
    assert world.alerts() == []
    world.configure(alert_threshold=2)
    world.clock.pass_(TTL)
    processor.lambda_handler(event, world.context())
    assert len(world.alerts()) == 1


def test_the_batch_size_is_the_unit_of_work(world: World, calls: Calls) -> None:
    world.configure(batch_size=4)
    assert world.ingest(batch(10))["statusCode"] == 200
    operations = [name for name in calls.names() if name != "GetParameter"]
    assert operations == ["BatchWriteItem", "SendMessageBatch"] * 3
    assert [len(one["Entries"]) for one in calls.of("SendMessageBatch")] == [4, 4, 2]
    world.process(batch(10))
    assert [len(one["RequestItems"][world.processed]) for one in calls.of("BatchWriteItem")[3:]] == [4, 4, 2]


def test_the_time_window_is_the_configuration_s(world: World) -> None:
    world.configure(past_days=1, future_minutes=0)
    now = world.clock.now()
    assert world.ingest(reading(timestamp=now - 86_400_000))["statusCode"] == 200
    assert world.ingest(reading(timestamp=now - 86_400_001))["statusCode"] == 400
    assert world.ingest(reading(timestamp=now + 1))["statusCode"] == 400


def test_a_parameter_is_read_once_in_about_five_minutes(world: World, calls: Calls) -> None:
    for _ in range(20):
        world.clock.pass_(60)
        world.query(device_id="d")
    assert 4 <= len(calls.of("GetParameter")) <= 6


@pytest.mark.matrix
def test_workers_do_not_all_ask_in_the_same_second(world: World, calls: Calls, worker: Callable[[], None]) -> None:
    lives = set()
    for _ in range(10):
        worker()
        world.query(device_id="d")
        begun, asked = world.clock.elapsed(), len(calls.of("GetParameter"))
        while len(calls.of("GetParameter")) == asked:
            world.clock.pass_(5)
            world.query(device_id="d")
        lives.add(round(world.clock.elapsed() - begun))
    assert min(lives) >= 270
    assert max(lives) <= 335
    assert len(lives) > 4


@pytest.mark.parametrize("text", ["not JSON", "null", "[]", '"text"', "17", "[" * 3_000])
def test_a_damaged_configuration_is_warned_of_once_and_changes_nothing(
    world: World, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    world.configure(text)
    for _ in range(3):
        assert world.ingest(batch(3))["statusCode"] == 200
    assert len(caplog.records) == 1
    assert world.ingest(batch(501))["statusCode"] == 400


def test_a_value_that_cannot_be_used_leaves_the_others_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.configure(max_readings="many", batch_size=0, alert_threshold=-1, past_days=True, future_minutes=1, new_key=1)
    assert world.ingest(batch(3))["statusCode"] == 200
    assert world.ingest(reading(timestamp=world.clock.now() + 60_001))["statusCode"] == 400
    assert world.ingest(reading(timestamp=world.clock.now() - 2 * 86_400_000))["statusCode"] == 200
    (record,) = caplog.records
    for name in ("max_readings", "batch_size", "alert_threshold", "past_days"):
        assert name in record.getMessage()
    assert "new_key" not in record.getMessage()


def test_more_than_500_readings_are_not_allowed_by_any_configuration(world: World) -> None:
    world.configure(max_readings=501)
    assert world.process(batch(501))["statusCode"] == 400
    assert world.process(batch(500))["statusCode"] == 200


@pytest.mark.parametrize("code", ["ParameterNotFound", "AccessDeniedException", "ThrottlingException"])
def test_without_the_configuration_the_defaults_hold(
    world: World, calls: Calls, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    calls.answer("GetParameter", lambda _: failure(code))
    assert world.ingest(batch(3))["statusCode"] == 200
    assert world.ingest(batch(3))["statusCode"] == 200
    assert len(caplog.records) == 1


def test_a_passing_fault_at_the_first_reading_is_tried_again(world: World, calls: Calls) -> None:
    world.configure(max_readings=1)
    faults = [failure("ThrottlingException"), failure("InternalServerError", 500), None]
    calls.answer("GetParameter", lambda _: faults.pop(0))
    assert world.ingest(batch(2))["statusCode"] == 400


def test_while_ssm_is_down_what_was_read_before_stays_and_is_asked_for_again_soon(world: World, calls: Calls) -> None:
    world.configure(max_readings=1)
    assert world.ingest(batch(2))["statusCode"] == 400
    calls.answer("GetParameter", lambda _: failure("InternalServerError", 500))
    world.clock.pass_(TTL)
    assert world.ingest(batch(2))["statusCode"] == 400
    world.configure(max_readings=2)
    calls.let_through("GetParameter")
    world.clock.pass_(31)
    assert world.ingest(batch(2))["statusCode"] == 200


def test_a_parameter_store_that_hangs_leaves_time_for_the_readings(world: World, calls: Calls) -> None:
    def hang(_: Any) -> Any:
        world.clock.pass_(7)
        return failure("RequestTimeout")

    calls.answer("GetParameter", hang)
    assert world.ingest(batch(3))["statusCode"] == 200
    calls.let_through("GetParameter")
    world.clock.pass_(31)
    assert world.ingest(batch(3))["statusCode"] == 200
    calls.answer("GetParameter", hang)
    world.clock.pass_(TTL)
    begun = world.clock.elapsed()
    assert world.ingest(batch(3))["statusCode"] == 200
    assert world.clock.elapsed() - begun == 7, "what was read before is good enough to go on with"


@pytest.fixture
def locked(world: World) -> World:
    """Configure the API to require the key "right"."""
    world.configure(require_api_key=True)
    world.set_key("right")
    return world


def status(world: World, key: str | None, name: str = "X-Api-Key") -> int:
    headers = None if key is None else {name: key}
    answer = world.ingest(reading(), headers=headers, multiValueHeaders=None)
    if answer["statusCode"] == 401:
        assert answered(answer)["error"]["code"] == "unauthorized"
    return int(answer["statusCode"])


def test_with_the_key_required_only_the_right_one_is_let_in(locked: World, calls: Calls) -> None:
    for wrong in (None, "", "wrong", "Right", "right ", "rightright", "righ\udcff", '["right"]'):
        assert status(locked, wrong) == 401
    assert {"BatchWriteItem", "SendMessageBatch"}.isdisjoint(calls.names())
    assert status(locked, "right") == 200
    assert status(locked, "right", name="x-api-key") == 200


def test_without_it_required_the_key_is_not_even_read(world: World, calls: Calls) -> None:
    assert status(world, None) == 200
    assert len(calls.of("GetParameter")) == 1


def test_a_list_of_keys_lets_each_in_while_they_are_rotated(locked: World) -> None:
    locked.set_key('["old", "new"]')
    assert [status(locked, key) for key in ("old", "new", "right", '["old", "new"]')] == [200, 200, 401, 401]
    locked.set_key('["new"]')
    locked.clock.pass_(TTL)
    assert [status(locked, key) for key in ("old", "new")] == [401, 200]


@pytest.mark.parametrize("stored", ["right\n", " right\r\n", '["old", "right\\n"]', '["right"]\n'])
def test_a_line_end_that_got_into_the_stored_key_is_not_part_of_it(world: World, stored: str) -> None:
    """`echo right | aws ssm put-parameter …` stores a line end, which no header can carry."""
    world.configure(require_api_key=True)
    world.set_key(stored)
    assert [status(world, key) for key in ("right", "wrong", "")] == [200, 401, 401]


@pytest.mark.parametrize("stored", ["[]", "in\nside", '[""]', "\t\n"])
def test_a_parameter_without_a_key_that_anybody_could_send_is_an_error_in_the_log(
    world: World, caplog: pytest.LogCaptureFixture, stored: str
) -> None:
    world.configure(require_api_key=True)
    world.set_key(stored)
    assert status(world, "right") == 401
    assert "/iot-pipeline/test/api-key has no key that a header can carry" in caplog.text
    assert "side" not in caplog.text


def test_a_key_that_replaces_the_known_one_is_let_in_after_half_a_minute(locked: World) -> None:
    assert status(locked, "right") == 200
    locked.set_key("new")
    locked.clock.pass_(29)
    assert status(locked, "new") == 401
    locked.clock.pass_(1)
    assert [status(locked, key) for key in ("new", "right")] == [200, 401]


def test_wrong_keys_do_not_make_every_request_ask_ssm(locked: World, calls: Calls) -> None:
    for _ in range(120):
        locked.clock.pass_(1)
        assert status(locked, "wrong") == 401
    assert len([one for one in calls.of("GetParameter") if one["Name"].endswith("api-key")]) <= 5
    calls.answer("GetParameter", lambda _: failure("ThrottlingException"))
    asked = len(calls.of("GetParameter"))
    for _ in range(60):
        locked.clock.pass_(1)
        assert status(locked, "wrong") == 401
    assert len([one for one in calls.of("GetParameter")[asked:] if one["Name"].endswith("api-key")]) <= 3


@pytest.mark.parametrize("value", ["[]", "[null, 5, {}]", '[""]', "[[]]"])
def test_a_list_without_keys_lets_nobody_in(locked: World, value: str) -> None:
    locked.set_key(value)
    assert [status(locked, key) for key in ("", "null", "5", value)] == [401] * 4


@pytest.mark.parametrize("value", ["[half a list", "[" * 3_000])
def test_a_key_may_look_like_a_list(locked: World, value: str) -> None:
    locked.set_key(value)
    assert [status(locked, key) for key in (value, "")] == [200, 401]


def test_the_cached_key_holds_for_an_hour_without_ssm_and_then_nothing_is_decided(locked: World, calls: Calls) -> None:
    assert status(locked, "right") == 200
    calls.answer("GetParameter", lambda _: failure("InternalServerError", 500))
    locked.clock.pass_(HOUR - 5)
    assert [status(locked, key) for key in ("right", "wrong")] == [200, 401]
    locked.clock.pass_(6)
    assert [status(locked, key) for key in ("right", "wrong")] == [503, 503]
    calls.let_through("GetParameter")
    locked.clock.pass_(31)
    assert [status(locked, key) for key in ("right", "wrong")] == [200, 401]


def test_a_key_that_was_never_read_is_no_reason_to_let_anybody_in(locked: World, calls: Calls) -> None:
    names = {"/iot-pipeline/test/api-key"}
    calls.answer("GetParameter", lambda one: failure("AccessDeniedException") if one["Name"] in names else None)
    answer = locked.ingest(reading(), headers={"X-Api-Key": "right"})
    assert answer["statusCode"] == 503
    assert answer["headers"]["Retry-After"]
    assert {"BatchWriteItem", "SendMessageBatch"}.isdisjoint(calls.names())


def test_a_worker_that_has_never_reached_ssm_lets_nobody_in_where_a_key_is_required(
    locked: World, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUIRE_API_KEY", "true")
    calls.answer("GetParameter", lambda _: failure("InternalServerError", 500))
    assert [status(locked, key) for key in (None, "right", "wrong")] == [503, 503, 503]
    assert {"BatchWriteItem", "SendMessageBatch"}.isdisjoint(calls.names())
    calls.let_through("GetParameter")
    locked.clock.pass_(31)
    assert [status(locked, key) for key in (None, "right", "wrong")] == [401, 200, 401]


@pytest.mark.parametrize("damage", ["not JSON", '{"require_api_key": "no"}', '{"require_api_key": 0}'])
def test_damage_to_the_configuration_does_not_switch_the_check_off(locked: World, damage: str) -> None:
    assert status(locked, "wrong") == 401
    locked.configure(damage)
    locked.clock.pass_(TTL)
    assert status(locked, "wrong") == 401


def test_the_check_is_of_ingest_alone(locked: World) -> None:
    assert locked.process(reading())["statusCode"] == 200
    assert locked.query(device_id="sensor-001")["statusCode"] == 200


def test_no_key_is_ever_written_down(locked: World, capsys: pytest.CaptureFixture[str], caplog: Any) -> None:
    locked.set_key("s3cr3t-right")
    status(locked, "s3cr3t-right")
    status(locked, "s3cr3t-wrong")
    captured = capsys.readouterr()
    assert "s3cr3t" not in captured.out + captured.err + caplog.text
