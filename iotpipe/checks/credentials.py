"""Check the credentials: their caller and account, and when they expire."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from botocore.credentials import RefreshableCredentials

from iotpipe.checks.finding import Finding, ok, unknown, warning
from iotpipe.provision.aws import Aws

CREDENTIALS, SESSION = "credentials", "session"
_MIN_VALIDITY = timedelta(minutes=15)
_RENEW = "Renew them before `up`; if they expire during `up`, the next `up` continues from the recorded state"


def check(aws: Aws, expected: str | None, now: float) -> list[Finding]:
    """Report the caller, the account guard and the session. The credentials are valid: AWS returned the caller."""
    guard = "as the configuration demands" if expected else "the configuration names none (`account`)"
    return [ok(CREDENTIALS, f"{aws.caller}; account {aws.account}, {guard}; region {aws.region}"), *_session(aws, now)]


def _session(aws: Aws, now: float) -> list[Finding]:
    credentials = aws.session.get_credentials()
    if credentials is None or not credentials.token:
        return []
    if credentials.method != "env":
        # botocore refreshes those of a profile, SSO or an instance's role while their source allows it.
        refreshable = isinstance(credentials, RefreshableCredentials)
        expiry = "which are refreshed automatically" if refreshable else "whose expiry is unknown"
        return [ok(SESSION, f"temporary credentials ({credentials.method}), {expiry}")]
    return [_expiry(os.environ.get("AWS_CREDENTIAL_EXPIRATION", ""), now)]


def _expiry(text: str, now: float) -> Finding:
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        message = "temporary credentials from the environment without an expiry (AWS_CREDENTIAL_EXPIRATION)"
        return unknown(SESSION, message, _RENEW)
    left = end.replace(tzinfo=end.tzinfo or UTC) - datetime.fromtimestamp(now, UTC)
    message = f"temporary credentials until {text}, {left.total_seconds() / 60:.0f} minutes from now"
    return ok(SESSION, message) if left >= _MIN_VALIDITY else warning(SESSION, message, _RENEW)
