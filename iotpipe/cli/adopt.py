"""The addresses that `--adopt` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iotpipe.cli import options

if TYPE_CHECKING:
    from iotpipe.provision.adoption import Adoption
    from iotpipe.provision.resource import Resource


def adoption_of(said: tuple[str, ...], resources: Sequence[Resource]) -> Adoption:
    """The adoption that `--adopt` requests. Raises UsageError for an address that is not declared."""
    from iotpipe.provision.adoption import adoption

    return adoption(options.ALL in said, [each for each in said if each != options.ALL], resources)
