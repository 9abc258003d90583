/** The query of a report: as the page's address and the form hold it, and as the service is asked. */

import { ask } from "/static/asking.js";
import { addDays, daysBetween, granularityOf, isDate, RANGES, rangeDays, today } from "/static/dates.js";
import { closeByItself, create, find, plain } from "/static/elements.js";
import { listZones, preferredZone } from "/static/zones.js";

/** Hours of a day that show little of it. */
const SHORT_DAY = 6;
const form = find("#asked");

/** What a query asks for unless its address says otherwise. A page that begins differently says so at its form. */
const USUAL = { by: "auto", count_by: "actions", cohort: form.dataset.cohort ?? "event", media_type: "" };

/**
 * Read the query of the page's address.
 *
 * `from` and `to` are days, `to` the one behind the last, as the service takes them. `range` stands for both.
 */
export function readAddress() {
  const address = new URLSearchParams(location.search);
  const one = (name, otherwise = "") => address.get(name) || otherwise;
  const hasDays = address.has("from") || address.has("to");
  return {
    range: hasDays ? "" : Object.hasOwn(RANGES, one("range")) ? one("range") : (form.dataset.range ?? "newest"),
    from: one("from"),
    to: one("to"),
    zone: one("zone", preferredZone()),
    by: one("by", USUAL.by),
    maps: address.getAll("action_map"),
    count_by: one("count_by", USUAL.count_by),
    cohort: one("cohort", USUAL.cohort),
    media_type: one("media_type"),
    compare: one("compare") !== "off",
  };
}

/** Return the address of a query, without what is usual; with `days`, those stand in it in place of a range. */
export function addressOf(query, days = null) {
  const address = new URLSearchParams();
  if (query.range && !days?.from) address.set("range", query.range);
  const { from, to } = days ?? query;
  if (from) address.set("from", from);
  if (to) address.set("to", to);
  address.set("zone", query.zone);
  for (const [name, usual] of Object.entries(USUAL)) {
    if (query[name] !== usual) address.set(name, query[name]);
  }
  for (const map of query.maps) address.append("action_map", map);
  if (!query.compare) address.set("compare", "off");
  return address;
}

/** Return the parameters of a report of the service: `by` and days are given, the rest is the query's. */
export function parametersOf(query, { from, to }, by = null) {
  const parameters = new URLSearchParams();
  if (from) parameters.set("from", from);
  if (to) parameters.set("to", to);
  parameters.set("zone", query.zone);
  if (by) parameters.set("by", by);
  for (const map of query.maps) parameters.append("action_map", map);
  for (const [name, usual] of Object.entries(USUAL)) {
    if (name !== "by" && query[name] !== usual) parameters.set(name, query[name]);
  }
  return parameters;
}

/** Sum the offers and the answers of a report by day. */
function countsByDay({ rows }) {
  const counts = new Map();
  for (const { bucket, metrics } of rows) {
    const day = bucket.slice(0, 10);
    counts.set(day, Object.values(metrics).reduce((sum, one) => sum + one, counts.get(day) ?? 0));
  }
  return new Map([...counts].sort());
}

/**
 * Find the first month and the newest days in which something was counted, with two small requests.
 *
 * Where there are too many action maps for that, it is today.
 */
async function countedDays(query, report) {
  let monthly;
  try {
    monthly = await ask(report, parametersOf({ ...query, zone: "UTC" }, {}, "month"));
  } catch (error) {
    if (error.field !== "by") throw error;
    return { newest: today(query.zone), counts: new Map() };
  }
  const months = [...countsByDay(monthly).keys()];
  if (!months.length) return {};
  // The zone's clocks may show the day before the month of UTC, or the day behind it.
  const counts = countsByDay(await ask(report, parametersOf(query, { from: addDays(months.at(-1), -2) }, "day")));
  return { first: months[0], newest: [...counts.keys()].at(-1), counts };
}

/**
 * Return the newest day on which something was counted.
 *
 * A day that ends in its first hours shows little. If it is today, the day before is shown with it. Else it has the last
 * answers to offers of the day before, which is shown in its place if it has ten times as many counts.
 */
async function newestDays(query, report, newest, counts) {
  const one = (day) => ({ from: day, to: addDays(day, 1) });
  const before = addDays(newest, -1);
  const { rows } = await ask(report, parametersOf(query, one(newest), "hour"));
  const isShort = rows.every((row) => Number(row.bucket.slice(11, 13)) < SHORT_DAY);
  if (!isShort || !counts.has(before)) return one(newest);
  if (newest !== today(query.zone) && counts.get(before) > 10 * counts.get(newest)) return one(before);
  return { from: before, to: addDays(newest, 1) };
}

/**
 * Find the days and the granularity of a query.
 *
 * Its answer stays the same while figures are updated: a new day does not move the report under its reader.
 */
