/** The list of the visitors with the newest activity, on the page Visitors. */

import { askItems, attempt } from "/static/asking.js";
import { createLink, find } from "/static/elements.js";
import { fill } from "/static/tables.js";
import { nameOf } from "/static/words.js";

const more = find("#recent-more");

/** Say what happened, and the state of a refused offer. */
function describeEvent({ event, state }) {
  return event === "offer-refused" ? `${nameOf(event)}: ${nameOf(state)} before` : nameOf(event);
}

/**
 * Show the visitors with the newest activity, a hundred at a time.
 *
 * `time(stamp)` formats an instant, `labelOf(map, otherwise)` names an action map, `zone()` is the zone of the page.
 */
export async function showRecent(isLatest, { time, labelOf, zone }, before = [], cursor = null) {
  const page = await askItems("/v1/visitors", {}, cursor);
  if (!isLatest()) return;
  const items = [...before, ...page.items];
  const rows = items.map((one) => [
    createLink(one.customer_id, "/visitors", { customer_id: one.customer_id, customer_id_type: one.customer_id_type, zone: zone() }),
    one.customer_id_type,
    describeEvent(one),
    labelOf(one.action_map_id, one.action_map_name ?? one.action_map_id),
    time(one.occurred_at),
    time(one.recorded_at),
  ]);
  const names = ["Customer id", "Kind of id", "Newest event", "Action map", "Happened at", "Recorded at"];
  fill(find("#recent-rows"), names, rows, new Set([0, 1, 2, 3, 4, 5]));
  find("#recent-rows").hidden = items.length === 0;
  find("#nobody").hidden = items.length > 0 || page.next_cursor !== null;
  find("#recent").hidden = false;
  more.hidden = page.next_cursor === null;
  more.onclick = () => attempt((isStillLatest) => showRecent(isStillLatest, { time, labelOf, zone }, items, page.next_cursor));
}
