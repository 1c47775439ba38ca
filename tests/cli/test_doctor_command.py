"""`doctor` as a user types it, and `up` on an account that is too small, against an AWS in another process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.support.shell import Shell, settings, writes


def reserve(shell: Shell, executions: int) -> None:
    """Somebody else's function takes so many of the account's thousand."""
    role = shell.client("iam").create_role(RoleName="other", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    shell.client("lambda").create_function(
        FunctionName="other", Role=role, Runtime="python3.13", Handler="a.b", Code={"ZipFile": b"PK\5\6" + bytes(18)}
    )
    shell.client("lambda").put_function_concurrency(FunctionName="other", ReservedConcurrentExecutions=executions)
    shell.operations()


def stand_in_for_python(version: str, directory: Path) -> str:
    """A PATH on which an interpreter of this version comes first: it says that it is one, and compiles as ours."""
    directory.mkdir()
    program = directory / f"python{version}"
    answer = f'echo final cpython-{version.replace(".", "")} "$0"'
    program.write_text(f'#!/bin/sh\ncase " $* " in *" -c "*) {answer};; *) exec "{sys.executable}" "$@";; esac\n')
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_an_account_that_is_too_small_is_refused_before_the_first_write_and_the_advice_helps(
    cloud: Shell, tmp_path: Path
) -> None:
    cloud.cache = tmp_path / "cache"  # what is compiled here is for nobody else
    cloud.extra = {"PATH": stand_in_for_python("3.13", tmp_path / "bin")}
    reserve(cloud, 860)
    said = cloud.run("doctor", "--env", "dev", code=1).stdout
    (line,) = [each for each in said.splitlines() if "  problem " in each]
    why = line.partition("concurrency")[2].strip()
    assert "only 40 are available: the limit is 1,000 concurrent executions in us-east-1, 140 of them unreserved" in why

    for command in ("plan", "up"):
        refused = cloud.run(command, "--env", "dev", code=1)
        assert f"error: refused, and nothing was changed:\n  {why}.\n" in refused.stderr
    assert set(writes(cloud.operations())) == {"SimulatePrincipalPolicy"}
    assert not list((cloud.directory / ".iotpipe").glob("*.json"))

    assert "functions.query.reserved_concurrency: 13 and queue.maximum_concurrency: 13;" in said
    each = "{reserved_concurrency: 13}"
    text = f"functions: {{ingestion: {each}, processor: {each}, query: {each}}}\nqueue: {{maximum_concurrency: 13}}\n"
    settings(cloud, "dev", text)
    cloud.run("up", "--env", "dev")
    assert cloud.json("doctor")["summary"] == {"problem": 0, "warning": 0, "cannot tell": 0, "ok": 14}
