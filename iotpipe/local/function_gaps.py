"""Patches for ministack 1.5.33's gaps in running functions: one function per gap, with its reason."""

from __future__ import annotations

import hashlib
import hmac
import json
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from iotpipe.local.engine_directory import RootKey

_INIT_ERROR = '{"status": "error", "error": str(e)}'
_INIT_FAILED, _WORKER_EXITED = "Worker init failed: ", "Worker process exited immediately."
_EXIT_MESSAGE = "the process ended while it imported the handler"

# Runs in the worker and reports errors as Lambda's runtime client does:
# https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/awslambdaric/bootstrap.py
_FAULT = """
def _fault(error, module, handler, code):
    import traceback
    kind, message, trace = type(error).__name__, str(error), []
    if isinstance(error, ImportError):
        kind, message = "Runtime.ImportModuleError", f"Unable to import module '{module}': {error}"
    elif isinstance(error, SyntaxError):
        kind, message = "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}"
        trace = [f'  File "{error.filename}" Line {error.lineno}', f"    {(error.text or '').rstrip()}"]
    elif isinstance(error, AttributeError) and module in sys.modules:
        kind, message = "Runtime.HandlerNotFound", f"Handler '{handler}' missing on module '{module}'"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        trace = "".join(traceback.format_list([each for each in frames if code in each.filename])).splitlines()
    trace = [line.replace(code, "/var/task") for line in trace]
    return json.dumps({"errorType": kind, "errorMessage": message, "stackTrace": trace})

"""


def report_init_errors() -> None:
    """Log a failed import and return it to the caller, as Lambda does; ministack only writes it to its own log."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    script, execute = lambda_runtime._PYTHON_WORKER_SCRIPT, lambda_svc._execute_function_warm
    init_error = '{"status": "error", "error": _fault(e, module_name, handler_name, code_dir)}'
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace("def run():", f"{_FAULT}\ndef run():", 1).replace(
        _INIT_ERROR, init_error, 1
    )

    def execute_function(func: Any, event: Any, request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = execute(func, event, request_id)
        body = result.get("body")
        message = str(body.get("errorMessage", "")) if result.get("error") and isinstance(body, dict) else ""
        fault = None
        if message.startswith(_INIT_FAILED):
            fault = json.loads(message.removeprefix(_INIT_FAILED))
        elif message.startswith(_WORKER_EXITED):
            fault = {"errorType": "Runtime.ExitError", "errorMessage": _EXIT_MESSAGE, "stackTrace": []}
        if fault:
            first_line = f"[ERROR] {fault['errorType']}: {fault['errorMessage']}"
            log = [first_line, "Traceback (most recent call last):", *fault["stackTrace"]]
            return result | {"body": fault | {"requestId": request_id}, "log": "\n".join(log)}
        return result

    lambda_svc._execute_function_warm = execute_function


def hide_exceptions_from_api_callers() -> None:
    """Answer an API's caller with "Internal server error" as API Gateway does; ministack shows the exception."""
    from ministack.services import apigateway_v1

    original = apigateway_v1._lambda_proxy_response

    def lambda_proxy_response(result: Any) -> Any:
        response, failure = original(result)
        return response, failure and "Internal server error"

    apigateway_v1._lambda_proxy_response = lambda_proxy_response


def make_worker_keys_secret(root: RootKey) -> None:
    """Derive a worker's keys from a secret; ministack derives them from the function's ARN, so they can be guessed."""
    from ministack.core import lambda_runtime
    from ministack.services import sts

    derive = lambda_runtime.execution_credentials

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        guessable = derive(config)["AWS_ACCESS_KEY_ID"]
        session = sts._sessions.pop(guessable)
        digest = hmac.new(root.secret_key.encode(), guessable.encode(), hashlib.sha512).hexdigest()
        key = f"ASIA{digest[:16].upper()}"
        secret = {"SecretAccessKey": digest[16:56], "SessionToken": digest[56:]}
        sts.register_session(key, session | secret)
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret["SecretAccessKey"],
            "AWS_SESSION_TOKEN": secret["SessionToken"],
        }

    lambda_runtime.execution_credentials = execution_credentials


def hide_awscrt() -> None:
    """Hide awscrt from the functions: Lambda's Python lacks it, and botocore signs with it where it is installed."""
    from ministack.core import lambda_runtime

    lambda_runtime._PYTHON_WORKER_SCRIPT = (
        f"import sys\nsys.modules['awscrt'] = None\n{lambda_runtime._PYTHON_WORKER_SCRIPT}"
    )


class _Zip(zipfile.ZipFile):
    """A zip file; a layer's is unpacked once for all workers."""

    _unpacking = threading.Lock()

    def _is_layer(self) -> bool:
        return Path(self.filename or "").name.startswith("layer_")

    def namelist(self) -> list[str]:
        # ministack checks on the disk that no name leaves the directory, which is slow; unpacking ensures it anyway.
        return [] if self._is_layer() else super().namelist()

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        if not self._is_layer():
            super().extractall(path, members, pwd)
            return
        Path(path).rmdir()
        Path(path).symlink_to(self._unpacked())

    def _unpacked(self) -> Path:
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        directory = Path(tempfile.gettempdir()) / "layers" / digest
        with self._unpacking:
            if not directory.exists():
                incomplete = directory.with_name(f"{digest}.half")
                super().extractall(incomplete, super().namelist())
                incomplete.rename(directory)
        return directory


def unpack_layers_once() -> None:
    """Unpack a layer once; ministack unpacks it for every worker, so that a burst of cold starts takes minutes."""
    from ministack.core import lambda_runtime

    errors = {"BadZipFile": zipfile.BadZipFile, "LargeFileError": zipfile.LargeZipFile}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=_Zip, **errors)
