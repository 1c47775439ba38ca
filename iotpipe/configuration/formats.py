"""The text formats that AWS accepts: account, region, names, stage, e-mail, tags."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


def refusal(expected: str, remedy: str = "") -> PydanticCustomError:
    """The error for a value in the wrong format; the message also shows the value."""
    return PydanticCustomError("form", "{expected}", {"expected": expected, "remedy": remedy})


def contradiction(message: str, remedy: str) -> PydanticCustomError:
    """The error for a value whose parts contradict each other; the message does not show the value."""
    return PydanticCustomError("contradiction", "{expected}", {"expected": message, "remedy": remedy})


@dataclass(frozen=True)
class Form:
    """A text format: `pattern` must match the whole text, `expected` describes it, `remedy` says what to write."""

    pattern: str
    expected: str
    remedy: str = ""

    def matches(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None  # `match` would let a trailing newline pass

    def checked(self, text: str) -> str:
        if not self.matches(text):
            raise refusal(self.expected, self.remedy)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.checked, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(core) | {"pattern": self.pattern}


NAME = Form(
    r"^[a-z][a-z0-9-]{0,19}$",
    "must be 1 to 20 lower-case letters, digits and hyphens, the first a letter",
    "It becomes part of every name on AWS",
)

AccountId = Annotated[str, Form(r"^[0-9]{12}$", "must be the 12 digits of an AWS account")]

Region = Annotated[
    str,
    Form(
        r"^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$",
        "must be the name of a region",
        "Write it as AWS does, such as eu-central-1 or us-gov-west-1",
    ),
]

Suffix = Annotated[str, NAME]

Stage = Annotated[
    str,
    Form(r"^[A-Za-z0-9_]{1,128}$", "must be 1 to 128 letters, digits and underscores"),
]

PolicyArn = Annotated[
    str,
    Form(
        r"^arn:aws(-cn|-us-gov|-eusc)?:iam::([0-9]{12}|aws):policy/([A-Za-z0-9_+=,.@-]+/)*[A-Za-z0-9_+=,.@-]{1,128}$",
        "must be the ARN of a managed policy",
        "Write it as in arn:aws:iam::123456789012:policy/iotpipe-boundary",
    ),
]

KeyArn = Annotated[
    str,
    Form(
        r"^arn:aws(-cn|-us-gov|-eusc)?:kms:[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}:[0-9]{12}:key/[0-9a-z-]{36}$",
        "must be the ARN of a KMS key",
        "Write it as in arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab; an alias, "
        "which can be pointed to another key, will not do",
    ),
]

WebAclArn = Annotated[
    str,
    Form(
        r"^arn:aws(-cn|-us-gov|-eusc)?:wafv2:[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}:[0-9]{12}:regional/webacl/"
        r"[A-Za-z0-9_-]{1,128}/[0-9a-f-]{36}$",
        "must be the ARN of a regional web ACL of AWS WAF (version 2)",
        "Write it as in arn:aws:wafv2:us-east-1:123456789012:regional/webacl/iot/1234abcd-12ab-34cd-56ef-1234567890ab",
    ),
]

Email = Annotated[
    str,
    Form(
        r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$",
        "must be an e-mail address",
        "Write it as in ops@example.com",
    ),
]


def distinct(addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Reject duplicate addresses, which would get every alert twice."""
    for address, count in Counter(each.lower() for each in addresses).items():
        if count > 1:
            raise contradiction(f"lists {address} {count} times", "Keep one")
    return addresses


def _in_tag_alphabet(text: str) -> bool:
    """Letters, numbers and spaces of every script (Unicode L, N, Z) and a few punctuation marks."""
    return all(each in "_.:/=+-@" or unicodedata.category(each)[0] in "LNZ" for each in text)


_RENAME = "Rename the tag"


def _tag_key(key: str) -> str:
    if not 1 <= len(key) <= 128 or not _in_tag_alphabet(key):
        raise refusal("a tag's name must be 1 to 128 letters, digits, spaces or _ . : / = + - @", _RENAME)
    # IAM ignores case in the keys of a role's tags, so `IOTPIPE:environment` would collide with iotpipe's tag.
    for prefix in ("aws:", "iotpipe:"):
        if key.lower().startswith(prefix):
            raise refusal(f"tag names beginning with {prefix} are reserved", _RENAME)
    return key


def _tag_value(value: str) -> str:
    if len(value) > 256 or not _in_tag_alphabet(value):
        raise refusal("must be at most 256 letters, digits, spaces or _ . : / = + - @")
    if value.lower().startswith("aws:"):
        raise refusal("must not begin with aws:, which is reserved")
    return value


TagKey = Annotated[str, AfterValidator(_tag_key)]
TagValue = Annotated[str, AfterValidator(_tag_value)]

MOST_TAGS = 45
"""AWS allows 50 tags per resource; iotpipe adds its own, and five stay free for the organization's."""


def tag_set(tags: dict[str, str]) -> dict[str, str]:
    """Reject more tags than AWS allows, and keys that IAM considers equal."""
    if len(tags) > MOST_TAGS:
        raise contradiction(
            f"has {len(tags)} tags, more than {MOST_TAGS}", "Remove some: AWS takes 50, its own included"
        )
    alike = _differing_in_case(tags)
    if alike:
        message = f"holds {' and '.join(alike)}, which are one name for IAM"
        raise contradiction(message, "Keep one spelling")
    return tags


def _differing_in_case(keys: Iterable[str]) -> list[str]:
    spellings: dict[str, list[str]] = {}
    for key in keys:
        spellings.setdefault(key.lower(), []).append(key)
    return next((each for each in spellings.values() if len(each) > 1), [])
