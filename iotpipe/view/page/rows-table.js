// The newest rows of a device, exactly as they are stored.
import { get } from "./api.js";
import { el } from "./dom.js";
import { parseExactly, shown } from "./exact-json.js";
import { duration } from "./format.js";
import { inOrder, spaced } from "./metrics.js";
import { Choice } from "./parts.js";

const MOST_ROWS = 20,
  MOST_COLUMNS = 8;
const NOT_MEASURED = [
  "device_id",
  "event_date",
  "timestamp",
  "received_at",
  "processed_at",
  "reading_id",
  "status",
  "sensor_data",
  "expires_at",
];

/** A card with the rows of the processed or the raw table. */
export class RowsTable {
  #device;
  #table = "processed";
  #place = el("div", { class: "table", role: "region", tabindex: 0, "aria-label": "Newest readings" });
  #shown = "";

  constructor(device) {
    this.#device = device;
    const choice = new Choice(
      "Table",
      [
        ["processed", "Processed"],
        ["raw", "Raw"],
      ],
      this.#table,
      (table) => this.#choose(table),
    );
    this.root = el(
      "section",
      { class: "card rows" },
      el("header", {}, el("h2", {}, "Newest readings"), el("span", { class: "dim" }, "exactly as stored"), choice.root),
      this.#place,
    );
  }

  /** Ask for the rows. May raise the errors of the API. */
  async refresh() {
    const table = this.#table;
    const { items } = await get("rows", { device: this.#device, table, limit: MOST_ROWS });
    const text = JSON.stringify(items);
    if (table !== this.#table || text === this.#shown) return;
    this.#shown = text;
    this.#place.replaceChildren(
      items.length ? rowsOf(items) : el("p", { class: "nothing dim" }, "This table has no row of this device."),
    );
  }

  #choose(table) {
    [this.#table, this.#shown] = [table, ""];
    this.#place.replaceChildren(el("p", { class: "nothing dim" }, "Reading the rows"));
    this.refresh().catch((error) => this.#place.replaceChildren(el("p", { class: "nothing warn" }, error.message)));
  }
}

function rowsOf(items) {
  const rows = items.map((text) => ({ text, row: parseExactly(text) }));
  const names = inOrder([...new Set(rows.flatMap(({ row }) => Object.keys(values(row))))]);
  const columns = names.slice(0, MOST_COLUMNS);
  const heads = ["time, UTC", ...columns.map(spaced), "received → stored", "row"];
  const head = el(
    "thead",
    {},
    el(
      "tr",
      {},
      heads.map((text) => el("th", { scope: "col" }, text)),
    ),
  );
  return el(
    "table",
    {},
    head,
    el(
      "tbody",
      {},
      rows.flatMap((each) => rowAndText(each, columns, heads.length)),
    ),
  );
}

/** A row, and below it the text of the whole row, which a button shows. */
function rowAndText({ text, row }, columns, width) {
  const measured = values(row);
  const whole = el("tr", { class: "whole", hidden: true }, el("td", { colspan: width }, el("pre", {}, text)));
  const button = el(
    "button",
    {
      type: "button",
      class: "quiet",
      "aria-expanded": "false",
      "aria-label": `JSON of the row of ${when(row)}`,
      click: toggle,
    },
    "JSON",
  );
  function toggle() {
    whole.hidden = !whole.hidden;
    button.setAttribute("aria-expanded", String(!whole.hidden));
  }
  const cells = columns.map((name) => el("td", {}, shown(measured[name])));
  return [
    el("tr", {}, el("td", {}, when(row)), cells, el("td", { class: "dim" }, waited(row)), el("td", {}, button)),
    whole,
  ];
}

/** The time of a row: that of the reading, which both tables have in one form or the other. */
function when(row) {
  if (typeof row.event_date === "string") return row.event_date.slice(0, 23).replace("T", " ");
  const time = Number(shown(row.timestamp));
  return Number.isFinite(time) && Math.abs(time) <= 8.64e15
    ? new Date(time).toISOString().slice(0, 23).replace("T", " ")
    : shown(row.timestamp);
}

/** The metrics of a row: the main ones stand beside `sensor_data` in the processed table. */
function values(row) {
  const beside = Object.entries(row).filter(([name]) => !NOT_MEASURED.includes(name));
  const inside = row.sensor_data && typeof row.sensor_data === "object" ? Object.entries(row.sensor_data) : [];
  return Object.setPrototypeOf(Object.fromEntries([...beside, ...inside]), null);
}

function waited(row) {
  const milliseconds = Date.parse(row.processed_at) - Date.parse(row.received_at);
  return Number.isFinite(milliseconds) ? duration(milliseconds).join(" ") : "";
}
