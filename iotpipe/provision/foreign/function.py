"""What others added to a Lambda function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from iotpipe.provision.foreign.event_source_mapping import mappings, other_sources
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, STOPS, Check, CheckedResource, Foreign
from iotpipe.provision.foreign.lambda_calls import Response, call_if_exists, list_all, removal
from iotpipe.provision.foreign.statements import actions, condition, is_public, principal_names
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.function_policy import policy_statements, statements
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.run import Run


def urls(run: Run, function: Function) -> list[Response]:
    """Return the function's URLs, also those of its aliases."""
    return list_all(run, "list_function_url_configs", "FunctionUrlConfigs", FunctionName=function.name)


def policy(run: Run, function: Function) -> dict[str, Properties]:
    """Return the statements of the function's resource policy. The reads of the permissions share them."""
    return statements(run, function)


def versions(run: Run, function: Function) -> list[Response]:
    """Return the function's published versions, each with the `Statements` of its own policy."""
    listed = list_all(run, "list_versions_by_function", "Versions", FunctionName=function.name)
    return [_with_policy(run, function, each, each["Version"]) for each in listed if each["Version"] != "$LATEST"]


def aliases(run: Run, function: Function) -> list[Response]:
    """Return the function's aliases, each with the `Statements` of its own policy."""
    listed = list_all(run, "list_aliases", "Aliases", FunctionName=function.name)
    return [_with_policy(run, function, each, each["Name"]) for each in listed]


def _with_policy(run: Run, function: Function, live: Response, qualifier: str) -> Response:
    # The policies of the function, of each version and of each alias are independent.
    return {**live, "Statements": policy_statements(run, function.name, Qualifier=qualifier)}


def _check(checked: CheckedResource) -> Iterator[Foreign]:
    yield from _callers(checked)
    yield from _url_findings(checked)
    yield from _settings(checked)
    yield from _code_key(checked)
    yield from _version_findings(checked)
    yield from other_sources(checked)


def _callers(checked: CheckedResource) -> Iterator[Foreign]:
    """Yield undeclared permissions to call the function. Recorded ones, which `up` will delete, are not foreign."""
    function: Function = checked.resource
    declared = {
        each.name for each in checked.run.resources if isinstance(each, Permission) and each.function is function
    }
    own = {
        sid: statement
        for sid, statement in checked.read(policy).items()
        if sid not in declared and f"{Permission.kind}/{sid}" not in checked.run.ledger
    }
    yield from _callers_of(checked, own)
    for each in checked.read(versions):
        yield from _callers_of(checked, each["Statements"], each["Version"])
    for each in checked.read(aliases):
        yield from _callers_of(checked, each["Statements"], each["Name"])


def _callers_of(checked: CheckedResource, allowed: Mapping[str, Properties], qualifier: str = "") -> Iterator[Foreign]:
    """Yield one finding per statement of the policy of the function, or of one version or alias."""
    of = f" of {qualifier}" if qualifier else ""
    which = _qualified(checked.resource.name, qualifier)
    for sid, statement in allowed.items():
        text = (
            f"{principal_names(statement)} can call {':'.join(which.values())}: "
            f"the statement {sid} of its policy allows {actions(statement)}{condition(statement)}"
        )
        remove = removal(checked.run, "remove_permission", StatementId=sid, **which)
        yield checked.finding(f"statement {sid}{of}", OPENS, text, remove)


def _qualified(name: str, qualifier: str) -> dict[str, str]:
    return {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})


def _url_findings(checked: CheckedResource) -> Iterator[Foreign]:
    run, name = checked.run, checked.resource.name
    policies = {"": checked.read(policy)} | {each["Name"]: each["Statements"] for each in checked.read(aliases)}
    for each in checked.read(urls):
        url, qualifier = each["FunctionUrl"], each["FunctionArn"].partition(f":function:{name}")[2].lstrip(":")
        if each["AuthType"] == "NONE":
            admitted = any(is_public(statement) for statement in policies.get(qualifier, {}).values())
            risk, text = OPENS, f"anybody on the internet can call {name} through its function URL {url}"
            text += "" if admitted else ", as soon as its policy admits them"
        else:
            risk = ALTERS
            text = f"callers that IAM allows can call {name} directly, past the API, through its function URL {url}"
        subject = "function URL" + (f" of {qualifier}" if qualifier else "")
        remove = removal(run, "delete_function_url_config", **_qualified(name, qualifier))
        yield checked.finding(subject, risk, text, remove)


@dataclass(frozen=True)
class _Setting:
    """A setting of a function: `describe` returns its effect, empty if it is as `up` makes it.

    `undo` returns the parameters of UpdateFunctionConfiguration that reset it. It is foreign unless the function
    declares the property `declared`.
    """

    subject: str
    risk: str
    describe: Callable[[Function, Response], str]
    undo: Callable[[Function], Properties]
    declared: str = ""


def _vpc(function: Function, live: Response) -> str:
    vpc = (live.get("VpcConfig") or {}).get("VpcId") or ""
    return (
        f"{function.name} runs in {vpc}: it reaches tables, queues, parameters and the topic only as far as that "
        "network leads to AWS"
        if vpc or (live.get("VpcConfig") or {}).get("SubnetIds")
        else ""
    )


