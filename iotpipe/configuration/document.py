"""A YAML file as plain values, with the position and the original text of every key."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from iotpipe.configuration.problems import Finding, Path, dotted
from iotpipe.configuration.yaml_scalars import describe, encodable, kind_of, position, scalar
from iotpipe.configuration.yaml_syntax import Unparsable, compose


class Entry(NamedTuple):
    """One key of a mapping with its value; an entry of a list is its own key."""

    key: yaml.Node
    value: yaml.Node


class Document:
    """A configuration file as plain values.

    `values` holds dicts, tuples and scalars; what no setting can be stays a YAML node, so that validation
    refuses it where it stands. `findings` is what is wrong with the file as YAML. A node that aliases share
    is built once, so nested aliases cost no more than the file is long.
    """

    def __init__(self, data: bytes) -> None:
        self.findings: list[Finding] = []
        self.values: dict[str, Any] = {}
        self._entries: dict[int, dict[str, Entry]] = {}
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()
        self._root: yaml.Node | None = None
        try:
            self._root = compose(data)
            self.values = self._top_level()
        except Unparsable as error:
            self.findings.append(error.finding)
        except RecursionError:
            self.findings.append(Finding(0, 0, "", "is nested too deeply"))

    def find(self, path: Path) -> Entry | None:
        """The entry at `path`; None if the file has none."""
        entry = Entry(self._root, self._root) if self._root else None
        for part in path:
            entry = self._below(entry.value, part) if entry else None
        return entry

    def _below(self, node: yaml.Node, part: str | int) -> Entry | None:
        if isinstance(part, int):
            return Entry(node.value[part], node.value[part]) if isinstance(node, yaml.SequenceNode) else None
        return self._entries.get(id(node), {}).get(part)

    def _top_level(self) -> dict[str, Any]:
        root = self._root
        if root is None or (isinstance(root, yaml.ScalarNode) and kind_of(root) == "null"):
            return {}
        values = self._build(root, ())
        if isinstance(values, dict):
            return values
        self._report(root, (), f"must hold keys, found {describe(root)}", "Begin as in `region: eu-west-1`")
        return {}

    def _report(self, node: yaml.Node, path: Path, message: str, remedy: str) -> None:
        self.findings.append(Finding(*position(node), dotted(path), message, remedy))

    def _build(self, node: yaml.Node, path: Path) -> Any:
        if id(node) in self._open:
            self._report(node, path, "contains itself through an alias", "Write the value out")
            return node
        if id(node) not in self._built:
            self._open.add(id(node))
            self._built[id(node)] = self._value(node, path)
            self._open.remove(id(node))
        return self._built[id(node)]

    def _value(self, node: yaml.Node, path: Path) -> Any:
        kind = kind_of(node)
        if isinstance(node, yaml.MappingNode) and kind == "map":
            entries = self._entries_of(node, path)
            return {text: self._build(entry.value, (*path, text)) for text, entry in entries.items()}
        if isinstance(node, yaml.SequenceNode) and kind == "seq":
            return tuple(self._build(each, (*path, index)) for index, each in enumerate(node.value))
        return scalar(node) if isinstance(node, yaml.ScalarNode) else node

    def _entries_of(self, node: yaml.MappingNode, path: Path) -> dict[str, Entry]:
        """The mapping's keys, which override those merged by `<<`; of merged keys, the first wins."""
        if id(node) in self._entries:
            return self._entries[id(node)]
        own: dict[str, Entry] = {}
        self._entries[id(node)] = own  # a mapping that merges itself finds this instead of recursing
        for key, value in node.value:
            self._add(own, Entry(key, value), path)
        merge = own.get("<<")
        if merge and kind_of(merge.key) == "merge":
            del own["<<"]
            self._entries[id(node)] = self._merged(merge.value, (*path, "<<")) | own
        return self._entries[id(node)]

    def _merged(self, value: yaml.Node, path: Path) -> dict[str, Entry]:
        merged: dict[str, Entry] = {}
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(source, yaml.MappingNode):
                merged = self._entries_of(source, path) | merged
            else:
                remedy = "Name the anchor of a section, as in `<<: *name`"
                self._report(source, path, f"cannot merge {describe(source)}", remedy)
        return merged

    def _add(self, own: dict[str, Entry], entry: Entry, path: Path) -> None:
        if not isinstance(entry.key, yaml.ScalarNode) or not encodable(entry.key.value):
            self._report(entry.key, path, "a key must be plain text", "Write `key: value`")
        elif (text := str(entry.key.value)) in own:
            message = f"is given twice, first on line {position(own[text].key)[0]}"
            self._report(entry.key, (*path, text), message, "Keep one of the two")
        else:
            own[text] = entry
