"""Limits of AWS on what is made of several settings, which no single value shows."""

from __future__ import annotations

import json

import pytest

from iotpipe.configuration import Environment, json_schema

LONGEST_SUFFIX = "s" * 20


@pytest.mark.parametrize(
    ("prefix", "limit"),
    [
        ("iot-ingestion-lambda-role-", 64),  # IAM role
        ("iot-processor-lambda-role-", 64),
        ("data-processor-", 64),  # Lambda function
        ("iot-shared-dependencies-", 140),  # Lambda layer
        ("iot-ingestion-queue-", 80),  # SQS queue
        ("raw-sensor-data-", 255),  # DynamoDB table
        ("processed-table-throttles-", 255),  # CloudWatch alarm
        ("/iot-pipeline/", 1011 - len("/api-key")),  # SSM parameter, path and all
    ],
)
def test_the_longest_suffix_keeps_every_name_within_its_limit(prefix: str, limit: int) -> None:
    Environment(name="dev", suffix=LONGEST_SUFFIX)
    assert len(prefix + LONGEST_SUFFIX) <= limit


def test_the_largest_values_fit_into_a_standard_ssm_parameter() -> None:
    keys = json_schema()["$defs"]["Processing"]["properties"]
    largest = Environment(name="dev", processing={key: part["maximum"] for key, part in keys.items()})
    assert len(json.dumps(largest.processing.model_dump() | {"require_api_key": False}, indent=2)) <= 4096
