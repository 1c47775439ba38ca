"""Every gap of moto's that the tests close is there, and closing it makes moto do what AWS does.

A gap that moto has closed itself fails here: its entry can go.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support import moto_gaps
from tests.support.manual_edits import ACCOUNT, REGION, as_tags, client, make_role, pairs, zipped
from tests.support.samples.sample import KMS_KEY

DASHBOARD = f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/d"
STREAM = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/s"
TARGET = {"TargetArn": "arn:aws:sqs:us-east-1:123456789012:dlq"}


def a_function(**settings: Any) -> dict[str, Any]:
    made: dict[str, Any] = client("lambda").create_function(
        FunctionName="f",
        Role=make_role("r"),
        Runtime="python3.13",
        Handler="handler.lambda_handler",
        Code={"ZipFile": zipped()},
        **settings,
    )
    return made


def configuration() -> dict[str, Any]:
    found: dict[str, Any] = client("lambda").get_function_configuration(FunctionName="f")
    return found


def dead_letters_are_kept() -> bool:
    a_function(DeadLetterConfig=TARGET)
    return bool(configuration().get("DeadLetterConfig") == TARGET)


def settings_are_updated() -> bool:
    a_function(DeadLetterConfig=TARGET)
    client("lambda").update_function_configuration(
        FunctionName="f", TracingConfig={"Mode": "Active"}, DeadLetterConfig={"TargetArn": ""}
    )
    found = configuration()
    return bool(found["TracingConfig"]["Mode"] == "Active" and not found.get("DeadLetterConfig"))


def what_is_added_by_hand_is_kept() -> bool:
    updated = settings_are_updated()
    by_hand = {"KMSKeyArn": "arn:key", "EphemeralStorage": {"Size": 1024}, "LoggingConfig": {"LogFormat": "JSON"}}
    client("lambda").update_function_configuration(FunctionName="f", **by_hand)
    return updated and all(configuration()[key] == value for key, value in by_hand.items())


def aliases_have_policies() -> bool:
    a_function()
    awslambda = client("lambda")
    awslambda.create_alias(FunctionName="f", Name="live", FunctionVersion="$LATEST")

    def permit(sid: str, **which: str) -> None:
        statement = {"StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
        awslambda.add_permission(FunctionName="f", **statement, **which)

    def permitted(**which: str) -> list[str]:
        policy = awslambda.get_policy(FunctionName="f", **which)["Policy"]
        return [each["Sid"] for each in json.loads(policy)["Statement"]]

    permit("one")
    permit("one", Qualifier="live")
    permit("two", Qualifier="live")
    added = permitted() == ["one"] and permitted(Qualifier="live") == ["one", "two"]
    awslambda.remove_permission(FunctionName="f", StatementId="one", Qualifier="live")
    return added and permitted() == ["one"] and permitted(Qualifier="live") == ["two"]


def urls_are_listed() -> bool:
    a_function()
    client("lambda").create_function_url_config(FunctionName="f", AuthType="NONE")
    [found] = client("lambda").list_function_url_configs(FunctionName="f")["FunctionUrlConfigs"]
    return bool(found["AuthType"] == "NONE")


def aws_has_policies_of_its_own() -> bool:
    make_role("r")
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    client("iam").attach_role_policy(RoleName="r", PolicyArn=arn)
    [attached] = client("iam").list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    client("iam").detach_role_policy(RoleName="r", PolicyArn=arn)
    left = client("iam").list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    return bool(attached == {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": arn} and not left)


def patched_api(*operations: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = client("apigateway").update_rest_api(restApiId=an_api(), patchOperations=operations)
    return found


def a_patch_of_an_api_is_understood() -> bool:
    found = patched_api(
        {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "false"},
        {"op": "replace", "path": "/minimumCompressionSize", "value": "10"},
        {"op": "add", "path": "/binaryMediaTypes/image~1png"},
    )
    return found["disableExecuteApiEndpoint"] is False and found["binaryMediaTypes"] == ["image/png"]


def a_deployed_stage() -> dict[str, str]:
    """The ids of an API with one method, of its deployment, and the name of its stage."""
    api, gateway = an_api(), client("apigateway")
    [root] = gateway.get_resources(restApiId=api)["items"]
    where = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    gateway.put_integration(**where, type="MOCK")
    deployment = gateway.create_deployment(restApiId=api, stageName="s")["id"]
    return {"restApiId": api, "stageName": "s", "deploymentId": deployment}


def cache_keys_are_kept() -> bool:
    api, gateway = an_api(), client("apigateway")
    [root] = gateway.get_resources(restApiId=api)["items"]
    where = {"restApiId": api, "resourceId": root["id"], "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE")
    return bool(gateway.put_integration(**where, type="MOCK", cacheKeyParameters=["a"])["cacheKeyParameters"] == ["a"])


def a_deployment_is_described_anew() -> bool:
    made = a_deployed_stage()
    del made["stageName"]
    operation = {"op": "replace", "path": "/description", "value": "another"}
    client("apigateway").update_deployment(**made, patchOperations=[operation])
    return bool(client("apigateway").get_deployment(**made)["description"] == "another")


def patched_stage(*operations: dict[str, str]) -> dict[str, Any]:
    made = a_deployed_stage()
    del made["deploymentId"]
    client("apigateway").update_stage(**made, patchOperations=operations)
    found: dict[str, Any] = client("apigateway").get_stage(**made)
    return found


def the_settings_of_a_method_are_removed() -> bool:
    override = {"op": "replace", "path": "/~1a/GET/caching/enabled", "value": "true"}
    return not patched_stage(override, {"op": "remove", "path": "/~1a/GET"})["methodSettings"]


def stages_keep_canaries_and_name_methods_without_a_slash() -> bool:
    found = patched_stage(
        {"op": "replace", "path": "/canarySettings/percentTraffic", "value": "5"},
        {"op": "replace", "path": "/~1a/GET/caching/enabled", "value": "true"},
    )
    return found["canarySettings"]["percentTraffic"] == 5 and list(found["methodSettings"]) == ["a/GET"]


def the_cpu_is_updated() -> bool:
    a_function(Architectures=["arm64"])
    client("lambda").update_function_code(FunctionName="f", ZipFile=zipped(), Architectures=["x86_64"])
    return bool(configuration()["Architectures"] == ["x86_64"])


def a_stopped_function_says_so() -> bool:
    a_function()
    client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    return "Concurrency" in client("lambda").get_function(FunctionName="f")


def what_is_reserved_is_missing_from_the_account() -> bool:
    a_function()
    client("lambda").put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=300)
    found = client("lambda").get_account_settings()["AccountLimit"]
    return (found["ConcurrentExecutions"], found["UnreservedConcurrentExecutions"]) == (1000, 700)


def the_simulator_answers_for_each_action_and_resource() -> bool:
    found = client("iam").simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/ann", ActionNames=["a:A", "a:B"], ResourceArns=["arn:1", "arn:2"]
    )
    allowed = [(each["EvalActionName"], each["EvalResourceName"]) for each in found["EvaluationResults"]]
    return allowed == [("a:A", "arn:1"), ("a:A", "arn:2"), ("a:B", "arn:1"), ("a:B", "arn:2")]


def an_api() -> str:
    made: str = client("apigateway").create_rest_api(name="a", tags={"a": "1", "b": "2"})["id"]
    return made


def is_not_found(act: Callable[[], Any]) -> bool:
    try:
        act()
    except ClientError as error:
        return error.response["Error"]["Code"] == "NotFoundException"
    return False


def an_api_that_is_gone_is_not_found() -> bool:
    api = an_api()
    client("apigateway").delete_rest_api(restApiId=api)
    return is_not_found(partial(client("apigateway").delete_rest_api, restApiId=api))


def a_path_that_is_gone_is_not_found() -> bool:
    api = an_api()
    return is_not_found(partial(client("apigateway").delete_resource, restApiId=api, resourceId="gone"))


def tags_of_apis_are_answered() -> bool:
    which = f"arn:aws:apigateway:{REGION}::/restapis/{an_api()}"
    return bool(client("apigateway").get_tags(resourceArn=which)["tags"] == {"a": "1", "b": "2"})


def tags_of_apis_are_added() -> bool:
    api = an_api()
    client("apigateway").tag_resource(resourceArn=f"arn:aws:apigateway:{REGION}::/restapis/{api}", tags={"c": "3"})
    return bool(client("apigateway").get_rest_api(restApiId=api)["tags"] == {"a": "1", "b": "2", "c": "3"})


def tags_of_apis_are_removed() -> bool:
    api = an_api()
    client("apigateway").untag_resource(resourceArn=f"arn:aws:apigateway:{REGION}::/restapis/{api}", tagKeys=["a"])
    return bool(client("apigateway").get_rest_api(restApiId=api)["tags"] == {"b": "2"})


def dashboard_tags() -> dict[str, str]:
    return as_tags(client("cloudwatch").list_tags_for_resource(ResourceARN=DASHBOARD)["Tags"])


def a_new_dashboard_has_its_tags_and_an_old_one_keeps_them() -> bool:
    cloudwatch = client("cloudwatch")
    for tags in ({"a": "1"}, {"b": "2"}):
        cloudwatch.put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}', Tags=pairs(tags))
    return dashboard_tags() == {"a": "1"}


def dashboards_can_be_tagged() -> bool:
    client("cloudwatch").put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}', Tags=[])
    client("cloudwatch").tag_resource(ResourceARN=DASHBOARD, Tags=pairs({"a": "1"}))
    return dashboard_tags() == {"a": "1"}


def dashboards_belong_to_no_region() -> bool:
    client("cloudwatch").put_dashboard(DashboardName="d", DashboardBody='{"widgets": []}', Tags=pairs({"a": "1"}))
    elsewhere = boto3.client("cloudwatch", region_name="eu-west-1")
    found = elsewhere.list_dashboards()["DashboardEntries"]
    tags = elsewhere.list_tags_for_resource(ResourceARN=DASHBOARD)["Tags"]
    return [each["DashboardName"] for each in found] == ["d"] and as_tags(tags) == {"a": "1"}


def apis_stages_and_mappings_are_found_by_their_tags() -> bool:
    made = a_deployed_stage()
    stage = f"arn:aws:apigateway:{REGION}::/restapis/{made['restApiId']}/stages/{made['stageName']}"
    client("apigateway").tag_resource(resourceArn=stage, tags={"a": "1"})
    queue = f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"
    client("sqs").create_queue(QueueName="q")
    a_function()
    mapping = client("lambda").create_event_source_mapping(FunctionName="f", EventSourceArn=queue, Tags={"a": "1"})[
        "EventSourceMappingArn"
    ]
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "a", "Values": ["1"]}])
    arns = {each["ResourceARN"] for each in found["ResourceTagMappingList"]}
    return arns == {stage.partition("/stages")[0], stage, mapping}


def a_page_holds_as_many_resources_as_are_asked_for() -> bool:
    tags = {f"tag-{number}": "1" for number in range(10)}
    for number in range(12):
        client("sqs").create_queue(QueueName=f"q{number}", tags=tags)
    found = client("resourcegroupstaggingapi").get_resources(ResourcesPerPage=100)
    return len(found["ResourceTagMappingList"]) == 12


def a_table() -> None:
    client("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def mute_rules_come_and_go() -> bool:
    cloudwatch, rule = client("cloudwatch"), {"Schedule": {"Expression": "cron(0 2 * * *)", "Duration": "PT4H"}}
    cloudwatch.put_alarm_mute_rule(Name="r", Rule=rule, MuteTargets={"AlarmNames": ["a"]})
    [listed] = cloudwatch.list_alarm_mute_rules()["AlarmMuteRuleSummaries"]
    found = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName="r")
    cloudwatch.delete_alarm_mute_rule(AlarmMuteRuleName="r")
    cloudwatch.delete_alarm_mute_rule(AlarmMuteRuleName="r")
    same = found["AlarmMuteRuleArn"] == listed["AlarmMuteRuleArn"]
    gone = cloudwatch.list_alarm_mute_rules()["AlarmMuteRuleSummaries"] == []
    return bool(same and gone and found["Rule"] == rule and found["MuteTargets"] == {"AlarmNames": ["a"]})


def a_table_made_anew_is_another_one() -> bool:
    def identifier() -> Any:
        return client("dynamodb").describe_table(TableName="t")["Table"].get("TableId")

    a_table()
    first, again = identifier(), identifier()
    client("dynamodb").delete_table(TableName="t")
    a_table()
    return first is not None and first == again != identifier()


def _account_is_known() -> bool:
    try:
        client("apigateway").get_account()
    except client("apigateway").exceptions.NotFoundException as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return False
    return True


def the_first_api_makes_the_account_known() -> bool:
    unknown = not _account_is_known()
    client("apigateway").create_rest_api(name="a")
    return unknown and _account_is_known()


def a_logging_role_makes_the_account_known() -> bool:
    unknown = not _account_is_known()
    role = {"op": "replace", "path": "/cloudwatchRoleArn", "value": "arn:aws:iam::123456789012:role/r"}
    client("apigateway").update_account(patchOperations=[role])
    return unknown and _account_is_known()


def a_table_can_be_encrypted_anew() -> bool:
    keys = [{"AttributeName": "k", "KeyType": "HASH"}]
    client("dynamodb").create_table(
        TableName="t",
        KeySchema=keys,
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    found = []
    for specification in ({"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KMS_KEY}, {"Enabled": False}):
        client("dynamodb").update_table(TableName="t", SSESpecification=specification)
        found.append(client("dynamodb").describe_table(TableName="t")["Table"].get("SSEDescription", {}))
    return found == [{"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KMS_KEY}, {}]


def log_groups_can_be_encrypted_and_not() -> bool:
    client("logs").create_log_group(logGroupName="g")
    client("logs").associate_kms_key(logGroupName="g", kmsKeyId=KMS_KEY)
    before = client("logs").describe_log_groups()["logGroups"][0].get("kmsKeyId")
    client("logs").disassociate_kms_key(logGroupName="g")
    after = client("logs").describe_log_groups()["logGroups"][0].get("kmsKeyId")
    return (before, after) == (KMS_KEY, None)


def the_expiry_of_a_table_that_is_gone_is_not_found() -> bool:
    try:
        client("dynamodb").describe_time_to_live(TableName="gone")
    except ClientError as error:
        return error.response["Error"]["Code"] == "ResourceNotFoundException"
    return False


def the_streams_of_a_table_come_and_go() -> bool:
    a_table()
    which = {"TableName": "t", "StreamArn": STREAM}
    client("dynamodb").enable_kinesis_streaming_destination(**which)
    client("dynamodb").disable_kinesis_streaming_destination(**which)
    found = client("dynamodb").describe_kinesis_streaming_destination(TableName="t")
    return [each["DestinationStatus"] for each in found["KinesisDataStreamDestinations"]] == ["DISABLED"]


RULE = {"sql": "SELECT * FROM 'a'", "awsIotSqlVersion": "2016-03-23", "actions": []}
RULE_ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}:rule/r"
POLICY_ARN = f"arn:aws:iot:{REGION}:{ACCOUNT}:policy/p"


def iot_tags(arn: str) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in client("iot").list_tags_for_resource(resourceArn=arn)["tags"]}


def a_rule_has_its_tags_from_the_beginning() -> bool:
    client("iot").create_topic_rule(ruleName="r", topicRulePayload=RULE, tags="a=1&b=x%20y")
    return iot_tags(RULE_ARN) == {"a": "1", "b": "x y"}


def a_rule_that_is_replaced_keeps_its_tags() -> bool:
    client("iot").create_topic_rule(ruleName="r", topicRulePayload=RULE, tags="a=1")
    before = client("iot").get_topic_rule(ruleName="r")["rule"]["createdAt"]
    client("iot").replace_topic_rule(ruleName="r", topicRulePayload=RULE | {"description": "another"})
    found = client("iot").get_topic_rule(ruleName="r")["rule"]
    return (found["description"], found["createdAt"]) == ("another", before) and iot_tags(RULE_ARN) == {"a": "1"}


def a_rule_that_is_not_there_is_denied() -> bool:
    codes = set()
    for act in (client("iot").get_topic_rule, client("iot").delete_topic_rule):
        try:
            act(ruleName="gone")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    return codes == {"UnauthorizedException"}


def a_policy_has_its_tags_from_the_beginning() -> bool:
    client("iot").create_policy(policyName="p", policyDocument="{}", tags=[{"Key": "a", "Value": "1"}])
    return iot_tags(POLICY_ARN) == {"a": "1"}


def a_policy_can_be_tagged() -> bool:
    client("iot").create_policy(policyName="p", policyDocument="{}")
    client("iot").tag_resource(resourceArn=POLICY_ARN, tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client("iot").untag_resource(resourceArn=POLICY_ARN, tagKeys=["a"])
    return iot_tags(POLICY_ARN) == {"b": "2"}


def what_aws_iot_logs_is_kept() -> bool:
    try:
        client("iot").get_v2_logging_options()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NotConfiguredException"
    client("iot").set_v2_logging_options(roleArn="arn:aws:iam::123456789012:role/r", defaultLogLevel="ERROR")
    return bool(client("iot").get_v2_logging_options()["defaultLogLevel"] == "ERROR")


def a_thing(**attributes: str) -> bool:
    """Whether the thing was created with these attributes."""
    try:
        client("iot").create_thing(thingName="t", attributePayload={"attributes": attributes})
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceAlreadyExistsException"
        return False
    return True


def an_equal_thing_is_answered_and_another_one_refused() -> bool:
    return a_thing(a="1") and a_thing(a="1") and not a_thing(a="2")


def a_thing_of_another_version_is_not_updated() -> bool:
    a_thing(a="1")
    update = {"thingName": "t", "attributePayload": {"attributes": {"a": "2"}}, "expectedVersion": 1}
    client("iot").update_thing(**update)
    try:
        client("iot").update_thing(**update)
    except ClientError as error:
        conflict = error.response["Error"]["Code"] == "VersionConflictException"
        return conflict and client("iot").describe_thing(thingName="t")["version"] == 2
    return False


def a_thing_that_is_not_there_is_deleted() -> bool:
    return bool(client("iot").delete_thing(thingName="t"))


def a_certificate() -> tuple[str, str, Any]:
    """The id and the PEM of a certificate, and the private key of its request."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(Encoding.PEM).decode()
    made = client("iot").create_certificate_from_csr(certificateSigningRequest=pem)
    return made["certificateId"], made["certificatePem"], key


