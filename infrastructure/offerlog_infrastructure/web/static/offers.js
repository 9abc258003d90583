/** The page of the visitor-offers behind a number of a report. */

import { askItems, attempt, countedMaps } from "/static/asking.js";
import { describeDays, formatInstant } from "/static/dates.js";
import { createLink, find, number, plain } from "/static/elements.js";
import { fill } from "/static/tables.js";
import { nameOf } from "/static/words.js";

const PATH = "/v1/reports/action-map-performance/visitor-offers";
const LABELS = {
  timedout: "Timed out",
  rejected_at_form: "Rejected at the form",
  rejected_at_invitation: "Rejected at the invitation",
  open: "Still open",
  lapsed: "Lapsed",
};

const query = new URLSearchParams(location.search);
const zone = query.get("zone") ?? "UTC";
const metric = query.get("metric") ?? "offered";
const label = LABELS[metric] ?? `${metric.charAt(0).toUpperCase()}${metric.slice(1)}`;
const isOffers = metric === "offered";
const isByVisitors = query.get("count_by") === "visitors";
const labels = new Map();
const items = [];
const more = find("#more");

/** Say which number this is, as the report does. */
function describe() {
  const maps = query.getAll("action_map").map((id) => labels.get(id) ?? id);
  const of = query.get("cohort") === "offered" && !isOffers ? "of the offers made in this time" : "";
  const each = isByVisitors ? "each visitor of an action map once, with the first action" : "";
  const parts = [describeDays(query.get("from"), query.get("to")), maps.join(", ") || "all action maps", of, each, zone];
  find("#shown").textContent = plain(parts.filter(Boolean).join(" · "));
}

/** Return the address of everything that is known of a visitor and an action map. */
function visitorLink(item) {
  const { customer_id, customer_id_type, action_map_id } = item;
  return createLink(customer_id, "/visitors", { customer_id, customer_id_type, action_map_id, zone });
}

function showItems() {
  const time = (instant) => (instant ? formatInstant(instant, zone) : "–");
  fill(
    find("#rows"),
    ["Customer id", "Kind of id", "Action map", "Offer", "Offered at", ...(isOffers ? [] : ["Reached at"]), "State now"],
    items.map((item) => [
      visitorLink(item),
      item.customer_id_type,
      labels.get(item.action_map_id) ?? item.action_map_id,
      number(item.action_number),
      time(item.offered_at),
      ...(isOffers ? [] : [time(item.at)]),
      nameOf(item.state),
    ]),
    new Set([0, 1, 2, 4, 5, 6]),
  );
}

async function showPage(isLatest, cursor = null) {
  const page = await askItems(PATH, query, cursor);
  if (!isLatest()) return;
  items.push(...page.items);
  const isWhole = page.next_cursor === null;
  const missing = isWhole && items.length < page.count ? " Visitors who were erased are counted, and not listed." : "";
  const listed = `${number(items.length)} of ${number(page.count)} are listed.${missing}`;
  find("#count").textContent = page.count ? listed : "No visitor-offer is behind this number.";
  showItems();
  find("#rows").hidden = items.length === 0;
  more.hidden = isWhole;
  more.onclick = () => attempt((isStillLatest) => showPage(isStillLatest, page.next_cursor));
}

const report = new URLSearchParams(query);
for (const name of ["metric", "action_map"]) report.delete(name);
find("#back").href = `/?${report}`;
find("#metric").textContent = plain(label);
attempt(async (isLatest) => {
  for (const one of await countedMaps()) labels.set(one.id, one.label);
  describe();
  await showPage(isLatest);
});
