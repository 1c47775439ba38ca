"""What `down` finds before it deletes anything, and what it says of it afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from iotpipe.provision import ledger, teardown
from iotpipe.provision.resource import everything
from iotpipe.provision.resources.queue import Queue
from tests.support.manual_edits import arn, client, pairs
from tests.support.resource_contract import Killed, QuickWorld, kill, on_write
from tests.support.samples.every_kind import SAMPLES
from tests.support.samples.sample import OURS


def test_what_went_with_its_api_counts_as_gone_and_not_as_deleted(world: QuickWorld) -> None:
    resources = everything(SAMPLES["stage"].make())
    world.up(resources)
    [api] = client("apigateway").get_rest_apis()["items"]
    client("apigateway").delete_rest_api(restApiId=api["id"])
    run = world.run("down")
    book = world.ledger(run)
    found = teardown.examine(run, book.rows, resources, delete_data=True)
    done = teardown.down(run, book, found, world.parallel)
    assert {each.address for each in resources if each.kind in ("rest-api", "route", "stage")} <= set(done.gone)
    assert not set(done.gone) & set(done.deleted)


def test_all_that_was_found_is_recorded_before_the_first_deletion(world: QuickWorld) -> None:
    world.up([Queue("a", retention=60), Queue("b", retention=60)])
    world.path.unlink()
    world.parallel = 1
    world.before = on_write(0, kill)
    with pytest.raises(Killed):
        world.down()
    contents = ledger.read(world.path)
    assert contents and set(contents.rows) == {"queue/a", "queue/b"}


def test_what_is_gone_but_still_listed_by_its_tags_is_not_taken_for_left(world: QuickWorld) -> None:
    def list_what_is_gone(operation: str, answer: dict[str, Any]) -> None:
        if operation == "GetResources":
            gone = {"ResourceARN": arn("sqs", "gone"), "Tags": pairs(OURS)}
            answer["ResourceTagMappingList"].append(gone)

    world.up([Queue("q", retention=60)])
    world.after = list_what_is_gone
    world.down()
    assert {event.address for event in world.events} == {"queue/q"}


def test_a_table_that_another_environment_took_over_since_the_examination_is_not_deleted(world: QuickWorld) -> None:
    table = SAMPLES["table"].make()
    world.up([table])
    run = world.run("down")
    book = world.ledger(run)
    found = teardown.examine(run, book.rows, [table], delete_data=True)
    other = pairs(OURS | {"iotpipe:environment": "prod"})
    client("dynamodb").tag_resource(ResourceArn=arn("dynamodb", f"table/{table.name}"), Tags=other)
    done = teardown.down(run, book, found, world.parallel)
    assert (done.deleted, list(done.others)) == ([], [table.address])
    assert SAMPLES["table"].count() == 1
