"""Web ACLs with ARNs that are known beforehand: moto chooses ids itself."""

from __future__ import annotations

import boto3
from moto.wafv2.models import wafv2_backends

ACCOUNT, REGION = "123456789012", "us-east-1"
WEB_ACL, OTHER_WEB_ACL = (
    f"arn:aws:wafv2:{REGION}:{ACCOUNT}:regional/webacl/{name}/1234abcd-12ab-34cd-56ef-1234567890ab"
    for name in ("sample", "other")
)


def make_web_acls() -> None:
    """Make both, unless they are there."""
    known = wafv2_backends[ACCOUNT][REGION].wacls
    for each in (WEB_ACL, OTHER_WEB_ACL):
        if each not in known:
            made = boto3.client("wafv2", region_name=REGION).create_web_acl(
                Name=each.split("/")[2],
                Scope="REGIONAL",
                DefaultAction={"Allow": {}},
                VisibilityConfig={
                    "SampledRequestsEnabled": False,
                    "CloudWatchMetricsEnabled": False,
                    "MetricName": "sample",
                },
            )
            known[each] = known.pop(made["Summary"]["ARN"])
