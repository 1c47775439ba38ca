"""The target of a layer: a Lambda runtime and an architecture, and their platform tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from iotpipe.errors import PackagingError

# The glibc of the runtime's Amazon Linux, as its minor version: AL2 for python3.11, AL2023 from 3.12 on.
_GLIBC = {"python3.11": 26, "python3.12": 34, "python3.13": 34, "python3.14": 34}

# Lambda's name → the one in wheels, the machine in an ELF header, the oldest glibc that has manylinux wheels.
_MACHINES = {"arm64": ("aarch64", 183, 17), "x86_64": ("x86_64", 62, 5)}

# The manylinux names of wheels before they contained the glibc version.
_OLDER_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True)
class Target:
    """`runtime` and `architecture` in Lambda's words, "python3.13" and "arm64"."""

    runtime: str
    architecture: str

    def __post_init__(self) -> None:
        _refuse_unknown("runtime", self.runtime, _GLIBC)
        _refuse_unknown("architecture", self.architecture, _MACHINES)

    @property
    def python(self) -> str:
        """The version of Python: "3.13"."""
        return self.runtime.removeprefix("python")

    @property
    def abi(self) -> str:
        """Python's binary interface as wheels name it: "cp313"."""
        return "cp" + self.python.replace(".", "")

    @property
    def machine(self) -> str:
        """The architecture as wheels name it: "aarch64"."""
        return _MACHINES[self.architecture][0]

    @property
    def platforms(self) -> Iterator[str]:
        """The platform tags of all wheels that run on the target, newest first."""
        for glibc in range(_GLIBC[self.runtime], _MACHINES[self.architecture][2] - 1, -1):
            yield f"manylinux_2_{glibc}_{self.machine}"
            if glibc in _OLDER_NAMES:
                yield f"{_OLDER_NAMES[glibc]}_{self.machine}"


def _refuse_unknown(what: str, value: str, known: Mapping[str, object]) -> None:
    if value not in known:
        raise PackagingError(f"cannot build a layer for {what} {value}", f"Choose one of {', '.join(sorted(known))}")


def refuse_foreign_objects(files: Mapping[str, bytes], target: Target) -> None:
    """Raise PackagingError if `files` (path → content) contain a shared object that the target cannot load."""
    expected = _MACHINES[target.architecture][1]
    for path, content in sorted(files.items()):
        is_object = content.startswith(b"\x7fELF") or path.endswith((".so", ".dylib", ".pyd"))
        if is_object and _elf_machine(content) != expected:
            raise PackagingError(
                f"cannot build the layer for {target.architecture}: {path} is for another machine",
                "The package index serves a wheel under a wrong name: do not use it",
            )


def _elf_machine(content: bytes) -> int | None:
    """The field e_machine of a 64-bit little-endian ELF file; None for anything else."""
    is_elf = content[:6] == b"\x7fELF\x02\x01"
    return int.from_bytes(content[18:20], "little") if is_elf else None
