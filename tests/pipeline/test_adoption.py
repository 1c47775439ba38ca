"""What Terraform made is taken over where it stands: the same API, URL, tables and key, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iotpipe.errors import ApplyFailed, RefusedError, UsageError
from iotpipe.operations.outputs import outputs
from iotpipe.provision.adoption import EVERYTHING, Adoption, adoption
from iotpipe.provision.plan import Plan
from iotpipe.provision.resource import Resource
from tests.support.account_inventory import client, inventory, left_over
from tests.support.account_snapshot import once
from tests.support.engine_world import refusal
from tests.support.original_stack import INLINE, MANAGED, STAGE, STATEMENTS, Original
from tests.support.pipeline_world import MOMENTS, Declared, World, killed

pytestmark = [pytest.mark.matrix, pytest.mark.together]

SETTINGS = {"api": {"stage": STAGE}}
API = "rest-api/iot-api-dev"
TERRAFORMS = {"Project": "iot", "ManagedBy": "terraform"}
NEW = {
    *("layer/iot-shared-dependencies-dev", "api-gateway-account/us-east-1"),
    *(
        "permission/iotpipe-ingest",
        "permission/iotpipe-process",
        "permission/iotpipe-query",
        "permission/iotpipe-devices",
    ),
    *("alarm/iot-dlq-depth-dev", "alarm/iot-queue-age-dev", "alarm/iot-api-5xx-dev"),
}
"""What iotpipe declares and Terraform had not."""
ROUTES = {"route/POST /ingest", "route/POST /process", "route/GET /query", "route/GET /devices"}
"""What bears no tags of its own: it belongs to whom the API belongs."""


@pytest.fixture
def original(world: World) -> Original:
    return replace(once("original", world, lambda: Original(client).make()))


@pytest.fixture
def wanted(declared: Callable[..., Declared]) -> Declared:
    """The same, declared: under its stage's name, so that its URL stays."""
    return declared(SETTINGS)


def named(*addresses: str) -> Adoption:
    return Adoption(named=dict.fromkeys(addresses, ""))


def looked_at(world: World, wanted: Declared, adopt: Adoption = EVERYTHING) -> Plan:
    return world.plan(wanted.resources, adopt, tags=wanted.tags, foreign=True)


def refused(world: World, wanted: Declared, adopt: Adoption | None = None) -> str:
    """What is said instead of doing anything."""
    before = inventory()
    with pytest.raises(RefusedError) as said:
        world.bring_up(wanted, adopt or Adoption())
    assert world.writes == []
    assert inventory() == before
    return str(said.value)


def url(world: World) -> str:
    return outputs("123456789012", "us-east-1", world.rows())["ApiEndpoint"]


def apis() -> list[str]:
    return [each["id"] for each in client("apigateway").get_rest_apis()["items"]]


def stage_of(api: str, name: str = STAGE) -> dict[str, Any]:
    found: dict[str, Any] = client("apigateway").get_stage(restApiId=api, stageName=name)
    return found


def left_behind(plan: Plan) -> set[str]:
    return {f"{each.address}: {each.subject}" for each in plan.foreign}


OF_TERRAFORM = {
    *(f"function/data-{short}-dev: statement {sid}" for short, sid in STATEMENTS.items()),
    *("layer/iot-shared-dependencies-dev: version 1", "layer/iot-shared-dependencies-dev: version 2"),
}


# Whole


def test_without_adopt_all_of_it_is_refused_each_with_the_remedy(
    world: World, original: Original, wanted: Declared
) -> None:
    said = refused(world, wanted)
    there = {each.address for each in wanted.resources} - NEW - ROUTES
    assert all(f"`--adopt {each}`" in said for each in there)
    assert not any(f"{each} " in said for each in NEW)
    assert not world.path.exists()


