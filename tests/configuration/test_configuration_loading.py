"""Which environments there are, what they hold by default, and what becomes of files that cannot be read."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from iotpipe.configuration import Environment, environments, load, starter_files
from iotpipe.errors import ConfigurationError
from iotpipe.handlers.settings import Settings

SHIPPED = Path(__file__).parents[2] / "config"
PROCESSOR = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
Loaded = Callable[[str], Environment]


def refusal(name: str, directory: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(name, directory)
    assert caught.value.exit_code == 2
    return str(caught.value)


def leaves(section: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings of a section and of those within, by their paths."""
    found: dict[str, Any] = {}
    for key, value in section.items():
        path = f"{prefix}{key}"
        found |= leaves(value, f"{path}.") if isinstance(value, dict) and value else {path: value}
    return found


def test_an_empty_file_gives_the_values_that_the_pipeline_is_specified_with(loaded: Loaded) -> None:
    functions = {"timeout": 60, "reserved_concurrency": 100}
    specified = {
        "name": "dev",
        "account": None,
        "region": None,
        "suffix": "dev",
        "target": "aws",
        "tags": {},
        "kms_key": None,
        "former_kms_keys": (),
        "protect": False,
        "tables": {"point_in_time_recovery": True, "deletion_protection": False},
        "queue": {
            "visibility_timeout": 360,
            "retention": 345_600,
            "max_receives": 3,
            "batch_size": 10,
            "batching_window": 0,
            "maximum_concurrency": 80,
            "dead_letter_retention": 1_209_600,
        },
        "functions": {
            "runtime": "python3.13",
            "architecture": "arm64",
            "log_retention": 30,
            "permissions_boundary": None,
            "ingestion": functions | {"memory": 256},
            "processor": functions | {"memory": 512},
            "query": functions | {"memory": 256, "timeout": 30},
        },
        "api": {
            "stage": "dev",
            "throttle": {"rate": 1000.0, "burst": 1000},
            "logging": "INFO",
            "access_logs": None,
            "web_acl": None,
            "metrics": True,
            "tracing": True,
            "require_api_key": False,
        },
        "alerts": {
            "emails": (),
            "errors": 10,
            "throttles": 5,
            "table_throttles": 10,
            "dead_letters": 0,
            "queue_age": 900,
            "api_errors": 5,
        },
        "processing": {
            "batch_size": 100,
            "processing_timeout": 60,
            "max_readings": 500,
            "alert_threshold": 5,
            "alert_cooldown": 900,
            "past_days": 365,
            "future_minutes": 10,
        },
    }
    values = leaves(loaded("").model_dump())
    assert {key: values.get(key) for key in leaves(specified)} == leaves(specified)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "---\n...\n", "{}", "null", "\n\n"])
def test_a_file_that_says_nothing_is_all_defaults(loaded: Loaded, text: str) -> None:
    assert loaded(text) == Environment(name="dev")


def test_the_handlers_fall_back_on_the_defaults_of_the_configuration() -> None:
    of_handlers = asdict(Settings())
    del of_handlers["require_api_key"]
    assert Environment(name="dev").processing.model_dump() == of_handlers


def test_a_section_that_is_given_in_part_keeps_the_other_defaults(loaded: Loaded) -> None:
    functions = loaded("functions:\n  processor: {timeout: 90}\n  query: {memory: 1769}\n").functions
    assert (functions.processor.timeout, functions.processor.memory) == (90, 512)
    assert (functions.query.timeout, functions.query.memory) == (30, 1769)


def test_suffix_and_stage_follow_from_the_name_unless_given(tmp_path: Path) -> None:
    (tmp_path / "eu-west.yaml").write_text("api: {metrics: false}")
    (tmp_path / "prod.yaml").write_text("suffix: p\napi: {stage: v1}")
    followed, given = load("eu-west", tmp_path), load("prod", tmp_path)
    assert (followed.suffix, followed.api.stage) == ("eu-west", "eu_west")
    assert (given.suffix, given.api.stage) == ("p", "v1")


def test_a_whole_number_is_a_rate_and_null_reserves_no_concurrency(loaded: Loaded) -> None:
    environment = loaded("api: {throttle: {rate: 50}}\nfunctions: {query: {reserved_concurrency: null}}")
    assert environment.api.throttle.rate == 50
    assert environment.functions.query.reserved_concurrency is None


def test_local_works_without_file_and_without_directory(tmp_path: Path) -> None:
    environment = load("local", tmp_path / "nowhere")
    assert (environment.target, environment.region, environment.account) == ("local", "us-east-1", None)
    assert environment.functions.processor.reserved_concurrency == 100


