/** The page of action maps: each by media type, and its versions compared. */

import { ask, attempt, countedMaps } from "/static/asking.js";
import { showComparisons } from "/static/comparisons.js";
import { describeDays } from "/static/dates.js";
import {
  addressOf, beginForm, copyLink, fillDays, fillForm, listMaps, parametersOf, readAddress, readForm, resolve, showChosenMaps,
} from "/static/filters.js";
import { closeByItself, create, createLink, find, number, percent, plain } from "/static/elements.js";
import { follow } from "/static/live.js";
import { SortedTable } from "/static/tables.js";
import { MEDIA_TYPES } from "/static/words.js";
import { keepZone } from "/static/zones.js";

const REPORT = "/v1/reports/action-maps";
const PERFORMANCE = "/v1/reports/action-map-performance";
const FILES = { csv: "CSV", xlsx: "Excel", parquet: "Parquet" };
const form = find("#asked");
const labels = new Map();

/** What was last submitted; live updates repeat it, with the same days. */
let submitted = null;

const labelOf = (row) => labels.get(row.action_map_id) ?? row.action_map_name ?? row.action_map_id;
const typeOf = (row) => MEDIA_TYPES[row.media_type] ?? row.media_type ?? "unknown";
const versionOf = (row) => (row.action_map_version === null ? "unknown" : `${row.action_map_version}`);

/** Return the query of the form, with the versions that are compared. */
const readQuery = () => ({ ...readForm(), by_version: form.elements.by_version.checked, baseline: find("#baseline").value });

/** Add what this page alone asks for to the parameters or the address of a query. */
function withVersions(parameters, { by_version, baseline }) {
  if (by_version) parameters.set("by_version", "true");
  if (by_version && baseline) parameters.set("baseline", baseline);
  return parameters;
}

const parameters = () => withVersions(parametersOf(submitted.query, submitted.days), submitted.query);

/** Create a count, as a link to the list of its visitor-offers; versions and unknown types have no list. */
function createFigure(row, name) {
  const { query, days } = submitted;
  if (!row[name] || query.by_version || !row.media_type) return number(row[name]);
  const asked = parametersOf({ ...query, maps: [row.action_map_id], media_type: row.media_type }, days);
  asked.set("cohort", query.cohort); // the list has another default
  asked.set("metric", name);
  return createLink(number(row[name]), "/offers", asked);
}

const count = (name, label, cell = (row) => createFigure(row, name)) => ({ label, cell, value: (row) => row[name], total: (sums) => number(sums[name]) });
const rate = (label, part, whole, title) => ({
  label,
  title,
  cell: (row) => percent(row.rates[part]),
  value: (row) => row.rates[part],
  // no sum has a rate that none of its rows has
  total: (sums, rows) => percent(rows.some((row) => row.rates[part] !== null) ? sums[part] / sums[whole] : null),
});
const COUNTS = [
  count("qualified", "Qualified", (row) => number(row.qualified)),
  count("blocked", "Blocked", (row) => (row.blocked === null ? "–" : number(row.blocked))),
  count("offered", "Offered"),
  rate("Offered %", "offered", "qualified", "Offered in percent of qualified; it may exceed 100, as an offer need not have qualified"),
  count("accepted", "Accepted"),
  rate("Accepted %", "accepted", "offered", "Accepted in percent of offered"),
  count("engaged", "Engaged"),
  rate("Engaged %", "engaged", "accepted", "Engaged in percent of accepted"),
  count("rejected", "Rejected"),
];

const table = new SortedTable(find("#rows"), find("#pager"), find("#search"));

function showRows(rows, { byVersion, countBy, first }) {
  const columns = [
    { label: "Action map", text: true, cell: labelOf, value: (row) => `${labelOf(row)} ${row.action_map_id}` },
    { label: "Type", text: true, cell: typeOf, value: typeOf },
    ...(byVersion ? [{ label: "Version", cell: versionOf, value: (row) => row.action_map_version }] : []),
    ...COUNTS,
  ];
  const totals = (found) => {
    const sums = {};
    for (const name of ["qualified", "blocked", "offered", "accepted", "engaged", "rejected"]) {
      sums[name] = found.reduce((sum, row) => sum + row[name], 0);
    }
    const maps = new Set(found.map((row) => row.action_map_id)).size;
    // A visitor may be in several rows, so distinct visitors do not add up.
    const cells = COUNTS.map(({ total }) => (countBy === "visitors" ? "–" : total(sums, found)));
    return [`${number(maps)} action map${maps === 1 ? "" : "s"}`, "", ...(byVersion ? [""] : []), ...cells];
  };
  const order = byVersion ? { label: "Action map", isFalling: false } : { label: "Offered", isFalling: true };
  table.fill(columns, rows, { totals, name: (row) => `${labelOf(row)} ${row.action_map_id}`, order, first });
}

