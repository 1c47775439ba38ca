"""CloudWatch dashboards."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from iotpipe.provision.resource import Properties, Recorded, Resource, tag_list
from iotpipe.provision.resources.cloudwatch_calls import not_found, read_tags, retag
from iotpipe.provision.resources.metric import Metric
from iotpipe.provision.rights import Right
from iotpipe.provision.run import Run

DASHBOARDS = "iot-pipeline-"
"""How the names of the dashboards of all environments begin."""


# Dashboards belong to no region.
_ARN = ("arn:{partition}:cloudwatch::{account}:dashboard/{name}",)


@dataclass(frozen=True, eq=False)
class Dashboard(Resource):
    """One dashboard; `widgets` are (title, metrics) in reading order, two to a row."""

    kind: ClassVar[str] = "dashboard"
    aws_service: ClassVar[str] = "cloudwatch"
    global_name: ClassVar[bool] = True
    arn_form: ClassVar[str] = r"cloudwatch:dashboard/(?P<name>.+)"
    rights: ClassVar[tuple[Right, ...]] = (
        Right(
            "Dashboards",
            "cloudwatch",
            _ARN,
            plan="GetDashboard ListTagsForResource",
            up="PutDashboard TagResource UntagResource",
            down="DeleteDashboards",
        ),
        # What was left behind is found among all dashboards.
        Right("Anywhere", "cloudwatch", ("*",), plan="ListDashboards"),
        Right(
            "AllDashboards",
            "cloudwatch",
            ("arn:{partition}:cloudwatch::{account}:dashboard/*",),
            plan="ListTagsForResource",
        ),
    )

    widgets: Sequence[tuple[str, Sequence[Metric]]]

    def desired(self, run: Run) -> Properties:
        widgets = [self._widget(run, number) for number in range(len(self.widgets))]
        return {"DashboardBody": {"widgets": widgets}, "Tags": run.all_tags}

    def read(self, run: Run) -> Properties | None:
        cloudwatch = run.client("cloudwatch")
        try:
            body = cloudwatch.get_dashboard(DashboardName=self.name)["DashboardBody"]
        except not_found(cloudwatch):
            return None
        return {"DashboardBody": json.loads(body), "Tags": read_tags(run, _dashboard_arn(run, self.name))}

    def create(self, run: Run, desired: Properties) -> Properties:
        body = json.dumps(desired["DashboardBody"], sort_keys=True)
        run.client("cloudwatch").put_dashboard(
            DashboardName=self.name, DashboardBody=body, Tags=tag_list(desired["Tags"])
        )
        return {}

    def update(self, run: Run, desired: Properties, observed: Properties) -> Properties:
        cloudwatch = run.client("cloudwatch")
        if desired["DashboardBody"] != observed["DashboardBody"]:
            body = json.dumps(desired["DashboardBody"], sort_keys=True)
            cloudwatch.put_dashboard(DashboardName=self.name, DashboardBody=body)
        retag(run, _dashboard_arn(run, self.name), desired, observed)
        return {}

    @classmethod
    def delete(cls, run: Run, recorded: Recorded) -> None:
        cloudwatch = run.client("cloudwatch")
        try:
            cloudwatch.delete_dashboards(DashboardNames=[recorded.name])
        except not_found(cloudwatch):
            return

    @classmethod
    def tags(cls, run: Run, recorded: Recorded) -> dict[str, str] | None:
        cloudwatch = run.client("cloudwatch")
        try:
            cloudwatch.get_dashboard(DashboardName=recorded.name)
        except not_found(cloudwatch):
            return None
        return read_tags(run, _dashboard_arn(run, recorded.name))

    @classmethod
    def search(cls, run: Run) -> Iterator[Recorded]:
        # Dashboards belong to no region, and the tagging service is asked in one.
        pages = run.client("cloudwatch").get_paginator("list_dashboards").paginate(DashboardNamePrefix=DASHBOARDS)
        for page in pages:
            for each in page["DashboardEntries"]:
                yield Recorded(f"{cls.kind}/{each['DashboardName']}", cls.kind, each["DashboardName"], {})

    def _widget(self, run: Run, number: int) -> dict[str, Any]:
        title, metrics = self.widgets[number]
        place = {"x": number % 2 * 12, "y": number // 2 * 6, "width": 12, "height": 6}
        lines = [
            [
                m.namespace,
                m.name,
                *(text for pair in sorted(m.dimensions.items()) for text in pair),
                {"stat": m.statistic},
            ]
            for m in metrics
        ]
        shown = {
            "title": title,
            "region": run.aws.region,
            "view": "timeSeries",
            "period": 300,
            "metrics": lines,
        }
        return {"type": "metric", **place, "properties": shown}


def _dashboard_arn(run: Run, name: str) -> str:
    # Dashboards belong to no region.
    return f"arn:{run.aws.partition}:cloudwatch::{run.aws.account}:dashboard/{name}"
