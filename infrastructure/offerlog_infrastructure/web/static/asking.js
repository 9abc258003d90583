/** Requests to the service, and the state of the page while they are under way or have failed. */

import { find, plain } from "/static/elements.js";

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

/** Items that a press on "Show more" adds to a list, and the most requests for them. */
const [ITEMS, MOST_REQUESTS] = [100, 10];

/** Ask for the next items of a list: a page of the service may have few or none, although others follow. */
export async function askItems(path, parameters = {}, cursor = null) {
  const asked = new URLSearchParams(parameters);
  const found = [];
  let page = { next_cursor: cursor };
  for (let requests = 0; requests < MOST_REQUESTS && found.length < ITEMS; requests += 1) {
    asked.set("limit", ITEMS - found.length);
    if (page.next_cursor) asked.set("cursor", page.next_cursor);
    page = await ask(path, asked);
    found.push(...page.items);
    if (page.next_cursor === null) break;
  }
  return { ...page, items: found };
}

/**
 * Return the maps that have been counted, with id and label, sorted by label.
 *
 * Maps of the same name are told apart by the beginning of their ids.
 */
export async function countedMaps() {
  const { action_maps: maps } = await ask("/v1/action-maps");
  const counts = new Map();
  for (const { action_map_name: name } of maps) counts.set(name, (counts.get(name) ?? 0) + 1);
  const isUnique = (name) => counts.get(name) === 1;
  const labelled = maps.map(({ action_map_id: id, action_map_name: name }) => {
    return { id, label: name === null ? id : isUnique(name) ? name : `${name} (${id.slice(0, 8)})` };
  });
  return labelled.sort((one, other) => one.label.localeCompare(other.label));
}

let latest = 0;

/**
 * Run work that fills the page. The page is marked busy meanwhile, unless the update is quiet.
 *
 * An error is shown on the page, at the field at fault if there is one, and the old figures are dimmed. A later run
 * replaces an earlier one: `work` gets a function that returns whether its run is still the latest.
 */
export async function attempt(work, { quiet = false } = {}) {
  const main = find("#main");
  const wrong = find("#wrong");
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
  for (const field of document.querySelectorAll("#asked [aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }
  const field = failure?.field && find(`#asked [data-parameter="${CSS.escape(failure.field)}"]`);
  field?.setAttribute("aria-invalid", "true");
  field?.setAttribute("aria-describedby", "wrong");
}
