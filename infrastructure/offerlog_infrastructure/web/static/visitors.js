import { ask, attempt, countedMaps, create, plain } from "/static/asking.js";

const form = document.querySelector("#asked");
const REASONS = {
  terminal_state: "the visitor took it or turned it down before",
  already_open: "another invitation of this map is still open",
};
const time = (stamp) => new Date(stamp).toLocaleString("en-GB", { timeZone: "UTC" }) + " UTC";

function show(history) {
  const slider = document.querySelector("#version");
  slider.max = history.version;
  slider.value = history.version;
  const lines = history.events.map((event) => {
    const error = [event.error_code, event.error_message].filter(Boolean).join(": ");
    const details = [event.stage, error].filter(Boolean).join(", ");
    const line = create("li", `${event.version}. ${event.event}${details ? ` (${details})` : ""}, ${time(event.occurred_at)}`);
    if (event.recorded_at !== event.occurred_at) line.append(create("span", ` · recorded ${time(event.recorded_at)}`, { className: "quiet" }));
    return line;
  });
  document.querySelector("#events").replaceChildren(...lines);
  const step = () => {
    const version = Number(slider.value);
    lines.forEach((line, n) => line.toggleAttribute("data-later", n >= version));
    document.querySelector("#state").textContent = version ? `${version}: ${history.events[version - 1].event}` : "0: nothing yet";
  };
  slider.oninput = step;
  step();
  document.querySelector("#past").hidden = history.version === 0;
}

async function lookUp(isLatest) {
  // not FormData: it would turn a line feed in an id into two characters
  const [customer, kind, map] = ["customer", "kind", "action_map"].map((name) => form.elements[name].value);
  const visitor = { customer_id: customer, customer_id_type: kind };
  const pair = { ...visitor, action_map_id: map };
  const [may, history, list] = await Promise.all([
    ask("/v1/eligibility", pair),
    ask("/v1/history", pair),
    ask("/v1/suppressions", visitor),
  ]);
  if (!isLatest()) return;
  const unknown = history.version === 0;
  document.querySelector("#verdict").textContent = may.eligible ? "It may be offered." : "It must not be offered.";
  document.querySelector("#why").textContent = may.eligible
    ? unknown
      ? "Nothing is known of this visitor and this action map. Check the id and its kind."
      : "No earlier action blocks it."
    : plain(`Because ${REASONS[may.reason] ?? may.reason}: ${may.state} since ${time(may.since)} (action ${may.action_id}).`);
  document.querySelector("#others").textContent = `Action maps suppressed for this visitor, in all: ${list.suppressions.length}.`;
  document.querySelector("#answer").hidden = false;
  show(history);
}

form.elements.customer.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault(); // Shift+Enter types a line feed, which an id may hold
  form.requestSubmit();
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(lookUp);
});
attempt(async () => {
  const maps = await countedMaps();
  for (const { id, label } of maps) form.elements.action_map.append(create("option", label, { value: id }));
  if (!maps.length) form.elements.action_map.append(create("option", "none has been counted yet", { value: "" }));
});
