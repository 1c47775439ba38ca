// What is known of the devices that are enrolled for MQTT: in words, for the table and for the page of one device.
import { ago, clock, now, number } from "./format.js";

const DIGITS = 12;

/** A certificate's state in the table: "active, 12 d ago" is one that was issued 12 days ago. */
export function stateOf(enrolled) {
  if (!enrolled) return "";
  const words = { ACTIVE: "active", INACTIVE: "inactive" }[enrolled.status] ?? enrolled.status;
  return enrolled.created === null ? words : `${words}, issued ${ago(enrolled.created)}`;
}

/** Whether something about an enrolled device wants to be looked at. */
export const isOdd = (enrolled) => Boolean(enrolled) && enrolled.status !== "ACTIVE";

/** The devices that are enrolled and have sent nothing yet, in the form of those that have. */
export function neverSeen(devices, enrolment) {
  if (!devices.complete) return [];
  const known = new Set(devices.items.map((device) => device.device_id));
  return enrolment.items
    .filter((each) => !known.has(each.device_id))
    .map((each) => ({ device_id: each.device_id, seen: null, silent: false, latest: {} }))
    .slice(0, Math.max(0, devices.limit - devices.items.length));
}

/** The enrolled devices in a sentence; empty if there are none to tell of. */
export function told(enrolment, unseen) {
  if (!enrolment?.enabled) return "";
  if (enrolment.time === null) return enrolment.problem ? `Enrolled devices: ${enrolment.problem}.` : "";
  const count = enrolment.items.length;
  const nothing = unseen ? `, ${number(unseen)} of them ${unseen === 1 ? "has" : "have"} sent nothing yet` : "";
  const late = enrolment.problem ? ` (not read since ${clock(enrolment.time)}: ${enrolment.problem})` : "";
  return `${count ? number(count) : "None"} enrolled for MQTT${nothing}${late}.`;
}

/** Lines about one device: its certificates and its connection, each as [text, tone]. */
export function linesOf(device) {
  if (!device.enrolled) return [["Not enrolled for MQTT", ""]];
  const certificates = device.certificates.map(certificate);
  if (!certificates.length) certificates.push(["MQTT: enrolled, without a certificate", "warn"]);
  if (device.unfinished) certificates.push(["A certificate is being made, or that was interrupted", "warn"]);
  const active = device.certificates.some((each) => each.status === "ACTIVE");
  return [...certificates, connection(device.connection, active)];
}

function certificate({ id, status, created, expires }) {
  const name = `MQTT: certificate ${id.slice(0, DIGITS)} ${status === "ACTIVE" ? "active" : status.toLowerCase()}`;
  const left = (expires - now()) / 86_400_000;
  const end = left > 0 ? `expires ${new Date(expires).toISOString().slice(0, 10)}` : "expired";
  return [`${name}, issued ${ago(created)}, ${end}`, status === "ACTIVE" && left > 30 ? "" : "warn"];
}

function connection({ connected, since, reason, unknown_because: why }, active) {
  if (connected === null) return [`Whether it is connected is not known: ${why}`, ""];
  const from = since === null ? "" : ` since ${clock(since, true)}`;
  if (connected) return [`Connected${from}`, ""];
  const because = reason ? `: ${reason}` : "";
  return [`Not connected${from}${because}${active ? "" : "; AWS IoT hangs up on it without a reason"}`, "warn"];
}
