/** The page Visitors: everything that is known of one visitor. */

import { ask, attempt, countedMaps } from "/static/asking.js";
import { formatInstant } from "/static/dates.js";
import { create, createLink, find, number, plain } from "/static/elements.js";
import { nameOf, nameStates } from "/static/words.js";
import { keepZone, listZones, preferredZone } from "/static/zones.js";
import { showRecent } from "/static/recent.js";
import { fill } from "/static/tables.js";

const form = find("#asked");
const ENDED = {
  engaged: "The visitor has had a chat through this offer",
  rejected: "The visitor rejected this offer",
  ignored: "The visitor ignored this offer",
  timedout: "The visitor let this offer time out",
  abandoned: "The visitor left the chat before an agent came",
};
/** Entries of the time line that one request fetches. */
const ENTRIES = 100;
const more = find("#more");
const labels = new Map();

const zone = () => form.elements.zone.value || "UTC";
const time = (stamp) => formatInstant(stamp, zone());
/** Show the instants of a sentence of the service on the clocks of the page. */
const withClocks = (text) => text.replace(/\b(since|at) (\d{4}-\d{2}-\d{2}T[\d:.]+Z)/g, (_, word, stamp) => `${word} ${time(stamp)}`);
const labelOf = (map, otherwise = map) => labels.get(map) ?? otherwise;

function createEvent(event) {
  const error = [event.error_code, event.error_message].filter(Boolean).join(": ");
  const details = [event.stage && `at the ${event.stage}`, error].filter(Boolean).join(", ");
  const line = create("li");
  line.append(create("time", time(event.occurred_at), { dateTime: event.occurred_at }), create("strong", ` ${nameOf(event.event)}`));
  line.append(details ? ` (${plain(details)})` : "");
  const isLater = time(event.recorded_at) !== time(event.occurred_at);
  if (isLater) line.append(create("span", ` recorded ${time(event.recorded_at)}`, { className: "quiet" }));
  return line;
}

/** Show the events of a visitor-offer, page by page, with a slider that goes back in time among those that are shown. */
function showHistory(pair, history) {
  const slider = find("#version");
  const next = find("#more-events");
  const events = [];
  const lines = [];
  const step = () => {
    const version = Number(slider.value);
    lines.forEach((line, n) => line.toggleAttribute("data-later", n >= version));
    find("#state").textContent = version ? `${version}: ${nameOf(events[version - 1].event)}` : "0: nothing yet";
  };
  const append = (page) => {
    events.push(...page.events);
    lines.push(...page.events.map(createEvent));
    find("#events").replaceChildren(...lines);
    slider.max = lines.length;
    slider.value = lines.length;
    next.hidden = page.next_cursor === null;
    next.onclick = () =>
      attempt(async (isLatest) => {
        const further = await ask("/v1/history", { ...pair, cursor: page.next_cursor });
        if (isLatest()) append(further);
      });
    step();
  };
  slider.oninput = step;
  append(history);
  find("#past").hidden = history.version === 0;
}

function createEntry(entry, withMap) {
  const line = create("li");
  line.append(create("time", time(entry.occurred_at ?? entry.recorded_at)), ` ${plain(withClocks(nameStates(entry.summary)))}`);
  const about = [];
  if (withMap) about.push(labelOf(entry.action_map_id, "action map not readable"));
  if (entry.occurred_at && time(entry.occurred_at) !== time(entry.recorded_at)) about.push(`recorded ${time(entry.recorded_at)}`);
  if (entry.version !== null) about.push(`event ${entry.version}`);
  if (about.length) line.append(create("span", ` · ${about.join(" · ")}`, { className: "quiet" }));
  if (entry.kind === "refused" || entry.kind === "offer-refused") line.dataset.refused = "";
  if (entry.signal) {
    const shown = create("details");
    const cut = entry.signal_bytes > entry.signal.length ? `, the beginning of ${number(entry.signal_bytes)} bytes` : "";
    shown.append(create("summary", `The signal as it came${cut}`), create("code", entry.signal));
    line.append(shown);
  }
  return line;
}

/** Show a page of the time line, behind those that are shown if there is a cursor. */
async function showKnown(asked, isLatest, cursor) {
  const page = await ask("/v1/timeline", { ...asked, limit: ENTRIES, ...(cursor ? { cursor } : {}) });
  if (!isLatest()) return;
  const entries = find("#entries");
  if (!cursor) entries.replaceChildren();
  entries.append(...page.items.map((entry) => createEntry(entry, !asked.action_map_id)));
  find("#none").hidden = entries.childElementCount > 0;
  find("#known").hidden = false;
  more.hidden = page.next_cursor === null;
  more.onclick = () => attempt((isStillLatest) => showKnown(asked, isStillLatest, page.next_cursor));
}

const OPEN = ["offered", "accepted", "started"];

/** Say whether an action map offers again; an open action may have lapsed, which the page of the map says. */
function describeFuture({ suppressed, state }, until) {
  if (suppressed) return until ? `suppressed until ${time(until)}` : "suppressed";
  return OPEN.includes(state) ? "not while it is open" : "yes";
}

