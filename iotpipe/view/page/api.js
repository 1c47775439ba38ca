// Asks the server. The link from the terminal gives the page a key, which every request shows.

const STORED = "iotpipe-key";
const PATIENCE = 40_000,
  LONG_PATIENCE = 600_000;
const keys = new BroadcastChannel("iotpipe-key");

/** The server does not answer. */
export class Unreachable extends Error {}
/** The page has no key, or one that is no longer accepted. */
export class NotAllowed extends Error {}
/** The page has cancelled the question. */
export class Cancelled extends Error {}
/** The server answers that it cannot tell; `hint` says what to do. */
export class Failed extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

// A link that is opened in one tab lets the other tabs of this page in again, too.
keys.onmessage = (event) => sessionStorage.setItem(STORED, event.data);

/** The token in the address if it is a link of the terminal, else undefined. */
function token() {
  return /^#([\w-]{32})$/.exec(location.hash)?.[1];
}

/** Whether the address is a link of the terminal. */
export function isLink() {
  return token() !== undefined;
}

/** Exchange the token in the address for a key. Returns whether there was a token that the server did not take. */
export async function openLink() {
  if (!isLink()) return false;
  const body = JSON.stringify({ token: token() });
  history.replaceState(null, "", "#/");
  try {
    const { key } = await ask("/session", { method: "POST", body });
    sessionStorage.setItem(STORED, key);
    keys.postMessage(key);
    return false;
  } catch (error) {
    if (error instanceof NotAllowed) return !sessionStorage.getItem(STORED);
    throw error;
  }
}

/**
 * GET a document; null if it has not changed since the given revision. A list gives a parameter several times.
 * With a signal that can cancel it, a question may take ten minutes: a hundred thousand rows have to be read.
 */
export function get(path, parameters = {}, signal = null) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) query.append(name, each);
  }
  return ask(`/api/${path}?${query}`, {}, signal);
}

/** POST an empty document. */
export function post(path) {
  return ask(`/api/${path}`, { method: "POST", body: "{}" });
}

async function ask(path, options, signal) {
  const answer = await send(path, options, signal);
  if (answer.status === 204) return null;
  const document = await answer.json().catch(() => null);
  if (signal?.aborted) throw new Cancelled();
  if (document === null) throw new Unreachable("the answer ended early");
  if (answer.status === 401) throw new NotAllowed(document.error);
  if (!answer.ok) throw new Failed(document.error, document.hint ?? "");
  return document;
}

async function send(path, options, signal) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem(STORED);
  if (key) headers.Authorization = `Bearer ${key}`;
  try {
    const limit = AbortSignal.timeout(signal ? LONG_PATIENCE : PATIENCE);
    return await fetch(path, {
      ...options,
      headers,
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    throw signal?.aborted ? new Cancelled() : new Unreachable(error.message);
  }
}
