"""The page in a browser: what it shows, how it follows the pipeline, and what it does not let happen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from iotpipe.view.server import Server
from tests.support import view_world
from tests.support.browser import NAMES, Browser, Page, browser, browser_binary
from tests.support.local_machine import eventually
from tests.support.view_world import EMOJI, HOSTILE, NOT_REACHED, NOTHING_UP, Pipeline, device, served, some_series

pytestmark = pytest.mark.browser

FOREIGN = "evil.test"
CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def chromium(users_environment: dict[str, str]) -> Iterator[Browser]:
    binary = browser_binary(users_environment)
    if not binary:
        pytest.skip(f"there is no {' or '.join(NAMES)} on the PATH, and IOTPIPE_BROWSER names no browser")
    with browser(binary, hosts=(FOREIGN,)) as running:
        yield running


@contextmanager
def opened(chromium: Browser, server: Server, width: int = 1440, **features: str) -> Iterator[Page]:
    """The page, opened by its link."""
    with chromium.page(width, **features) as page:
        page.open(server.link())
        page.shows("Readings flow.")
        yield page


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    with opened(chromium, server) as page:
        yield page
        assert not page.problems()


def test_the_page_shows_the_pipeline_and_follows_it(page: Page, pipeline: Pipeline) -> None:
    assert page.value("location.hash") == "#/"
    for text in ("3 dead letters wait, 1 device is silent", "iot-ingestion-queue", "batches of 10", "wrong number"):
        page.shows(text)
    page.shows("silent, 7 min ago", ".table")
    sentence = (replace(pipeline.snapshot_now.sentence[0], text="Nothing arrives."),)
    pipeline.changed(sentence=sentence, summary="no reading in 15 minutes")
    page.shows("no reading in 15 minutes")
    assert page.text("h1") == "Nothing arrives."
    page.until("document.querySelector('.arrows').style.strokeDashoffset")


COVERED_LABELS = """
(() => {
  const around = (each) => each.getBoundingClientRect();
  const labels = [...document.querySelectorAll('.picture .label')];
  const boxes = [...document.querySelectorAll('.picture .boxes .box')];
  const overlap = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return labels.filter((label) => [...boxes, ...labels].some((each) =>
    each !== label && overlap(around(label), around(each)))).map((label) => label.textContent);
})()
"""


@pytest.mark.parametrize("environment", ["dev", "local"])
def test_no_label_of_the_picture_is_covered(chromium: Browser, environment: str) -> None:
    """Where there is MQTT, as in local, and where there is not."""
    with served(view_world.pipeline(CONFIG, environment)) as server, opened(chromium, server) as page:
        page.until("document.querySelectorAll('.picture .label').length > 10")
        assert page.value(COVERED_LABELS) == []
        assert not page.problems()


@pytest.fixture
def with_mqtt(chromium: Browser) -> Iterator[tuple[Page, Pipeline]]:
    """The page of an environment with devices over MQTT."""
    pipeline = view_world.pipeline(CONFIG, "local")
    with served(pipeline) as server, opened(chromium, server) as page:
        yield page, pipeline
        assert not page.problems()


def cells(page: Page, device: str) -> list[str]:
    """The texts of a device's row, without its curves."""
    found: list[str] = page.value(
        f"[...[...document.querySelectorAll('tbody tr')].find((row) => row.querySelector('a').textContent === "
        f"{json.dumps(device)}).cells].map((cell) => cell.innerText.trim())"
    )
    return found


def test_the_list_of_devices_shows_certificates_and_those_that_have_sent_nothing(
    with_mqtt: tuple[Page, Pipeline],
) -> None:
    page, pipeline = with_mqtt
    assert "enrolment" not in pipeline.asked, "asked only by who looks at devices"
    page.key("d")
    page.shows("4 enrolled for MQTT, 2 of them have sent nothing yet.")
    assert cells(page, "sensor-001")[2] == "active, issued 12 d ago"
    assert cells(page, "sensor-002")[2] == "inactive, issued 40 d ago"
    assert cells(page, "greenhouse-2")[2] == ""
    assert cells(page, "attic")[1:3] == ["never", "no certificate"]
    assert cells(page, "cellar")[1:3] == ["never", "active, issued 24 h ago"]
    assert not [each for each in pipeline.asked if each.startswith("device ")]