@pytest.mark.parametrize("tags", [{}, TERRAFORMS], ids=["untagged", "tagged by Terraform"])
def test_adopted_whole_it_keeps_its_url_and_its_data(world: World, wanted: Declared, tags: dict[str, str]) -> None:
    original = Original(client, tags=tags).make()
    before = stage_of(original.api)
    steps = looked_at(world, wanted)
    assert world.writes == []
    assert {step.address for step in steps.steps if step.adopted} == {
        each.address for each in wanted.resources
    } - NEW - ROUTES
    assert not any(step.drifted or step.refusal for step in steps.steps)

    world.bring_up(wanted, EVERYTHING)
    assert not {"CreateStage", "DeleteStage", "CreateRestApi"} & set(world.writes)
    assert apis() == [original.api]
    assert url(world) == f"https://{original.api}.execute-api.us-east-1.amazonaws.com/{STAGE}"
    after = stage_of(original.api)
    assert after["deploymentId"] != before["deploymentId"]
    assert after["tags"].items() >= (tags | {"iotpipe:environment": "dev"}).items()
    # What the stage served until now can be served again.
    served = {each["id"] for each in client("apigateway").get_deployments(restApiId=original.api)["items"]}
    assert served == {before["deploymentId"], after["deploymentId"]}
    key = client("ssm").get_parameter(Name="/iot-pipeline/dev/api-key", WithDecryption=True)["Parameter"]
    assert (key["Value"], key["Version"]) == ("their-own-key", 1)
    assert client("dynamodb").scan(TableName="processed-data-dev")["Count"] == 1
    assert len(client("lambda").list_event_source_mappings()["EventSourceMappings"]) == 1

    steps = world.planned(wanted)
    assert steps.pending == ()
    world.bring_up(wanted)
    assert world.writes == []


def test_what_the_roles_lose_is_named_before(world: World, original: Original, wanted: Declared) -> None:
    role = "role/iot-query-lambda-role-dev"
    assert {each for each in looked_at(world, wanted).removed_by_update if each.startswith(role)} == {
        f"{role}: the inline policy {INLINE} is deleted",
        *(f"{role}: the managed policy {arn} is detached" for arn in MANAGED),
    }
    world.bring_up(wanted, EVERYTHING)
    iam = client("iam")
    assert iam.list_role_policies(RoleName="iot-query-lambda-role-dev")["PolicyNames"] == ["iotpipe"]
    assert iam.list_attached_role_policies(RoleName="iot-query-lambda-role-dev")["AttachedPolicies"] == []
    assert looked_at(world, wanted).removed_by_update == ()