/** Offer the versions that are there to compare with; a chosen one stays. */
function listBaselines(rows, chosen) {
  const versions = new Set(rows.filter((row) => row.offered && row.action_map_version !== null).map((row) => row.action_map_version));
  if (chosen) versions.add(Number(chosen));
  const sorted = [...versions].sort((one, other) => one - other);
  const select = find("#baseline");
  select.replaceChildren(
    create("option", "the version before", { value: "" }),
    ...sorted.map((one) => create("option", `version ${one}`, { value: `${one}` })),
  );
  select.value = chosen;
}

function describe({ query, days }) {
  const type = query.media_type && find("#media_type").selectedOptions[0].textContent;
  const parts = [describeDays(days.from, days.to), type, query.by_version && "by version", query.zone];
  find("#shown").textContent = plain(parts.filter(Boolean).join(" · "));
  const unit = query.count_by === "visitors" ? " Counted are the distinct visitors of each row." : "";
  find("#counted").textContent =
    (query.cohort === "offered"
      ? "Of the offers made in this time, whenever they were answered. Qualified and blocked count at their own time."
      : "Everything counts at its own time, so an answer may belong to an earlier offer.") + unit;
  find("#files").replaceChildren(
    ...Object.entries(FILES).map(([format, label]) => {
      const item = create("li");
      item.append(createLink(label, REPORT, [...parameters(), ["format", format], ...(format === "csv" ? [["bom", "true"]] : [])]));
      return item;
    }),
  );
}

/** Show the submitted report. The first time, it says what is shown. */
async function show(isLatest) {
  const asked = submitted;
  const { query } = asked;
  asked.days ??= await resolve({ ...query, by: "total" }, PERFORMANCE);
  if (!isLatest()) return;
  const report = await ask(REPORT, parameters());
  if (!isLatest()) return;
  const first = !asked.isShown;
  asked.isShown = true;
  for (const row of report.rows) if (!labels.has(row.action_map_id)) labels.set(row.action_map_id, labelOf(row));
  find("#figures").hidden = report.rows.length === 0;
  find("#nothing").hidden = report.rows.length > 0;
  find("#missing").hidden = !report.short_by;
  find("#missing").textContent = `Missing from the figures, as dead letters: ${number(report.short_by ?? 0)} event${report.short_by === 1 ? "" : "s"}.`;
  if (first) describe(asked);
  const sum = (name) => report.rows.reduce((all, row) => all + row[name], 0);
  const isTotalOver = report.count_by === "actions" && sum("qualified") > 0 && sum("offered") > sum("qualified");
  find("#over").hidden = !isTotalOver && !report.rows.some((row) => row.rates.offered > 1);
  showRows(report.rows, { byVersion: query.by_version, countBy: report.count_by, first });
  find("#compared").hidden = !query.by_version;
  if (!query.by_version) return;
  if (first) listBaselines(report.rows, query.baseline);
  showComparisons(report, { labelOf, typeOf });
}

/** Ask for a query, and put it into the page's address, so that it can be kept and shared. */
async function submit(query) {
  const asked = { query, days: null, isShown: false, isWrong: false };
  submitted = asked;
  showChosenMaps();
  find("#baseline-field").hidden = !query.by_version;
  history.replaceState(null, "", `?${withVersions(addressOf(query), query)}`);
  await attempt(async (isLatest) => {
    try {
      await show(isLatest);
    } catch (error) {
      asked.isWrong = Boolean(error.field); // asked again, it would be wrong again
      throw error;
    }
    if (!isLatest()) return;
    fillDays(query.range, asked.days);
    keepZone(query.zone);
  });
}

async function begin() {
  const { maps } = readAddress(); // a submission changes the address
  const counted = await countedMaps();
  for (const { id, label } of counted) labels.set(id, label);
  listMaps(counted, maps);
  await submit(readQuery());
}

/** Show the figures anew; all that the page begins with, if that could not be read. */
const update = async () => submitted?.isWrong || (await (submitted ? attempt(show, { quiet: true }) : attempt(begin)));

beginForm(() => submit(readQuery()));
fillForm(readAddress()); // before the first wait, so that later typing is kept
const address = new URLSearchParams(location.search);
form.elements.by_version.checked = address.get("by_version") === "true";
if (/^-?\d{1,19}$/.test(address.get("baseline") ?? "")) listBaselines([], address.get("baseline"));
form.elements.by_version.addEventListener("change", () => submit(readQuery()));
find("#baseline").addEventListener("change", () => submit(readQuery()));
for (const menu of document.querySelectorAll(".menu")) closeByItself(menu);
find("#copy").addEventListener("click", () => {
  copyLink(withVersions(addressOf(submitted.query, submitted.days), submitted.query));
});
find("#everything").addEventListener("click", () => {
  fillForm({ ...submitted.query, range: "all", maps: [] });
  submit(readQuery());
});
attempt(begin);
follow(update, () => submitted?.query.zone ?? readForm().zone);
