"""What is refused, where the user is pointed, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from iotpipe.configuration import Environment
from iotpipe.errors import Problem

Problems = Callable[[str], list[Problem]]
Loaded = Callable[[str], Environment]

RANGES = {
    # What AWS takes, by its API references.
    "queue.visibility_timeout": (0, 43_200),
    "queue.retention": (60, 1_209_600),
    "queue.dead_letter_retention": (60, 1_209_600),
    "queue.max_receives": (1, 1000),
    "queue.batch_size": (1, 10_000),
    "queue.batching_window": (0, 300),
    "queue.maximum_concurrency": (2, 1000),
    "functions.ingestion.memory": (128, 10_240),
    "functions.processor.memory": (128, 10_240),
    "functions.query.memory": (128, 10_240),
    "functions.ingestion.timeout": (1, 900),
    "functions.processor.timeout": (1, 900),
    "functions.query.timeout": (1, 900),
    # What the handlers take.
    "processing.batch_size": (1, 500),
    "processing.processing_timeout": (1, 900),
    "processing.max_readings": (1, 500),
    "processing.alert_threshold": (0, 10_000),
    "processing.alert_cooldown": (0, 604_800),
    "processing.past_days": (0, 36_500),
    "processing.future_minutes": (0, 525_600),
}


KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"

WEB_ACL = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/iot/1234abcd-12ab-34cd-56ef-1234567890ab"


def written(path: str, value: Any) -> str:
    """A file with this one key."""
    document = value
    for part in reversed(path.split(".")):
        document = {part: document}
    return yaml.safe_dump(document, default_flow_style=True, allow_unicode=True)


def only(found: list[Problem]) -> Problem:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("path", RANGES)
def test_a_range_includes_both_its_ends_and_nothing_beyond(problems: Problems, path: str) -> None:
    low, high = RANGES[path]
    for value in (low, high):
        assert not [each for each in problems(written(path, value)) if "must be" in each.message], value
    for value in (low - 1, high + 1):
        refused = only(problems(written(path, value)))
        assert (refused.line, refused.key) == (1, path)
        assert refused.message == f"must be a whole number from {low} to {high}, found {value}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("region", "us-gov-west-1"),
        ("region", "eusc-de-east-1"),
        ("region", "ap-southeast-7"),
        ("region", "cn-northwest-1"),
        ("account", "000000000012"),
        ("suffix", "a-20-character-name-"),
        ("api.stage", "V_1"),
        ("api.throttle.rate", 0.5),
        ("functions.query.reserved_concurrency", 0),
        ("functions.permissions_boundary", "arn:aws-us-gov:iam::123456789012:policy/teams/iot/boundary"),
        ("functions.permissions_boundary", "arn:aws-eusc:iam::123456789012:policy/boundary"),
        ("functions.permissions_boundary", "arn:aws:iam::aws:policy/PowerUserAccess"),
        ("functions.log_retention", 3653),
        ("functions.log_retention", 1),
        ("api.access_logs", 365),
        ("api.web_acl", WEB_ACL),
        ("kms_key", KEY),
        ("kms_key", KEY.replace("key/1234abcd-12ab-34cd-56ef-", "key/mrk-1234abcd12ab34cd56ef")),
        ("api.access_logs", None),
        ("alerts.emails", ["first.last+tag@mail.example.co.uk", "ops@example.com"]),
        ("tags", {"cost center": "Köln 4711", "a": "", "team/sub": "x@y=+-_.:/"}),
        ("tags", {f"t{n}": "" for n in range(45)}),
        ("tags", {"k" * 128: "v" * 256}),
        ("tags", {"awsome": "aws is fine"}),
    ],
)
def test_what_aws_takes_is_taken(loaded: Loaded, path: str, value: Any) -> None:
    found: Any = loaded(written(path, value)).model_dump(mode="json")
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("region", "frankfurt", 'must be the name of a region, found the text "frankfurt"'),
        ("region", "us-east1", "must be the name of a region"),
        ("region", "eu-central-1a", "must be the name of a region"),
        ("account", "12345678901", "must be the 12 digits of an AWS account"),
        ("account", "١٢٣٤٥٦٧٨٩٠١٢", "must be the 12 digits of an AWS account"),
        ("account", "123456789012\n", "must be the 12 digits of an AWS account"),
        ("suffix", "", "must be 1 to 20 lower-case letters"),
        ("suffix", "a" * 21, "must be 1 to 20 lower-case letters"),
        ("suffix", "A", "must be 1 to 20 lower-case letters"),
        ("target", "azure", "must be one of aws, local"),
        ("api.stage", "v-1", "must be 1 to 128 letters, digits and underscores"),
        ("api.stage", "", "must be 1 to 128 letters, digits and underscores"),
        ("api.stage", "s" * 129, "must be 1 to 128 letters, digits and underscores"),
        ("api.logging", "info", "must be one of INFO, ERROR, OFF"),
        ("api.throttle.rate", -1, "must be a number from 0 to 1000000, found -1"),
        ("api.throttle.rate", float("inf"), "must be a number from 0 to 1000000, found .inf"),
        ("api.throttle.rate", float("nan"), "must be a number from 0 to 1000000, found .nan"),
        ("api.throttle.burst", 1.0, "must be a whole number from 0 to 1000000, found 1.0"),
        ("functions.runtime", "python3.10", "must be one of python3.11"),
        ("functions.architecture", "arm", "must be one of arm64, x86_64"),
        ("functions.permissions_boundary", "boundary", "must be the ARN of a managed policy, found the text"),
        ("functions.permissions_boundary", "arn:aws:iam::123456789012:role/boundary", "must be the ARN of a managed"),
        ("functions.permissions_boundary", "arn:aws:iam::1234:policy/boundary", "must be the ARN of a managed policy"),
        ("functions.log_retention", 31, "must be one of 1, 3, 5, 7"),
        ("api.web_acl", "my-acl", "must be the ARN of a regional web ACL of AWS WAF (version 2), found the text"),
        ("api.web_acl", WEB_ACL.replace("regional", "global"), "must be the ARN of a regional web ACL"),
        ("api.web_acl", WEB_ACL.replace("wafv2", "waf-regional"), "must be the ARN of a regional web ACL"),
        ("kms_key", "alias/iotpipe", "must be the ARN of a KMS key, found the text"),
        ("kms_key", "1234abcd-12ab-34cd-56ef-1234567890ab", "must be the ARN of a KMS key"),
        ("kms_key", "arn:aws:kms:us-east-1:123456789012:alias/iotpipe", "must be the ARN of a KMS key"),
        ("kms_key", "arn:aws:iam::123456789012:role/key", "must be the ARN of a KMS key"),
        ("api.access_logs", 31, "must be one of 1, 3, 5, 7"),
        ("api.access_logs", True, "found true"),
        ("functions.log_retention", True, "found true"),
        ("functions.log_retention", 30.0, "found 30.0"),
        ("functions.query.memory", 10**30, "found 1000000000000000000000000000000"),
        ("alerts.emails", "ops@example.com", 'must be a list, found the text "ops@example.com"'),
        ("protect", 1, "must be true or false, found 1"),
        ("protect", "true", 'must be true or false, found the text "true"'),
        ("queue.retention", True, "must be a whole number from 60 to 1209600, found true"),
        ("queue.retention", "60", 'must be a whole number from 60 to 1209600, found the text "60"'),
        ("queue.retention", 60.0, "must be a whole number from 60 to 1209600, found 60.0"),
        ("queue.retention", None, "must be a whole number from 60 to 1209600, found nothing"),
        ("queue.retention", [60], "must be a whole number from 60 to 1209600, found a list"),
        ("queue", None, "must be a section of keys, found nothing"),
        ("queue", ["retention"], "must be a section of keys, found a list"),
        ("functions.processor", 512, "must be a section of keys, found 512"),
        ("tags", ["a"], "must be a section of keys, found a list"),
        ("tags", {f"t{n}": "" for n in range(46)}, "has 46 tags, more than 45"),
        ("tags", {"Team": "a", "team": "b"}, "holds Team and team, which are one name for IAM"),
        ("alerts.emails", ["a@b.cd", "x@b.cd", "A@b.cd"], "lists a@b.cd 2 times"),
    ],
)
def test_what_aws_would_refuse_is_refused_at_its_key(problems: Problems, path: str, value: Any, message: str) -> None:
    refused = only(problems(written(path, value)))
    assert (refused.line, refused.key) == (1, path)
    assert message in refused.message


@pytest.mark.parametrize(
    "address",
    [
        "ops",
        "ops@example",
        "@example.com",
        "ops@",
        "a b@example.com",
        "ops@example..com",
        "ops@ex_ample.com",
        "a@b.cd\n",
    ],
)
def test_what_is_no_address_is_refused_at_its_entry(problems: Problems, address: str) -> None:
    refused = only(problems(written("alerts.emails", ["ok@example.com", address])))
    assert refused.key == "alerts.emails[1]"
    assert refused.message.startswith("must be an e-mail address, found")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", "", "a tag's name must be 1 to 128"),
        ("k" * 129, "", "a tag's name must be 1 to 128"),
        ("what?", "", "a tag's name must be 1 to 128"),
        ("tab\there", "", "a tag's name must be 1 to 128"),
        ("aws:x", "", "tag names beginning with aws: are reserved"),
        ("AWS:x", "", "tag names beginning with aws: are reserved"),
        ("iotpipe:environment", "", "tag names beginning with iotpipe: are reserved"),
        ("IotPipe:environment", "", "tag names beginning with iotpipe: are reserved"),
        ("k", "v" * 257, "must be at most 256"),
        ("k", "why?", 'must be at most 256 letters, digits, spaces or _ . : / = + - @, found the text "why?"'),
        ("k", "aws:x", "must not begin with aws:"),
        ("k", 12, "must be text, found 12"),
        ("k", True, "must be text, found true"),
        ("k", None, "must be text, found nothing"),
        ("k", {}, "must be text, found a section of keys"),
    ],
)
def test_a_tag_that_aws_would_refuse_is_refused(problems: Problems, key: str, value: Any, message: str) -> None:
    refused = only(problems(written("tags", {key: value, "other": "fine"})))
    assert refused.message.startswith(message)
    assert ("found" in refused.message) == (key == "k"), "what is wrong with the name is not shown as the value"


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("account: 123456789012", 'Put it in quotes: "123456789012"'),
        ("tags: {cost: 12}", 'Put it in quotes: "12"'),
        ("queue: {retention: '60'}", "Leave the quotes out"),
        ("api: {throttle: {rate: '0.5'}}", "Leave the quotes out"),
        ('protect: "yes"', "Leave the quotes out"),
        ("functions: {architecture: arm}", "Did you mean arm64?"),
        ("api: {logging: OFF}", 'Put it in quotes: "OFF"'),
        ("api: {logging: off}", 'Put it in quotes: "OFF"'),
        ("api: {logging: info}", "Did you mean INFO?"),
        ("functions: {runtime: Python3.12}", "Did you mean python3.12?"),
        ("tags: {cost: }", "Write a value, or delete the line"),
        (
            "suffix: null",
            "Write a value, or delete the line. Ending of every name on AWS. Default: the environment's name",
        ),
        ("alerts: {errors: ~}", "Write a value, or delete the line. Failed invocations of one function (default: 10)"),
        ("alerts: {emails: a@b.cd}", "Write a list: [a@b.cd]"),
        ("queue:", "Indent its keys below it, or delete the line"),
        ("queue: {retention: soon}", "Seconds that the queue keeps a message that is not processed (default: 345600)"),
        ("queue: {retention: 0360}", "Write it in plain decimal digits"),
        ("qeue: {}", "Did you mean queue?"),
        ("QUEUE: {}", "Did you mean queue?"),
        ("batching-window: 3", "Put batching_window into queue"),
        ("queue: {visibilityTimeout: 3}", "Did you mean visibility_timeout?"),
        ("visibility_timeout: 30", "Put visibility_timeout into queue"),
        ("functions: {processor: {runtime: python3.13}}", "Put runtime into functions"),
        ("alerts: {region: eu-west-1}", "Put region at the top"),
        ("rate: 3", "Put rate into api.throttle"),
        ("tables: {colour: red}", "Valid here: point_in_time_recovery, deletion_protection"),
        ("name: No Name", "Delete it: an environment is named after its file"),
        ("functions: {processor: {'[key]': 1}}", "Valid here: memory, timeout, reserved_concurrency"),
    ],
)
def test_the_remedy_says_what_to_write_instead(problems: Problems, text: str, remedy: str) -> None:
    assert only(problems(text)).remedy == remedy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "account: 012345670123",
            "must be text or null, found 012345670123, which YAML reads as the number 1402433619",
        ),
        ("queue: {retention: 0360}", "found 0360, which YAML reads as the number 240"),
        ("queue: {retention: 6:00}", "found 6:00, which YAML reads as the number 360"),
        ("queue: {retention: 0x1F4}", "found 0x1F4, which YAML reads as the number 500"),
        ("queue: {retention: 1_000}", "found 1_000, which YAML reads as the number 1000"),
        (f"queue: {{retention: {10**20}}}", f"found {10**20}"),
        ("queue: {retention: 0b_}", "found 0b_, which YAML reads as the number of another base"),
        ("tags: {country: no}", "must be text, found no, which YAML reads as false"),
        ("alerts: {emails: [12]}", "must be text, found 12"),
        ("tags: {since: 2024-01-15}", "must be text, found 2024-01-15, which YAML reads as a date"),
        ("tags: {since: 2024-99-99}", "must be text, found 2024-99-99, which YAML reads as a date"),
        ("api: {throttle: {rate: 1e3}}", 'must be a number from 0 to 1000000, found the text "1e3"'),
        ("region: !Ref AWS::Region", "found the YAML tag !Ref, which means nothing here"),
        ("queue: !!python/object:os.system {}", "found the YAML tag python/object:os.system"),
        ("queue: !!set {retention}", "found the YAML tag set"),
        ('region: "\\ud800"', 'found the text "\\ud800"'),
        ('target: "\\ud800"', 'must be one of aws, local, found the text "\\ud800"'),
        ('protect: "\\ud800"', 'found the text "\\ud800"'),
        ('queue: "\\ud800"', 'found the text "\\ud800"'),
        ('tags: {a: "\\ud800"}', 'found the text "\\ud800"'),
        ("region: !!str [a]", "found the YAML tag str, which means nothing here"),
        ("alerts: {emails: !mine [a@b.cd]}", "found the YAML tag !mine"),
        (f"queue: {{retention: {'9' * 5000}}}", f"found {'9' * 60}..."),
        ('region: "\\e[31m"', 'found the text "\\x1b[31m"'),
        (f"region: {'x' * 500}", f'found the text "{"x" * 60}..."'),
    ],
)
def test_what_was_found_is_shown_as_written_and_as_yaml_reads_it(problems: Problems, text: str, message: str) -> None:
    shown = only(problems(text)).message
    assert message in shown
    assert ("which YAML reads as" in shown) == ("which YAML reads as" in message)


def test_what_yaml_reads_as_it_is_written_is_not_explained(problems: Problems) -> None:
    assert only(problems("queue: {retention: true}")).message.endswith("found true")
    assert only(problems("queue: {retention: 59}")).message.endswith("found 59")


@pytest.mark.parametrize(
    ("text", "key", "line", "message"),
    [
        ("queue:\n  visibility_timeout: 59\n", "queue.visibility_timeout", 2, "visibility timeout (59 s) below"),
        (
            "queue: {visibility_timeout: 359, batching_window: 300}",
            "queue.visibility_timeout",
            1,
            "below the batching window (300 s)",
        ),
        ("functions:\n  processor:\n    timeout: 361\n", "functions.processor.timeout", 3, "timeout (361 s)"),
        ("queue:\n  batch_size: 11\n", "queue.batch_size", 2, "a batch size over 10 (11) without a batching window"),
        ("queue: {batching_window: 0,\n batch_size: 11}", "queue.batch_size", 2, "a batch size over 10 (11)"),
        ("queue:\n  dead_letter_retention: 345599", "queue.dead_letter_retention", 2, "(345599 s) would keep"),
        ("queue: {retention: 1209600, dead_letter_retention: 60}", "queue.dead_letter_retention", 1, "(60 s) would"),
        (
            "queue:\n  maximum_concurrency: 101",
            "queue.maximum_concurrency",
            2,
            "101 batches processed at once, but the",
        ),
        (
            "functions:\n  processor:\n    reserved_concurrency: 79",
            "functions.processor.reserved_concurrency",
            3,
            "80 batches processed at once, but the processor runs 79 times",
        ),
        ("processing:\n  alert_threshold: 50", "processing.alert_threshold", 2, "never more than 50 of one can fail"),
        (
            "processing:\n  alert_threshold: 4\nqueue:\n  batch_size: 4",
            "processing.alert_threshold",
            2,
            "a batch has 4 records at most",
        ),
    ],
)
def test_two_settings_that_contradict_each_other_are_shown_where_one_is_written(
    problems: Problems, text: str, key: str, line: int, message: str
) -> None:
    refused = only(problems(text))
    assert (refused.key, refused.line) == (key, line)
    assert message in refused.message
    assert "queue." in refused.remedy


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        (f"kms_key: {KEY}", "kms_key", "KMS key"),
        (f"former_kms_keys: ['{KEY}']", "former_kms_keys[0]", "KMS key"),
        (f"api: {{web_acl: '{WEB_ACL}'}}", "api.web_acl", "web ACL"),
    ],
)
def test_what_is_in_another_region_is_refused(problems: Problems, text: str, key: str, what: str) -> None:
    refused = only(problems(f"region: eu-west-1\n{text}"))
    assert (refused.key, refused.line) == (key, 2)
    told = f"the {what} is in us-east-1, and the environment in eu-west-1: both must be in one region"
    assert (refused.message, refused.remedy) == (told, f"Name a {what} of eu-west-1")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("api.access_logs", 365, "the AWS on this machine writes no access logs"),
        ("kms_key", KEY, "the AWS on this machine encrypts nothing with a key of KMS"),
        ("former_kms_keys", [KEY], "the AWS on this machine encrypts nothing with a key of KMS"),
        ("api.web_acl", WEB_ACL, "the AWS on this machine has no web ACLs"),
    ],
)
def test_what_the_aws_on_this_machine_would_only_pretend_is_refused_there(
    problems: Problems, key: str, value: Any, message: str
) -> None:
    refused = only(problems(written(key, value).replace("{", "{target: local, ", 1)))
    assert (refused.key, refused.message) == (key, message)
    assert refused.remedy == "Delete the line, or set target to aws"


@pytest.mark.parametrize(
    "text",
    [
        "queue: {visibility_timeout: 60}",
        "queue: {visibility_timeout: 360, batching_window: 300}",
        "queue: {visibility_timeout: 900}\nfunctions: {processor: {timeout: 900}}",
        "queue: {batch_size: 10000, batching_window: 1}",
        "queue: {batch_size: 1}",
        "processing: {alert_threshold: 9}",
        "processing: {alert_threshold: 9999}\nqueue: {batch_size: 10000, batching_window: 1}",
        "queue: {retention: 60, dead_letter_retention: 60}",
        "queue: {maximum_concurrency: 1000}\nfunctions: {processor: {reserved_concurrency: null}}",
        "queue: {maximum_concurrency: 2}\nfunctions: {processor: {reserved_concurrency: 2}}",
        "queue: {maximum_concurrency: 2}\nfunctions: {processor: {reserved_concurrency: 0}}",
        "functions: {query: {timeout: 900, reserved_concurrency: 1}}",
    ],
)
def test_settings_that_only_just_agree_are_taken(problems: Problems, text: str) -> None:
    assert problems(text) == []


def test_a_refused_value_is_not_blamed_for_a_contradiction_as_well(problems: Problems) -> None:
    assert [each.key for each in problems("queue: {visibility_timeout: 59, batch_size: 0}")] == [
        "queue.visibility_timeout",
        "queue.batch_size",
    ]
    # Instead of the refused batch_size, the default would be compared.
    assert only(problems("queue: {batch_size: 0}\nprocessing: {alert_threshold: 50}")).key == "queue.batch_size"
    assert only(problems("queue: 5\nfunctions: {processor: {timeout: 900}}")).key == "queue"
    assert only(problems("queue: {visibility_timeout: x}\nfunctions: {processor: {timeout: 900}}")).line == 1


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file(problems: Problems) -> None:
    text = """\
