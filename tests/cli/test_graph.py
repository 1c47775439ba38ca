"""`iotpipe graph`: the data flow in each format, also with names that would break it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from iotpipe.cli.options import Settings
from iotpipe.cli.session import undeployed
from iotpipe.pipeline.flow import FAILS, MOVES, READS, Edge, Flow, Node, flow
from iotpipe.render.console import line
from iotpipe.render.flow import ASCII, BOXES, Signs, as_dot, as_mermaid, as_text
from iotpipe.render.flow_picture import as_svg
from iotpipe.render.flow_routes import corners, own_part, shifts, ways
from tests.support.shell import Shell, settings

SVG = "{http://www.w3.org/2000/svg}"
EVERY_OPTION = """
suffix: abcdefghij-klmnopqrs
kms_key: arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab
queue: {max_receives: 1000, batch_size: 10000, batching_window: 10, retention: 5400}
api:
  require_api_key: true
  web_acl: arn:aws:wafv2:us-east-1:123456789012:regional/webacl/iot/1234abcd-12ab-34cd-56ef-1234567890ab
devices: {enabled: true}
alerts: {emails: ["a'&{|}`#$%%%s@example.com"]}
""" % ("x" * 50)
HOSTILE = (
    "</text></svg><script>alert(1)</script>",
    '"];\n}\ndigraph evil {',
    "]]>&amp;&lt;<!--",
    '"]\n  evil["`<br/>',
    "end\\",
    "\\N\\",
    "#quot;#34;",
    "\x1b[31m\u202e\x00",
)


def plain(drawn: Flow, signs: Signs = BOXES) -> list[str]:
    return [line(*each).plain for each in as_text(drawn, signs)]


@pytest.fixture(params=["local", "prod", "full"])
def drawn(shell: Shell, request: pytest.FixtureRequest) -> Flow:
    shell.run("init")
    settings(shell, "full", EVERY_OPTION)
    return flow(undeployed(Settings(config_dir=shell.directory / "config", env=request.param)))


def hostile(name: str) -> Flow:
    """A flow in which everything that can be named is called so."""
    nodes = [Node(f"{name}{number}", name, name, number % 3, number // 3) for number in range(6)]
    pairs = [(0, 1, MOVES), (1, 2, FAILS), (5, 4, READS), (0, 5, MOVES)]
    return Flow(tuple(nodes), tuple(Edge(nodes[a].id, nodes[b].id, name, kind) for a, b, kind in pairs))


# The command


@pytest.mark.matrix
def test_the_data_flow_is_what_is_drawn_unless_something_else_is_asked_for(shell: Shell) -> None:
    shown = shell.run("graph").stdout
    assert shown == shell.run("graph", "--what", "flow", "--format", "text").stdout
    assert "├─ POST /ingest → data-ingestion-local" in shown
    assert "after 3 receives → iot-dlq-local" in shown
    assert "layer/" not in shown
    assert "layer/" in shell.run("graph", "--what", "dependencies").stdout


@pytest.mark.matrix
@pytest.mark.parametrize("how", ["text", "svg", "mermaid", "dot"])
def test_every_format_is_printed_as_it_is_and_names_every_box(shell: Shell, how: str) -> None:
    settings(shell, "full", EVERY_OPTION.replace("'&{|}`#$%" + "x" * 50, ""))
    shown = shell.run("graph", "--env", "full", "--format", how).stdout
    for name in ("iot-api", "data-query", "iot-dlq", "iot-alerts"):
        assert f"{name}-abcdefghij-klmnopqrs" in shown
    assert "a@example.com" in shown
    assert shown.endswith("\n")


@pytest.mark.matrix
def test_json_has_the_boxes_and_the_arrows_between_them(shell: Shell) -> None:
    found = shell.json("graph")
    ids = [node["id"] for node in found["nodes"]]
    assert len(set(ids)) == len(ids)
    assert {edge[end] for edge in found["edges"] for end in ("from", "to")} == set(ids)
    needs = shell.json("graph", "--what", "dependencies")
    assert {each for node in found["nodes"] for each in node["resources"]} <= needs.keys()


# Text


@pytest.mark.parametrize("signs", [BOXES, ASCII], ids=["boxes", "ascii"])
def test_the_text_fits_80_columns_and_unfolds_each_box_once(drawn: Flow, signs: Signs) -> None:
    lines = plain(drawn, signs)
    assert max(map(len, lines)) <= 80
    assert all(each == each.rstrip() for each in lines)
    for edge in drawn.edges:
        sign = signs.back if edge.kind == READS else signs.to
        assert any(f"{edge.label} {sign} " in each for each in lines)
    named = [each for each in lines if re.search(r"data-processor-\S+( {2}|$)", each) and "(above)" not in each]
    assert len(named) == 1
    assert signs is BOXES or "".join(lines).isascii()


def test_what_does_not_fit_is_cut_with_a_sign(drawn: Flow) -> None:
    long = replace(drawn, nodes=tuple(replace(each, name="n" * 200, note="m" * 200) for each in drawn.nodes))
    lines = plain(long)
    assert max(map(len, lines)) == 80
    assert any(each.endswith("n…") for each in lines) and any(each.endswith("m…") for each in lines)


def test_a_circle_of_arrows_is_drawn_too() -> None:
    nodes = tuple(Node(each, each, "", 0, 0) for each in "ab")
    lines = plain(Flow(nodes, (Edge("a", "b", "on"), Edge("b", "a", "back"))))
    assert lines == ["a", "└─ on → b", "   └─ back → a (above)"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_text_stays_on_its_line(name: str) -> None:
    lines = plain(hostile(name))
    assert all(each.isprintable() for each in lines)
    assert max(map(len, lines)) <= 80


# Mermaid and Graphviz

MERMAID_NODE = re.compile(r'  (n\d+)\["((?:[A-Za-z0-9 .,+/@-]|#\d+;|<br/>)+)"\]')
MERMAID_EDGE = re.compile(r'  (n\d+) (?:-->|-\.->)\|"(?:[A-Za-z0-9 .,+/@-]|#\d+;)+"\| (n\d+)')
DOT_STRING = r'"((?:[^"\\\n]|\\.)*)"'
DOT_NODE = re.compile(rf"  {DOT_STRING} \[label={DOT_STRING}\];")
DOT_EDGE = re.compile(rf'  {DOT_STRING} -> {DOT_STRING} \[label={DOT_STRING}(?:, style=dashed|, color="#b8232a")?\];')


def assert_mermaid(text: str, drawn: Flow) -> None:
    head, *lines, style = text.splitlines()
    assert head == "flowchart LR"
    assert re.fullmatch(r"  linkStyle \d+(,\d+)* stroke:#b8232a", style)
    nodes, edges = lines[: len(drawn.nodes)], lines[len(drawn.nodes) :]
    found = [each[1] for each in map(MERMAID_NODE.fullmatch, nodes) if each]
    assert len(found) == len(set(found)) == len(drawn.nodes)
    joined = [each.groups() for each in map(MERMAID_EDGE.fullmatch, edges) if each]
    assert len(joined) == len(edges) == len(drawn.edges)
    assert {each for pair in joined for each in pair} <= set(found)


def assert_dot(text: str, drawn: Flow) -> None:
    head, _, _, *lines, end = text.splitlines()
    assert (head, end) == ("digraph pipeline {", "}")
    nodes, edges = lines[: len(drawn.nodes)], lines[len(drawn.nodes) :]
    found = [each[1] for each in map(DOT_NODE.fullmatch, nodes) if each]
    assert len(found) == len(set(found)) == len(drawn.nodes)
    joined = [(each[1], each[2]) for each in map(DOT_EDGE.fullmatch, edges) if each]
    assert len(joined) == len(edges) == len(drawn.edges)
    assert {each for pair in joined for each in pair} <= set(found)
    assert not re.search(r"&(?!amp;)", text)


def test_mermaid_and_graphviz_text_is_well_formed(drawn: Flow) -> None:
    assert_mermaid(as_mermaid(drawn), drawn)
    assert_dot(as_dot(drawn), drawn)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_ends_a_string_of_mermaid_or_graphviz(name: str) -> None:
    named = hostile(name)
    assert_mermaid(as_mermaid(named), named)
    assert_dot(as_dot(named), named)


# The picture


Rectangle = tuple[float, float, float, float]


def boxes_of(root: ElementTree.Element) -> list[Rectangle]:
    """The left, upper, right and lower edge of each box."""
    found = [each for each in root.iter(f"{SVG}rect") if "box" in each.get("class", "")]
    numbers = [[float(each.get(key, "")) for key in ("x", "y", "width", "height")] for each in found]
    return [(x, y, x + width, y + height) for x, y, width, height in numbers]


def lines_of(root: ElementTree.Element) -> Iterator[list[tuple[int, int]]]:
    """The corners of each arrow, between which it runs straight."""
    for each in root.iter(f"{SVG}path"):
        if each.get("class") == "halo":
            yield [(int(x), int(y)) for x, y in re.findall(r"[MLQ](\d+) (\d+)", each.get("d", ""))]


def test_the_picture_is_well_formed_and_fits_900_pixels(drawn: Flow) -> None:
    root = ElementTree.fromstring(as_svg(drawn, "dev"))
    width, height = int(root.get("width", "")), int(root.get("height", ""))
    assert width <= 900 and root.get("viewBox") == f"0 0 {width} {height}"
    boxes = boxes_of(root)
    assert len(boxes) == len(drawn.nodes)
    for left, top, right, low in boxes:
        assert 0 < left < right < width and 0 < top < low < height
    for number, (left, top, right, low) in enumerate(boxes):
        for other in boxes[number + 1 :]:
            assert right < other[0] or other[2] < left or low < other[1] or other[3] < top
    lines = list(lines_of(root))
    assert len(lines) == len(drawn.edges)
    for (x1, y1), (x2, y2) in (pair for each in lines for pair in pairwise(each)):
        for left, top, right, low in boxes:
            beside = max(x1, x2) <= left or min(x1, x2) >= right or max(y1, y2) <= top or min(y1, y2) >= low
            assert beside, "an arrow runs through a box"


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def labels_of(root: ElementTree.Element) -> Iterator[tuple[str, Rectangle]]:
    """Each label, and the space that it takes at least."""
    for each in root.iter(f"{SVG}text"):
        if each.get("class") == "label":
            x, y, text = float(each.get("x", "")), float(each.get("y", "")), each.text or ""
            width = 5 * len(text)
            left = x - {"start": 0, "middle": width / 2, "end": width}[each.get("text-anchor", "")]
            yield text, (left, y - 8, left + width, y + 2)


@pytest.mark.parametrize("environment", ["local", "prod"])
def test_no_label_is_hidden_or_crossed_out(shell: Shell, environment: str) -> None:
    """Where there is MQTT, as in local, and where there is not."""
    shell.run("init")
    drawn = flow(undeployed(Settings(config_dir=shell.directory / "config", env=environment)))
    root = ElementTree.fromstring(as_svg(drawn, environment))
    labels = list(labels_of(root))
    assert sorted(text for text, _ in labels) == sorted(edge.label for edge in drawn.edges)
    lines = [(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])) for a, b in parts_of(root)]
    for number, (text, around) in enumerate(labels):
        others = [other for _, other in labels[number + 1 :]]
        for other in (*boxes_of(root), *others, *lines):
            assert not overlap(around, other), f"{text} is covered by what is at {other}"


def parts_of(root: ElementTree.Element) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for each in lines_of(root):
        yield from pairwise(each)


def test_the_arrows_of_messages_that_failed_join_before_their_box() -> None:
    boxes = [(column, row) for row in range(3) for column in range(2)]
    arrows = [((1, 2), (0, 2)), ((1, 1), (0, 2)), ((1, 0), (0, 2)), ((1, 0), (1, 1))]
    found = ways(arrows, boxes, joining={0, 1, 2})
    assert {way[-2:] for way in found[:3]} == {((2, 5), (1, 5))}
    assert [own_part(number, found)[-1] for number in range(3)] == [(2, 5), (2, 3), (2, 3)]
    assert found[3] == ((3, 1), (3, 2), (3, 3)), "others keep their way"


def test_arrows_at_one_edge_of_a_box_stand_beside_each_other_in_the_order_of_their_ways() -> None:
    found = [((1, 1), (2, 1), (2, 2)), ((1, 1), (2, 1), (3, 1)), ((1, 1), (2, 1), (2, 0))]
    assert [first for first, _ in shifts(found)] == [1, 0, -1]
    assert [last for _, last in shifts(found)] == [0, 0, 0]
    straight = [((1, 1), (2, 1), (3, 1)), ((3, 1), (2, 1), (1, 1))]
    assert shifts(straight) == [(-0.5, -0.5), (0.5, 0.5)], "two that run to and fro"


def test_the_picture_needs_nothing_else_and_is_told_to_who_does_not_see_it(drawn: Flow) -> None:
    text = as_svg(drawn, "dev")
    assert not re.search(r"<script|\son\w+=|href|url\(|@import|@font-face|<image|<foreignObject", text)
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "@media (prefers-color-scheme:dark)" in text
    root = ElementTree.fromstring(text)
    told = {each.get("id"): each.text or "" for each in root if each.tag in (f"{SVG}title", f"{SVG}desc")}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby", "").split() == list(told)
    assert told["flow-title"] == "Data flow of the environment dev"
    names = {node.id: node.name for node in drawn.nodes}
    for edge in drawn.edges:
        assert f"{names[edge.start]} to {names[edge.end]}: {edge.label}." in told["flow-desc"]
    titles = {each.findtext(f"{SVG}title") for each in root.iter(f"{SVG}g")}
    for node in drawn.nodes:
        assert ("\n".join(each.address for each in node.resources) or node.name) in titles


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("iot-ingestion-queue-local", ["iot-ingestion-queue-local"]),
        ("iot-ingestion-queue-abcdefghij", ["iot-ingestion-queue-", "abcdefghij"]),
        ("operations@mail.example.com", ["operations@mail.", "example.com"]),
        ("W" * 20, ["W" * 14, "W" * 6]),
        ("a" * 60, ["a" * 25, "a" * 24 + "…"]),
    ],
)
def test_a_name_that_is_too_wide_for_its_box_is_broken_and_then_cut(name: str, lines: list[str]) -> None:
    drawn = Flow((Node("one", name, "", 0, 0), Node("other", "other", "", 1, 0)), (Edge("one", "other", "to"),))
    texts = [each for each in ElementTree.fromstring(as_svg(drawn, "dev")).iter(f"{SVG}text")]
    assert [each.text for each in texts if each.get("class") == "name"] == [*lines, "other"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_no_name_becomes_an_element_of_the_picture(name: str) -> None:
    def shape(text: str) -> list[str]:
        return [each.tag for each in ElementTree.fromstring(text).iter() if not each.tag.endswith("text")]

    assert shape(as_svg(hostile(name), name)) == shape(as_svg(hostile("x"), "x"))


def test_arrows_avoid_boxes_and_do_not_run_on_one_another() -> None:
    boxes = [(column, row) for row in range(3) for column in range(3)]
    arrows = [((0, 0), (2, 2)), ((0, 0), (2, 0)), ((2, 1), (0, 2)), ((1, 0), (1, 2)), ((0, 0), (0, 1))]
    found = ways(arrows, boxes)
    blocked = {(2 * x + 1, 2 * y + 1) for x, y in boxes}
    for way, (start, end) in zip(found, arrows, strict=True):
        assert [way[0], way[-1]] == [(2 * x + 1, 2 * y + 1) for x, y in (start, end)]
        assert not blocked & set(way[1:-1])
    steps = [frozenset(each) for way in found for each in pairwise(way)]
    assert len(steps) == len(set(steps))
    assert len(corners(found[-1])) == 2, "neighbours are joined by a straight line"


@pytest.mark.matrix
def test_the_example_of_the_help_writes_a_picture(shell: Shell) -> None:
    ElementTree.fromstring(shell.run("graph", "--format", "svg").stdout)
    assert json.loads(shell.run("graph", "--format", "svg", "--json").stdout)["nodes"]
