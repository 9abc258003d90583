/** Requests to the API, and their answers on the page. Text is always set as text, never as markup. */

/** Where the log-in page finds out why it is shown. */
export const ENDED = "offerlog/session-ended";

/** A request that the service did not answer with what was asked; `field` is the parameter at fault, if it names one. */
class AnswerError extends Error {
  constructor(problem, status) {
    super(problem.field ? `${problem.field}: ${problem.cause}` : (problem.detail ?? `the service answers ${status}`));
    this.field = problem.field;
  }
}

/** The answer of a GET as JSON. Parameters may be repeated, as a form's. Leads to the log-in if the session has ended. */
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
    location.reload(); // to the log-in, and from there back
    await new Promise(() => {}); // nothing more happens on a page that goes
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new AnswerError(told, answer.status);
  return told;
}

/**
 * Text from outside, safe to show: characters that control the line, its direction or nothing visible are spelled out.
 * The joiners of emoji and of Persian stay.
 */
export const plain = (text) =>
  `${text}`.replace(/(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) => {
    const hex = one.codePointAt(0).toString(16).toUpperCase();
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });

/** The maps that have been counted, each with its id and label, in the order of the labels. */
export async function countedMaps() {
  const { action_maps: maps } = await ask("/v1/action-maps");
  const told = maps.map(({ action_map_id: id, action_map_name: name }) => ({ id, label: name ?? id }));
  return told.sort((one, other) => one.label.localeCompare(other.label));
}

/** An element with text, which may be from outside, and properties. */
export function made(name, text = "", properties = {}) {
  const element = Object.assign(document.createElement(name), properties);
  element.textContent = plain(text);
  return element;
}

/** A text that may be too long for a cell, in characters. */
const LONG = 25;

/** Fill a table: a header of names, and rows of cells; cells of the columns named in `texts` are text. */
export function fill(table, names, rows, texts = new Set([0])) {
  const kind = (n) => (texts.has(n) ? "text" : "");
  const head = made("thead");
  const line = head.appendChild(made("tr"));
  names.forEach((name, n) => line.append(made("th", name, { scope: "col", className: kind(n) })));
  const body = made("tbody");
  for (const cells of rows) {
    const row = body.appendChild(made("tr"));
    cells.forEach((cell, n) => {
      const one = row.appendChild(
        n ? made("td", cell, { className: kind(n) }) : made("th", cell, { scope: "row", className: "text" }),
      );
      if (`${cell}`.length > LONG) one.title = one.textContent; // the table shows its beginning only
    });
  }
  table.replaceChildren(head, body);
}

/** As `fill`, so many rows at a time: `cells(row)` is asked for the rows of the page that is shown, and for no other. */
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
    this.back = made("button", "Previous", { type: "button", onclick: step(-1) });
    this.forth = made("button", "Next", { type: "button", onclick: step(1) });
    this.where = made("span");
    pager.append(this.back, this.where, this.forth);
  }

  /** Show these rows; the page that is shown stays unless `first`. */
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
    this.where.textContent = `Rows ${number(start + 1)} to ${number(end)} of ${number(count)}`;
    this.back.disabled = start === 0;
    this.forth.disabled = end === count;
  }
}

/** The rows of a table that are on the page at once. */
export const ROWS = 100;

let latest = 0;

/**
 * Run something that fills the page; while it runs, the page is busy, unless it is a quiet update.
 *
 * What goes wrong is said on the page, beside the field at fault if there is one, and the old figures are dimmed. A later
 * run takes the place of an earlier one: `work` gets a function that says whether it still counts.
 */
export async function attempt(work, { quiet = false } = {}) {
  const main = document.querySelector("#main");
  const wrong = document.querySelector("#wrong");
  const mine = (latest += 1);
  const counts = () => mine === latest;
  if (!quiet) main.setAttribute("aria-busy", "true");
  let failure = null;
  try {
    await work(counts);
  } catch (error) {
    failure = error;
  }
  if (!counts()) return;
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
