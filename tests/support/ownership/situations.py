"""What may have become of the account and of the state files before somebody types the next command."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.account_inventory import client
from tests.support.ownership.world import (
    DOWN,
    DOWN_WITH_DATA,
    EAST,
    EXECUTION_LOGS,
    SHARED_ROLE,
    UP,
    WEST,
    Cast,
    Machine,
    Rows,
)
from tests.support.pipeline_world import ACCOUNT

ANOTHERS = "belongs to the environment 'green'"
NOT_OURS = "already exists and lacks this environment's tags"


@dataclass(frozen=True)
class Situation:
    """`actors` are the machines on which the commands are tried. `refused` says with what message which command of
    the first one is refused before it has changed anything; `kept` are tables of the environment that nobody declares
    any more."""

    arrange: Callable[[Cast], object]
    refused: Mapping[str, str] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    actors: tuple[str, ...] = ("mine",)


def nothing(cast: Cast) -> None:
    """All is as it was left."""


def lost(cast: Cast) -> None:
    cast.mine.path.unlink()


def half_lost(cast: Cast) -> None:
    def drop(rows: Rows) -> None:
        for address in [*rows][::2]:
            del rows[address]

    cast.mine.edit_rows(drop)


def stale_since_it_was_made_anew(cast: Cast) -> None:
    """The second machine, which has no state file, has taken everything down and brought it up again."""
    cast.second.act(DOWN_WITH_DATA)
    cast.clock.time += 61
    cast.second.act(UP)
    cast.clock.time += 3600


def stale_since_another_suffix(cast: Cast) -> None:
    """The second machine has changed the suffix, and the change has come to this machine, too."""
    for machine in (cast.mine, cast.second):
        cast.configure(machine, {"suffix": "azure"})
    cast.second.path.write_bytes(cast.mine.path.read_bytes())
    cast.second.act(UP)
    cast.clock.time += 3600


def stale_since_another_stage(cast: Cast) -> None:
    for machine in (cast.mine, cast.second):
        cast.configure(machine, {"suffix": "blue", "api": {"stage": "v2"}})
    cast.second.path.write_bytes(cast.mine.path.read_bytes())
    cast.second.act(UP)
    cast.clock.time += 3600


def lost_and_another_suffix(cast: Cast) -> None:
    cast.configure(cast.mine, {"suffix": "azure"})
    cast.mine.path.unlink()


def lost_and_another_stage(cast: Cast) -> None:
    cast.configure(cast.mine, {"suffix": "blue", "api": {"stage": "v2"}})
    cast.mine.path.unlink()


def taken_over(cast: Cast) -> None:
    """The second machine has taken everything down, and another environment has the names now."""
    cast.second.act(DOWN_WITH_DATA)
    cast.clock.time += 61
    cast.third("green", {"suffix": "blue"}).act(UP)
    cast.clock.time += 3600


def replaced_by_untagged(cast: Cast) -> None:
    """Everything was taken down, and somebody has made things of the same names by hand."""
    cast.second.act(DOWN_WITH_DATA)
    cast.clock.time += 3600
    by_hand("blue")


def by_hand(suffix: str, tags: Mapping[str, str] | None = None) -> None:
    """One thing of each kind that somebody makes without iotpipe, with these tags."""
    named = dict(tags or {"owner": "finance"})
    pairs = [{"Key": key, "Value": value} for key, value in named.items()]
    client("dynamodb").create_table(
        TableName=f"raw-sensor-data-{suffix}",
        KeySchema=[{"AttributeName": "device_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "device_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=pairs,
    )
    client("sqs").create_queue(QueueName=f"iot-dlq-{suffix}", tags=named)
    client("logs").create_log_group(logGroupName=f"/aws/lambda/data-query-{suffix}", tags=named)
    description = client("iam").get_role(RoleName="iot-query-lambda-role-blue")["Role"]["Description"] if tags else ""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    client("iam").create_role(
        RoleName=f"iot-query-lambda-role-{suffix}",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Description=description,
        Tags=pairs,
    )
    topic = client("sns").create_topic(Name=f"iot-alerts-{suffix}", Tags=pairs)["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    client("ssm").put_parameter(Name=f"/iot-pipeline/{suffix}/config", Value="{}", Type="String", Tags=pairs)
    client("ssm").put_parameter(Name=f"/iot-pipeline/{suffix}/api-key", Value="k", Type="SecureString", Tags=pairs)
    alarm = {"MetricName": "Errors", "Namespace": "AWS/Lambda", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1}
    client("cloudwatch").put_metric_alarm(
        **alarm,
        AlarmName=f"iot-queue-age-{suffix}",
        Statistic="Sum",
        ComparisonOperator="GreaterThanThreshold",
        Tags=pairs,
    )
    client("cloudwatch").put_dashboard(
        DashboardName=f"iot-pipeline-{suffix}", DashboardBody='{"widgets": []}', Tags=pairs
    )
    client("apigateway").create_rest_api(name=f"iot-api-{suffix}", tags=named)


def left_by_an_older_suffix(cast: Cast) -> None:
    """Things that bear the environment's tags, and that no declaration and no state file names."""
    tags = {"iotpipe:environment": "dev", "iotpipe:region": EAST, "iotpipe:managed-by": "iotpipe"}
    by_hand("ancient", tags)