export async function resolve(query, report) {
  let days = query.range ? rangeDays(query.range, query.zone) : { from: query.from, to: query.to };
  let length = isDate(days.from ?? "") && isDate(days.to ?? "") ? daysBetween(days.from, days.to) : null;
  if (length === null && (query.range === "newest" || query.by === "auto")) {
    const { first, newest, counts } = await countedDays(query, report);
    if (newest && query.range === "newest") days = await newestDays(query, report, newest, counts);
    const start = isDate(days.from ?? "") ? days.from : first;
    const end = isDate(days.to ?? "") ? days.to : newest && addDays(newest, 1);
    length = start && end ? daysBetween(start, end) : 1;
  }
  return { ...days, by: query.by === "auto" ? granularityOf(length) : query.by };
}

/** Return the days of the period before, which is as long; nothing where a side is open. */
export function periodBefore({ from, to }) {
  if (!isDate(from ?? "") || !isDate(to ?? "") || from >= to) return null;
  return { from: addDays(from, -daysBetween(from, to)), to: from };
}

const picker = find(".picker");
const boxes = find("#maps");
let activeRange = "";

function showRange(range) {
  activeRange = range;
  for (const button of form.querySelectorAll("button[name=range]")) button.setAttribute("aria-pressed", button.value === range);
}

/** Show in the picker's button which maps are chosen. */
export function showChosenMaps() {
  const chosen = [...boxes.querySelectorAll("input:checked")].map((box) => box.parentElement.textContent.trim());
  find("#chosen").textContent = chosen.length < 2 ? plain(chosen[0] ?? "all") : `${chosen.length} of them`;
}

/** Show the days that a range means, unless others have been typed meanwhile. */
export function fillDays(range, { from, to }) {
  if (range !== activeRange) return;
  form.elements.from.value = from ?? "";
  form.elements.until.value = isDate(to ?? "") ? addDays(to, -1) : (to ?? "");
}

/** Fill the form with a query. */
export function fillForm(query) {
  for (const name of ["zone", "by", "count_by", "cohort", "media_type"]) {
    const field = form.elements[name];
    if (!field) continue; // not every page has all of them
    const before = field.value;
    field.value = query[name];
    if (field instanceof HTMLSelectElement && field.selectedIndex < 0) field.value = before; // the address names no option
  }
  if (form.elements.compare) form.elements.compare.checked = query.compare;
  for (const box of boxes.querySelectorAll("input")) box.checked = query.maps.includes(box.value);
  showRange(query.range);
  fillDays(query.range, query);
}

/** Read the query of the form. Its last day is the day before `to`. */
export function readForm() {
  const { elements } = form;
  const from = elements.from.value.trim();
  const until = elements.until.value.trim();
  return {
    range: activeRange || (from || until ? "" : "all"),
    from: activeRange ? "" : from,
    to: activeRange ? "" : isDate(until) ? addDays(until, 1) : until,
    zone: elements.zone.value.trim(),
    by: elements.by?.value ?? USUAL.by,
    maps: [...boxes.querySelectorAll("input:checked")].map((box) => box.value),
    count_by: elements.count_by.value,
    cohort: elements.cohort.value,
    media_type: elements.media_type.value,
    compare: elements.compare?.checked ?? true,
  };
}

/** List the maps to choose from; those of the query are chosen. */
export function listMaps(counted, chosen) {
  for (const { id, label } of counted) {
    const line = boxes.appendChild(create("label"));
    const box = create("input", "", { type: "checkbox", name: "action_map", value: id, checked: chosen.includes(id) });
    line.append(box, " ", create("bdi", label));
  }
  const search = find("#find");
  search.addEventListener("input", () => {
    for (const label of boxes.children) label.hidden = !label.textContent.toLowerCase().includes(search.value.toLowerCase());
  });
  boxes.addEventListener("change", showChosenMaps);
  closeByItself(picker);
  showChosenMaps();
}

/** Make the form work; `submit` is called with the query of a press on Show or on a range. */
export function beginForm(submit) {
  find("#ranges").append(
    ...Object.entries(RANGES).map(([value, label]) => create("button", label, { name: "range", value, className: "second" })),
  );
  listZones();
  for (const name of ["from", "until"]) {
    const field = form.elements[name];
    const calendar = find(`#${name}-calendar`);
    field.addEventListener("input", () => showRange(""));
    find(`#${name}-open`).addEventListener("click", () => {
      calendar.value = field.value;
      calendar.showPicker();
    });
    calendar.addEventListener("change", () => {
      field.value = calendar.value;
      showRange("");
    });
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    picker.open = false;
    if (event.submitter?.name === "range") showRange(event.submitter.value);
    submit(readForm());
  });
}

/** Copy the page's address with another query, such as one that shows the same days tomorrow, too. */
export async function copyLink(query) {
  const address = `${location.origin}${location.pathname}?${query}`;
  const button = find("#copy");
  try {
    await navigator.clipboard.writeText(address);
    button.textContent = "Copied";
  } catch {
    const field = find("#link");
    field.value = address;
    field.hidden = false;
    field.select();
    button.textContent = "Copy this";
  }
  setTimeout(() => (button.textContent = "Copy link"), 3_000);
}
