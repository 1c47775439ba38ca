"""What ministack 1.5.33 lacks or gets wrong for us where it runs functions, closed from outside."""

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

_TELLS = '{"status": "error", "error": str(e)}'
_STARTED, _ENDED = "Worker init failed: ", "Worker process exited immediately."
_EXIT = "the process ended while it imported the handler"

# Runs in the worker, and says what Lambda's own program says there:
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


def say_why_they_do_not_start() -> None:
    """ministack tells of a failed import nobody but its own log. Lambda logs it, and answers it to whoever called."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    script, execute = lambda_runtime._PYTHON_WORKER_SCRIPT, lambda_svc._execute_function_warm
    told = '{"status": "error", "error": _fault(e, module_name, handler_name, code_dir)}'
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace("def run():", f"{_FAULT}\ndef run():", 1).replace(
        _TELLS, told, 1
    )

    def execute_function(func: Any, event: Any, request_id: str) -> dict[str, Any]:
        result: dict[str, Any] = execute(func, event, request_id)
        body = result.get("body")
        failed = str(body.get("errorMessage", "")) if result.get("error") and isinstance(body, dict) else ""
        fault = None
        if failed.startswith(_STARTED):
            fault = json.loads(failed.removeprefix(_STARTED))
        elif failed.startswith(_ENDED):
            fault = {"errorType": "Runtime.ExitError", "errorMessage": _EXIT, "stackTrace": []}
        if fault:
            first = f"[ERROR] {fault['errorType']}: {fault['errorMessage']}"
            log = [first, "Traceback (most recent call last):", *fault["stackTrace"]]
            return result | {"body": fault | {"requestId": request_id}, "log": "\n".join(log)}
        return result

    lambda_svc._execute_function_warm = execute_function


def keep_failures_from_the_apis_callers() -> None:
    """ministack answers an API's caller with the function's exception, where API Gateway does not say what it was."""
    from ministack.services import apigateway_v1

    answered = apigateway_v1._lambda_proxy_response

    def lambda_proxy_response(result: Any) -> Any:
        response, failure = answered(result)
        return response, failure and "Internal server error"

    apigateway_v1._lambda_proxy_response = lambda_proxy_response


def keep_the_workers_keys_secret(root: RootKey) -> None:
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


class _Zip(zipfile.ZipFile):
    """A zip file that, if it is a layer's, is unpacked once for all workers."""

    _unpacking = threading.Lock()

    def _is_layer(self) -> bool:
        return Path(self.filename or "").name.startswith("layer_")

    def namelist(self) -> list[str]:
        # Each name is looked up on the disk, to see that it leads nowhere else; unpacking makes sure of that anyhow.
        return [] if self._is_layer() else super().namelist()

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:
        if not self._is_layer():
            super().extractall(path, members, pwd)
            return
        Path(path).rmdir()
        Path(path).symlink_to(self._unpacked())

    def _unpacked(self) -> Path:
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        place = Path(tempfile.gettempdir()) / "layers" / digest
        with self._unpacking:
            if not place.exists():
                half = place.with_name(f"{digest}.half")
                super().extractall(half, super().namelist())
                half.rename(place)
        return place


def unpack_layers_once() -> None:
    """ministack unpacks the layer anew for every worker, in its own process: a burst of cold starts takes minutes."""
    from ministack.core import lambda_runtime

    errors = {"BadZipFile": zipfile.BadZipFile, "LargeFileError": zipfile.LargeZipFile}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=_Zip, **errors)