def a_copy_of_the_others(cast: Cast) -> None:
    cast.mine.path.write_bytes(cast.other.path.read_bytes())


def a_copy_of_the_others_under_this_name(cast: Cast) -> None:
    a_copy_of_the_others(cast)
    cast.mine.edit(lambda data: data.update(environment="dev"))


def a_copy_of_the_one_in_the_west(cast: Cast) -> None:
    cast.mine.path.write_bytes(cast.west.path.read_bytes())


def a_copy_of_the_one_in_the_west_under_this_region(cast: Cast) -> None:
    a_copy_of_the_one_in_the_west(cast)
    cast.mine.edit(lambda data: data.update(region=EAST))


def rows_of_the_others(cast: Cast) -> None:
    """The state file has the other environment's rows as well as its own."""
    theirs = json.loads(cast.other.path.read_text(encoding="utf-8"))["resources"]
    cast.mine.edit_rows(lambda rows: rows.update({**theirs, **rows}))


def rows_renamed(cast: Cast) -> None:
    """Each row has got the name of what the other environment has instead, and keeps its own ids."""

    def rename(rows: Rows) -> None:
        for address in [*rows]:
            renamed = json.loads(json.dumps(rows.pop(address)).replace("-blue", "-dev").replace("/blue", "/dev"))
            rows[f"{renamed['kind']}/{renamed['name']}"] = renamed

    cast.mine.edit_rows(rename)


def rows_for_what_is_nobodys(cast: Cast) -> None:
    """A row for each of somebody's own things, made out of one of ours."""
    by_hand("finance")

    def copy(rows: Rows) -> None:
        for row in [*rows.values()]:
            text = json.dumps(row).replace("-blue", "-finance").replace("/blue", "/finance")
            renamed = json.loads(text)
            rows.setdefault(f"{renamed['kind']}/{renamed['name']}", renamed)

    cast.mine.edit_rows(copy)


def ids_of_the_others(cast: Cast) -> None:
    """Each row has the ids of what the other environment has instead."""
    theirs = json.loads(cast.other.path.read_text(encoding="utf-8"))["resources"]

    def put_in(rows: Rows) -> None:
        for address, row in rows.items():
            there = address.replace("-blue", "-dev").replace("/blue", "/dev").replace("stage/dev", "stage/blue")
            row["properties"] = theirs[there]["properties"]

    cast.mine.edit_rows(put_in)


def ids_of_the_others_in_parts(cast: Cast) -> None:
    """What is part of the API, the topic or a function has the ids of the other environment's."""
    theirs = json.loads(cast.other.path.read_text(encoding="utf-8"))["resources"]

    def put_in(rows: Rows) -> None:
        for address, row in [*rows.items()]:
            if row["inside"]:
                there = "stage/blue" if address == "stage/dev" else address
                row["properties"] = theirs[there]["properties"]
        rows["stage/blue"] = {**theirs["stage/blue"], "inside": rows["stage/dev"]["inside"]}

    cast.mine.edit_rows(put_in)


def a_stage_of_the_others_that_is_not_there(cast: Cast) -> None:
    """A row for it, in no API that the file knows; the others' API has its deployment and its log group yet."""
    theirs = json.loads(cast.other.path.read_text(encoding="utf-8"))["resources"]["stage/blue"]
    gateway, api = client("apigateway"), theirs["properties"]["RestApiId"]
    [served] = gateway.get_deployments(restApiId=api)["items"]
    gateway.create_deployment(restApiId=api, description=served["description"] + "0")
    client("logs").create_log_group(logGroupName=f"{EXECUTION_LOGS}{api}/gone")
    row = {**theirs, "name": "gone", "inside": "rest-api/of-nobody"}
    cast.mine.edit_rows(lambda rows: rows.update({"stage/gone": row}))


