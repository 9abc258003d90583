import { ask, attempt } from "/static/asking.js";
import { create, find } from "/static/elements.js";

/** The page of keys: it lists, makes and revokes the keys of the organization. */

const token = find('input[name="csrf"]').value;

/** Send a change to the service and return its answer. The token shows that this page sends it. */
async function change(method, path, body = undefined) {
  const headers = { Accept: "application/json", "X-CSRF-Token": token };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.status === 401) location.reload(); // shows the log-in
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const { field, cause, detail } = content;
    throw new Error(field ? `${field}: ${cause}` : (detail ?? `the service answers ${answer.status}`));
  }
  return content;
}

const day = (instant) => (instant === null ? "–" : instant.slice(0, 10));

/** Return the time of an instant in UTC, to the minute; its title has the rest. */
const minute = (instant) => (instant === null ? "–" : instant.slice(0, 16).replace("T", " "));

function stateOf(key) {
  if (key.revoked_at !== null) return `revoked ${day(key.revoked_at)}`;
  if (key.expires_at !== null && Date.parse(key.expires_at) <= Date.now()) return `expired ${day(key.expires_at)}`;
  return "valid";
}

function createRow(key) {
  const row = create("tr");
  const state = stateOf(key);
  row.append(create("th", key.id, { scope: "row", className: "text" }));
  for (const text of [key.role, key.name || "–", key.origins.join(" ") || "–", day(key.created_at), day(key.expires_at),
    minute(key.last_used_at), state]) {
    row.append(create("td", text, { className: "text", title: text }));
  }
  const cell = row.appendChild(create("td"));
  if (state === "valid") {
    const named = `Revoke ${key.name || key.id}`;
    const button = create("button", "Revoke", { type: "button", className: "second", onclick: () => revoke(key) });
    button.setAttribute("aria-label", named);
    cell.append(button);
  }
  return row;
}

const NAMES = ["Id", "Role", "Name", "Origins", "Made", "Expires", "Last used (UTC)", "State", "Change"];

async function show() {
  const { keys } = await ask("/v1/keys");
  const head = create("thead");
  const line = head.appendChild(create("tr"));
  for (const name of NAMES) line.append(create("th", name, { scope: "col", className: "text" }));
  const body = create("tbody");
  const wanted = find("#ended").checked ? keys : keys.filter((key) => stateOf(key) === "valid");
  body.append(...wanted.reverse().map(createRow)); // the newest first
  find("#keys").replaceChildren(head, body);
}

function revoke(key) {
  const named = `${key.role} key ${key.name ? `“${key.name}” (${key.id})` : key.id}`;
  if (!confirm(`Revoke the ${named}? Whoever uses it is refused within seconds, and it cannot be restored.`)) return;
  attempt(async () => {
    await change("DELETE", `/v1/keys/${encodeURIComponent(key.id)}`);
    await show();
  });
}

function submit(event) {
  event.preventDefault();
  const fields = new FormData(event.target);
  const origins = fields.get("origins").split(/[\s,]+/).filter(Boolean);
  const asked = { role: fields.get("role"), name: fields.get("name"), origins };
  if (fields.get("expires")) asked.expires = fields.get("expires");
  attempt(async () => {
    const made = await change("POST", "/v1/keys", asked);
    event.target.reset();
    find("#text").value = made.key;
    find("#copied").textContent = "";
    find("#made").hidden = false;
    find("#made-title").focus();
    await show();
  });
}

async function copy() {
  const text = find("#text");
  text.select();
  try {
    await navigator.clipboard.writeText(text.value);
    find("#copied").textContent = "Copied.";
  } catch {
    find("#copied").textContent = "The browser does not allow it: copy the selected text by hand.";
  }
}

function forget() {
  find("#text").value = "";
  find("#made").hidden = true;
}

find("#create").addEventListener("submit", submit);
find("#copy-key").addEventListener("click", copy);
find("#done").addEventListener("click", forget);
find("#ended").addEventListener("change", () => attempt(show));
attempt(show);
