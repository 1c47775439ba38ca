// Starts the page: opens the link, shows the view of the address, and feeds it with what the server tells.
import { decoded } from "./addresses.js";
import { isLink, openLink } from "./api.js";
import { showFrame, showViews } from "./frame.js";
import { Live } from "./live.js";
import { showNotices } from "./notices.js";
import { onKeys } from "./shortcuts.js";
import { onTheme } from "./theme.js";
import { DeadLettersView } from "./view-dead-letters.js";
import { DeviceView } from "./view-device.js";
import { DevicesView } from "./view-devices.js";
import { EmptyView } from "./view-empty.js";
import { PipelineView } from "./view-pipeline.js";

const ROUTES = [
  [/^#\/devices\/([^?]+)(?:\?with=(.*))?$/, DeviceView],
  [/^#\/devices$/, DevicesView],
  [/^#\/dead-letters$/, DeadLettersView],
  [/^/, PipelineView],
];

const main = document.getElementById("main");
let live = null;
let view = null;

/** Show the view of the address. While nothing is known of the pipeline, say why instead. */
function route() {
  const nothing = !live.snapshot;
  const [pattern, kind] = ROUTES.find(([each]) => each.test(location.hash));
  const parts = pattern
    .exec(location.hash)
    .slice(1)
    .map((part) => part && decoded(part));
  view?.close();
  view = nothing ? new EmptyView(live) : new kind(live, ...parts);
  view.showsNothing = nothing;
  live.wantsDevices = view.wantsDevices ?? false;
  live.wantsEnrolment = view.wantsEnrolment ?? false;
  main.replaceChildren(view.root);
  showViews();
  update();
  scrollTo(0, 0);
}

/** Show what has changed. */
function update() {
  showFrame(live, view.title);
  showNotices(live);
  if (view.showsNothing && live.snapshot) route();
  else view.update();
}

/** A link that is opened in this tab lets the page in again; every other change of the address is another view. */
async function onAddress() {
  if (isLink()) {
    live.linkRefused = await openLink().catch(() => false);
    live.soon();
  }
  route();
}

const refused = await openLink().catch(() => false);
live = new Live(update);
live.linkRefused = refused;
addEventListener("hashchange", onAddress);
onKeys();
onTheme(() => view.redraw?.());
route();
live.start();
