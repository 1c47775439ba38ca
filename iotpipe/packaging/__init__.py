"""Build the zips for Lambda: one per handler, and a layer with the dependencies of all handlers."""

from iotpipe.packaging.archive import UNZIPPED_LIMIT, ZIPPED_LIMIT, Archive, check_sizes, unzipped_size
from iotpipe.packaging.handlers import handler_zip
from iotpipe.packaging.layers import Layer, layer

__all__ = [
    "UNZIPPED_LIMIT",
    "ZIPPED_LIMIT",
    "Archive",
    "Layer",
    "check_sizes",
    "handler_zip",
    "layer",
    "unzipped_size",
]
