"""What is in a built layer, and that it runs: alone, with a handler's zip, against a server."""

from __future__ import annotations

import hashlib
import json
import marshal
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

import iotpipe.handlers
from iotpipe.packaging import Layer, handler_zip, unzipped_size, wheels
from iotpipe.packaging.lambda_target import Target, refuse_foreign_objects
from iotpipe.packaging.layers import MODULES
from tests.support.layer_samples import unpacked

pytestmark = pytest.mark.build

HANDLERS = Path(iotpipe.handlers.__file__).parent

AARCH64 = 183


@pytest.fixture(scope="session")
def on_disk(running_layer: Layer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The running interpreter's layer and the three handlers, each in the directory that Lambda gives it."""
    root = tmp_path_factory.mktemp("lambda")
    unzip(running_layer.content(), root / "opt")
    for name in ("ingestion", "processor", "query"):
        unzip(handler_zip(name).content, root / name)
    return root


def unzip(content: bytes, directory: Path) -> None:
    for path, each in unpacked(content).items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(each)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def run(program: str, *path: Path, **settings: str) -> dict[str, object]:
    """What `program` prints in a Python that sees its standard library and `path`, nothing else."""
    start = f"import sys\nsys.path[:0] = {[str(each) for each in path]!r}\n"
    aws = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-W", "error", "-c", start + program],
        env=aws | settings,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


USE_EVERY_SERVICE = """
import json, os
import botocore.session, botocore.config
from aws_xray_sdk.core import patch, xray_recorder

xray_recorder.configure(context_missing="IGNORE_ERROR")
patch(("botocore",))
session = botocore.session.get_session()
def client(name):
    return session.create_client(name, "eu-west-1", endpoint_url=os.environ["ENDPOINT"])

table = client("dynamodb")
table.create_table(
    TableName="rows", BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
    KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
)
table.get_waiter("table_exists").wait(TableName="rows")
with xray_recorder.in_segment("test") as segment:
    table.put_item(TableName="rows", Item={"key": {"S": "a"}, "number": {"N": "25.5"}})
try:
    table.get_item(TableName="no-such-table", Key={"key": {"S": "a"}})
except table.exceptions.ResourceNotFoundException as error:
    missing = error.response["Error"]["Code"]
queue = client("sqs").create_queue(QueueName="queue")["QueueUrl"]
client("sqs").send_message(QueueUrl=queue, MessageBody="body")
topic = client("sns").create_topic(Name="topic")["TopicArn"]
client("iot-data").publish(topic="a/b", qos=1, payload=b"{}")
client("ssm").put_parameter(Name="/a/b", Value="value", Type="SecureString")
print(json.dumps({
    "row": [*table.get_paginator("scan").paginate(TableName="rows")][0]["Items"][0]["number"],
    "missing": missing,
    "traced": [each.name for each in segment.subsegments],
    "message": client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"],
    "published": bool(client("sns").publish(TopicArn=topic, Message="text")["MessageId"]),
    "parameter": client("ssm").get_parameter(Name="/a/b", WithDecryption=True)["Parameter"]["Value"],
    "compiled wrapt": sys.modules.get("wrapt._wrappers") is not None,
    "foreign": [name for name, module in sys.modules.items() if "site-packages" in str(module)],
}))
"""


def test_alone_on_the_path_it_talks_to_every_service_that_the_handlers_use(on_disk: Path, endpoint: str) -> None:
    assert run(USE_EVERY_SERVICE, on_disk / "opt/python", ENDPOINT=endpoint) == {
        "row": {"N": "25.5"},
        "missing": "ResourceNotFoundException",
        "traced": ["dynamodb"],
        "message": "body",
        "published": True,
        "parameter": "value",
        "compiled wrapt": True,
        "foreign": [],
    }


ENDPOINTS = """
import json, botocore.session
session = botocore.session.get_session()
print(json.dumps({
    f"{service} {region}": session.create_client(service, region).meta.endpoint_url
    for service in ("dynamodb", "iot-data", "sns", "sqs", "ssm")
    for region in ("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-somewhere-9")
}))
"""


def test_every_region_has_the_endpoints_that_botocore_gives_it(on_disk: Path) -> None:
    import botocore.session

    session = botocore.session.get_session()
    for place, url in run(ENDPOINTS, on_disk / "opt/python").items():
        service, region = place.split()
        client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b")
        assert client.meta.endpoint_url == url


CREDENTIALS = """
import json, botocore.session
session = botocore.session.get_session()
print(json.dumps({"method": session.get_credentials().method, "partitions": session.get_available_partitions()}))
"""


def test_lambdas_credentials_are_found_without_the_models_of_sts_and_sso(on_disk: Path) -> None:
    assert run(CREDENTIALS, on_disk / "opt/python")["method"] == "env"


@pytest.mark.parametrize("name", ["ingestion", "processor", "query"])
def test_with_the_layer_each_handlers_zip_imports_on_lambda(name: str, on_disk: Path) -> None:
    program = f"""
import importlib, json
handler = importlib.import_module("iotpipe.handlers.{name}").lambda_handler
print(json.dumps({{"callable": callable(handler), "traced": "aws_xray_sdk.core" in sys.modules}}))
"""
    task = on_disk / name
    answer = run(program, task, on_disk / "opt/python", LAMBDA_TASK_ROOT=str(task))
    assert answer == {"callable": True, "traced": True}


def test_the_layer_has_a_model_for_each_client_that_a_handler_makes(running_layer: Layer) -> None:
    sources = "".join(file.read_text() for file in HANDLERS.glob("*.py"))
    used = set(re.findall(r'client\("([a-z0-9-]+)"\)', sources))
    inside = unpacked(running_layer.content())
    models = {path.split("/")[3] for path in inside if path.endswith("/service-2.json")}
    assert used
    assert used | {"xray"} == models  # the X-Ray SDK's own, off Lambda


def test_bytecode_is_used_without_a_look_at_the_source(running_layer: Layer, tmp_path: Path) -> None:
    for path, content in unpacked(running_layer.content()).items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"raise SystemExit('the source was read')" if file.suffix == ".py" else content)
    program = """
import json, botocore.session, aws_xray_sdk.core, dateutil.tz
botocore.session.get_session().create_client("dynamodb", "eu-west-1")
print(json.dumps({"file": botocore.session.__file__}))
"""
    assert run(program, tmp_path / "python")["file"] == str(tmp_path / "python/botocore/session.py")


