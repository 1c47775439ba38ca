"""`python -m iotpipe` is `iotpipe`."""

from iotpipe.cli import main

main()
