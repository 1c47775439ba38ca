"""The rights that the kinds of API Gateway share.

API Gateway's actions are the verbs of HTTP, its resources the paths. An API's id is only known once the API exists,
but everything inside an API inherits its tags where access is concerned:
https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
"""

from __future__ import annotations

from iotpipe.provision.rights import Right

GATEWAY = "arn:{partition}:apigateway:{region}::"
APIS, IN_APIS = f"{GATEWAY}/restapis", f"{GATEWAY}/restapis/*"
READ_APIS = Right("ReadApis", "apigateway", (APIS, IN_APIS), plan="GET")
