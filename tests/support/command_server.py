"""Runs iotpipe's commands in forks of a process that has imported everything: no command starts Python again.

    python -m tests.support.command_server SOCKET

A command has a process, an environment, a directory and streams of its own, as one that is typed has. It differs in
that its modules, the models of the services and the handlers' imports are there already.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3

import iotpipe.cli
from iotpipe.names import HANDLERS
from iotpipe.packaging.handlers import handler_zip
from tests.support import memoized_botocore

SERVICES = (
    *("apigateway", "cloudwatch", "dynamodb", "iam", "iot", "iot-data", "lambda", "logs", "resourcegroupstaggingapi"),
    *("sns", "sqs", "ssm", "sts", "wafv2"),
)
PACKAGES = ("checks", "configuration", "operations", "packaging", "provision", "readings", "render")
"""Of iotpipe's packages, those that commands import when they need them."""


def prepare() -> None:
    """Import what commands import, and read what stays the same for all: the services' models, the handlers' code."""
    for name in PACKAGES:
        package = importlib.import_module(f"iotpipe.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    memoized_botocore.be_quick()
    for service in SERVICES:
        client = boto3.session.Session("a", "b", region_name="us-east-1").client(service)
        assert client.exceptions
    for handler in HANDLERS:
        handler_zip(handler)
    gc.collect()
    gc.freeze()


def serve(requests: socket.socket) -> None:
    """Begin each command that is asked for, until the other end is closed."""
    while True:
        content, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 4)
        if not content:
            return
        while not content.endswith(b"\n"):
            content += requests.recv(1 << 16)
        if os.fork() == 0:
            requests.close()
            become(json.loads(content), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _bury()


def _bury() -> None:
    """Ask for the exit codes of the commands that have ended: nobody else does."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def become(request: dict[str, Any], stdin: int, stdout: int, stderr: int, result: int) -> None:
    """Be the command from now on; its exit code is written to `result`."""
    for number, descriptor in enumerate((stdin, stdout, stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    _open_streams()
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    os.chdir(str(request["directory"]))
    program = Path(sys.executable).with_name("iotpipe")
    sys.argv = [str(program), *request["arguments"]]
    _be_main(program)
    os.write(result, str(_run()).encode())
    os._exit(0)


def _open_streams() -> None:
    """As Python opens them when it starts."""
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = TextIOWrapper(BufferedReader(FileIO(0, closefd=False)), stdin.encoding)
    sys.stdout = TextIOWrapper(BufferedWriter(FileIO(1, "w", closefd=False)), stdout.encoding, stdout.errors)
    sys.stderr = TextIOWrapper(
        BufferedWriter(FileIO(2, "w", closefd=False)), stderr.encoding, stderr.errors, line_buffering=True
    )


def _be_main(program: Path) -> None:
    """What is executed is the program: click names it in its messages."""
    sys.modules["__main__"] = ModuleType("__main__")
    sys.modules["__main__"].__dict__.update(__file__=str(program), __package__=None)


def _run() -> int:
    """Run the command to its end, and answer with what Python would exit with."""
    code: object = 0
    try:
        iotpipe.cli.main()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it is, Python prints it and exits
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined] # what Python does first when it ends
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return 120  # as Python does
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    prepare()
    serve(socket.socket(fileno=int(sys.argv[1])))
