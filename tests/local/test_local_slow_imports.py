"""The engine starts without what it does not need, and answers as before."""

from __future__ import annotations

import subprocess
import sys

import botocore.session
import pytest
from ministack.core.responses import _BOTOCORE_NAME

from iotpipe.local.slow_imports import _PROTOCOLS


@pytest.mark.parametrize("service", sorted(_PROTOCOLS))
def test_a_services_protocol_is_that_of_its_model(service: str) -> None:
    model = botocore.session.get_session().get_service_model(_BOTOCORE_NAME.get(service, service))
    said = {name: model.metadata[name] for name in ("protocol", "jsonVersion") if name in model.metadata}
    assert _PROTOCOLS[service] == said


CHOOSES = """
import sys
from iotpipe.local import slow_imports
slow_imports.leave_out()
from ministack.core import responses
from ministack.services import lambda_svc
print([responses.expected_success_content_type(service, "application/json") for service in ("dynamodb", "logs")])
print([name for name in ("docker", "botocore") if sys.modules.get(name)], lambda_svc._docker_available)
print(responses.expected_success_content_type("athena", "application/json"))
"""


@pytest.mark.subprocess
def test_neither_docker_nor_botocore_is_imported_to_answer() -> None:
    """A service that the pipeline does not use is answered by botocore's model as before."""
    answer = subprocess.run([sys.executable, "-c", CHOOSES], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.splitlines() == [
        "['application/x-amz-json-1.0', 'application/x-amz-json-1.1']",
        "[] False",
        "application/x-amz-json-1.1",
    ]


SEARCHES = """
import json, sys
from iotpipe.local import slow_imports
slow_imports.leave_out()
from ministack.services import tagging
before = set(sys.modules)
search = lambda: json.loads(tagging._get_resources({})[2])["ResourceTagMappingList"]
print(search(), {name for name in set(sys.modules) - before if name.startswith("ministack.services.")})
from ministack.services import kms
kms._keys["k"] = {"Tags": [{"TagKey": "a", "TagValue": "b"}]}
print(search())
"""


@pytest.mark.subprocess
def test_a_search_for_tags_imports_no_service_and_finds_what_those_that_are_imported_hold() -> None:
    answer = subprocess.run([sys.executable, "-c", SEARCHES], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.splitlines() == [
        "[] set()",
        "[{'ResourceARN': 'arn:aws:kms:us-east-1:000000000000:key/k', 'Tags': [{'Key': 'a', 'Value': 'b'}]}]",
    ]
