"""Print what `iotpipe down` will delete, and what it has deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iotpipe.provision.aws import Aws
from iotpipe.provision.teardown import TakenDown, Teardown
from iotpipe.render import console, output


def show_teardown(name: str, aws: Aws, looked: Teardown, delete_data: bool, devices: int) -> None:
    """Print what `down` will do, also to the enrolled devices."""
    out = console.stderr()
    out.line((name, "bold"), f" in account {aws.account}, {aws.region}")
    tables = ", including the tables and all their data" if delete_data else ""
    out.line(f"  {len(looked.to_delete)} resources will be deleted{tables}")
    if devices:
        out.line(("  - remove ", "red"), "1 enrolled device" if devices == 1 else f"{devices} enrolled devices")
    for address in sorted(looked.found.keys() & looked.to_delete.keys()):
        out.line(("  - delete ", "red"), address, ("  (not recorded, but has its tags)", "dim"))
    for address in looked.kept:
        out.line(("  = keep   ", "cyan"), address)
    for line in _left_alone(looked.others):
        out.line(("  = leave  ", "cyan"), line)
    for reason in looked.unread:
        out.line(("  ? not read ", "cyan"), reason)


def show_lost(lost: Sequence[str]) -> None:
    """Print the data that is lost with the resources."""
    for line in lost:
        console.stderr().line(("  ! lost   ", "red"), line)


def show_taken_down(name: str, done: TakenDown, devices: Sequence[str], as_json: bool) -> None:
    """Print what `down` deleted, found already deleted, and kept. `devices` are those that it removed."""
    if as_json:
        output.answer(
            {
                "environment": name,
                "deleted": sorted(done.deleted),
                "gone": sorted(done.gone),
                "kept": sorted(done.kept),
                "left": dict(done.others),
                "removed_devices": list(devices),
            }
        )
        return
    out = console.stdout()
    out.line(
        f"{name} is down: {len(done.deleted)} resources deleted." if done.deleted else f"{name}: nothing to take down."
    )
    if devices:
        out.line(f"Devices removed: {len(devices)}.")
    if done.gone:
        out.line(f"Already deleted outside iotpipe:  {', '.join(done.gone)}.")
    tables = [address for address in done.kept if address.startswith("table/")]
    if tables:
        more = f"`iotpipe down --env {name} --delete-data` deletes them too."
        out.line(f"Kept with their data: {', '.join(tables)}. {more}")
    if shared := [address for address in done.kept if address not in tables]:
        out.line(f"Left in place for the whole account: {', '.join(shared)}.")
    for line in _left_alone(done.others):
        out.line(f"Left alone: {line}.")


def _left_alone(others: Mapping[str, str]) -> list[str]:
    """One line per reason why resources are not deleted."""
    by_reason: dict[str, list[str]] = {}
    for address, why in others.items():
        by_reason.setdefault(why, []).append(address)
    return [f"{', '.join(found)} (each {why})" for why, found in by_reason.items()]