suffix: UPPER
queue:
  batch_size: 100
  retention: x
  retention: 60
tags: {b: 1, aws:c: d, B: e}
functions:
  processor: {timeout: 400, memory: 1}
unknown: 1
alerts:
  emails: [nobody, a@b.cd, somebody]
"""
    assert [(each.line, each.key) for each in problems(text)] == [
        (1, "suffix"),
        (3, "queue.batch_size"),
        (4, "queue.retention"),
        (5, "queue.retention"),
        (6, "tags.b"),
        (6, "tags.aws:c"),
        (8, "functions.processor.timeout"),
        (8, "functions.processor.memory"),
        (9, "unknown"),
        (11, "alerts.emails[0]"),
        (11, "alerts.emails[2]"),
    ]


def test_a_refused_tag_does_not_hide_that_two_others_collide(problems: Problems) -> None:
    text = "tags:\n  Team: a\n  team: b\n  bad?: c\n"
    assert [(each.line, each.key) for each in problems(text)] == [(1, "tags"), (4, "tags.bad?")]


def test_a_key_given_twice_points_at_the_second_and_names_the_first(problems: Problems) -> None:
    refused = only(problems("region: eu-west-1\nqueue: {}\nregion: eu-west-1\n"))
    assert str(refused).endswith("dev.yaml:3: region: is given twice, first on line 1. Keep one of the two")


@pytest.mark.parametrize("section", ["tables", "foo"])
def test_a_key_given_twice_is_found_at_every_depth(problems: Problems, section: str) -> None:
    found = problems(f"{section}:\n  deletion_protection: true\n  deletion_protection: true\n")
    assert (3, f"{section}.deletion_protection") in [(each.line, each.key) for each in found]


def test_anchors_aliases_and_merge_keys_work_and_own_keys_win(loaded: Loaded) -> None:
    text = """\