def test_an_empty_file_for_local_does_not_turn_it_towards_aws(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text("")
    assert load("local", tmp_path).target == "local"


def test_without_a_file_local_is_what_init_would_write(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text(starter_files()["local.yaml"])
    assert load("local", tmp_path) == load("local", tmp_path / "nowhere")
    # Thrice in vain, and it is a dead letter: nobody wants to wait 18 minutes for that here.
    queue = load("local", tmp_path).queue
    assert queue.max_receives * queue.visibility_timeout <= 20


def test_functions_on_this_machine_are_built_for_it_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("target: local\nfunctions: {query: {memory: 512}}")
    (tmp_path / "told.yaml").write_text("target: local\nfunctions: {runtime: python3.14, architecture: arm64}")
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("local", "lab"):
        functions = load(name, tmp_path).functions
        assert (functions.runtime, functions.architecture) == (here, PROCESSOR)
    assert load("lab", tmp_path).functions.query.memory == 512
    told = load("told", tmp_path).functions
    assert (told.runtime, told.architecture) == ("python3.14", "arm64")


def test_local_and_dev_can_be_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "local.yaml").write_text("target: aws")
    (tmp_path / "dev.yaml").write_text("target: local")
    assert (load("local", tmp_path).target, load("local", tmp_path).region) == ("aws", None)
    assert (load("dev", tmp_path).target, load("dev", tmp_path).region) == ("local", "us-east-1")


def test_an_environment_cannot_be_changed_once_loaded(loaded: Loaded) -> None:
    with pytest.raises(ValidationError):
        loaded("").queue.retention = 60


def test_environments_are_the_yaml_files_with_usable_names_and_local(tmp_path: Path) -> None:
    for name in ("prod.yaml", "dev.yaml", "notes.txt", "old.yml", "Upper.yaml", ".yaml", "schema.json"):
        (tmp_path / name).touch()
    (tmp_path / "folder.yaml").mkdir()
    assert environments(tmp_path) == ["dev", "local", "prod"]


def test_without_a_directory_there_is_only_local(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert environments(tmp_path / "nowhere") == environments(tmp_path / "file") == ["local"]


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigurationError, match="loop: cannot be listed"):
        environments(tmp_path / "loop")


def test_a_missing_file_lists_what_there_is_and_names_init(tmp_path: Path) -> None:
    (tmp_path / "staging.yaml").touch()
    said = refusal("stagin", tmp_path)
    assert f"{tmp_path / 'stagin.yaml'}: environment stagin has no file" in said
    assert "Did you mean staging?" in said
    assert "local, staging" in said
    assert "iotpipe init" in said


def test_a_missing_directory_is_like_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "nowhere", tmp_path / "file"):
        assert "dev.yaml: environment dev has no file" in refusal("dev", directory)


def test_a_file_with_the_other_ending_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "dev.yml").touch()
    assert "Rename dev.yml to dev.yaml" in refusal("dev", tmp_path)


@pytest.mark.parametrize("name", ["", "Dev", "1a", "a_b", "a" * 21, "../dev", "a/b", "a\n", "-a", "\x1b[2J", "\ud800"])
def test_a_name_that_could_not_be_part_of_a_name_on_aws_is_refused(tmp_path: Path, name: str) -> None:
    said = refusal(name, tmp_path)
    assert "names no environment: a name must be 1 to 20 lower-case letters, digits and hyphens" in said
    said.encode("utf-8")
    assert "\x1b" not in said


@pytest.mark.parametrize("name", ["a", "a" * 20, "eu-west-1", "x9-"])
def test_names_up_to_twenty_characters_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.yaml").touch()
    assert load(name, tmp_path).suffix == name


def test_a_directory_in_place_of_the_file_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "dev.yaml").mkdir()
    assert "dev.yaml: cannot be read: Is a directory" in refusal("dev", tmp_path)


def test_a_pipe_in_place_of_the_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dev.yaml")
    assert "dev.yaml: is a pipe, not a file" in refusal("dev", tmp_path)


def test_a_file_that_cannot_be_opened_is_an_error_for_local_too(tmp_path: Path) -> None:
    for name in ("dev", "local"):
        (tmp_path / f"{name}.yaml").symlink_to(f"{name}.yaml")
        assert f"{name}.yaml: cannot be read: Too many levels of symbolic links" in refusal(name, tmp_path)


def test_a_byte_order_mark_is_taken_and_another_encoding_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "dev.yaml"
    file.write_bytes(b"\xef\xbb\xbfsuffix: a\n")
    assert load("dev", tmp_path).suffix == "a"
    file.write_bytes("suffix: a\ntags: {stadt: Köln}\n".encode("latin-1"))
    assert "dev.yaml:2: byte 0xf6 is not UTF-8. Save the file as UTF-8" in refusal("dev", tmp_path)
    file.write_bytes("suffix: a\n".encode("utf-16"))
    assert "dev.yaml:1: byte 0xff is not UTF-8" in refusal("dev", tmp_path)


def test_the_shipped_files_are_the_starter_files_byte_for_byte() -> None:
    shipped = {each.name: each.read_bytes() for each in SHIPPED.iterdir()}
    assert {name: text.encode("utf-8") for name, text in starter_files().items()} == shipped
    assert set(shipped) == {"local.yaml", "dev.yaml", "prod.yaml", "schema.json"}


def test_the_starter_files_load_where_init_would_write_them(tmp_path: Path) -> None:
    for name, text in starter_files().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert environments(tmp_path) == ["dev", "local", "prod"]
    local, dev, prod = (load(name, tmp_path) for name in ("local", "dev", "prod"))
    assert (local.target, dev.target, prod.target) == ("local", "aws", "aws")
    assert (prod.api.stage, prod.protect, dev.protect) == ("prod", True, False)
    assert prod.tables.deletion_protection and prod.tables.point_in_time_recovery


def test_the_examples_in_the_starter_files_work_when_their_comment_sign_is_removed(loaded: Loaded) -> None:
    def uncommented(name: str) -> Environment:
        return loaded(re.sub(r"(?m)^( *)# (?= *[a-z_]+:)", r"\1", starter_files()[name]))

    dev, prod = uncommented("dev.yaml"), uncommented("prod.yaml")
    assert (dev.account, dev.region) == (prod.account, prod.region) == ("123456789012", "us-east-1")
    assert dev.functions.processor.reserved_concurrency is None
    assert prod.alerts.emails == ("ops@example.com",)


def test_loading_needs_no_aws_and_no_terminal_library() -> None:
    program = (
        "import sys, pathlib, iotpipe.configuration as c; c.load('local', pathlib.Path('nowhere')); "
        "print(sorted({'boto3', 'botocore', 'click', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
