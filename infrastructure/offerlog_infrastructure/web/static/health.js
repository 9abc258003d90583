/** The page Health: whether signals are recorded, how far the projections are, and what was refused. */

import { ask, attempt } from "/static/asking.js";
import { formatInstant } from "/static/dates.js";
import { create, find, number, plain } from "/static/elements.js";
import { fill } from "/static/tables.js";
import { REFUSED } from "/static/words.js";
import { preferredZone } from "/static/zones.js";

/** Most refusals that are listed, and most characters of each text. */
const [MAX_LINES, MAX_TEXT] = [100, 500];
const DAY = 86_400_000;
const zone = preferredZone();

async function showProjections() {
  const { projections: found } = await ask("/v1/projections");
  fill(
    find("#projections"),
    ["Projection", "Position", "Lag, events", "Lag, seconds", "Dead letters, events"],
    found.map((one) => [
      one.projection,
      number(one.position),
      number(one.lag_events),
      one.lag_seconds === null ? "unreadable" : one.lag_seconds.toFixed(1),
      number(one.short_by),
    ]),
  );
}

/** Show whether signals and offers can be recorded now, and if not, why: as `/readyz` answers load balancers. */
async function showStore() {
  const line = find("#store");
  let text = "Ready: signals and offers are recorded.";
  let ready = true;
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" } });
    const content = await answer.json().catch(() => ({}));
    if (content.waits_for) text = `Ready, but some writes wait: ${content.waits_for}`;
    if (!answer.ok) [ready, text] = [false, `Not ready: ${content.detail ?? `the service answers ${answer.status}`}`];
  } catch {
    [ready, text] = [false, "The service cannot be reached."];
  }
  line.classList.toggle("wrong", !ready);
  if (line.textContent !== plain(text)) line.textContent = plain(text);
}

/** Shorten a long text for the list, and add its original length. */
function shorten(text, length = `${number(text.length)} characters`) {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)} … (${length})` : text;
}

/** Show the exact counts by reason in the last 24 hours, and the newest refusals. */
async function showRefusals() {
  const since = new Date(Date.now() - DAY).toISOString();
  const [{ refusals: count, reasons }, { items }] = await Promise.all([
    ask("/v1/refusals/counts", { since }),
    ask("/v1/refusals", { since, order: "newest", limit: MAX_LINES }),
  ]);
  fill(
    find("#reasons"),
    ["Reason", "Refused"],
    reasons.map((one) => [[one.reason, create("span", REFUSED[one.reason] ?? "", { className: "meaning" })], number(one.refusals)]),
  );
  find("#none").hidden = count > 0;
  find("#reasons").hidden = count === 0;
  find("#listed").textContent = items.length
    ? `The newest ${number(items.length)} of ${number(Math.max(count, items.length))}, on the clocks of ${zone}.`
    : "";
  const table = find("#refusals");
  table.hidden = items.length === 0;
  fill(
    table,
    ["Recorded at", "Reason", "What is wrong", "Signal"],
    items.map((one) => [
      create("time", formatInstant(one.recorded_at, zone), { dateTime: one.recorded_at }),
      one.reason,
      shorten([one.field, one.cause].filter(Boolean).join(": ") || (REFUSED[one.reason] ?? "")),
      shorten(one.signal, `${number(one.signal_bytes)} bytes`),
    ]),
    new Set([0, 1, 2, 3]),
  );
  for (const cell of table.querySelectorAll("td:nth-child(n + 3)")) {
    cell.classList.add("long");
  }
}

const show = () => Promise.all([showStore(), showProjections(), showRefusals()]);

attempt(show);
setInterval(() => document.visibilityState === "visible" && attempt(show, { quiet: true }), 10_000);