def routes_under_other_names(cast: Cast) -> None:
    """Each route is there twice, with the ids and the path of the declared one."""

    def copy(rows: Rows) -> None:
        for row in [each for each in rows.values() if each["kind"] == "route"]:
            rows[f"route/another {row['name']}"] = {**row, "name": f"another {row['name']}"}

    cast.mine.edit_rows(copy)


def parts_of_something_else(cast: Cast) -> None:
    def move(rows: Rows) -> None:
        for row in rows.values():
            if row["inside"]:
                row["inside"] = "topic/iot-alerts-blue" if row["kind"] != "subscription" else "rest-api/iot-api-blue"

    cast.mine.edit_rows(move)


def parts_of_nothing(cast: Cast) -> None:
    _each(cast.mine, lambda row: row.update(inside="rest-api/of-nobody" if row["inside"] else ""))


def parts_of_themselves(cast: Cast) -> None:
    _each(cast.mine, lambda row: row.update(inside=f"{row['kind']}/{row['name']}" if row["inside"] else ""))


def needing_one_another(cast: Cast) -> None:
    def tie(rows: Rows) -> None:
        for row in rows.values():
            row["needs"] = [*rows]

    cast.mine.edit_rows(tie)


def needing_nothing(cast: Cast) -> None:
    _each(cast.mine, lambda row: row.update(needs=[]))


def of_another_kind(cast: Cast) -> None:
    """What holds data is said to hold none, and the other way round."""
    kinds = {"table": "log-group", "log-group": "table", "queue": "alarm", "secret": "parameter"}

    def change(rows: Rows) -> None:
        for address in [*rows]:
            row = rows.pop(address)
            row["kind"] = kinds.get(row["kind"], row["kind"])
            rows[f"{row['kind']}/{row['name']}"] = row

    cast.mine.edit_rows(change)


def without_properties(cast: Cast) -> None:
    ids = ("TableId", "RoleId", "CreatedTimestamp", "creationTime", "createdDate", "UUID")
    _each(cast.mine, lambda row: [row["properties"].pop(key, None) for key in ids])


def in_the_making(cast: Cast) -> None:
    _each(cast.mine, lambda row: row.update(status="creating"))


def about_to_go(cast: Cast) -> None:
    _each(cast.mine, lambda row: row.update(status="deleting"))


def changed_in_the_future(cast: Cast) -> None:
    """Somebody's own things have a row, and the row says that they were made in a time to come."""
    rows_for_what_is_nobodys(cast)
    _each(cast.mine, lambda row: row.update(created_at="2099-01-01T00:00:00Z", updated_at="2099-01-01T00:00:00Z"))


def deleted_just_now(cast: Cast) -> None:
    """The state file says of what is there that its name is kept back."""
    now = "2027-01-15T08:59:59Z"
    cast.mine.edit(lambda data: data.update(deleted={address: now for address in data["resources"]}))


def a_second_api(cast: Cast) -> None:
    """A machine without a state file made one at the same time, with a stage and its logs."""
    tags = {"iotpipe:environment": "dev", "iotpipe:region": EAST, "iotpipe:managed-by": "iotpipe"}
    gateway = client("apigateway")
    api = gateway.create_rest_api(name="iot-api-blue", tags=tags)["id"]
    [root] = gateway.get_resources(restApiId=api)["items"]
    gateway.put_method(restApiId=api, resourceId=root["id"], httpMethod="GET", authorizationType="AWS_IAM")
    gateway.put_integration(restApiId=api, resourceId=root["id"], httpMethod="GET", type="MOCK")
    deployment = gateway.create_deployment(restApiId=api, description="iotpipe of another machine")["id"]
    gateway.create_stage(restApiId=api, stageName="dev", deploymentId=deployment, tags=tags)
    cast.clock.time += 3600


def a_second_api_and_no_file(cast: Cast) -> None:
    a_second_api(cast)
    cast.mine.path.unlink()


