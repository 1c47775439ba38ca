"""Whose the credentials are, and until when they are good, as far as that can be known here."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from botocore.credentials import RefreshableCredentials

from iotpipe.checks.finding import Finding, ok, unknown, warning
from iotpipe.provision.aws import Aws

CREDENTIALS, SESSION = "credentials", "session"
_ENOUGH = timedelta(minutes=15)
_RENEW = "Renew them before `up`: what it has done by then is recorded, and the next one continues from there"


def check(aws: Aws, expected: str | None, now: float) -> list[Finding]:
    """The caller, the account guard and the session. That they are good is known: AWS has said whose they are."""
    guard = "as the configuration demands" if expected else "the configuration names none (`account`)"
    return [ok(CREDENTIALS, f"{aws.caller}; account {aws.account}, {guard}; region {aws.region}"), *_session(aws, now)]


def _session(aws: Aws, now: float) -> list[Finding]:
    credentials = aws.session.get_credentials()
    if credentials is None or not credentials.token:
        return []
    if credentials.method != "env":
        # A profile, SSO or an instance's role: botocore renews these as long as their source lets it.
        renews = isinstance(credentials, RefreshableCredentials)
        how = "which are renewed by themselves" if renews else "and nothing here says until when"
        return [ok(SESSION, f"temporary credentials ({credentials.method}), {how}")]
    return [_until(os.environ.get("AWS_CREDENTIAL_EXPIRATION", ""), now)]


def _until(text: str, now: float) -> Finding:
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        said = "temporary credentials out of the environment, which does not say until when (AWS_CREDENTIAL_EXPIRATION)"
        return unknown(SESSION, said, _RENEW)
    left = end.replace(tzinfo=end.tzinfo or UTC) - datetime.fromtimestamp(now, UTC)
    said = f"temporary credentials until {text}, {left.total_seconds() / 60:.0f} minutes from now"
    return ok(SESSION, said) if left >= _ENOUGH else warning(SESSION, said, _RENEW)
