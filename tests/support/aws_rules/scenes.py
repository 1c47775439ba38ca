"""One scene per row of the retry table: what has to happen on AWS for that answer to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from iotpipe.provision.resource import Resource, everything
from iotpipe.provision.resources.queue import Queue
from iotpipe.provision.resources.rest_api import RestApi
from tests.support.aws_rules import parts
from tests.support.aws_rules.delays import COMMON, PROMPT, Delays, Limits
from tests.support.aws_rules.layer import Killed, Killer, Reality
from tests.support.aws_rules.world import RealityWorld, account, environment
from tests.support.virtual_time import together

OURS = {"iotpipe:environment": "dev", "iotpipe:managed-by": "iotpipe"}


@dataclass
class Play:
    """A scene being played: one environment in an account of its own."""

    reality: Reality
    world: RealityWorld

    def up(self, *resources: Resource, tags: dict[str, str] | None = None) -> None:
        self.world.up(everything(*resources), tags=tags)

    def up_losing_the_answer_of(self, operation: str, *resources: Resource) -> None:
        self.reality.lose_answer_of(operation)
        self.up(*resources)

    def up_while_somebody_changes(self, key: str, *resources: Resource) -> None:
        together(self.reality.time, lambda: self._hold(key), lambda: self.up(*resources))

    def bound_role(self) -> str:
        """The id of the role that the function goes on with."""
        return self.reality.functions.functions["worker"].bound_to

    @contextmanager
    def killed_before(self, operation: str) -> Iterator[None]:
        """The command inside is killed right before the next such call."""
        self.reality.killer = Killer(operation, "before")
        with pytest.raises(Killed):
            yield
        self.reality.killer = None

    @contextmanager
    def killed_after(self, operation: str) -> Iterator[None]:
        """The command inside is killed when AWS has carried out the next such call."""
        self.reality.killer = Killer(operation, "after")
        with pytest.raises(Killed):
            yield
        self.reality.killer = None

    def _hold(self, key: str) -> None:
        with self.reality.occupied(key):
            self.reality.time.sleep(2)


@contextmanager
def playing(directory: Path, delays: Delays, limits: Limits = COMMON) -> Iterator[Play]:
    """An account with these delays and limits, and one environment in it."""
    with account(delays, limits) as reality:
        yield Play(reality, environment(reality, directory))


@dataclass(frozen=True)
class Scene:
    """`row` names the row by its first operation and code and its message. Without it the scene fails, or, where a
    more general row stands in (`covered`), the user is told another reason."""

    row: str
    act: Callable[[Play], None]
    delays: Delays = PROMPT
    limits: Limits = COMMON
    covered: bool = False

    def play(self, directory: Path) -> set[str]:
        """Everything that the user was told to wait for."""
        told: set[str] = set()
        with playing(directory, self.delays, self.limits) as play:
            play.world.note = told.add
            self.act(play)
        return told


def late(**delays: float) -> Delays:
    """Everything prompt but this."""
    return replace(PROMPT, **delays)


def up(*resources: Resource) -> Callable[[Play], None]:
    return lambda play: play.up(*resources)


def up_losing(operation: str, *resources: Resource) -> Callable[[Play], None]:
    return lambda play: play.up_losing_the_answer_of(operation, *resources)


def up_beside(key: str, *resources: Resource) -> Callable[[Play], None]:
    return lambda play: play.up_while_somebody_changes(key, *resources)


UNSEEN = late(unseen=1.5)


def a_queue_is_given_to_a_function_that_could_not_read_it(play: Play) -> None:
    poor = replace(parts.ROLE, may=[parts.SEND])
    play.up(parts.function(role=poor), parts.QUEUE)
    play.up(parts.mapping())


def timeout_and_visibility_are_raised_together(play: Play) -> None:
    play.up(parts.mapping())
    queue = replace(parts.QUEUE, visibility_timeout=900)
    role = replace(parts.ROLE, may=[parts.SEND, replace(parts.CONSUME, on=[queue])])
    play.up(parts.mapping(parts.function(timeout=100, role=role), queue))


def somebody_changes_a_function_right_before_us(play: Play) -> None:
    play.up(parts.FUNCTION)
    play.world.hand("lambda").update_function_configuration(FunctionName="worker", MemorySize=512)
    play.up(parts.FUNCTION)


def somebody_has_deleted_the_queue_a_while_ago(play: Play) -> None:
    play.up(parts.FUNCTION, parts.QUEUE)
    play.world.hand("sqs").delete_queue(QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/readings")
    play.reality.time.sleep(60)
    play.up(parts.mapping())


def somebody_deletes_the_mapping_right_before_us(play: Play) -> None:
    play.up(parts.mapping())
    uuid = play.world.rows()["event-source-mapping/readings-to-worker"].properties["UUID"]
    play.world.hand("lambda").delete_event_source_mapping(UUID=uuid)
    play.up(parts.mapping())


def a_mapping_that_has_just_been_made_gets_another_tag(play: Play) -> None:
    play.up(parts.mapping())
    play.up(parts.mapping(), tags={"team": "devices"})


def the_last_device_has_just_been_removed(play: Play) -> None:
    play.up(parts.POLICY)
    iot = play.world.hand("iot")
    certificate = iot.create_keys_and_certificate(setAsActive=True)["certificateArn"]
    iot.attach_policy(policyName="devices", target=certificate)
    iot.detach_policy(policyName="devices", target=certificate)
    play.world.down()


def down_directly_after_up(play: Play) -> None:
    play.up(parts.mapping())
    play.world.down()


def a_queue_comes_again_though_the_state_file_is_lost(play: Play) -> None:
    play.up(parts.DEAD_LETTERS)
    play.world.down()
    play.world.path.unlink()
    play.up(parts.DEAD_LETTERS)


def another_version_of_us_has_just_made_the_queue(play: Play) -> None:
    play.world.hand("sqs").create_queue(QueueName="q", Attributes={"VisibilityTimeout": "7"}, tags=OURS)
    play.up(Queue("q", retention=60))


def a_new_queue_is_changed_at_once(play: Play) -> None:
    play.up(Queue("q", retention=60))
    play.up(Queue("q", retention=120))


def a_table_comes_again_while_it_goes(play: Play) -> None:
    play.up(parts.table())
    play.world.down(delete_data=True)
    play.up(parts.table())


def five_apis_go_at_once(play: Play) -> None:
    play.up(*(RestApi(f"api-{number}", description="An API") for number in range(5)))
    play.reality.time.sleep(60)
    play.world.down()


def somebody_has_just_set_the_account(play: Play) -> None:
    nothing = {"op": "replace", "path": "/cloudwatchRoleArn", "value": ""}
    play.world.hand("apigateway").update_account(patchOperations=[nothing])
    play.up(parts.ACCOUNT)


def somebody_else_changes_the_api(play: Play) -> None:
    play.up(parts.API)
    api = play.world.rows()["rest-api/api"].properties["RestApiId"]
    play.up_while_somebody_changes(f"api {api}", parts.route("/query"))


def somebody_has_just_renamed_the_api(play: Play) -> None:
    play.up(parts.API)
    api = play.world.rows()["rest-api/api"].properties["RestApiId"]
    renamed = [{"op": "replace", "path": "/name", "value": "another"}]
    play.world.hand("apigateway").update_rest_api(restApiId=api, patchOperations=renamed)
    play.up(parts.API)


def a_stage_is_renamed(play: Play) -> None:
    play.up(parts.stage())
    play.reality.time.sleep(5)
    play.up(replace(parts.stage(), name="v2"))


def another_version_of_us_has_just_made_the_topic(play: Play) -> None:
    tags = [{"Key": key, "Value": value} for key, value in {**OURS, "of": "old"}.items()]
    play.world.hand("sns").create_topic(Name="alerts", Tags=tags)
    play.up(parts.TOPIC)


def a_topic_comes_again_and_gets_other_tags(play: Play) -> None:
    play.up(parts.TOPIC)
    play.world.down()
    play.up(parts.TOPIC)
    play.up(parts.TOPIC, tags={"team": "devices"})


SCENES: Sequence[Scene] = (
    # Lambda
    Scene("CreateFunction InvalidParameterValueException cannot be assumed", up(parts.FUNCTION), late(role=5)),
    Scene(
        "CreateFunction InvalidParameterValueException does not have permissions to call",
        up(parts.FUNCTION),
        late(policy=5),
    ),
    Scene(
        "CreateFunction InvalidParameterValueException KMS key is invalid for CreateGrant",
        up(parts.FUNCTION),
        late(grant=5),
    ),
    Scene(
        "CreateEventSourceMapping InvalidParameterValueException Please ensure the role can perform",
        a_queue_is_given_to_a_function_that_could_not_read_it,
        late(policy=5),
    ),
    Scene(
        "CreateEventSourceMapping InvalidParameterValueException Queue visibility timeout",
        timeout_and_visibility_are_raised_together,
        late(queue_attributes=50),
    ),
    Scene(
        "CreateEventSourceMapping InvalidParameterValueException NonExistentQueue",
        somebody_has_deleted_the_queue_a_while_ago,
        late(queue_usable=2),
    ),
    Scene("CreateFunction InvalidParameterValueException Layer version", up(parts.FUNCTION), late(layer=1)),
    Scene(
        "CreateFunction ResourceConflictException update is in progress",
        somebody_changes_a_function_right_before_us,
        late(updating=4),
    ),
    Scene("CreateFunction ResourceConflictException Pending", up(parts.FUNCTION), late(pending=4)),
    Scene(
        "CreateFunction ResourceConflictException already exist", up_losing("CreateFunction", parts.FUNCTION), UNSEEN
    ),
    Scene(
        "AddPermission ResourceConflictException already exists",
        up_losing("AddPermission", parts.permission("/query")),
        UNSEEN,
    ),
    Scene(
        "AddPermission ResourceConflictException concurrent update",
        up(parts.permission("/query"), parts.permission("/ingest")),
    ),
    Scene(
        "CreateEventSourceMapping InvalidParameterValueException Function does not exist",
        up(parts.mapping(parts.function(reserved_concurrency=None))),
        late(unwritable=1),
    ),
    Scene(
        "TagResource ResourceConflictException",
        a_mapping_that_has_just_been_made_gets_another_tag,
        late(mapping=10),
    ),
    Scene("AddPermission ResourceNotFoundException", up(parts.FUNCTION), late(unwritable=1)),
    Scene(
        "CreateEventSourceMapping ResourceConflictException already exists",
        somebody_deletes_the_mapping_right_before_us,
        late(mapping_gone=30),
    ),
    Scene("CreateEventSourceMapping ResourceInUseException in use", down_directly_after_up, late(mapping=10)),
    # IAM
    Scene("* EntityAlreadyExists", up_losing("CreateRole", parts.ROLE), UNSEEN),
    Scene("PutRolePolicy NoSuchEntity", up(parts.ROLE), late(unwritable=1)),
    Scene("* ConcurrentModification", up_beside("role worker-role", parts.ROLE)),
    Scene("DeleteRole DeleteConflict", lambda play: (play.up(parts.ROLE), play.world.down()), late(policies_gone=1)),
    # SQS
    Scene("* QueueDeletedRecently", a_queue_comes_again_though_the_state_file_is_lost),
    Scene("* QueueNameExists", another_version_of_us_has_just_made_the_queue, UNSEEN),
    Scene("SetQueueAttributes QueueDoesNotExist", a_new_queue_is_changed_at_once, late(queue_usable=3)),
    Scene("CreateQueue InvalidParameterValue Dead letter target", up(parts.QUEUE), late(queue_usable=1)),
    # DynamoDB
    Scene(
        "CreateTable ResourceInUseException already exists",
        up_losing("CreateTable", parts.table()),
        UNSEEN,
        covered=True,
    ),
    Scene("CreateTable ResourceInUseException", a_table_comes_again_while_it_goes, late(table_deleting=10)),
    Scene(
        "* LimitExceededException simultaneously",
        up(parts.table(), parts.table("more-rows")),
        late(table_creating=5),
        Limits(tables_changing=1),
    ),
    Scene("* ContinuousBackupsUnavailableException", up(parts.table()), late(backups=6)),
    Scene("UpdateContinuousBackups TableNotFoundException", up(parts.table()), late(backups_unseen=2)),
    # API Gateway
    Scene("DeleteRestApi TooManyRequestsException", five_apis_go_at_once),
    Scene("UpdateAccount TooManyRequestsException", somebody_has_just_set_the_account, covered=True),
    Scene(
        "UpdateAccount BadRequestException The role ARN does not have required permissions",
        up(parts.ACCOUNT),
        late(role=15),
    ),
    Scene(
        "UpdateAccount BadRequestException could not successfully write to CloudWatch Logs",
        up(parts.ACCOUNT),
        late(policy=15),
    ),
    Scene(
        "CreateStage BadRequestException CloudWatch Logs role ARN must be set",
        up(parts.stage(account=parts.ACCOUNT)),
        late(account=3),
    ),
    Scene("* ConflictException concurrent modification", somebody_else_changes_the_api),
    Scene(
        "* BadRequestException already an update in progress",
        somebody_has_just_renamed_the_api,
        late(api_changing=5),
    ),
    Scene(
        "CreateResource AccessDeniedException no identity-based policy allows",
        up(parts.route("/query")),
        late(api_tags=5),
    ),
    Scene("DeleteDeployment BadRequestException Active stages", a_stage_is_renamed, late(unseen=3)),
    Scene("CreateResource ConflictException already exists", up_losing("CreateStage", parts.stage()), UNSEEN),
    Scene(
        "CreateResource ConflictException already has this name",
        up_losing("CreateResource", parts.route("/query")),
        UNSEEN,
    ),
    # AWS IoT
    Scene("CreateTopicRule InvalidRequestException unable to assume role", up(parts.RULE), late(role=8)),
    Scene("* ConflictingResourceUpdateException", up_beside("rule readings", parts.RULE)),
    Scene(
        "DeletePolicy DeleteConflictException",
        the_last_device_has_just_been_removed,
        late(policy_detached=240),
    ),
    # CloudWatch Logs, SSM, SNS
    Scene("CreateLogGroup ResourceAlreadyExistsException", up_losing("CreateLogGroup", parts.GROUP), UNSEEN),
    Scene("* OperationAbortedException", up_beside("log group /aws/lambda/worker", parts.GROUP)),
    Scene("* ParameterAlreadyExists", up_losing("PutParameter", parts.PARAMETER), UNSEEN),
    Scene("* TooManyUpdates", up_beside("parameter /config", parts.PARAMETER)),
    Scene(
        "CreateTopic InvalidParameter already exists with different",
        another_version_of_us_has_just_made_the_topic,
        UNSEEN,
    ),
    Scene("* StaleTag", a_topic_comes_again_and_gets_other_tags, late(stale_tags=10)),
    # Any service
    Scene("* Throttled", up(parts.API, RestApi("other", "Another one"))),
)

NO_WAF = "AWS WAF is not among the emulated services"
NO_STATE = "nothing that a service has in mind brings it about: it comes at random"
BY_COMMAND = "devices are enrolled and removed by commands of their own, and not by `up`"
ELSEWHERE = {
    "DeleteThing InvalidRequestException still attached": (BY_COMMAND, "tests/devices/test_removal.py"),
    "DeleteCertificate DeleteConflictException": (BY_COMMAND, "tests/devices/test_removal.py"),
    "CreatePolicyVersion VersionsLimitExceededException": (
        "somebody else has to make the fifth version between two calls",
        "tests/provision/test_retries.py",
    ),
    "* LimitExceededException Too Many Requests": (
        "with the HTTP status 429 it is covered by the throttling row; this one is for answers without",
        "tests/provision/test_retries.py",
    ),
    "AssociateWebACL WAFUnavailableEntityException": (NO_WAF, "tests/provision/test_retries.py"),
    "* ValidationException Rate exceeded": (NO_STATE, "tests/provision/test_retries.py"),
    "* InternalError": (NO_STATE, "tests/provision/test_retries.py"),
}
"""Rows that no scene brings about, why, and the test that holds them."""
