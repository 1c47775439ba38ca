"""What others added to a Lambda function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from iotpipe.provision.foreign.event_source_mapping import mappings, sources
from iotpipe.provision.foreign.finding import ALTERS, HIDES, OPENS, STOPS, Check, Foreign, Seen
from iotpipe.provision.foreign.lambda_calls import Answer, pages, removing, unless_gone
from iotpipe.provision.foreign.statements import actions, condition, is_public, who
from iotpipe.provision.resource import Properties
from iotpipe.provision.resources.function import Function
from iotpipe.provision.resources.function_policy import policy_statements, statements
from iotpipe.provision.resources.permission import Permission
from iotpipe.provision.run import Run


def urls(run: Run, function: Function) -> list[Answer]:
    """The function's URLs, also those of its aliases."""
    return pages(run, "list_function_url_configs", "FunctionUrlConfigs", FunctionName=function.name)


def policy(run: Run, function: Function) -> dict[str, Properties]:
    """The statements of the function's resource policy, which the permissions are read from as well."""
    return statements(run, function)


def versions(run: Run, function: Function) -> list[Answer]:
    """The function's published versions, each with the `Statements` of its own policy."""
    found = pages(run, "list_versions_by_function", "Versions", FunctionName=function.name)
    return [_with_policy(run, function, each, each["Version"]) for each in found if each["Version"] != "$LATEST"]


def aliases(run: Run, function: Function) -> list[Answer]:
    """The function's aliases, each with the `Statements` of its own policy."""
    found = pages(run, "list_aliases", "Aliases", FunctionName=function.name)
    return [_with_policy(run, function, each, each["Name"]) for each in found]


def _with_policy(run: Run, function: Function, found: Answer, qualifier: str) -> Answer:
    # Versions and aliases have policies of their own: the policy of the function does not apply to them.
    return {**found, "Statements": policy_statements(run, function.name, Qualifier=qualifier)}


def _of_function(seen: Seen) -> Iterator[Foreign]:
    yield from _callers(seen)
    yield from _url_findings(seen)
    yield from _settings(seen)
    yield from _code_key(seen)
    yield from _version_findings(seen)
    yield from sources(seen)


def _callers(seen: Seen) -> Iterator[Foreign]:
    """Who may call the function without having been declared; what `up` will delete is not foreign."""
    function: Function = seen.resource
    declared = {each.name for each in seen.run.resources if isinstance(each, Permission) and each.function is function}
    own = {
        sid: statement
        for sid, statement in seen.read(policy).items()
        if sid not in declared and f"{Permission.kind}/{sid}" not in seen.run.ledger
    }
    yield from _callers_of(seen, own)
    for each in seen.read(versions):
        yield from _callers_of(seen, each["Statements"], each["Version"])
    for each in seen.read(aliases):
        yield from _callers_of(seen, each["Statements"], each["Name"])


def _callers_of(seen: Seen, allowed: Mapping[str, Properties], qualifier: str = "") -> Iterator[Foreign]:
    """One finding per statement of the policy of the function, or of one version or alias."""
    of = f" of {qualifier}" if qualifier else ""
    which = _qualified(seen.resource.name, qualifier)
    for sid, statement in allowed.items():
        found = (
            f"{who(statement)} can call {':'.join(which.values())}: the statement {sid} of its policy allows "
            f"{actions(statement)}{condition(statement)}"
        )
        remove = removing(seen.run, "remove_permission", StatementId=sid, **which)
        yield seen.foreign(f"statement {sid}{of}", OPENS, found, remove)


def _qualified(name: str, qualifier: str) -> dict[str, str]:
    return {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})


def _url_findings(seen: Seen) -> Iterator[Foreign]:
    run, name = seen.run, seen.resource.name
    policies = {"": seen.read(policy)} | {each["Name"]: each["Statements"] for each in seen.read(aliases)}
    for each in seen.read(urls):
        url, qualifier = each["FunctionUrl"], each["FunctionArn"].partition(f":function:{name}")[2].lstrip(":")
        if each["AuthType"] == "NONE":
            admitted = any(is_public(statement) for statement in policies.get(qualifier, {}).values())
            risk, found = OPENS, f"anybody on the internet can call {name} through its function URL {url}"
            found += "" if admitted else ", as soon as its policy admits them"
        else:
            risk = ALTERS
            found = f"whom IAM lets can call {name} past the API, through its function URL {url}"
        subject = "function URL" + (f" of {qualifier}" if qualifier else "")
        remove = removing(run, "delete_function_url_config", **_qualified(name, qualifier))
        yield seen.foreign(subject, risk, found, remove)


@dataclass(frozen=True)
class _Setting:
    """One setting of a function: `tell` says what it does to the function, or nothing where it is as `up` makes it;
    `undo` is what UpdateFunctionConfiguration takes to put it back. It is foreign unless the function declares the
    property `declared`."""

    subject: str
    risk: str
    tell: Callable[[Function, Answer], str]
    undo: Callable[[Function], Properties]
    declared: str = ""


def _vpc(function: Function, found: Answer) -> str:
    vpc = (found.get("VpcConfig") or {}).get("VpcId") or ""
    return (
        f"{function.name} runs in {vpc}: it reaches tables, queues, parameters and the topic only as far as that "
        "network leads to AWS"
        if vpc or (found.get("VpcConfig") or {}).get("SubnetIds")
        else ""
    )


