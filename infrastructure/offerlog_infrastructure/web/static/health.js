import { ask, attempt, fill, number } from "/static/asking.js";

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

async function refusals() {
  const since = new Date(Date.now() - 86_400_000).toISOString();
  const { items, next_cursor: more } = await ask("/v1/refusals", { since, limit: 500 });
  const reasons = Object.entries(Object.groupBy(items, (one) => one.reason));
  const told = reasons.map(([reason, list]) => `${reason}: ${number(list.length)}`).join(", ");
  document.querySelector("#reasons").textContent = items.length ? `${told}${more ? " (of the first 500)" : ""}` : "None.";
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