def test_the_page_of_a_device_shows_its_certificate_and_its_connection(with_mqtt: tuple[Page, Pipeline]) -> None:
    page, _ = with_mqtt
    for name, lines in (
        ("sensor-001", ("certificate 3f2a9c0d41be active, issued 12 d ago, expires 20", "Connected since ")),
        ("sensor-002", ("inactive, issued 40 d ago", "AUTH_ERROR; AWS IoT hangs up on it without a reason")),
        ("attic", ("enrolled, without a certificate", "Not connected")),
        ("greenhouse-2", ("Not enrolled for MQTT",)),
    ):
        page.value(f"location.hash = '#/devices/{name}'")
        page.shows(name, "h1")
        for line in lines:
            page.shows(line, ".mqtt")


def test_without_mqtt_nobody_asks_for_enrolments(page: Page, pipeline: Pipeline) -> None:
    page.key("d")
    page.shows("13 devices", "h1")
    page.value("location.hash = '#/devices/greenhouse-2'")
    page.shows("greenhouse-2", "h1")
    page.until("document.querySelectorAll('tbody tr').length")
    assert page.value("document.querySelector('.mqtt').hidden") is True
    assert not {each.partition(" ")[0] for each in pipeline.asked} & {"enrolment", "device"}


def test_text_of_devices_is_never_more_than_text(page: Page) -> None:
    page.shows(HOSTILE, ".table")
    page.key("d")
    page.shows(EMOJI)
    page.value(f"location.hash = '#/devices/' + encodeURIComponent({json.dumps(HOSTILE)})")
    page.shows(HOSTILE, "h1")
    page.value("location.hash = '#/devices/greenhouse-2'")
    page.shows(EMOJI, ".metric-charts")
    assert page.value("[document.querySelectorAll('main img, main b b').length, document.title]") == [
        0,
        "greenhouse-2 · local · iotpipe",
    ]


def test_control_characters_of_devices_are_escaped(page: Page, pipeline: Pipeline) -> None:
    items = (device("a", **{"\u202eno\x1b": "1.5", "note": "\u2067\x00"}),)
    pipeline.devices_now = replace(pipeline.devices_now, revision=2, items=items)
    page.key("d")
    page.shows(r"\u202eno\u001b", ".table")
    page.shows(r"\u2067\u0000", ".table")


def test_a_metric_may_have_the_name_of_what_every_object_has(page: Page, pipeline: Pipeline) -> None:
    items = device("a", constructor="1.5"), device("b", temperature="2.5")
    pipeline.devices_now = replace(pipeline.devices_now, revision=2, items=items)
    page.key("d")
    page.shows("constructor", ".table")
    page.shows("2.5", ".table")
    assert "function" not in page.text(".table")


def test_a_drag_zooms_into_finer_buckets_and_a_double_click_returns(page: Page, pipeline: Pipeline) -> None:
    page.value("location.hash = '#/devices/sensor-001'")
    page.until("document.querySelectorAll('.metric-charts canvas').length === 4")
    box = page.value("document.querySelector('.u-over').getBoundingClientRect().toJSON()")
    left, top, width = box["left"], box["top"], box["width"]
    y = top + 60
    page.mouse("mouseMoved", left + width * 0.8, y)
    page.mouse("mousePressed", left + width * 0.8, y)
    page.mouse("mouseMoved", left + width * 0.85, y)
    page.mouse("mouseReleased", left + width * 0.85, y)
    page.shows("back to live", ".tools")
    page.shows("mean of 30 seconds")
    assert [each for each in pipeline.asked if each.startswith("series sensor-001 30s")]
    for clicks in (1, 2):
        page.mouse("mousePressed", left + 90, y, clicks)
        page.mouse("mouseReleased", left + 90, y, clicks)
    page.shows("mean of 5 minutes")
    assert page.value("document.querySelector('.tools .accent').hidden")


