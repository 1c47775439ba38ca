"""The first call of every command asks whose the credentials are; a bad moment of AWS's is no reason to give up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from botocore.exceptions import EndpointConnectionError
from moto.core.models import botocore_stubber

from iotpipe.errors import CredentialsError
from iotpipe.provision.aws import connect
from tests.support.fault_matrix.faults import BROKEN, DENIED, DROPPED, EXPIRED, THROTTLED, words


class Sts:
    """STS, which has a fault the first times that it is asked."""

    def __init__(self, fault: str, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fault, self.times, self.asked = fault, times, 0
        self.answer = type(botocore_stubber).process_request
        monkeypatch.setattr(type(botocore_stubber), "process_request", lambda _, request: self(request))
        monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda seconds: None))

    def __call__(self, request: Any) -> Any:
        self.asked += 1
        if self.asked > self.times:
            return self.answer(botocore_stubber, request)
        if self.fault == DROPPED:
            raise EndpointConnectionError(endpoint_url=request.url)
        said = words(self.fault, "sts", "GetCallerIdentity")
        error = f"<Error><Code>{said.code}</Code><Message>{said.message}</Message></Error>"
        return said.status, {}, f"<ErrorResponse>{error}</ErrorResponse>"


@pytest.mark.parametrize("fault", [THROTTLED, BROKEN, DROPPED])
def test_a_passing_fault_is_got_over(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sts = Sts(fault, 2, monkeypatch)
    assert connect(None, "us-east-1", None).account == "123456789012"
    assert sts.asked == 3


@pytest.mark.parametrize(
    ("fault", "asked", "said"),
    [
        (EXPIRED, 1, "AWS does not accept the credentials: ExpiredToken: .*`aws sso login`"),
        (DENIED, 1, "cannot determine the account of the credentials: AccessDenied: .*sts:GetCallerIdentity"),
        (THROTTLED, 3, "cannot determine the account of the credentials: Throttling: Rate exceeded"),
        (DROPPED, 3, "AWS is unreachable: .*nothing was changed"),
    ],
)
def test_one_that_stays_is_said(fault: str, asked: int, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sts = Sts(fault, 100, monkeypatch)
    with pytest.raises(CredentialsError, match=said):
        connect(None, "us-east-1", None)
    assert sts.asked == asked
