"""Names of regions that are not in AWS's own partition: botocore's data is the judge."""

from __future__ import annotations

from urllib.parse import urlsplit

import botocore.session
import pytest

from iotpipe.provision.aws import host, partition


@pytest.mark.parametrize("name", ["aws", "aws-cn", "aws-us-gov", "aws-eusc"])
def test_a_region_is_in_its_partition_and_under_its_domain(name: str) -> None:
    session = botocore.session.Session()
    regions = session.get_available_regions("lambda", name)
    assert regions
    assert {partition(region) for region in regions} == {name}
    client = session.create_client("apigateway", regions[0], aws_access_key_id="a", aws_secret_access_key="b")
    assert urlsplit(client.meta.endpoint_url).hostname == host("apigateway", regions[0])
