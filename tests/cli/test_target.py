"""Which AWS a command talks to, by its configuration, the state file and AWS_ENDPOINT_URL."""

from __future__ import annotations

from pathlib import Path

import pytest

from iotpipe.local import engine_directory
from iotpipe.provision.aws import Emulator
from iotpipe.provision.ledger import Contents
from iotpipe.target import Options, Target, resolve

URL = "http://127.0.0.1:4566"


@pytest.fixture
def options(tmp_path: Path) -> Options:
    (tmp_path / "config").mkdir()
    return Options("dev", tmp_path / "config", tmp_path / "state")


def configured(options: Options, text: str) -> Target:
    (options.config_dir / "dev.yaml").write_text(text)
    return resolve(options)


def test_the_users_emulator_takes_the_place_of_the_aws_on_this_machine_and_of_no_other(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", URL)
    local = configured(options, "target: local\n")
    assert local.emulator() == Emulator(URL)
    assert not local.is_embedded
    assert configured(options, "target: aws\n").users_emulator == ""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert configured(options, "target: local\n").is_embedded


@pytest.mark.parametrize(("account", "local"), [(engine_directory.ACCOUNT, True), ("123456789012", False)])
def test_without_a_configuration_the_recorded_account_tells_whether_it_is_this_machines(
    options: Options, account: str, local: bool
) -> None:
    contents = Contents("dev", account, "us-east-1", False, {}, {})
    assert Target(options, None, contents).is_local is local


def test_an_aws_that_does_not_run_is_of_the_configured_region(options: Options) -> None:
    aws = configured(options, "target: local\nregion: eu-west-1\n").unasked()
    assert (aws.region, aws.session.region_name) == ("eu-west-1", "eu-west-1")
