// The addresses of views: the part behind # in the address of the page.

/** The address of a device, beside others if they are given. */
export function deviceAddress(device, others = []) {
  // A name may contain the comma that separates names.
  const list = others.map((each) => encodeURIComponent(encodeURIComponent(each))).join(",");
  return `#/devices/${encodeURIComponent(device)}${list ? `?with=${list}` : ""}`;
}

/** The devices of the part behind `?with=`. */
export function othersOf(list) {
  return list ? list.split(",").map(decoded) : [];
}

/** A part of an address as it was before it was encoded; typed nonsense as it is. */
export function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
