"""What the handlers cost: cold start, AWS calls and CPU time per reading, beside a plain rendition of the same.

    python benchmarks/handlers.py

Every figure comes from a process of its own that finds the handlers and what they need in a directory made for
the purpose, as on Lambda, X-Ray included. AWS answers at once, from within the process: what is measured is the
CPU time of the process, not the network and not AWS.
"""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
NEEDED = ("botocore", "jmespath", "dateutil", "urllib3", "six", "aws_xray_sdk", "wrapt", "boto3", "s3transfer")
SERVICES = {"dynamodb", "sqs", "sns", "ssm", "xray"}
RUNS = 9

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "RAW_TABLE_NAME": "raw",
    "PROCESSED_TABLE_NAME": "processed",
    "QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/queue",
    "ALERT_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:topic",
    "API_KEY_PARAM": "/iot-pipeline/benchmark/api-key",
    "CONFIG_PARAM": "/iot-pipeline/benchmark/config",
    "LAMBDA_TASK_ROOT": "/var/task",
    "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
    "HOME": "/nonexistent",
    "PATH": os.environ.get("PATH", ""),
}

# The name by which each side's handlers are found: module of ingestion, function; module of processing, function.
OURS = ("iotpipe.handlers.ingestion", "lambda_handler", "iotpipe.handlers.processor", "lambda_handler")
PLAIN = ("plain_handlers", "ingest", "plain_handlers", "process")


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        for package in NEEDED:
            copy_package(package, root)
        shutil.copytree(HERE.parent / "iotpipe" / "handlers", root / "iotpipe" / "handlers", ignore=no_bytecode)
        shutil.copy(HERE / "plain_handlers.py", root)
        without = {side: cold_start(root, names) for side, names in (("ours", OURS), ("plain", PLAIN))}
        unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(root, quiet=2, invalidation_mode=unchecked)
        compiled = {side: cold_start(root, names) for side, names in (("ours", OURS), ("plain", PLAIN))}
        cost = {side: measured(root, names, "work") for side, names in (("ours", OURS), ("plain", PLAIN))}
    report(without, compiled, cost)


def copy_package(name: str, root: Path) -> None:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    origin = Path(spec.origin)
    if origin.name == "__init__.py":
        shutil.copytree(origin.parent, root / name, ignore=no_bytecode)
    else:
        shutil.copy(origin, root)


def no_bytecode(directory: str, names: list[str]) -> set[str]:
    """No bytecode, and of botocore's 400 services those that are used."""
    if Path(directory).parts[-2:] != ("botocore", "data"):
        return {"__pycache__"}
    return {name for name in names if (Path(directory) / name).is_dir() and name not in SERVICES}


def cold_start(root: Path, names: tuple[str, ...]) -> dict[str, float]:
    runs = [measured(root, names, "start") for _ in range(RUNS)]
    return {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}


def measured(root: Path, names: tuple[str, ...], what: str) -> dict[str, float]:
    command = [sys.executable, "-B", "-E", "-S", str(HERE / "handlers_child.py"), str(root), what, *names]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def report(without: dict[str, dict], compiled: dict[str, dict], cost: dict[str, dict]) -> None:
    print(f"Python {sys.version.split()[0]}, median of {RUNS} processes; CPU time in milliseconds\n")
    print(f"{'':<52}{'iotpipe':>9}{'plain':>9}{'ratio':>8}   target")
    shipped = {"ours": compiled["ours"], "plain": without["plain"]}
    line("cold start as shipped ¹, import", shipped, "import", "at most 0.60 of plain", relative=0.6)
    line("cold start as shipped ¹, import and first POST", shipped, "first")
    for title, figures in (("both with .pyc", compiled), ("both without .pyc", without)):
        line(f"cold start, import, {title}", figures, "import")
        line(f"cold start, import and first POST, {title}", figures, "first")
    line("AWS calls per reading, 1 per POST", cost, "calls_1", "at most 2", most=2)
    line("AWS calls per reading, 25 per POST", cost, "calls_25", "at most 0.16", most=0.16)
    line("AWS calls per reading, processor, batch of 10", cost, "calls_batch", "at most 0.1", most=0.1)
    line("CPU per reading, 25 per POST", cost, "cpu_25", "at most 0.25 ms", most=0.25)
    line("CPU per reading, processor, batch of 10", cost, "cpu_batch")
    print("\n¹ iotpipe's layer brings bytecode with unchecked hashes; what pip leaves in a zip is stale once unzipped")


def line(
    title: str,
    figures: dict[str, dict],
    name: str,
    target: str = "",
    *,
    most: float | None = None,
    relative: float | None = None,
) -> None:
    ours, plain = figures["ours"][name], figures["plain"][name]
    limit = relative * plain if relative else most
    verdict = "" if limit is None else ("met: " if ours <= limit else "MISSED: ")
    print(f"{title:<52}{ours:>9.3g}{plain:>9.3g}{ours / plain:>8.2f}   {verdict}{target}".rstrip())


if __name__ == "__main__":
    main()
