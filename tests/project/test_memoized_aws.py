"""What is worked out in a quicker way for the tests is what moto works out."""

from __future__ import annotations

from typing import Any

import pytest
from moto.core.request import Request

from tests.support import memoized_aws

FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body"),
    [
        ("POST", "https://iam.amazonaws.com/", {"Content-Type": FORM}, "Action=GetRole&RoleName=a%20b%C3%A9"),
        ("POST", "https://logs.us-east-1.amazonaws.com/", {"X-Amz-Target": b"Logs.X", "Content-Length": "2"}, b"{}"),
        ("GET", "https://iot.us-east-1.amazonaws.com/rules/a%2Fb%C3%A9?x=1&y=%2F", {"User-Agent": "boto3"}, None),
        ("PUT", "http://127.0.0.1:5000/path", {"transfer-encoding": "chunked", "Host": "other"}, b"\xff"),
        ("POST", "https://lambda.us-east-1.amazonaws.com", {"Content-Type": FORM}, b""),
    ],
)
def test_a_request_is_the_one_that_moto_would_have_built(method: str, url: str, headers: Any, body: Any) -> None:
    quick = memoized_aws._request_at_once(Request, method, url, headers, body)
    slow = memoized_aws._request_from(Request, method, url, headers, body)
    assert quick.data == slow.data
    assert (quick.raw_url, quick.raw_path, quick.form) == (slow.raw_url, slow.raw_path, slow.form)
    streams = {"wsgi.input", "wsgi.errors"}
    assert {k: v for k, v in quick.environ.items() if k not in streams and "werkzeug" not in k} == {
        k: v for k, v in slow.environ.items() if k not in streams and "werkzeug" not in k
    }
