// Asks the server. The link from the terminal gives the page a key, which every request shows.

const STORED = "iotpipe-key";
const PATIENCE = 40_000;
const keys = new BroadcastChannel("iotpipe-key");

/** The server does not answer. */
export class Unreachable extends Error {}
/** The page has no key, or one that is no longer accepted. */
export class NotAllowed extends Error {}
/** The server answers that it cannot tell; `hint` says what to do. */
export class Failed extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

// A link that is opened in one tab lets the other tabs of this page in again, too.
keys.onmessage = (event) => sessionStorage.setItem(STORED, event.data);

/** Exchange the token in the address for a key. Returns whether there was a token that the server did not take. */
export async function openLink() {
  const token = location.hash.slice(1);
  if (!token || token.startsWith("/")) return false;
  history.replaceState(null, "", "#/");
  try {
    const { key } = await ask("/session", { method: "POST", body: JSON.stringify({ token }) });
    sessionStorage.setItem(STORED, key);
    keys.postMessage(key);
    return false;
  } catch (error) {
    if (error instanceof NotAllowed) return !sessionStorage.getItem(STORED);
    throw error;
  }
}

/** GET a document; null if it has not changed since the given revision. A list gives a parameter several times. */
export function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) query.append(name, each);
  }
  return ask(`/api/${path}?${query}`, {});
}

/** POST an empty document. */
export function post(path) {
  return ask(`/api/${path}`, { method: "POST", body: "{}" });
}

async function ask(path, options) {
  const answer = await send(path, options);
  if (answer.status === 204) return null;
  const document = await answer.json().catch(() => ({}));
  if (answer.status === 401) throw new NotAllowed(document.error);
  if (!answer.ok) throw new Failed(document.error ?? `the server answered ${answer.status}`, document.hint ?? "");
  return document;
}

async function send(path, options) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(STORED);
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    return await fetch(path, { ...options, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  } catch (error) {
    throw new Unreachable(error.message);
  }
}