def test_another_period_is_read_without_waiting_for_the_first(page: Page, pipeline: Pipeline) -> None:
    pipeline.hold = threading.Event()
    page.value("location.hash = '#/devices/sensor-001'")
    page.shows("reading 24 hours")
    page.value("[...document.querySelectorAll('.choice button')].find((each) => each.innerText === '7 d').click()")
    page.shows("reading 7 days")
    eventually(lambda: [each for each in pipeline.asked if each.startswith("series sensor-001 30m")])
    pipeline.hold.set()
    page.shows("mean of 30 minutes")


def test_a_gap_is_not_joined(page: Page) -> None:
    """The day of a sparkline has a gap of two hours: its line begins twice."""
    page.until("/M.*M/.test(document.querySelector('.sparkline path')?.getAttribute('d'))")


def test_other_devices_are_compared(page: Page) -> None:
    page.value("location.hash = '#/devices/sensor-001'")
    page.until("!!document.querySelector('.metric-charts canvas')")
    page.click("[aria-haspopup=dialog]")
    page.value("[...document.querySelectorAll('dialog li input')].slice(-2).forEach((box) => box.click())")
    page.click("dialog button")
    page.shows("sensor-010", ".metric-charts .values")
    page.shows("sensor-009", ".metric-charts .values")


def test_keys_lead_to_the_views_and_read_a_chart(page: Page) -> None:
    page.value("document.querySelector('.plot').focus()")
    page.key("ArrowLeft")
    page.until("/^1[0-9]:[0-9:]+: [0-9.]+ [/]s$/.test(document.getElementById('announcements').textContent)")
    page.key("d")
    page.shows("13 devices", "h1")
    page.key("x")
    page.shows("3 dead letters", "h1")
    page.click(".skip")
    assert page.value("[document.activeElement.id, location.hash]") == ["main", "#/dead-letters"]
    page.key("/")
    page.until("document.activeElement === document.querySelector('input.filter')")
    for each in "012":
        page.key(each)
    page.until("document.querySelectorAll('tbody tr:not([hidden])').length === 1")
    page.key("Escape")
    page.key("p")
    page.shows("Readings flow.", "h1")


def test_dead_letters_are_read_only_when_asked_for(page: Page, pipeline: Pipeline) -> None:
    page.key("x")
    page.shows("Looking reads them")
    assert "dead letters" not in pipeline.asked
    page.click(".tools .button")
    page.shows("1 of 3 would be processed")
    page.value("[...document.querySelectorAll('.letter')][1].click()")
    assert page.text("mark") == '"temperature": "warm"'
    page.shows("iotpipe dlq redrive --env local")


def test_a_dead_letter_of_a_device_shows_what_was_published(page: Page, pipeline: Pipeline) -> None:
    reason, failure = "reading 3: sensor_data.temperature: number required", "SqsAction queue: <b>denied</b>"
    payload = '[{"sensor_data": {"temperature": "warm"}}]'
    pipeline.letters = [
        pipeline.letters[0] | {"device": "roof", "reason": reason, "body": '{"payload": "W3"}', "payload": payload},
        pipeline.letters[1] | {"device": "roof", "reason": None, "failure": failure, "payload": payload},
    ]
    page.key("x")
    page.shows("Looking reads them")
    page.click(".tools .button")
    page.shows("sensor_data.temperature: number required", ".group")
    page.shows("it would be accepted now")
    page.value("[...document.querySelectorAll('.letter')][1].click()")
    page.shows(f"could not queue it: {failure}", ".letter-detail")
    assert page.text(".letter-detail pre") == payload


