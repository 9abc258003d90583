/** News of the service: that some figures have changed. */

import { ask } from "/static/asking.js";

/**
 * Listen to changes while the page is open. If the session has ended, show the log-in.
 *
 * `changed(first)` is called with whether the event is the first one, which says how things stand; `lost()` when the
 * connection has ended.
 */
export function listen(changed, lost) {
  const source = new EventSource("/v1/stream");
  let first = true;
  source.addEventListener("metrics", () => {
    changed(first);
    first = false;
  });
  source.addEventListener("error", () => {
    lost();
    if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
    source.close();
    ask("/v1/projections").catch(() => {}); // shows the log-in if the session has ended
    setTimeout(() => listen(() => changed(false), lost), 5_000);
  });
}