def _file_systems(function: Function, live: Response) -> str:
    places = [f"{each['Arn']} at {each['LocalMountPath']}" for each in live.get("FileSystemConfigs") or []]
    return f"{function.name} does not start where it cannot mount {', '.join(places)}" if places else ""


def _key(function: Function, live: Response) -> str:
    key = live.get("KMSKeyArn")
    return f"{function.name} does not start where it may not decrypt its environment with {key}" if key else ""


def _log_group(function: Function, live: Response) -> str:
    group = (live.get("LoggingConfig") or {}).get("LogGroup", function.log_group.name)
    text = f"{function.name} logs into {group}: `iotpipe logs` shows nothing of it"
    return text if group != function.log_group.name else ""


def _log_level(function: Function, live: Response) -> str:
    logging = live.get("LoggingConfig") or {}
    levels = {logging.get(each, "INFO") for each in ("ApplicationLogLevel", "SystemLogLevel")}
    high = ", ".join(sorted(levels - {"TRACE", "DEBUG", "INFO"}))
    return f"{function.name} logs nothing below {high}" if high else ""


def _log_format(function: Function, live: Response) -> str:
    if _log_level(function, live) or (live.get("LoggingConfig") or {}).get("LogFormat", "Text") == "Text":
        return ""
    return f"{function.name} logs in the format JSON instead of Text"


def _storage(function: Function, live: Response) -> str:
    size = (live.get("EphemeralStorage") or {}).get("Size", _STORAGE)
    return f"{function.name} has {size} MB in /tmp instead of {_STORAGE}" if size != _STORAGE else ""


def _snapshots(function: Function, live: Response) -> str:
    apply = (live.get("SnapStart") or {}).get("ApplyOn", "None")
    return f"versions of {function.name} start from snapshots (SnapStart on {apply})" if apply != "None" else ""


_STORAGE = 512
"""Lambda's default size of /tmp, in MB."""


def _default_logging(function: Function) -> Properties:
    return {"LoggingConfig": {"LogFormat": "Text", "LogGroup": function.log_group.name}}


_SETTINGS = (
    # A file system needs a VPC: both must be removed together.
    _Setting(
        "VPC",
        STOPS,
        _vpc,
        lambda function: {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "FileSystemConfigs": []},
    ),
    _Setting("file system", STOPS, _file_systems, lambda function: {"FileSystemConfigs": []}),
    _Setting("key of the environment", STOPS, _key, lambda function: {"KMSKeyArn": ""}, "KMSKeyArn"),
    _Setting("log group", HIDES, _log_group, _default_logging),
    _Setting("log level", HIDES, _log_level, _default_logging),
    _Setting("log format", ALTERS, _log_format, _default_logging),
    _Setting("storage", ALTERS, _storage, lambda function: {"EphemeralStorage": {"Size": _STORAGE}}),
    _Setting("SnapStart", ALTERS, _snapshots, lambda function: {"SnapStart": {"ApplyOn": "None"}}),
)


def _settings(checked: CheckedResource) -> Iterator[Foreign]:
    declared = checked.resource.desired(checked.run)
    for setting in _SETTINGS:
        if setting.declared not in declared and (text := setting.describe(checked.resource, checked.observed)):
            yield checked.finding(setting.subject, setting.risk, text, _reset(checked, setting))


def _reset(checked: CheckedResource, setting: _Setting) -> Callable[[], None]:
    run, function = checked.run, checked.resource

    def remove() -> None:
        with run.exclusive(function.address):
            settings = setting.undo(function)
            if call_if_exists(run, "update_function_configuration", FunctionName=function.name, **settings):
                function.wait_until_updated(run)

    return remove


def _code_key(checked: CheckedResource) -> Iterator[Foreign]:
    run, function = checked.run, checked.resource
    if key := checked.observed.get("SourceKMSKeyArn"):
        text = f"{function.name} does not start where Lambda may not decrypt its code with {key}"
        yield checked.finding("key of the code", STOPS, text, _code_upload(run, function))


def _code_upload(run: Run, function: Function) -> Callable[[], None]:
    def remove() -> None:
        with run.exclusive(function.address):
            try:
                function.upload(run)
            except run.client("lambda").exceptions.ResourceNotFoundException:
                return

    return remove


def _version_findings(checked: CheckedResource) -> Iterator[Foreign]:
    run, name = checked.run, checked.resource.name
    for each in checked.read(versions):
        number = each["Version"]
        text = f"version {number} of {name} can still be called, with the code and settings it was published with"
        yield checked.finding(f"version {number}", ALTERS, text, _version_removal(run, name, number))
    for each in checked.read(aliases):
        text = f"the alias {each['Name']} of {name} can be called, and leads to {each['FunctionVersion']}"
        remove = removal(run, "delete_alias", FunctionName=name, Name=each["Name"])
        yield checked.finding(f"alias {each['Name']}", ALTERS, text, remove)


def _version_removal(run: Run, name: str, number: str) -> Callable[[], None]:
    def remove() -> None:
        # Lambda refuses to delete a version that an alias routes any calls to.
        for alias in list_all(run, "list_aliases", "Aliases", FunctionName=name):
            parts = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            if number in (alias["FunctionVersion"], *parts):
                run.client("lambda").delete_alias(FunctionName=name, Name=alias["Name"])
        call_if_exists(run, "delete_function", FunctionName=name, Qualifier=number)

    return remove


CHECK = Check(_check, (policy, urls, versions, aliases, mappings))
