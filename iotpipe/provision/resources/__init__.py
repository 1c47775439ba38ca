"""The kinds of resources, one file per AWS service. Importing this package registers them all."""

from iotpipe.provision.resources.apigateway import Account, RestApi, Route, Stage
from iotpipe.provision.resources.awslambda import EventSourceMapping, Function, Layer, Permission
from iotpipe.provision.resources.cloudwatch import Alarm, Dashboard, Metric
from iotpipe.provision.resources.dynamodb import Table
from iotpipe.provision.resources.iam import Allow, Role
from iotpipe.provision.resources.logs import LogGroup
from iotpipe.provision.resources.sns import Subscription, Topic
from iotpipe.provision.resources.sqs import Queue
from iotpipe.provision.resources.ssm import Parameter, Secret

SERVICES = ("apigateway", "lambda", "iam", "logs", "sqs", "dynamodb", "ssm", "sns", "cloudwatch")
"""The services that the kinds belong to, those first for whose answers most else waits."""

__all__ = [
    "SERVICES",
    "Account",
    "Alarm",
    "Allow",
    "Dashboard",
    "EventSourceMapping",
    "Function",
    "Layer",
    "LogGroup",
    "Metric",
    "Parameter",
    "Permission",
    "Queue",
    "RestApi",
    "Role",
    "Route",
    "Secret",
    "Stage",
    "Subscription",
    "Table",
    "Topic",
]
