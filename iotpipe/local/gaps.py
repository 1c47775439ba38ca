"""What ministack 1.5.33 lacks or gets wrong for us, closed from outside: one entry per gap, with its reason."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from iotpipe.local.place import ACCOUNT, RootKey


def close(snapshot: Path | None, root: RootKey) -> None:
    """Close every gap, before ministack reads its state or answers a request."""
    from ministack.services import lambda_svc

    if snapshot:
        lambda_svc.CODE_BLOB_DIR = str(snapshot / "lambda-blobs")
    _check_the_roots_signature(root)
    _keep_the_workers_keys_secret(root)


def keep_code_in(directory: Path) -> None:
    """Where the next copy of the functions' state puts their code."""
    from ministack.services import lambda_svc

    lambda_svc.CODE_BLOB_DIR = str(directory)


def _check_the_roots_signature(root: RootKey) -> None:
    """ministack never checks a root key's signature; it does check a session's, and root may have one."""
    from ministack.services import sts

    sts.register_session(
        root.access_key,
        {
            "Arn": f"arn:aws:iam::{ACCOUNT}:root",
            "UserId": ACCOUNT,
            "AccountId": ACCOUNT,
            "PrincipalType": "Root",
            "SecretAccessKey": root.secret_key,
        },
    )


def _keep_the_workers_keys_secret(root: RootKey) -> None:
    """ministack derives a worker's keys from the function's ARN, so that anybody could work them out."""
    from ministack.core import lambda_runtime
    from ministack.services import sts

    derive = lambda_runtime.execution_credentials

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        known = derive(config)
        session = sts._sessions.pop(known["AWS_ACCESS_KEY_ID"])
        digest = hmac.new(root.secret_key.encode(), known["AWS_ACCESS_KEY_ID"].encode(), hashlib.sha512).hexdigest()
        key = f"ASIA{digest[:16].upper()}"
        secret = {"SecretAccessKey": digest[16:56], "SessionToken": digest[56:]}
        sts.register_session(key, session | secret)
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret["SecretAccessKey"],
            "AWS_SESSION_TOKEN": secret["SessionToken"],
        }

    lambda_runtime.execution_credentials = execution_credentials
