"""The kinds of resources. Importing this package registers every kind.

Each kind is one file, named like the kind in an address: `rest-api/iot-api-dev` is a `RestApi` of rest_api.py. Each
module of this folder is imported here, and a class with a `kind` registers itself in `Resource.kinds`: a new file is
all that a new kind needs. The other modules hold what several kinds share.
"""

import importlib
import pkgutil

from iotpipe.provision.resource import Resource

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

_FIRST = ("apigateway", "lambda", "iam", "logs")
_LAST = ("iot",)
_services = {kind.aws_service for kind in Resource.kinds.values() if kind.aws_service}

SERVICES = (*_FIRST, *sorted(_services.difference(_FIRST, _LAST)), *_LAST)
"""The services that the kinds belong to, by boto3's names. The first ones answer what most other calls wait for, and
only environments with devices call the last one."""