def test_the_theme_is_that_of_the_system_until_the_user_chooses(chromium: Browser, server: Server) -> None:
    with opened(chromium, server, prefers_color_scheme="dark", prefers_reduced_motion="reduce") as page:
        assert page.value("document.documentElement.dataset.theme") == "dark"
        page.until("document.querySelectorAll('tbody tr').length")  # a second answer: time has passed
        assert page.value("document.querySelector('.arrows').style.strokeDashoffset") == ""
        page.click("#theme")
        page.call("Page.reload")
        page.shows("Readings flow.")
        assert page.value("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("view", ["#/", "#/devices", "#/devices/greenhouse-2", "#/dead-letters"])
def test_a_phone_shows_every_view_without_scrolling_sideways(chromium: Browser, server: Server, view: str) -> None:
    with opened(chromium, server, width=390) as page:
        page.value(f"location.hash = {json.dumps(view)}")
        page.until("!!document.querySelector('main h1')?.innerText")
        assert page.value("document.documentElement.scrollWidth") == 390
        if view == "#/":
            assert page.value("document.querySelector('.stage').checkVisibility()") is False
            page.shows("iot-dlq", ".list-of-boxes")


def test_an_environment_that_is_not_up_is_told_with_the_command(
    chromium: Browser, server: Server, pipeline: Pipeline
) -> None:
    pipeline.changed(missing=NOTHING_UP)
    with chromium.page() as page:
        page.open(server.link())
        page.shows("local is not up.", "h1")
        page.shows("iotpipe up --env local", ".command")
        pipeline.changed(missing=None)
        page.shows("Readings flow.")


def test_an_aws_that_does_not_answer_leaves_what_was_known(page: Page, pipeline: Pipeline) -> None:
    pipeline.changed(missing=replace(NOTHING_UP, text="the embedded AWS is not running"))
    page.shows("The embedded AWS is not running. Not up to date since", "#notices")
    page.shows("Readings flow.", "h1")
    pipeline.changed(missing=None)
    page.until("!document.querySelector('#notices').innerText")
    late = replace(pipeline.snapshot_now.sources[0], problem="AccessDenied", since=pipeline.snapshot_now.time)
    pipeline.changed(sources=(late,))
    page.shows("Queues: AccessDenied. Not up to date since", "#notices")
    pipeline.changed(sources=(late, replace(late, name="counts")))
    page.shows("Queues and counts: AccessDenied. Not up to date since", "#notices")


def test_what_is_not_known_is_not_told_as_nothing(page: Page, pipeline: Pipeline) -> None:
    pipeline.changed(reasons=())
    page.shows("Nothing was refused or given back.")
    pipeline.changed(series=replace(some_series(told=0), told_until=None))
    page.shows("Whether something was refused or given back is not known.")


def test_what_is_not_told_yet_is_said(page: Page, pipeline: Pipeline) -> None:
    late = replace(pipeline.snapshot_now.sources[1], as_of=pipeline.snapshot_now.time - 150_000)
    pipeline.changed(series=some_series(told=75), sources=(late,))
    page.shows("2.5 min behind", ".sources")
    metrics = replace(late, name="metrics", as_of=pipeline.snapshot_now.time)
    pipeline.changed(sources=(replace(late, as_of=pipeline.snapshot_now.time), metrics))
    page.shows("metrics asked for", ".sources")
    page.shows("2.5 min behind", ".sources")
    drawn = (
        "import('/view-pipeline.js').then((module) => module.lateOf({start: 0, step: 10000, told_until: 750000}, 90))"
    )
    assert page.value(drawn) == [{"from": 740, "to": 900, "text": "not told yet"}]


def test_a_device_that_cannot_be_read_is_told(chromium: Browser, server: Server, pipeline: Pipeline) -> None:
    with opened(chromium, server) as page:
        page.value("location.hash = '#/devices/sensor-001'")
        page.until("!!document.querySelector('.metric-charts canvas')")
        pipeline.failure = NOT_REACHED
        page.shows(NOT_REACHED.message)
        assert page.value("document.querySelectorAll('.metric-charts canvas').length")


def test_a_lost_connection_is_told_and_a_new_link_goes_on(chromium: Browser, pipeline: Pipeline) -> None:
    with chromium.page() as page:
        with served(pipeline) as server:
            page.open(server.link())
            page.shows("Readings flow.")
        page.shows("No answer from iotpipe view since", "#notices")
        page.shows("14,208 readings accepted")
        # Another run of the server counts the revisions of its lists from the beginning.
        pipeline.devices_now = replace(pipeline.devices_now, items=(device("newcomer", temperature="1.0"),))
        with served(pipeline, port=server.port) as again:
            page.shows("Press Enter in the terminal", "#notices")
            page.value(f"location.hash = {json.dumps(again.link().partition('#')[2])}")
            page.until("!document.querySelector('#notices').innerText")
            page.shows("Live", "#connection")
            page.shows("newcomer", ".table")


def test_a_link_that_was_used_already_shows_nothing(chromium: Browser, server: Server) -> None:
    link = server.link()
    with chromium.page() as first, chromium.page() as second:
        first.open(link)
        first.shows("Readings flow.")
        second.open(link)
        second.shows("This link was used already", "#notices")
        assert "14,208" not in second.text()


def test_a_name_that_resolves_to_this_machine_is_refused(chromium: Browser, server: Server) -> None:
    with chromium.page() as page:
        page.open(f"http://{FOREIGN}:{server.port}/")
        page.shows("the request is for another host")
        fetched = f"fetch('http://127.0.0.1:{server.port}/').then(() => 'read', () => 'blocked')"
        assert page.value(fetched) == "blocked"


CALCULATED = [
    ("commands.js", "shellLine(['query', \"a'b\", '#/:.'])", "query 'a'\\''b' '#/:.'"),
    ("exact-json.js", 'shown(module.parseExactly(\'{"a": [21.50, 1e400, "1.0"]}\').a)', '[21.50, 1e400, "1.0"]'),
    ("exact-json.js", 'shown(module.parseExactly(\'{"a": {"digits": "1"}}\').a)', '{"digits": "1"}'),
    ("exact-json.js", 'shown(module.parseExactly(\'{"__proto__": {"n": "n1"}}\'))', '{"__proto__": {"n": "n1"}}'),
    ("exact-json.js", "shown(module.parseExactly('{}').constructor)", ""),
    ("flaws.js", "marked('{\"a\": 1', 'not JSON at character 7')", ['{"a": 1', "… ends here", ""]),
    ("flaws.js", "marked('[1,,2]', 'not JSON at character 3')", ["[1,", ",", "2]"]),
    ("flaws.js", "marked('{\"x\": \"a,b\"}', 'sensor_data.x: number required')", ["{", '"x": "a,b"', "}"]),
    ("buckets.js", "bucketLength(86400000, 4)", [300_000, "5m"]),
    ("buckets.js", "bucketLength(86400000, 100)", [1_800_000, "30m"]),
    (
        "buckets.js",
        "columnsOf({start: [0, 6e4, 12e4, 6e5], mean: [1, 2, 3, 4], min: [], max: []}, 10000).columns.slice(0, 2)",
        [[0, 60, 120, 130, 600], [1, 2, 3, None, 4]],
    ),
    ("addresses.js", "deviceAddress('a/b', ['c,d', 'e#f'])", "#/devices/a%2Fb?with=c%252Cd,e%2523f"),
    ("addresses.js", "othersOf('c%2Cd,e%23f')", ["c,d", "e#f"]),
    ("addresses.js", "decoded('%zz')", "%zz"),
    ("ways.js", "ways([[[0, 0], [2, 0]]], [[0, 0], [1, 0], [2, 0]])[0].corners.length", 4),
]


@pytest.fixture(scope="module")
def empty_page(chromium: Browser) -> Iterator[Page]:
    """A file of the server without a script: the modules of the page can be loaded from it."""
    with served(view_world.pipeline(CONFIG)) as server, chromium.page() as page:
        page.open(f"http://127.0.0.1:{server.port}/uPlot.LICENSE.txt")
        page.until("location.pathname === '/uPlot.LICENSE.txt' && document.readyState === 'complete'")
        yield page


@pytest.mark.parametrize(("module", "script", "expected"), CALCULATED)
def test_what_the_page_calculates(empty_page: Page, module: str, script: str, expected: object) -> None:
    assert empty_page.value(f"import('/{module}').then((module) => module.{script})") == expected


def test_a_hidden_page_asks_nothing(page: Page) -> None:
    """Counts the questions of several turns of the browser's loop, while the page is shown and while it is hidden."""
    counted = """
    import('/polling.js').then(async ({ Polling }) => {
      let asked = 0;
      const turns = async () => {
        for (let i = 0; i < 20; i++) await new Promise((done) => setTimeout(done));
        return asked;
      };
      const hide = (hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      };
      const polling = new Polling(async () => { asked += 1; }, () => 0);
      const shown = await turns();
      hide(true);
      const before = await turns();
      const after = await turns();
      hide(false);
      const again = await turns();
      polling.stop();
      return [shown > 1, after - before, again > after];
    })
    """
    assert page.value(counted) == [True, 0, True]
