"""`iotpipe policy`: prints the IAM policy for the users of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iotpipe.cli import options
from iotpipe.cli.options import Settings
from iotpipe.errors import CredentialsError, UsageError
from iotpipe.names import recorded_suffix
from iotpipe.provision.rights import DEVICES, GROUPS
from iotpipe.render import output

if TYPE_CHECKING:
    from iotpipe.policy import Environment, Policy
    from iotpipe.target import Target


@click.command(epilog="Example:  iotpipe policy --env prod --for operate > policy.json")
@options.on_aws
@click.option(
    "--for",
    "groups",
    type=click.Choice(GROUPS),
    multiple=True,
    help="Only for these commands; `plan` is in each but `view` and `devices`. Repeatable.  [default: all]",
)
@click.option("--part", type=click.IntRange(1), metavar="N", help="Only the Nth part that fits a managed policy.")
@options.as_json
def policy(settings: Settings, groups: tuple[str, ...], part: int | None, as_json: bool) -> None:
    """Print the IAM policy that running iotpipe needs.

    For this environment only. plan: reading, also for `status` and `doctor`. up and down. operate:
    send-test-data, query, logs, dlq. view: `view` and `status --watch`. devices: `device`. Both are without the rights
    of plan. AWS is only called if neither the configuration nor the state file names the account and region.
    """
    from iotpipe.policy import document, parts

    subject = _subject(settings)
    whole = document(subject, groups or GROUPS)
    found = parts(whole)
    if part and part > len(found):
        raise UsageError(f"there is no part {part} of {len(found)}", "Leave --part out to see the whole policy")
    output.answer(found[part - 1] if part else whole)
    if not part:
        _explain(settings.environment, groups, whole, found)
        if not subject.api_ids and set(groups) != {DEVICES}:
            output.note(
                "The API has no id yet: this policy reaches the tags and logs of every REST API of the region, and by "
                "its tags the API; it lets nobody call one. Print it again after the first `up`"
            )


def _subject(settings: Settings) -> Environment:
    """The environment as declared and as recorded: `up` deletes resources that are only recorded."""
    from iotpipe.cli.session import options_of, packaged
    from iotpipe.pipeline import pipeline
    from iotpipe.policy import Environment
    from iotpipe.provision import ledger
    from iotpipe.target import resolve

    target = resolve(options_of(settings))
    env, contents, name = target.env, target.contents, settings.environment
    assert env is not None
    account, region = _account_and_region(target)
    rows = contents.rows if contents else {}
    if contents:
        ledger.check_binding(contents, target.options.state_file, name, account, region)
    return Environment(
        name,
        account,
        region,
        pipeline(env, packaged(env), region),
        rows,
        boundary=env.functions.permissions_boundary,
        asks_for_key=env.api.require_api_key,
        kms_keys=env.usable_kms_keys,
        web_acl=env.api.web_acl,
        suffixes=list(dict.fromkeys(filter(None, (env.suffix, recorded_suffix(rows.values()))))),
    )


def _account_and_region(target: Target) -> tuple[str, str]:
    """The account and region; AWS is only called if the configuration and the state file do not name them."""
    from iotpipe.provision.aws import connect

    account, region = target.account, target.region
    if account and region:
        return account, region
    try:
        aws = connect(target.options.profile, region, account, target.emulator() if target.is_local else None)
    except CredentialsError as error:
        hint = f"Set `account` and `region` in {target.options.name}.yaml, and AWS need not be asked"
        raise CredentialsError(error.message, hint) from error
    return aws.account, aws.region


def _explain(name: str, groups: tuple[str, ...], whole: Policy, found: list[Policy]) -> None:
    """Print the policy's size against IAM's limits, and how to create policies from it."""
    from iotpipe.policy import INLINE, MANAGED, size

    command = f"iotpipe policy --env {name}" + "".join(f" --for {each}" for each in groups)
    made = f"aws iam create-policy --policy-name {'-'.join(('iotpipe', name, *groups))}"
    said = f"{size(whole):,} characters of {MANAGED:,} that a managed policy may have"
    if len(found) == 1:
        output.note(f"{said}. To make it one:")
        output.note(f"  {command} > policy.json")
        output.note(f"  {made} --policy-document file://policy.json")
        return
    inline = "it fits" if size(whole) <= INLINE else "it does not fit either"
    output.note(f"{said}, so that it takes {len(found)}; {inline} inline in a role ({INLINE:,}). To make them:")
    output.note(f"  for n in {' '.join(str(n) for n in range(1, len(found) + 1))}; do")
    output.note(f"    {command} --part $n > policy-$n.json")
    output.note(f"    {made}-$n --policy-document file://policy-$n.json")
    output.note("  done")
