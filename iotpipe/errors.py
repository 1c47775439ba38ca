"""Every error that iotpipe expects, as one tree.

    IotpipeError                  exit code 1
      UsageError                  exit code 2: an option is missing or makes no sense here
      ConfigurationError          exit code 2: carries every problem found, with file, line, key and remedy
      CredentialsError            missing, not accepted, or of another or an unknown account
      PackagingError              a zip or layer that cannot be built, or is too large for Lambda
      LedgerError
        LedgerLocked              another command is writing it
        LedgerCorrupt             not readable as a ledger
        LedgerTooNew              written by a newer iotpipe
        LedgerOfAnotherAccount    bound to another account or region
      RefusedError                iotpipe refuses: not owned by it, protected, immutable
      ResourceError               AWS rejected a call for one resource
      ApplyFailed                 the failed and the skipped resources of one `up` or `down`
      Interrupted                 exit code 130

Any other exception is a bug and shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class IotpipeError(Exception):
    """An expected failure: `message` says what went wrong, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message.removesuffix('.')}. {self.hint}" if self.hint else self.message


class UsageError(IotpipeError):
    """An option is missing or makes no sense here."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a configuration file. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"
        return f"{text}. {self.remedy}" if self.remedy else text


class ConfigurationError(IotpipeError):
    """All problems of the configuration, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = f"{len(problems)} problems" if len(problems) != 1 else "1 problem"
        super().__init__(f"the configuration has {count}:\n" + "\n".join(f"  {each}" for each in problems))
        self.problems = tuple(problems)


class CredentialsError(IotpipeError):
    """The credentials are missing, not accepted by AWS, or of another or an unknown account."""


class PackagingError(IotpipeError):
    """A zip or layer cannot be built, or Lambda would reject it."""


class LedgerError(IotpipeError):
    """The state file cannot be used as it is."""


class LedgerLocked(LedgerError):
    """Another command is writing the state file."""


class LedgerCorrupt(LedgerError):
    """The state file cannot be parsed."""


class LedgerTooNew(LedgerError):
    """The state file was written by a newer iotpipe."""


class LedgerOfAnotherAccount(LedgerError):
    """The state file belongs to another account or region than the credentials."""


class RefusedError(IotpipeError):
    """iotpipe will not do this: the thing is not ours, is protected, or cannot be changed in place."""


class ResourceError(IotpipeError):
    """AWS rejected a call for one resource. `code` is AWS's error code."""

    def __init__(self, message: str, hint: str = "", *, address: str = "", code: str = "") -> None:
        super().__init__(message, hint)
        self.address = address
        self.code = code


class ApplyFailed(IotpipeError):
    """A command failed in part; everything that could be done was done and recorded.

    `typed` is the command that retries. `changed` is False if reading failed, before anything
    was changed.
    """

    def __init__(
        self, typed: str, failed: Sequence[IotpipeError], skipped: Sequence[str], changed: bool = True
    ) -> None:
        lines = [f"  {each}" for each in failed]
        if skipped:
            lines.append(f"  left out because of that: {', '.join(skipped)}")
        super().__init__(
            f"{len(failed)} failed\n" + "\n".join(lines),
            f"{'What succeeded is recorded' if changed else 'Nothing was changed'}: "
            f"run `{typed}` again once the cause is gone",
        )
        self.failed = tuple(failed)
        self.skipped = tuple(skipped)


class Interrupted(IotpipeError):
    """Stopped by Ctrl-C or SIGTERM; running calls have finished and are recorded."""

    exit_code = 130
