"""What the embedded AWS says of a function that does not start: what Lambda says, where Lambda says it.

ministack tells it to nobody but its own log: the function's log has only START, END and REPORT.
"""

from __future__ import annotations

import json
from typing import Any

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
    """Have a failed import logged, and answered to whoever called the function."""
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