def _file_systems(function: Function, found: Answer) -> str:
    places = [f"{each['Arn']} at {each['LocalMountPath']}" for each in found.get("FileSystemConfigs") or []]
    return f"{function.name} does not start where it cannot mount {', '.join(places)}" if places else ""


def _key(function: Function, found: Answer) -> str:
    key = found.get("KMSKeyArn")
    return f"{function.name} does not start where it may not decrypt its environment with {key}" if key else ""


def _log_group(function: Function, found: Answer) -> str:
    group = (found.get("LoggingConfig") or {}).get("LogGroup", function.log_group.name)
    told = f"{function.name} logs into {group}: `iotpipe logs` shows nothing of it"
    return told if group != function.log_group.name else ""


def _log_level(function: Function, found: Answer) -> str:
    logging = found.get("LoggingConfig") or {}
    levels = {logging.get(each, "INFO") for each in ("ApplicationLogLevel", "SystemLogLevel")}
    high = ", ".join(sorted(levels - {"TRACE", "DEBUG", "INFO"}))
    return f"{function.name} logs nothing below {high}" if high else ""


def _log_format(function: Function, found: Answer) -> str:
    if _log_level(function, found) or (found.get("LoggingConfig") or {}).get("LogFormat", "Text") == "Text":
        return ""
    return f"{function.name} logs in the format JSON instead of Text"


def _storage(function: Function, found: Answer) -> str:
    size = (found.get("EphemeralStorage") or {}).get("Size", _STORAGE)
    return f"{function.name} has {size} MB in /tmp instead of {_STORAGE}" if size != _STORAGE else ""


def _snapshots(function: Function, found: Answer) -> str:
    apply = (found.get("SnapStart") or {}).get("ApplyOn", "None")
    return f"versions of {function.name} start from snapshots (SnapStart on {apply})" if apply != "None" else ""


_STORAGE = 512
"""MB in /tmp by default."""


def _as_made(function: Function) -> Properties:
    return {"LoggingConfig": {"LogFormat": "Text", "LogGroup": function.log_group.name}}


_SETTINGS = (
    # A file system can only be mounted in a VPC: Lambda lets go of both together.
    _Setting(
        "VPC",
        STOPS,
        _vpc,
        lambda function: {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}, "FileSystemConfigs": []},
    ),
    _Setting("file system", STOPS, _file_systems, lambda function: {"FileSystemConfigs": []}),
    _Setting("key of the environment", STOPS, _key, lambda function: {"KMSKeyArn": ""}, "KMSKeyArn"),
    _Setting("log group", HIDES, _log_group, _as_made),
    _Setting("log level", HIDES, _log_level, _as_made),
    _Setting("log format", ALTERS, _log_format, _as_made),
    _Setting("storage", ALTERS, _storage, lambda function: {"EphemeralStorage": {"Size": _STORAGE}}),
    _Setting("SnapStart", ALTERS, _snapshots, lambda function: {"SnapStart": {"ApplyOn": "None"}}),
)


def _settings(seen: Seen) -> Iterator[Foreign]:
    declared = seen.resource.desired(seen.run)
    for setting in _SETTINGS:
        if setting.declared not in declared and (found := setting.tell(seen.resource, seen.observed)):
            yield seen.foreign(setting.subject, setting.risk, found, _configuring(seen, setting))


def _configuring(seen: Seen, setting: _Setting) -> Callable[[], None]:
    run, function = seen.run, seen.resource

    def remove() -> None:
        with run.exclusive(function.address):
            settings = setting.undo(function)
            if unless_gone(run, "update_function_configuration", FunctionName=function.name, **settings):
                function.wait_until_updated(run)

    return remove


def _code_key(seen: Seen) -> Iterator[Foreign]:
    run, function = seen.run, seen.resource
    if key := seen.observed.get("SourceKMSKeyArn"):
        found = f"{function.name} does not start where Lambda may not decrypt its code with {key}"
        yield seen.foreign("key of the code", STOPS, found, _uploading(run, function))


def _uploading(run: Run, function: Function) -> Callable[[], None]:
    def remove() -> None:
        with run.exclusive(function.address):
            try:
                function.upload(run)
            except run.client("lambda").exceptions.ResourceNotFoundException:
                return

    return remove


def _version_findings(seen: Seen) -> Iterator[Foreign]:
    run, name = seen.run, seen.resource.name
    for each in seen.read(versions):
        number = each["Version"]
        found = f"version {number} of {name} can still be called, with the code and settings it was published with"
        yield seen.foreign(f"version {number}", ALTERS, found, _dropping_version(run, name, number))
    for each in seen.read(aliases):
        found = f"the alias {each['Name']} of {name} can be called, and leads to {each['FunctionVersion']}"
        remove = removing(run, "delete_alias", FunctionName=name, Name=each["Name"])
        yield seen.foreign(f"alias {each['Name']}", ALTERS, found, remove)


def _dropping_version(run: Run, name: str, number: str) -> Callable[[], None]:
    def remove() -> None:
        # Lambda keeps a version that an alias leads to, be it with a part of the calls.
        for alias in pages(run, "list_aliases", "Aliases", FunctionName=name):
            parts = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
            if number in (alias["FunctionVersion"], *parts):
                run.client("lambda").delete_alias(FunctionName=name, Name=alias["Name"])
        unless_gone(run, "delete_function", FunctionName=name, Qualifier=number)

    return remove


CHECK = Check(_of_function, (policy, urls, versions, aliases, mappings))
