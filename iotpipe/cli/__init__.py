"""The command line: parses, calls, renders. Imports neither boto3 nor pydantic until a command needs them."""

from __future__ import annotations

import errno
import gc
import os
import sys

import click

from iotpipe.cli import options
from iotpipe.cli.device import device
from iotpipe.cli.devices import devices
from iotpipe.cli.dlq import dlq
from iotpipe.cli.doctor import doctor
from iotpipe.cli.down import down
from iotpipe.cli.graph import graph
from iotpipe.cli.init import init
from iotpipe.cli.local import local
from iotpipe.cli.logs import logs
from iotpipe.cli.outputs import outputs
from iotpipe.cli.plan import plan
from iotpipe.cli.policy import policy
from iotpipe.cli.query import query
from iotpipe.cli.send_test_data import send_test_data
from iotpipe.cli.status import status
from iotpipe.cli.up import up
from iotpipe.cli.validate import validate
from iotpipe.cli.view import view
from iotpipe.errors import ConfigurationError, IotpipeError
from iotpipe.render import output
from iotpipe.render.terminals import ready

__all__ = ["main"]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Example:  iotpipe up --env prod",
)
@click.version_option(package_name="iotpipe", message="%(version)s")
@options.everywhere
def iotpipe() -> None:
    """Bring a complete serverless IoT data pipeline up on AWS, and take it down again."""


for command in (
    *(
        init,
        validate,
        plan,
        up,
        down,
        status,
        view,
        outputs,
        graph,
        send_test_data,
        query,
        devices,
        device,
        local,
        logs,
        dlq,
        doctor,
        policy,
    ),
):
    iotpipe.add_command(command)


def main() -> None:
    """The `iotpipe` command. Exits 0 done, 1 failed, 2 usage or configuration, 3 changes pending, 130 interrupted."""
    # Almost all of a command's objects are modules and service models that live until it ends: garbage collection
    # of them takes a third of its time.
    gc.set_threshold(100_000, 50, 100)
    ready()
    code = _written(_run())
    gc.freeze()
    sys.exit(code)


def _run() -> int:
    try:
        code = iotpipe.main(standalone_mode=False)
    except click.ClickException as error:
        if _wants_json():
            output.report_to_program(error.format_message(), "", error.exit_code)
        else:
            output.report_usage(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted; nothing is still running")
        return 130
    except IotpipeError as error:
        _report(error)
        return error.exit_code
    except OSError as error:
        if (told := _told(error)) is None:
            raise
        _report(told)
        return told.exit_code
    return code if isinstance(code, int) else 0


def _told(error: OSError) -> IotpipeError | None:
    """What to tell the user about an error of the file system; None if it may be a bug."""
    if error.errno in _FULL:
        return IotpipeError(f"cannot write: {error}", "Free some disk space and run it again")
    if error.errno in _UNUSABLE and isinstance(error.filename, str):
        hint = "Check --state-dir and --config-dir, and the permissions"
        return IotpipeError(f"cannot use {error.filename}: {error.strerror}", hint)
    try:
        os.getcwd()
    except FileNotFoundError:
        return IotpipeError("the current directory was deleted", "Change to one that exists")
    return None


_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP)


def _written(code: int) -> int:
    """The exit code, once what Python still holds back is written: at its end it would only complain."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # The reader of a pipe has closed it, as in `iotpipe outputs | head -1`: exit without a message.
        if code == 0 and error.errno != errno.EPIPE:
            _report(IotpipeError(f"cannot write the answer: {error}"))
        return code or 1
    return code


def _report(error: IotpipeError) -> None:
    if _wants_json():
        problems = [vars(each) for each in error.problems] if isinstance(error, ConfigurationError) else []
        output.report_to_program(error.message, error.hint, error.exit_code, problems)
    else:
        output.report(error)


def _wants_json() -> bool:
    """Whether what was typed asks for JSON; it may be what could not be understood."""
    return "--json" in sys.argv[1:]
