/** News of the service: that some figures have changed. */

import { ask } from "/static/asking.js";
import { formatInstant } from "/static/dates.js";
import { find, plain } from "/static/elements.js";

/** Least milliseconds between two live updates. */
const LIVE_PAUSE = 2_000;

/**
 * Listen to changes while the page is open. If the session has ended, show the log-in.
 *
 * `changed(first)` is called with whether the event is the first one, which says how things stand; `troubled(reason)` with
 * why changes do not come for now, or null once they come again; `lost()` when the connection has ended.
 */
export function listen(changed, troubled, lost) {
  const source = new EventSource("/v1/stream");
  let first = true;
  source.addEventListener("metrics", () => {
    changed(first);
    first = false;
  });
  source.addEventListener("trouble", ({ data }) => troubled(JSON.parse(data).reason));
  source.addEventListener("error", () => {
    lost();
    if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
    source.close();
    ask("/v1/projections").catch(() => {}); // shows the log-in if the session has ended
    setTimeout(() => listen(() => changed(false), troubled, lost), 5_000);
  });
}

/**
 * Update the figures when they change, but not faster than people read, and not while the page is hidden.
 *
 * While changes cannot come, the page says why; afterwards its figures are asked for anew. `show` shows them anew;
 * `zoneOf` returns the zone in which the time of the update is told.
 */
export function follow(show, zoneOf) {
  const live = find("#live");
  let timer = null;
  let due = false;
  let trouble = null;
  const say = (text) => (live.textContent = plain(trouble ? `waits: ${trouble}` : text));
  const sayLive = () => say(`live, ${formatInstant(Date.now(), zoneOf()).slice(11)}`);
  const update = async () => {
    if (!due || timer !== null || document.visibilityState === "hidden") return;
    due = false;
    timer = 0; // until the update has ended
    if (find("#main").hasAttribute("aria-busy")) due = true;
    else {
      await show();
      sayLive();
    }
    timer = setTimeout(() => {
      timer = null;
      update();
    }, LIVE_PAUSE);
  };
  document.addEventListener("visibilitychange", update);
  listen(
    (first) => {
      sayLive();
      due ||= !first;
      update();
    },
    (reason) => {
      due ||= trouble !== null && reason === null;
      trouble = reason;
      sayLive();
      update();
    },
    () => {
      trouble = null; // a new connection tells it anew
      say("not connected; trying again");
    },
  );
}
