"""What the command says and does before it talks to AWS, and when AWS does not let it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Group
from click.testing import CliRunner

from iotpipe.cli import iotpipe
from tests.support.engine_world import declared_count
from tests.support.shell import Shell, settings

NOW = "2026-11-22T12:00:00Z"


def commands(group: Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command, as it is typed."""
    for name, command in group.commands.items():
        if isinstance(command, Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name)


@pytest.mark.subprocess
def test_help_imports_neither_boto3_nor_pydantic(shell: Shell) -> None:
    script = (
        "import sys, iotpipe.cli\nsys.argv = ['iotpipe', '--help']\n"
        "try: iotpipe.cli.main()\nexcept SystemExit as end: assert end.code == 0\n"
        "print([name for name in ('boto3', 'botocore', 'pydantic', 'rich', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", list(commands(iotpipe)), ids=" ".join)
def test_every_command_has_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(iotpipe, [*command, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    example = shown.output.partition("Example:")[2].strip()
    assert example.startswith(f"iotpipe {' '.join(command)}")
    assert "\n" not in example, "nobody can copy a line that is broken"
    typed = shlex.split(re.split(r" [|>&]", example)[0])[1:]
    assert CliRunner().invoke(iotpipe, [*typed, "--help"]).exit_code == 0, "it has an option that is none"


def test_what_each_command_does_is_told_in_a_line() -> None:
    shown = CliRunner().invoke(iotpipe, ["--help"], env={"COLUMNS": "80"})
    assert "..." not in shown.stdout.partition("Commands:")[2]


def test_init_writes_what_validates_and_never_writes_over_it(shell: Shell) -> None:
    shell.run("init")
    names = sorted(path.name for path in (shell.directory / "config").iterdir())
    assert names == ["dev.yaml", "local.yaml", "prod.yaml", "schema.json"]
    for name in ("dev", "local", "prod"):
        assert "valid" in shell.run("validate", "--env", name).stdout
    settings(shell, "dev", "suffix: mine\n")
    assert "kept" in shell.run("init").stderr
    assert (shell.directory / "config" / "dev.yaml").read_text() == "suffix: mine\n"


@pytest.mark.subprocess
def test_init_says_where_it_cannot_write_and_leaves_no_half_of_a_file(shell: Shell) -> None:
    (shell.directory / "file").touch()
    assert "error: cannot write to file/config" in shell.run("--config-dir", "file/config", "init", code=1).stderr
    limited = f"ulimit -f 2; {shlex.join(shell.command('init'))}"  # no file over 2 kB, which the schema is
    done = subprocess.run(["bash", "-c", limited], cwd=shell.directory, env=shell.environment, capture_output=True)
    assert (done.returncode, b"File too large" in done.stderr) == (1, True), done.stderr
    names = sorted(path.name for path in (shell.directory / "config").iterdir())
    assert names == ["dev.yaml", "local.yaml", "prod.yaml"]


def test_every_problem_is_listed_at_once_with_its_place(shell: Shell) -> None:
    settings(shell, "dev", "queue:\n  visibilty_timeout: 360\nfunctions:\n  log_retention: 31\n")
    done = shell.run("up", "--env", "dev", code=2)
    assert "config/dev.yaml:2: queue.visibilty_timeout" in done.stderr
    assert "visibility_timeout" in done.stderr
    assert "config/dev.yaml:4: functions.log_retention" in done.stderr
    assert not (shell.directory / ".iotpipe").exists()
    found = shell.json("validate", "--env", "dev", code=2)
    assert [each["line"] for each in found["problems"]] == [2, 4]


def test_an_unknown_option_is_a_matter_of_usage(shell: Shell) -> None:
    assert "No such option" in shell.run("up", "--fast", code=2).stderr


@pytest.mark.parametrize("command", ["plan", "up", "down", "status"])
def test_without_credentials_one_sentence_says_what_to_do(shell: Shell, command: str) -> None:
    settings(shell, "dev", "region: us-east-1\n")
    shell.extra = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(shell.directory)}
    done = shell.run(command, "--env", "dev", code=1)
    assert done.stderr.startswith("error: there are no AWS credentials\n")
    assert "`--env local` needs no AWS account" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("profile", "variables", "said"),
    [
        ("", {"AWS_ENDPOINT_URL": "nonsense"}, "Invalid endpoint: nonsense"),
        ("credential_process = ./nowhere", {}, "No such file or directory: './nowhere'"),
        ("credential_process = echo hello", {}, "Expecting value"),
        ("role_arn = arn:aws:iam::123456789012:role/ci\nweb_identity_token_file = ./nowhere", {}, "'./nowhere'"),
    ],
)
def test_settings_that_botocore_stumbles_over_are_named(
    shell: Shell, profile: str, variables: dict[str, str], said: str
) -> None:
    settings(shell, "dev", "region: us-east-1\n")
    (shell.directory / "aws").write_text(f"[profile ci]\n{profile}\n")
    if profile:
        shell.extra = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "ci"}
    shell.extra |= {"AWS_CONFIG_FILE": "aws"} | variables
    done = shell.run("plan", "--env", "dev", code=1)
    assert done.stderr.startswith("error: the AWS settings are invalid: ")
    assert said in done.stderr