def test_bytecode_names_the_place_on_lambda(running_layer: Layer) -> None:
    compiled = {p: c for p, c in unpacked(running_layer.content()).items() if p.endswith(".pyc")}
    sources = {p for p in unpacked(running_layer.content()) if p.endswith(".py")}
    assert len(compiled) == len(sources)
    tag = sys.implementation.cache_tag
    session = marshal.loads(compiled[f"python/botocore/__pycache__/session.{tag}.pyc"][16:])
    assert session.co_filename == "/opt/python/botocore/session.py"


def test_built_on_this_machine_the_default_layer_holds_objects_of_arm_only(arm_layer: Layer) -> None:
    objects = {p: c for p, c in unpacked(arm_layer.content()).items() if c.startswith(b"\x7fELF")}
    assert [Path(path).name for path in objects] == ["_wrappers.cpython-313-aarch64-linux-gnu.so"]
    assert {int.from_bytes(content[18:20], "little") for content in objects.values()} == {AARCH64}


def test_the_layer_is_a_third_of_the_originals_even_with_its_bytecode(arm_layer: Layer) -> None:
    assert unzipped_size(arm_layer.content()) < 21_000_000 / 2.5
    assert len(arm_layer.content()) < 3_000_000


def test_the_layer_holds_what_runs_and_nothing_else(arm_layer: Layer) -> None:
    paths = [path for path in unpacked(arm_layer.content()) if not path.endswith((".py", ".pyc"))]
    assert {path.split("/")[1] for path in paths} == {"aws_xray_sdk", "botocore", "dateutil", "wrapt"}
    unwanted = re.compile(r"dist-info|\.data/|/tests?/|/examples|\.pyi$|\.c$|\.json\.gz$|__pycache__/.*\.py$")
    assert [path for path in unpacked(arm_layer.content()) if unwanted.search(path)] == []


def test_the_modules_that_a_handler_may_import_are_those_of_the_layer(arm_layer: Layer) -> None:
    modules = {path.split("/")[1].removesuffix(".py") for path in unpacked(arm_layer.content())}
    assert modules - {"__pycache__"} == MODULES


def test_who_changes_what_the_layer_holds_gives_it_another_identity(arm_layer: Layer) -> None:
    files = {p: c for p, c in unpacked(arm_layer.content()).items() if not p.endswith(".pyc")}
    digest = hashlib.sha256()
    for path, content in sorted(files.items()):
        digest.update(f"{path} {hashlib.sha256(content).hexdigest()}\n".encode())
    # After a change to pins or trimming, raise RULES_VERSION if the pins are the same, and write down both.
    assert (arm_layer.identity, digest.hexdigest()[:16]) == ("bab907426f5ed1cf", "f292bcb5a60c7971")


@pytest.mark.sampled(2)
@pytest.mark.parametrize("architecture", ["arm64", "x86_64"])
@pytest.mark.parametrize("runtime", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_every_target_has_its_compiled_wheel(
    runtime: str, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = [pin for pin in wheels.pins() if pin.count("--hash") > 1]
    (tmp_path / "requirements.txt").write_text("\n".join(compiled))
    monkeypatch.setattr(wheels, "REQUIREMENTS", tmp_path / "requirements.txt")
    target = Target(runtime, architecture)
    (files,) = (unpacked(wheel) for wheel in wheels.fetch(target))
    refuse_foreign_objects(files, target)
    tag = runtime.replace("python", "cpython-").replace(".", "")
    assert f"wrapt/_wrappers.{tag}-{target.machine}-linux-gnu.so" in files


def test_the_handlers_are_tested_with_the_versions_that_the_layer_brings() -> None:
    pinned = dict(pin.split()[0].split("==") for pin in wheels.pins())
    assert pinned == {name: version(name) for name in pinned}