def an_exclusive_certificate_has_one_thing() -> bool:
    certificate_id, _, _ = a_certificate()
    for name in ("one", "two"):
        client("iot").create_thing(thingName=name)
    principal = f"arn:aws:iot:{REGION}:{ACCOUNT}:cert/{certificate_id}"
    attach = partial(client("iot").attach_thing_principal, principal=principal, thingPrincipalType="EXCLUSIVE_THING")
    attach(thingName="one")
    try:
        attach(thingName="two")
    except ClientError as error:
        return error.response["Error"]["Code"] == "InvalidRequestException"
    return False


def a_certificate_has_the_key_of_its_request() -> bool:
    _, pem, key = a_certificate()
    return bool(x509.load_pem_x509_certificate(pem.encode()).public_key() == key.public_key())


def the_id_of_a_certificate_is_its_fingerprint() -> bool:
    certificate_id, pem, _ = a_certificate()
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex() == certificate_id


def certificates_are_listed_in_pages_the_newest_first() -> bool:
    made = [a_certificate()[0] for _ in range(3)]
    first = client("iot").list_certificates(pageSize=2, ascendingOrder=False)
    last = client("iot").list_certificates(pageSize=2, ascendingOrder=False, marker=first["nextMarker"])
    found = [each["certificateId"] for each in (*first["certificates"], *last["certificates"])]
    return found == made[::-1] and "nextMarker" not in last