def retagged(cast: Cast) -> None:
    """A table and the topic have been given to another environment."""
    theirs = [{"Key": "iotpipe:environment", "Value": "green"}]
    table = f"arn:aws:dynamodb:{EAST}:{ACCOUNT}:table/raw-sensor-data-blue"
    client("dynamodb").tag_resource(ResourceArn=table, Tags=theirs)
    client("sns").tag_resource(ResourceArn=f"arn:aws:sns:{EAST}:{ACCOUNT}:iot-alerts-blue", Tags=theirs)


def the_same_suffix_in_the_west(cast: Cast) -> None:
    """Roles and dashboards would have the same names in both regions."""
    cast.configure(cast.west, {"suffix": "blue"})


def a_logging_role_of_somebody(cast: Cast) -> None:
    """The account has no role for API Gateway's logs, and a role of ours' name was made by hand."""
    unset = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    client("apigateway").update_account(patchOperations=[unset])
    client("iam").untag_role(RoleName=f"{SHARED_ROLE}{EAST}", TagKeys=["iotpipe:managed-by"])


def protected_tables(cast: Cast) -> None:
    client("dynamodb").update_table(TableName="raw-sensor-data-blue", DeletionProtectionEnabled=True)


def _each(machine: Machine, change: Callable[[dict[str, Any]], object]) -> None:
    machine.edit_rows(lambda rows: [change(row) for row in rows.values()])


_OF_BLUE = frozenset({"raw-sensor-data-blue", "processed-data-blue"})
_ANOTHERS_FILE = "belongs to environment blue, this command is for environment dev"
_ANOTHER_REGIONS_FILE = f"belongs to region {WEST}, this command is for region {EAST}"
_NO_STATE_FILE = "is not a state file"
_EVERY = (UP, DOWN, DOWN_WITH_DATA)

SITUATIONS: Mapping[str, Situation] = {
    each.arrange.__name__: each
    for each in (
        Situation(nothing, actors=("mine", "second", "other", "west")),
        Situation(lost),
        Situation(half_lost),
        Situation(stale_since_it_was_made_anew),
        Situation(stale_since_another_suffix, kept=_OF_BLUE, actors=("mine", "second", "other")),
        Situation(stale_since_another_stage, actors=("mine", "second")),
        Situation(lost_and_another_suffix, kept=_OF_BLUE),
        Situation(lost_and_another_stage),
        Situation(taken_over, {UP: ANOTHERS}),
        Situation(replaced_by_untagged, {UP: NOT_OURS}),
        Situation(
            left_by_an_older_suffix, kept=frozenset({"raw-sensor-data-ancient"}), actors=("mine", "other", "west")
        ),
        Situation(a_copy_of_the_others, dict.fromkeys(_EVERY, _ANOTHERS_FILE)),
        Situation(a_copy_of_the_others_under_this_name),
        Situation(a_copy_of_the_one_in_the_west, dict.fromkeys(_EVERY, _ANOTHER_REGIONS_FILE)),
        Situation(a_copy_of_the_one_in_the_west_under_this_region),
        Situation(rows_of_the_others),
        Situation(rows_renamed),
        Situation(rows_for_what_is_nobodys),
        Situation(ids_of_the_others),
        Situation(ids_of_the_others_in_parts),
        Situation(a_stage_of_the_others_that_is_not_there),
        Situation(routes_under_other_names),
        Situation(parts_of_something_else, dict.fromkeys(_EVERY, _NO_STATE_FILE)),
        Situation(parts_of_nothing),
        Situation(parts_of_themselves, dict.fromkeys(_EVERY, _NO_STATE_FILE)),
        Situation(needing_one_another, dict.fromkeys(_EVERY, _NO_STATE_FILE)),
        Situation(needing_nothing),
        Situation(of_another_kind),
        Situation(without_properties),
        Situation(in_the_making),
        Situation(about_to_go),
        Situation(changed_in_the_future),
        Situation(deleted_just_now),
        Situation(a_second_api, actors=("mine", "other", "west")),
        Situation(a_second_api_and_no_file),
        Situation(retagged, {UP: ANOTHERS}),
        Situation(the_same_suffix_in_the_west, {UP: "its name is the same in every region"}, actors=("west", "mine")),
        Situation(a_logging_role_of_somebody, {UP: "one of that name exists that iotpipe did not make"}),
        Situation(protected_tables, {DOWN_WITH_DATA: "deletion protection"}),
    )
}
