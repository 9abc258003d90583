/** Asking the API, and putting answers onto the page; text is always set as text, never as markup. */

/** The answer of a GET as JSON; an error carries the problem's own words. Parameters may come again, as a form's do. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  const answer = await fetch(query.size ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
  const told = await answer.json();
  if (answer.status === 401) location.reload(); // to the log-in, and from there back
  if (!answer.ok) throw new Error(told.field ? `${told.field}: ${told.cause}` : told.detail);
  return told;
}

/** The maps that have been counted, each with its id and what people call it, in the order of that. */
export async function countedMaps() {
  const { action_maps: maps } = await ask("/v1/action-maps");
  const told = maps.map(({ action_map_id: id, action_map_name: name }) => ({ id, label: name ?? id }));
  return told.sort((one, other) => one.label.localeCompare(other.label));
}

/** An element with text and children. */
export function made(name, text = "", properties = {}) {
  const element = Object.assign(document.createElement(name), properties);
  element.textContent = text;
  return element;
}

/** Fill a table: a header of names, and rows of cells; cells of the columns named in `texts` are text. */
export function fill(table, names, rows, texts = new Set([0])) {
  const kind = (n) => (texts.has(n) ? "text" : "");
  const head = made("thead");
  const line = head.appendChild(made("tr"));
  names.forEach((name, n) => line.append(made("th", name, { scope: "col", className: kind(n) })));
  const body = made("tbody");
  for (const cells of rows) {
    const row = body.appendChild(made("tr"));
    cells.forEach((cell, n) =>
      row.append(n ? made("td", cell, { className: kind(n) }) : made("th", cell, { scope: "row", className: "text" })),
    );
  }
  table.replaceChildren(head, body);
}

/** Run something, and say on the page what went wrong with it. */
export async function attempt(work) {
  const wrong = document.querySelector("#wrong");
  try {
    wrong.hidden = true;
    await work();
  } catch (error) {
    wrong.textContent = error.message;
    wrong.hidden = false;
  }
}

export const number = (value) => value.toLocaleString("en");
export const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");