def an_account_has_one_endpoint() -> bool:
    first, second = (client("iot").describe_endpoint(endpointType="iot:Data-ATS") for _ in range(2))
    return bool(first["endpointAddress"] == second["endpointAddress"])


def nobody_is_connected() -> bool:
    codes = set()
    for act in (client("iot-data").get_connection, client("iot-data").delete_connection):
        try:
            act(clientId="a:b")
        except ClientError as error:
            codes.add(error.response["Error"]["Code"])
    return codes == {"ResourceNotFoundException"}


def the_test_of_a_topic_rule_is_logged() -> bool:
    group = "/aws/lambda/data-ingestion-dev"
    client("logs").create_log_group(logGroupName=group)
    client("iot-data").publish(
        topic="$aws/rules/iotpipe_dev/iotpipe/dev/dev:/readings", qos=1, payload=json.dumps({"self_test": "mark"})
    )
    events = client("logs").filter_log_events(logGroupName=group)["events"]
    return [json.loads(each["message"])["self_tests"] for each in events] == [["mark"]]


BEHAVIOUR: dict[str, Callable[[], bool]] = {
    "create_function": dead_letters_are_kept,
    "function_configuration": dead_letters_are_kept,
    "update_function": what_is_added_by_hand_is_kept,
    "add_permission": aliases_have_policies,
    "get_policy": aliases_have_policies,
    "remove_permission": aliases_have_policies,
    "function_urls": urls_are_listed,
    "patch_api": a_patch_of_an_api_is_understood,
    "put_integration": cache_keys_are_kept,
    "update_deployment": a_deployment_is_described_anew,
    "patch_stage": the_settings_of_a_method_are_removed,
    "stage_settings": stages_keep_canaries_and_name_methods_without_a_slash,
    "update_code": the_cpu_is_updated,
    "function_with_code": a_stopped_function_says_so,
    "simulate": the_simulator_answers_for_each_action_and_resource,
    "account_settings": what_is_reserved_is_missing_from_the_account,
    "create_api": the_first_api_makes_the_account_known,
    "update_account": a_logging_role_makes_the_account_known,
    "get_account": the_first_api_makes_the_account_known,
    "delete_api": an_api_that_is_gone_is_not_found,
    "delete_path": a_path_that_is_gone_is_not_found,
    "get_tags": tags_of_apis_are_answered,
    "tag_resource": tags_of_apis_are_added,
    "untag_resource": tags_of_apis_are_removed,
    "put_dashboard": a_new_dashboard_has_its_tags_and_an_old_one_keeps_them,
    "attach_to_role": aws_has_policies_of_its_own,
    "tag_dashboard": dashboards_can_be_tagged,
    "set_up_for_dashboards": dashboards_belong_to_no_region,
    "tagged_pages": a_page_holds_as_many_resources_as_are_asked_for,
    "tagged_resources": apis_stages_and_mappings_are_found_by_their_tags,
    "put_alarm_mute_rule": mute_rules_come_and_go,
    "list_alarm_mute_rules": mute_rules_come_and_go,
    "get_alarm_mute_rule": mute_rules_come_and_go,
    "delete_alarm_mute_rule": mute_rules_come_and_go,
    "table_with_id": a_table_made_anew_is_another_one,
    "update_table": a_table_can_be_encrypted_anew,
    "associate_kms_key": log_groups_can_be_encrypted_and_not,
    "disassociate_kms_key": log_groups_can_be_encrypted_and_not,
    "describe_time_to_live": the_expiry_of_a_table_that_is_gone_is_not_found,
    "enable_kinesis_streaming_destination": the_streams_of_a_table_come_and_go,
    "disable_kinesis_streaming_destination": the_streams_of_a_table_come_and_go,
    "describe_kinesis_streaming_destination": the_streams_of_a_table_come_and_go,
    "create_topic_rule": a_rule_has_its_tags_from_the_beginning,
    "replace_topic_rule": a_rule_that_is_replaced_keeps_its_tags,
    "get_topic_rule": a_rule_that_is_not_there_is_denied,
    "delete_topic_rule": a_rule_that_is_not_there_is_denied,
    "create_policy": a_policy_has_its_tags_from_the_beginning,
    "list_tags_for_resource": a_policy_has_its_tags_from_the_beginning,
    "tag_of_iot": a_policy_can_be_tagged,
    "untag_of_iot": a_policy_can_be_tagged,
    "get_v2_logging_options": what_aws_iot_logs_is_kept,
    "set_v2_logging_options": what_aws_iot_logs_is_kept,
    "create_thing": an_equal_thing_is_answered_and_another_one_refused,
    "update_thing": a_thing_of_another_version_is_not_updated,
    "delete_thing": a_thing_that_is_not_there_is_deleted,
    "attach_thing_principal": an_exclusive_certificate_has_one_thing,
    "create_certificate_from_csr": a_certificate_has_the_key_of_its_request,
    "certificate_id": the_id_of_a_certificate_is_its_fingerprint,
    "list_certificates": certificates_are_listed_in_pages_the_newest_first,
    "describe_endpoint": an_account_has_one_endpoint,
    "get_connection": nobody_is_connected,
    "delete_connection": nobody_is_connected,
    "publish": the_test_of_a_topic_rule_is_logged,
}
GAPS = [pytest.param(number, id=each.__name__) for number, (_, _, each) in enumerate(moto_gaps.PATCHES)]


def behaviour(gap: int) -> Callable[[], bool]:
    return BEHAVIOUR[moto_gaps.PATCHES[gap][2].__name__]


@pytest.mark.parametrize("gap", GAPS)
def test_with_the_gap_closed_moto_does_what_aws_does(gap: int) -> None:
    assert behaviour(gap)()


@pytest.mark.parametrize("gap", GAPS)
def test_the_gap_is_there(gap: int) -> None:
    with moto_gaps.opened(gap):
        try:
            as_on_aws = behaviour(gap)()
        except (ClientError, KeyError, AttributeError):
            return
    assert not as_on_aws, "moto has closed it: its entry can go"


@pytest.mark.parametrize("gap", GAPS)
def test_every_entry_says_what_is_wrong(gap: int) -> None:
    assert moto_gaps.PATCHES[gap][2].__doc__