@pytest.mark.subprocess
def test_a_profile_that_wants_a_code_is_refused_where_nobody_can_type_one(shell: Shell) -> None:
    settings(shell, "dev", "region: us-east-1\n")
    wanted = "role_arn = arn:aws:iam::123456789012:role/ops\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    keys = "aws_access_key_id = a\naws_secret_access_key = b\n"
    (shell.directory / "aws").write_text(f"[profile ops]\n{wanted}source_profile = ops\n{keys}")
    done = subprocess.run(
        shell.command("--profile", "ops", "plan", "--env", "dev"),
        cwd=shell.directory,
        env=shell.environment | {"AWS_CONFIG_FILE": "aws"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,  # or it would be asked for on the terminal that the tests run on
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "error: the profile wants an MFA code, and there is no terminal" in done.stderr


def test_without_a_region_the_three_places_for_one_are_named(shell: Shell) -> None:
    settings(shell, "dev", "")
    shell.extra = {"AWS_REGION": "", "HOME": str(shell.directory)}
    done = shell.run("plan", "--env", "dev", code=2)
    assert "Set `region` in the configuration, AWS_REGION or --region" in done.stderr


@pytest.mark.matrix
def test_an_aws_that_cannot_be_reached_is_said_to_be(shell: Shell) -> None:
    settings(shell, "dev", "")
    done = shell.run("up", "--env", "dev", code=1)
    assert "AWS is unreachable" in done.stderr
    assert "AWS_ENDPOINT_URL" in done.stderr


def test_another_account_than_the_configured_one_is_refused(cloud: Shell) -> None:
    settings(cloud, "dev", 'account: "999999999999"\n')
    done = cloud.run("up", "--env", "dev", code=1)
    assert "belong to account 123456789012, the configuration names 999999999999" in done.stderr
    assert cloud.operations() == ["GetCallerIdentity"]


@pytest.mark.parametrize("command", ["plan", "status"])
def test_what_only_looks_starts_no_embedded_aws(shell: Shell, command: str) -> None:
    shell.aws = ""
    (shell.directory / ".iotpipe" / "local").mkdir(parents=True)
    done = shell.run(command, "--env", "local", code=1)
    assert done.stderr.startswith("error: the embedded AWS is not running\n")
    assert "iotpipe local start" in done.stderr


@pytest.mark.matrix
def test_in_a_new_directory_every_command_answers_and_makes_nothing(shell: Shell) -> None:
    shell.aws = ""
    shown = shell.run("plan").stdout
    assert shown.startswith("local in account 000000000000, us-east-1\n") and shown.endswith(
        f"{declared_count('local')} to create.\n"
    )
    assert shell.json("plan")["summary"] == {"create": declared_count("local")}
    shell.run("plan", "--exit-code", code=3)
    assert "none: local is not up. Run `iotpipe up --env local`" in shell.run("status").stdout
    assert shell.run("down").stdout == "local: nothing to take down.\n"
    assert "local is not up" in shell.run("outputs", code=2).stderr
    assert not any(shell.directory.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not a state file"),
        ("[]", "is not a state file"),
        ('{"format": 99}', "Upgrade iotpipe"),
        (
            json.dumps(
                {
                    "format": 1,
                    "environment": "dev",
                    "account": "999999999999",
                    "region": "us-east-1",
                    "protected": False,
                    "resources": {},
                    "deleted": {},
                }
            ),
            "belongs to account 999999999999",
        ),
    ],
)
def test_a_state_file_that_cannot_be_used_is_left_as_it_is(cloud: Shell, text: str, said: str) -> None:
    path = cloud.directory / ".iotpipe" / "dev.json"
    path.parent.mkdir()
    path.write_text(text)
    for command in (["plan"], ["up"], ["down", "--yes"], ["status"]):
        assert said in cloud.run(*command, "--env", "dev", code=1).stderr
    assert path.read_text() == text
    assert cloud.operations() in ([], ["GetCallerIdentity"] * 4)


def test_a_state_directory_that_everybody_may_write_is_refused_with_what_to_do(cloud: Shell) -> None:
    (cloud.directory / ".iotpipe").mkdir()
    (cloud.directory / ".iotpipe").chmod(0o777)
    for command in (["plan"], ["up", "--yes"], ["status"], ["outputs"]):
        said = cloud.run(*command, "--env", "dev", code=1).stderr
        assert "every user of this machine may write" in said and "chmod o-w" in said
        assert "Traceback" not in said
    assert not list((cloud.directory / ".iotpipe").iterdir())
    assert cloud.operations() == []


@pytest.mark.parametrize("command", [["plan"], ["status"], ["query", "A"], ["graph"], ["devices"]], ids=" ".join)
def test_a_directory_that_cannot_be_there_is_told_in_a_line(shell: Shell, command: list[str]) -> None:
    name = "a" * 300
    said = shell.run("--state-dir", name, *command, code=1).stderr
    assert f"cannot use {name}" in said and "File name too long" in said and "--state-dir" in said


@pytest.mark.matrix
def test_a_current_directory_that_was_deleted_is_told_in_a_line(shell: Shell) -> None:
    command = f'mkdir gone && cd gone && rmdir ../gone && "{shell.command()[0]}" devices'
    said = subprocess.run(
        ["sh", "-c", command], cwd=shell.directory, env=shell.environment, capture_output=True, text=True
    )
    assert said.returncode == 1
    assert said.stderr == "error: the current directory was deleted\nhint: Change to one that exists.\n"


def test_with_several_state_files_the_environment_must_be_named(shell: Shell) -> None:
    row = {"kind": "topic", "name": "t", "status": "ready", "properties": {}, "needs": [], "inside": ""}
    row |= {"created_at": NOW, "updated_at": NOW}
    state = {
        "format": 1,
        "account": "1",
        "region": "r",
        "protected": False,
        "deleted": {},
        "resources": {"topic/t": row},
    }
    (shell.directory / ".iotpipe").mkdir()
    for name in ("dev", "prod"):
        (shell.directory / ".iotpipe" / f"{name}.json").write_text(json.dumps(state | {"environment": name}))
    assert "dev, prod" in shell.run("outputs", code=2).stderr
    shell.run("outputs", "--env", "prod")
    shell.run("--env", "prod", "outputs")
    assert "--env is empty" in shell.run("outputs", "--env", "", code=2).stderr
    shell.extra = {"IOTPIPE_ENV": ""}
    assert "dev, prod" in shell.run("outputs", code=2).stderr
    shell.extra = {"IOTPIPE_ENV": "prod"}
    shell.run("outputs")


@pytest.mark.parametrize("command", [("down", "--yes"), ("logs",), ("dlq", "list")])
def test_a_slip_in_the_name_is_not_taken_for_an_environment_that_is_down(
    shell: Shell, command: tuple[str, ...]
) -> None:
    settings(shell, "prod", "")
    for typed in ((*command, "--env", "pord"), (command[0], "--env", "pord", *command[1:])):
        said = shell.run(*typed, code=2).stderr
        assert "environment pord has no file. Did you mean prod?" in said


@pytest.mark.parametrize("how", ["text", "mermaid", "dot", "svg"])
def test_the_dependencies_show_every_resource(shell: Shell, how: str) -> None:
    drawn = shell.run("graph", "--what", "dependencies", "--format", how).stdout
    for address in (
        "table/raw-sensor-data-local",
        "stage/local",
        "api-gateway-account/us-east-1",
        "alarm/iot-dlq-depth-local",
    ):
        assert address in drawn


def test_colours_go_into_a_pipe_where_they_are_asked_for_and_nothing_that_moves(cloud: Shell) -> None:
    plain = cloud.run("plan", "--env", "dev").stdout
    assert "\x1b" not in plain
    cloud.extra = {"FORCE_COLOR": "1", "NO_COLOR": ""}
    coloured = cloud.run("plan", "--env", "dev").stdout
    assert "\x1b[32m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    cloud.extra = {"FORCE_COLOR": "1", "NO_COLOR": "1"}
    assert cloud.run("plan", "--env", "dev").stdout == plain


def test_completion_knows_the_environments(shell: Shell) -> None:
    settings(shell, "staging", "")
    shell.extra = {"_IOTPIPE_COMPLETE": "bash_complete", "COMP_WORDS": "iotpipe up --env st", "COMP_CWORD": "3"}
    assert "staging" in shell.run().stdout
    (shell.directory / "config").rename(shell.directory / "elsewhere")
    assert "staging" not in shell.run().stdout
    shell.extra |= {"COMP_WORDS": "iotpipe --config-dir elsewhere up --env st", "COMP_CWORD": "5"}
    assert "staging" in shell.run().stdout


@pytest.mark.subprocess
def test_a_reader_that_has_had_enough_is_no_error(cloud: Shell) -> None:
    command = " ".join(cloud.command("plan", "--env", "dev", "--verbose"))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -n 1"],
        cwd=cloud.directory,
        env=cloud.environment,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert Path(done.stdout.split()[0]).name == "dev"


@pytest.mark.matrix
def test_the_policy_needs_no_aws_where_the_configuration_says_which_account_it_is_for(shell: Shell) -> None:
    settings(shell, "dev", "region: eu-central-1")
    assert "Set `account` and `region` in dev.yaml" in shell.run("policy", "--env", "dev", code=1).stderr
    settings(shell, "dev", 'region: eu-central-1\naccount: "210987654321"')
    assert "arn:aws:sqs:eu-central-1:210987654321:iot-dlq-dev" in shell.run("policy", "--env", "dev").stdout