/** Show all action maps of a visitor; each leads to the events of its visitor-offer. */
function showAll(visitor, { items, next_cursor: next }, suppressions) {
  const ends = new Map(suppressions.map((one) => [one.action_map_id, one.until]));
  const rows = items.map((one) => [
    createLink(labelOf(one.action_map_id, one.action_map_name ?? one.action_map_id), "/visitors", {
      ...visitor,
      action_map_id: one.action_map_id,
      zone: zone(),
    }),
    `${one.state ? nameOf(one.state) : "no offer made"}${one.stage ? ` at the ${one.stage}` : ""}`,
    one.since ? time(one.since) : "–",
    describeFuture(one, ends.get(one.action_map_id)),
    number(one.actions),
    number(one.blocked_offers),
  ]);
  const names = ["Action map", "State", "Since", "Offered again?", "Offers made", "Offers blocked"];
  fill(find("#offers"), names, rows, new Set([0, 1, 2, 3]));
  find("#offers").hidden = items.length === 0;
  const suppressed = number(items.filter((one) => one.suppressed).length);
  const all = `${next ? "the first " : ""}${number(items.length)}`;
  find("#suppressed").textContent = items.length ? `Suppressed for ${suppressed} of ${all} action maps.` : "No offer was made to this visitor.";
  find("#suppressed").hidden = false;
  find("#all").hidden = false;
}

/** Show what stands against an offer of one action map, and its events. */
function showPair(pair, may, history) {
  const since = may.since && time(may.since);
  const action = `(Action ${may.action_id})`;
  const verdicts = {
    terminal_state: ["Suppressed", `${ENDED[may.state] ?? `This offer was ${nameOf(may.state)}`} on ${since}. That suppresses the offer. ${action}`],
    already_open: ["Not now", `An invitation of this action map is open: ${may.state} since ${since}. ${action}`],
  };
  const reason = may.known ? "No earlier offer blocks it." : "This action map has never made an offer to this visitor.";
  const otherwise = may.eligible ? ["It may be offered", reason] : ["It must not be offered", `${may.reason}: ${may.state} since ${since}.`];
  const [verdict, why] = verdicts[may.reason] ?? otherwise;
  find("#verdict").textContent = plain(verdict);
  find("#why").textContent = plain(why);
  find("#answer").hidden = false;
  showHistory(pair, history);
}

function hideAll() {
  for (const id of ["#recent", "#unknown", "#all", "#answer", "#past", "#known"]) find(id).hidden = true;
}

/** Show the visitor of the page's address, or the newest visitors where it names none. */
async function showAddress(isLatest) {
  if (new URLSearchParams(location.search).has("customer_id")) {
    readAddress();
    await lookUp(isLatest);
    return;
  } // else what somebody has typed already stays
  hideAll();
  await showRecent(isLatest, { time, labelOf, zone });
}

/** Look up the visitor of the form. */
async function lookUp(isLatest) {
  // not FormData: it would turn a line feed in an id into two characters
  const { customer, kind, action_map: map } = form.elements;
  const visitor = { customer_id: customer.value, customer_id_type: kind.value };
  const pair = map.value ? { ...visitor, action_map_id: map.value } : null;
  const [all, { suppressions }, may, history] = await Promise.all([
    ask("/v1/visitor-offers", { ...visitor, limit: 1_000 }),
    ask("/v1/suppressions", visitor),
    pair && ask("/v1/eligibility", pair),
    pair && ask("/v1/history", pair),
  ]);
  if (!isLatest()) return;
  hideAll();
  if (!all.known) {
    find("#unknown").hidden = false;
    return;
  }
  showAll(visitor, all, suppressions);
  if (pair) showPair(pair, may, history);
  await showKnown(pair ?? visitor, isLatest);
  keepZone(zone());
}

/** Fill the form from the page's address. */
function readAddress() {
  const address = new URLSearchParams(location.search);
  const { elements } = form;
  elements.customer.value = address.get("customer_id") ?? "";
  elements.kind.value = address.get("customer_id_type") ?? "cookie";
  elements.zone.value = address.get("zone") ?? preferredZone();
  const map = address.get("action_map_id") ?? "";
  if (map && !labels.has(map)) elements.action_map.append(create("option", map, { value: map }));
  elements.action_map.value = map;
}

/** Put what is looked up into the page's address, so that it can be kept and shared. */
function writeAddress() {
  const { customer, kind, action_map: map } = form.elements;
  const address = new URLSearchParams({ customer_id: customer.value, customer_id_type: kind.value });
  if (map.value) address.set("action_map_id", map.value);
  address.set("zone", zone());
  history.pushState(null, "", `?${address}`);
}

form.elements.customer.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault(); // Shift+Enter types a line feed, which an id may hold
  form.requestSubmit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  writeAddress();
  attempt(lookUp);
});
form.elements.zone.addEventListener("change", () => {
  if (find("#recent").hidden) return;
  keepZone(zone());
  attempt(showAddress);
});
addEventListener("popstate", () => {
  readAddress();
  attempt(showAddress);
});
listZones();
form.elements.zone.value = preferredZone();
attempt(async (isLatest) => {
  for (const { id, label } of await countedMaps()) {
    labels.set(id, label);
    form.elements.action_map.append(create("option", label, { value: id }));
  }
  await showAddress(isLatest);
});
