/** Requests to the API, and their answers on the page. Text is always set as text, never as markup. */

/** Key of sessionStorage that tells the log-in page that a session has ended. */
export const ENDED = "offerlog/session-ended";

/** Error of a request to the service; `field` is the parameter at fault, if the service names one. */
class AnswerError extends Error {
  constructor(problem, status) {
    super(problem.field ? `${problem.field}: ${problem.cause}` : (problem.detail ?? `the service answers ${status}`));
    this.field = problem.field;
  }
}

/** Send a GET and return its answer from JSON. Parameters may be repeated. Without a session, show the log-in. */
export async function ask(path, parameters = {}) {
  const query = new URLSearchParams(parameters);
  let answer;
  try {
    answer = await fetch(query.size ? `${path}?${query}` : path, { headers: { Accept: "application/json" } });
  } catch {
    throw new Error("the service cannot be reached; try again");
  }
  if (answer.status === 401) {
    sessionStorage.setItem(ENDED, "yes");
    location.reload(); // shows the log-in, which leads back to this page
    await new Promise(() => {}); // the page is being left
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new AnswerError(content, answer.status);
  return content;
}

/**
 * Make text from outside safe to show: control, direction and invisible characters are spelled out.
 * The joiners of emoji and of Persian stay.
 */
export const plain = (text) =>
  `${text}`.replace(/(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) => {
    const hex = one.codePointAt(0).toString(16).toUpperCase();
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });

/** Return the maps that have been counted, with id and label, sorted by label. */
export async function countedMaps() {
  const { action_maps: maps } = await ask("/v1/action-maps");
  const labelled = maps.map(({ action_map_id: id, action_map_name: name }) => ({ id, label: name ?? id }));
  return labelled.sort((one, other) => one.label.localeCompare(other.label));
}

/** Create an element with properties, and with text that may be from outside. */
export function create(name, text = "", properties = {}) {
  const element = Object.assign(document.createElement(name), properties);
  element.textContent = plain(text);
  return element;
}

/** Characters of a text that always fit into a cell. */
const LONG = 25;

/** Fill a table with a header of names and rows of cells. `texts` holds the numbers of the columns that are text. */
export function fill(table, names, rows, texts = new Set([0])) {
  const kind = (n) => (texts.has(n) ? "text" : "");
  const head = create("thead");
  const line = head.appendChild(create("tr"));
  names.forEach((name, n) => line.append(create("th", name, { scope: "col", className: kind(n) })));
  const body = create("tbody");
  for (const cells of rows) {
    const row = body.appendChild(create("tr"));
    cells.forEach((cell, n) => {
      const one = row.appendChild(
        n ? create("td", cell, { className: kind(n) }) : create("th", cell, { scope: "row", className: "text" }),
      );
      if (`${cell}`.length > LONG) one.title = one.textContent; // the cell shows only the beginning
    });
  }
  table.replaceChildren(head, body);
}

/** A table that shows one page of rows at a time. `cells(row)` is called only for the rows of that page. */
export class PagedTable {
  #table;
  #pager;
  #rows = [];
  #page = 0;
  #draw = () => {};

  constructor(table, pager) {
    this.#table = table;
    this.#pager = pager;
    const step = (by) => () => {
      this.#page += by;
      this.#show();
    };
    this.previous = create("button", "Previous", { type: "button", onclick: step(-1) });
    this.next = create("button", "Next", { type: "button", onclick: step(1) });
    this.position = create("span");
    pager.append(this.previous, this.position, this.next);
  }

  /** Show these rows, on the same page as before; on the first page if `first`. */
  fill(names, rows, cells, texts, { first = false } = {}) {
    this.#rows = rows;
    this.#draw = (some) => fill(this.#table, names, some.map(cells), texts);
    if (first) this.#page = 0;
    this.#show();
  }

  #show() {
    const count = this.#rows.length;
    this.#page = Math.max(0, Math.min(this.#page, Math.ceil(count / ROWS) - 1));
    const start = this.#page * ROWS;
    const end = Math.min(start + ROWS, count);
    this.#draw(this.#rows.slice(start, end));
    this.#pager.hidden = count <= ROWS;
    this.position.textContent = `Rows ${number(start + 1)} to ${number(end)} of ${number(count)}`;
    this.previous.disabled = start === 0;
    this.next.disabled = end === count;
  }
}

/** Rows of a table on one page. */
export const ROWS = 100;

let latest = 0;

/**
 * Run work that fills the page. The page is marked busy meanwhile, unless the update is quiet.
 *
 * An error is shown on the page, at the field at fault if there is one, and the old figures are dimmed. A later run
 * replaces an earlier one: `work` gets a function that returns whether its run is still the latest.
 */
export async function attempt(work, { quiet = false } = {}) {
  const main = document.querySelector("#main");
  const wrong = document.querySelector("#wrong");
  const run = (latest += 1);
  const isLatest = () => run === latest;
  if (!quiet) main.setAttribute("aria-busy", "true");
  let failure = null;
  try {
    await work(isLatest);
  } catch (error) {
    failure = error;
  }
  if (!isLatest()) return;
  main.removeAttribute("aria-busy");
  main.classList.toggle("stale", failure !== null);
  wrong.hidden = failure === null;
  if (failure || wrong.textContent) wrong.textContent = plain(failure?.message ?? "");
  for (const field of document.querySelectorAll("[aria-errormessage]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-errormessage");
  }
  const field = failure?.field && document.querySelector(`#asked [name="${CSS.escape(failure.field)}"]`);
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-errormessage", "wrong");
}

export const number = (value) => value.toLocaleString("en");
export const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");
