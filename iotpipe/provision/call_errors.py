"""The errors that an AWS call raises."""

from __future__ import annotations

from typing import TypeAlias

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from iotpipe.provision.response_check import NotFromAws

CallError: TypeAlias = ClientError | BotoCoreError | ResponseParserError | NotFromAws
CALL_ERRORS = (ClientError, BotoCoreError, ResponseParserError, NotFromAws)
"""What a failed call raises. The last two mean that the response does not come from AWS."""


def code_and_message(error: ClientError) -> tuple[str, str]:
    """Return AWS's code and message. For a response without a body, the code is the HTTP status."""
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(details.get("Code") or status), str(details.get("Message") or "")