def test_what_the_old_deployment_leaves_behind_is_told_and_goes_only_with_strict(
    world: World, original: Original, wanted: Declared
) -> None:
    gateway = client("apigateway")
    [root] = [each for each in gateway.get_resources(restApiId=original.api)["items"] if each["path"] == "/"]
    more = gateway.create_resource(restApiId=original.api, parentId=root["id"], pathPart="health")["id"]
    where = {"restApiId": original.api, "resourceId": more, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    gateway.put_integration(**where, type="MOCK")
    served = stage_of(original.api)["deploymentId"]
    gateway.create_stage(restApiId=original.api, stageName="test", deploymentId=served)
    left = OF_TERRAFORM | {f"{API}: method GET /health", f"stage/{STAGE}: stage test"}

    assert left_behind(looked_at(world, wanted)) == left
    world.bring_up(wanted, EVERYTHING)
    assert left_behind(looked_at(world, wanted)) == left
    assert stage_of(original.api, "test")["deploymentId"] == served

    world.up(wanted.resources, strict=True, tags=wanted.tags)
    assert left_behind(looked_at(world, wanted)) == set()
    assert [each["stageName"] for each in gateway.get_stages(restApiId=original.api)["item"]] == [STAGE]
    assert apis() == [original.api]
    assert world.planned(wanted).pending == ()


def test_what_the_old_deployment_leaves_behind_can_go_with_the_adoption(
    world: World, original: Original, wanted: Declared
) -> None:
    world.up(wanted.resources, EVERYTHING, strict=True, tags=wanted.tags)
    steps = looked_at(world, wanted)
    assert steps.foreign == () and steps.pending == ()


# Piece by piece


@pytest.mark.sampled(1)
@pytest.mark.parametrize("sixth", range(6))
def test_adopted_piece_by_piece_it_is_the_same_in_the_end(world: World, wanted: Declared, sixth: int) -> None:
    """A sixth of the resources one by one, after those before them together, and before those after them."""
    Original(client).make()
    addresses = [each.address for each in wanted.resources if each.address not in NEW | ROUTES]
    size = -(-len(addresses) // 6)
    assert addresses[sixth * size :]
    before, left = addresses[: sixth * size], set(addresses[sixth * size :])
    if before:
        world.bring_up(wanted, named(*before))
    for address in addresses[sixth * size :][:size]:
        found = inventory()
        steps = looked_at(world, wanted, named(address))
        assert [step.address for step in steps.steps if step.adopted] == [address]
        assert {step.address for step in steps.later if step.refusal} == left - {address}
        assert inventory() == found

        world.bring_up(wanted, named(address))
        left.remove(address)
        if left:
            said = refused(world, wanted)
            assert {each for each in left if f"`--adopt {each}`" in said} == left
            assert f"`--adopt {address}`" not in said
    world.bring_up(wanted, EVERYTHING)
    assert world.planned(wanted).pending == ()
    world.bring_up(wanted)
    assert world.writes == []


def test_adopting_one_changes_nothing_else(world: World, original: Original, wanted: Declared) -> None:
    before = inventory()
    world.bring_up(wanted, named("queue/iot-ingestion-queue-dev", "queue/iot-dlq-dev"))
    after = inventory()
    changed = {
        f"{kind}: {name}" for kind in before for name in after[kind] if before[kind].get(name) != after[kind][name]
    }
    assert changed == {"queues: iot-ingestion-queue-dev", "queues: iot-dlq-dev"}
    assert set(world.rows()) == {"queue/iot-ingestion-queue-dev", "queue/iot-dlq-dev"}


def test_one_that_needs_others_is_refused_until_these_are_adopted(
    world: World, original: Original, wanted: Declared
) -> None:
    function, needed = "function/data-query-dev", ("role/iot-query-lambda-role-dev", "queue/iot-dlq-dev")
    said = refused(world, wanted, named(function))
    assert all(f"`--adopt {each}`" in said for each in needed)
    assert "table/" not in said and "rest-api/" not in said
    world.bring_up(wanted, named(function, *needed, "log-group//aws/lambda/data-query-dev"))
    found = client("lambda").get_function(FunctionName="data-query-dev")["Configuration"]
    assert found["Handler"] == "iotpipe.handlers.query.lambda_handler"


# Which API


def test_of_two_apis_of_the_name_the_user_has_to_choose(world: World, original: Original, wanted: Declared) -> None:
    second = original.make_api()
    for adopt in (EVERYTHING, Adoption(named={API: ""})):
        said = refused(world, wanted, adopt)
        assert f"`iotpipe up --adopt {API}=ID`" in said
        for each in client("apigateway").get_rest_apis()["items"]:
            assert f"{each['id']} (made {each['createdDate']:%Y-%m-%dT%H:%M}" in said
    world.bring_up(wanted, Adoption(True, {API: second}))
    assert f"https://{second}." in url(world)
    assert sorted(apis()) == sorted([original.api, second])
    assert not client("apigateway").get_rest_api(restApiId=original.api).get("tags")
    assert world.planned(wanted).pending == ()
    world.bring_up(wanted)
    assert world.writes == []


def test_an_api_may_be_chosen_that_has_another_name(world: World, original: Original, wanted: Declared) -> None:
    patch = {"op": "replace", "path": "/name", "value": "iot-api"}
    client("apigateway").update_rest_api(restApiId=original.api, patchOperations=[patch])
    chosen = Adoption(named={API: original.api})
    [step] = [each for each in looked_at(world, wanted, chosen).steps if each.adopted]
    assert [(each.before, each.after) for each in step.changes if each.property == "Name"] == [
        ("iot-api", "iot-api-dev")
    ]
    world.bring_up(wanted, chosen)
    world.bring_up(wanted, EVERYTHING)
    assert apis() == [original.api] and f"https://{original.api}." in url(world)


def test_the_logs_of_a_deleted_api_go_when_another_one_is_adopted_in_its_place(
    world: World, original: Original, wanted: Declared
) -> None:
    world.bring_up(wanted, EVERYTHING)
    world.clock.time += 3600
    client("apigateway").delete_rest_api(restApiId=original.api)
    second = original.make_api()
    world.bring_up(wanted, EVERYTHING)
    assert apis() == [second]
    groups = client("logs").describe_log_groups(logGroupNamePrefix="API-Gateway-Execution-Logs_")["logGroups"]
    assert [each["logGroupName"] for each in groups] == [f"API-Gateway-Execution-Logs_{second}/{STAGE}"]


def test_the_logs_of_an_api_that_is_still_there_stay_when_another_one_is_chosen(
    world: World, original: Original, wanted: Declared
) -> None:
    world.bring_up(wanted, EVERYTHING)
    world.clock.time += 3600
    world.bring_up(wanted, Adoption(named={API: original.make_api()}))
    groups = client("logs").describe_log_groups(logGroupNamePrefix=f"API-Gateway-Execution-Logs_{original.api}/")
    assert len(groups["logGroups"]) == 1


def test_an_id_that_is_no_apis_is_refused_with_those_that_are(
    world: World, original: Original, wanted: Declared
) -> None:
    said = refused(world, wanted, Adoption(True, {API: "0123456789"}))
    assert f"{API} cannot be adopted as 0123456789" in said
    assert original.api in said


def test_the_api_of_another_environment_is_never_taken(world: World, original: Original, wanted: Declared) -> None:
    gateway = client("apigateway")
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{original.api}"
    gateway.tag_resource(resourceArn=arn, tags={"iotpipe:environment": "staging"})
    said = refused(world, wanted, Adoption(True, {API: original.api}))
    assert f"{API} belongs to the environment 'staging'" in said
    # It is nobody's business: the environment gets an API of its own.
    world.bring_up(wanted, EVERYTHING)
    assert len(apis()) == 2 and original.api not in url(world)
    assert gateway.get_rest_api(restApiId=original.api)["tags"] == {"iotpipe:environment": "staging"}


def test_who_has_got_a_second_api_by_mistake_goes_back_to_the_first(
    world: World, original: Original, wanted: Declared
) -> None:
    client("apigateway").update_rest_api(
        restApiId=original.api, patchOperations=[{"op": "replace", "path": "/name", "value": "hidden"}]
    )
    world.bring_up(wanted, EVERYTHING)
    [mistaken] = [each for each in apis() if each != original.api]
    assert f"https://{mistaken}." in url(world)

    steps = world.up(wanted.resources, Adoption(True, {API: original.api}), tags=wanted.tags)
    assert [step.address for step in steps.deletions] == [f"rest-api/{mistaken}"]
    assert apis() == [original.api] and f"https://{original.api}." in url(world)
    assert world.planned(wanted).pending == ()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("lost", ["", "tags", "state file"])
def test_a_protected_environment_keeps_the_url_that_it_has(
    world: World, original: Original, wanted: Declared, lost: str, whole: bool
) -> None:
    second = original.make_api()
    world.bring_up(wanted, Adoption(True, {API: original.api}))
    if lost == "tags":
        tags = client("apigateway").get_rest_api(restApiId=original.api)["tags"]
        arn = f"arn:aws:apigateway:us-east-1::/restapis/{original.api}"
        client("apigateway").untag_resource(resourceArn=arn, tagKeys=[*tags])
    if lost == "state file":
        world.path.unlink()
    world.clock.time += 3600
    chosen = Adoption(whole, {API: second})
    with pytest.raises(RefusedError) as said:
        world.up(wanted.resources, chosen, tags=wanted.tags, protect=True)
    assert f"{API} is not adopted as {second}: dev is protected, and {original.api} has its URL" in str(said.value)
    assert world.writes == []
    # That it may go on with the one that it has, and with another where that one is gone, nobody need be asked.
    world.up(wanted.resources, Adoption(True, {API: original.api}), tags=wanted.tags, protect=True)
    client("apigateway").delete_rest_api(restApiId=original.api)
    world.up(wanted.resources, Adoption(True, {API: second}), tags=wanted.tags, protect=True)
    assert f"https://{second}." in url(world)


# Cut short


@pytest.mark.sampled(2)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("at", [0, 9, 23, 41, 58, 70])
def test_killed_while_it_adopts_the_next_up_goes_on(
    at: int, moment: str, world: World, original: Original, wanted: Declared
) -> None:
    with killed(world, at, moment):
        world.bring_up(wanted, EVERYTHING)
    world.clock.time += 3600
    assert apis() == [original.api]
    # What is not taken over yet is still asked for; nothing is made a second time.
    if any(step.refusal for step in world.planned(wanted).steps):
        refused(world, wanted)
    world.bring_up(wanted, EVERYTHING)
    assert apis() == [original.api] and f"https://{original.api}." in url(world)
    assert left_behind(looked_at(world, wanted)) == OF_TERRAFORM
    world.bring_up(wanted)
    assert world.writes == []
    world.down(delete_data=True)
    # Terraform's layer versions, which nobody adopted.
    assert left_over() == ["layers: iot-shared-dependencies-dev", "layers: iot-shared-dependencies-dev #2"]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("wait", [0, 3600])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("at", range(6))
def test_killed_while_it_adopts_a_role_no_policy_goes_unasked(
    at: int, moment: str, wait: int, world: World, original: Original, wanted: Declared
) -> None:
    name = "iot-query-lambda-role-dev"
    roles = [each for each in wanted.resources if each.address == f"role/{name}"]
    with killed(world, at, moment) as death:
        world.up(roles, EVERYTHING)
    # The tags are the last that is changed: with them the role is no adoption any more, of which the user is asked.
    assert (death.victim == "TagRole") is (at == 5)
    world.clock.time += wait
    before = policies_of(name)
    again = world.plan(roles, EVERYTHING).removed_by_update
    if (at, moment) != (5, "after"):
        # That tags may be seen late is no reason to take it for this environment's.
        with pytest.raises((RefusedError, ApplyFailed), match=f"role/{name} already exists"):
            world.up(roles)
        assert policies_of(name) == before
    world.up(roles, EVERYTHING)
    assert len(again) == len(before - policies_of(name))


def policies_of(role: str) -> set[str]:
    """The names of the inline policies and the ARNs of those that are attached."""
    iam = client("iam")
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    return {*iam.list_role_policies(RoleName=role)["PolicyNames"], *(each["PolicyArn"] for each in attached)}


# Taken down


@pytest.mark.parametrize("moment", MOMENTS)
def test_down_right_after_a_killed_adoption_leaves_no_logs_of_the_api(
    moment: str, world: World, original: Original, wanted: Declared
) -> None:
    client("logs").create_log_group(logGroupName=f"API-Gateway-Execution-Logs_{original.api}/{STAGE}")
    world.parallel = 1
    with killed(world, 0, moment) as death:
        world.bring_up(wanted, named(API, f"stage/{STAGE}"))
    assert death.victim == "TagResource"
    assert "RestApiId" not in world.rows()[API].properties
    world.down(delete_data=True)
    # Not tagged yet it is nobody's; tagged it goes, and the logs that bear its id with it.
    assert apis() == ([original.api] if moment == "before" else [])
    groups = client("logs").describe_log_groups(logGroupNamePrefix="API-Gateway-Execution-Logs_")["logGroups"]
    assert len(groups) == len(apis())


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("at", "moment"), [(at, moment) for at in range(2) for moment in MOMENTS])
@pytest.mark.parametrize("mistaken", [False, True], ids=["the first", "after a second was made"])
def test_killed_while_it_adopts_an_api_by_its_id_the_next_up_goes_on_with_that_one(
    world: World, original: Original, wanted: Declared, mistaken: bool, at: int, moment: str
) -> None:
    renamed = [{"op": "replace", "path": "/name", "value": "hidden"}]
    client("apigateway").update_rest_api(restApiId=original.api, patchOperations=renamed)
    if mistaken:
        world.bring_up(wanted, EVERYTHING)
        world.clock.time += 3600
    world.parallel = 1
    chosen = Adoption(named={API: original.api})
    with killed(world, at, moment):
        world.bring_up(wanted, chosen)
    world.clock.time += 3600
    again = adoption(True, [], wanted.resources)
    begun = world.rows().get(API)
    if begun is None or begun.properties.get("RestApiId") != original.api:
        again = Adoption(True, {API: original.api})  # it died before it had begun with the API
    plan = looked_at(world, wanted, again)
    assert f"rest-api/{original.api}" not in {step.address for step in plan.steps if step.action == "delete"}
    world.bring_up(wanted, again)
    assert apis() == [original.api]
    assert stage_of(original.api)["tags"]["iotpipe:environment"] == "dev"


@pytest.mark.parametrize("wait", [0, 30, 3600])
def test_an_api_that_is_exchanged_soon_after_it_was_made_gives_its_stage_no_tags_on_paper_alone(
    world: World, original: Original, wanted: Declared, wait: int
) -> None:
    renamed = [{"op": "replace", "path": "/name", "value": "hidden"}]
    client("apigateway").update_rest_api(restApiId=original.api, patchOperations=renamed)
    world.bring_up(wanted, EVERYTHING)
    world.clock.time += wait
    world.bring_up(wanted, Adoption(True, {API: original.api}))
    assert stage_of(original.api)["tags"]["iotpipe:environment"] == "dev"
    world.clock.time += 3600
    world.bring_up(wanted)
    assert world.writes == []


def test_an_address_that_is_named_twice_and_differently_is_refused(wanted: Declared) -> None:
    for said in ([f"{API}=a", f"{API}=b"], [f"{API}=a", API]):
        with pytest.raises(UsageError, match="named twice with different values"):
            adoption(False, said, wanted.resources)
    assert adoption(False, [API, API], wanted.resources).named == {API: ""}


def test_down_removes_what_was_adopted_and_leaves_the_rest(world: World, original: Original, wanted: Declared) -> None:
    before = inventory()
    world.bring_up(wanted, named("table/raw-sensor-data-dev", "queue/iot-dlq-dev", API))
    world.down(delete_data=True)
    after = inventory()
    gone = {f"{kind}: {name}" for kind in before for name in before[kind] if name not in after[kind]}
    assert {each for each in gone if "iot-api-dev" not in each} == {
        "tables: raw-sensor-data-dev",
        "queues: iot-dlq-dev",
    }
    assert apis() == []
    # The functions' policies name the API by its id, which stands for nothing any more.
    del before["functions"], after["functions"]
    kept = {kind: {name: each for name, each in before[kind].items() if name in after[kind]} for kind in before}
    assert kept == after


def test_down_leaves_what_was_to_be_adopted_and_could_not(world: World, original: Original, wanted: Declared) -> None:
    def denied(operation: str, parameters: dict[str, Any]) -> ClientError | None:
        if operation != "TagResource" or "restapis" not in str(parameters):
            return None
        return refusal(operation, "AccessDeniedException", "not authorized to perform: apigateway:PUT")

    world.before = denied
    with pytest.raises(ApplyFailed, match="cannot update rest-api/iot-api-dev"):
        world.bring_up(wanted, EVERYTHING)
    world.before = None
    world.down(delete_data=True)
    assert apis() == [original.api]
    assert [each["stageName"] for each in client("apigateway").get_stages(restApiId=original.api)["item"]] == [STAGE]


# What is said with --adopt


def test_what_is_not_there_is_not_made_in_the_place_of_an_adoption(
    world: World, original: Original, wanted: Declared
) -> None:
    client("apigateway").delete_rest_api(restApiId=original.api)
    said = refused(world, wanted, named(API))
    assert f"{API} cannot be adopted: it does not exist. `iotpipe up` without this address creates it" in said
    assert world.plan(wanted.resources, named(API), tags=wanted.tags).of(API).action == "create"


def test_what_is_not_declared_is_refused_with_what_is(wanted: Declared) -> None:
    for said in ("table/raw-sensor-data", "rest-api/iot-api=abc", "", "everything"):
        with pytest.raises(UsageError) as refusal:
            adoption(False, [said], wanted.resources)
        assert all(f"\n  {each.address}" in str(refusal.value) for each in wanted.resources)


def test_only_an_api_is_chosen_by_its_id(wanted: Declared) -> None:
    assert adoption(True, [f"{API}=abc"], wanted.resources) == Adoption(True, {API: "abc"})
    with pytest.raises(UsageError, match="no id follows"):
        adoption(False, [f"{API}="], wanted.resources)
    with pytest.raises(UsageError, match="only one queue of a name"):
        adoption(False, ["queue/iot-dlq-dev=abc"], wanted.resources)


def test_a_mail_address_may_have_an_equals_sign(declared: Callable[..., Declared]) -> None:
    resources: list[Resource] = declared({"alerts": {"emails": ["a=b@example.com"]}}).resources
    address = "subscription/a=b@example.com"
    assert adoption(False, [address], resources) == Adoption(named={address: ""})