functions:
  ingestion: &small {memory: 128, timeout: 10}
  query: *small
  processor:
    <<: *small
    timeout: 20
"""
    functions = loaded(text).functions
    assert (functions.query.memory, functions.query.timeout) == (128, 10)
    assert (functions.processor.memory, functions.processor.timeout) == (128, 20)


def test_of_several_merged_sections_the_first_wins(loaded: Loaded) -> None:
    text = """\
functions:
  ingestion: &a {memory: 128}
  query: &b {memory: 256, timeout: 9}
  processor: {<<: [*a, *b]}
"""
    processor = loaded(text).functions.processor
    assert (processor.memory, processor.timeout) == (128, 9)


def test_a_quoted_merge_sign_is_an_ordinary_key_and_two_merges_are_one_too_many(problems: Problems) -> None:
    assert only(problems("queue: {'<<': {retention: 60}}")).message == "unknown key"
    twice = only(problems("functions:\n  query: &a {}\n  ingestion:\n    <<: *a\n    <<: *a"))
    assert (twice.line, twice.message) == (5, "is given twice, first on line 4")


def test_a_section_that_merges_itself_gains_nothing_by_it(loaded: Loaded) -> None:
    assert loaded("queue: &a {<<: *a, retention: 60}").queue.retention == 60


def test_a_wrong_value_behind_an_anchor_is_shown_where_it_is_written(problems: Problems) -> None:
    text = "functions:\n  ingestion: &a\n    memory: 1\n  processor:\n    <<: *a\n"
    assert [(each.line, each.key) for each in problems(text)] == [
        (3, "functions.ingestion.memory"),
        (3, "functions.processor.memory"),
    ]


@pytest.mark.parametrize("value", ["5", "[a]", "text"])
def test_only_a_section_can_be_merged(problems: Problems, value: str) -> None:
    refused = only(problems(f"queue:\n  <<: {value}\n"))
    assert (refused.line, refused.key) == (2, "queue.<<")
    assert refused.message.startswith("cannot merge")


@pytest.mark.parametrize("text", ["queue: &a\n  x: *a", "queue: &a [*a]", "queue: &a {b: {<<: *a}}"])
def test_a_value_that_contains_itself_is_refused(problems: Problems, text: str) -> None:
    assert "contains itself through an alias" in " ".join(each.message for each in problems(text))


def test_aliases_of_aliases_cost_no_more_than_the_file_is_long(problems: Problems) -> None:
    lists = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 60))
    merges = "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 60))
    found = problems("l0: &l0 [x]\nm0: &m0 {x: y}\n" + lists + merges)
    assert len(found) == 120
    assert {each.message for each in found} == {"unknown key"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("queue:\n\tretention: 60", 2, "a tab stands where YAML takes only spaces. Indent with spaces"),
        ("suffix: a\n---\nsuffix: b", 2, "a second document begins here. Keep one document"),
        ("a: b: c", 1, "a ':' stands where no key can be"),
        ("suffix:a\nregion: x", 2, "a ':' stands where no key can be"),
        ("suffix: a\nregion\n", 3, "a key without ': ' after it"),
        ("region: *nowhere", 1, "an alias whose anchor is not above it"),
        ("suffix: @a", 1, "a value cannot begin with this character. Put quotes around the value"),
        ("suffix: a\nregion: 'eu\nqueue: {}\n", 2, "a quote that opens here is never closed. Close it"),
        ("queue:\n  retention: 60\n batch_size: 3", 3, "this does not line up with the lines above"),
        ("suffix: 'a' b", 1, "a text stands where its value has already ended. Put quotes around the whole value"),
        ("alerts:\n  emails: [a@b.cd\nsuffix: a", 2, "a bracket that opens here is not closed"),
        ("queue: {retention: 60\nsuffix: a", 1, "a bracket that opens here is not closed"),
        ("suffix: a\x00b", 1, "the control character \\x00 is not allowed in YAML. Delete it"),
        ("suffix: a\nregion: \x1b[2J", 2, "the control character \\x1b is not allowed in YAML"),
        ('region: "\\UFFFFFFFF"', 0, "holds an escape or a number that cannot be represented"),
        ("%YAML 3.0\n--- {}", 1, "this is not YAML: found incompatible YAML document"),
        ("[" * 5000, 0, "is nested too deeply"),
        ("- a\n- b", 1, "must hold keys, found a list. Begin as in `region: eu-west-1`"),
        ("# nothing\njust text", 2, 'must hold keys, found the text "just text"'),
        ("!Ref {}", 1, "must hold keys, found the YAML tag !Ref"),
        ("!!null [a]", 1, "must hold keys, found the YAML tag null"),
        ("? [a]\n: b", 1, "a key must be plain text. Write `key: value`"),
        ('"\\ud800": b', 1, "a key must be plain text"),
    ],
)
def test_what_is_no_yaml_is_explained_with_its_line(problems: Problems, text: str, line: int, message: str) -> None:
    refused = only(problems(text))
    place = f"dev.yaml:{line}: {message}" if line else f"dev.yaml: {message}"
    assert refused.key == ""
    assert place in str(refused)


@pytest.mark.parametrize("depth", [50, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 800])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_no_depth_of_nesting_is_too_much_for_the_reader(
    problems: Problems, depth: int, opening: str, closing: str
) -> None:
    assert only(problems("region: " + opening * depth + closing * depth))


def test_plain_keys_that_yaml_takes_for_other_things_are_texts(loaded: Loaded) -> None:
    assert loaded("tags: {2024: a, on: b, 012: c}").tags == {"2024": "a", "on": "b", "012": "c"}
