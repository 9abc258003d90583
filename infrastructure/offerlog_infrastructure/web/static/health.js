import { ask, attempt, fill, number } from "/static/asking.js";

const MOST = 500;

async function show() {
  const { projections } = await ask("/v1/projections");
  fill(
    document.querySelector("#projections"),
    ["Projection", "Position", "Lag, events", "Lag, seconds", "Dead letters, events"],
    projections.map((one) => [
      one.projection,
      number(one.position),
      number(one.lag_events),
      one.lag_seconds === null ? "unreadable" : one.lag_seconds.toFixed(1),
      number(one.short_by),
    ]),
  );
}

/** What was refused in the longest of these times that is not too much to show, newest first. */
async function refused() {
  let found;
  for (const [time, seconds] of [["24 hours", 86_400], ["hour", 3_600], ["5 minutes", 300], ["20 seconds", 20]]) {
    const since = new Date(Date.now() - seconds * 1_000).toISOString();
    const { items, next_cursor: more } = await ask("/v1/refusals", { since, limit: MOST });
    found = { time, items: items.reverse(), more };
    if (!more) break;
  }
  return found;
}

async function refusals() {
  const { time, items, more } = await refused();
  document.querySelector("#refusals-title").textContent = `Refused signals, the last ${time}`;
  const reasons = Object.entries(Object.groupBy(items, (one) => one.reason));
  const told = reasons.map(([reason, list]) => `${reason}: ${number(list.length)}`).join(", ");
  document.querySelector("#reasons").textContent = items.length ? `${told}${more ? ` (of the first ${MOST})` : ""}` : "None.";
  const table = document.querySelector("#refusals");
  fill(
    table,
    ["Recorded", "Reason", "What is wrong", "Signal"],
    items.slice(0, 100).map((one) => [one.recorded_at, one.reason, [one.field, one.cause].filter(Boolean).join(": "), one.signal]),
    new Set([0, 1, 2, 3]),
  );
  for (const cell of table.querySelectorAll("td:last-child")) {
    cell.classList.add("long");
    cell.title = cell.textContent;
  }
}

attempt(async () => {
  await show();
  await refusals();
});
setInterval(() => attempt(show), 5_000);
