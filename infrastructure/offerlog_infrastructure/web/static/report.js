/** The page Action Map Performance. */

import { ask, attempt, countedMaps } from "/static/asking.js";
import { createChart, seriesOf } from "/static/chart.js";
import { describeDays, formatInstant, today } from "/static/dates.js";
import {
  addressOf, beginForm, copyLink, fillDays, fillForm, listMaps, parametersOf, periodBefore, readAddress, readForm, resolve, showChosenMaps,
} from "/static/filters.js";
import { closeByItself, create, createLink, find, number, plain } from "/static/elements.js";
import { metric, showTable, showTiles, sumsOf } from "/static/figures.js";
import { showBlocked, showFunnel, showTimes } from "/static/funnel.js";
import { follow } from "/static/live.js";
import { keepZone } from "/static/zones.js";

const REPORT = "/v1/reports/action-map-performance";
const FUNNEL = "/v1/reports/funnel";
const COARSER = { hour: "day", day: "week", week: "month" };
const FILES = { csv: "CSV", xlsx: "Excel", parquet: "Parquet" };
/** Least milliseconds between two updates of the cards that change slowly. */
const SLOW_PAUSE = 30_000;

const chart = createChart();
const labels = new Map();

/**
 * What was last submitted; live updates repeat it.
 *
 * `query` is that of the form, `days` are those that it means, with their granularity `by`, `before` are the figures of
 * the period before. Both stay until the next submission.
 */
let submitted = null;
let slowAt = 0;

const labelOf = (row) => labels.get(row.action_map_id) ?? row.action_map_name ?? row.action_map_id;
const parameters = (days, by) => {
  const asked = parametersOf(submitted.query, days, by);
  asked.set("view", "full");
  return asked;
};
/** Parameters of the reports about offers made, which know neither visitors nor cohorts. */
const plainParameters = (days) => parametersOf({ ...submitted.query, count_by: "actions", cohort: "event" }, days);
const BLOCKED = "/v1/reports/blocked-offers";

/** Ask for one card: its error, such as that it would be too large, leaves the other figures alone. */
const askPart = (path, asked) => ask(path, asked).catch((error) => ({ error }));

/** Query of the list of visitor-offers behind a number. */
function linkTo(name, maps, unlike = {}) {
  const query = parametersOf({ ...submitted.query, maps, ...unlike }, submitted.days);
  query.set("metric", name.toLowerCase());
  return query;
}

/** Ask for the figures of the period before; of a period that is not over, as much of it as has passed. */
async function askBefore(days) {
  const before = submitted.query.compare ? periodBefore(days) : null;
  if (!before) return null;
  let part = before;
  if (days.to > today(submitted.query.zone)) {
    const now = formatInstant(Math.floor(Date.now() / 900_000) * 900_000, submitted.query.zone);
    const start = now.slice(0, 10);
    const length = Date.parse(start) - Date.parse(days.from);
    part = { from: before.from, to: `${new Date(Date.parse(before.from) + length).toISOString().slice(0, 10)}T${now.slice(11, 16)}` };
  }
  const askPeriod = (some) => Promise.all([ask(REPORT, parameters(some, "total")), askPart(FUNNEL, plainParameters(some))]);
  const withoutPart = (error) => (error.field === "to" ? askPeriod(before) : Promise.reject(error)); // clocks skipped that time
  const [[total, funnel], report] = await Promise.all([askPeriod(part).catch(withoutPart), ask(REPORT, parameters(before, days.by))]);
  return { days: before, part, total, report, funnel };
}

/** Ask for the report by bucket. A granularity that the page chose becomes coarser where the report would be too large. */
async function askReport(days) {
  const isChosen = submitted.query.by === "auto";
  for (;;) {
    try {
      return await ask(REPORT, parameters(days, days.by));
    } catch (error) {
      if (!isChosen || error.field !== "by" || !COARSER[days.by]) throw error;
      days.by = COARSER[days.by];
    }
  }
}

/** Say what is shown, for the heading and for screen readers. */
function describe(compared) {
  const { query, days, before } = submitted;
  const type = query.media_type && find("#media_type").selectedOptions[0].textContent;
  const parts = [describeDays(days.from, days.to), type, `by ${days.by}`, query.zone].filter(Boolean);
  if (before) {
    const until = before.part === before.days ? "" : `, up to ${before.part.to.slice(11)}`;
    const period = `${describeDays(before.days.from, before.days.to)}${until}`;
    parts.push(compared ? `compared with ${period}` : `nothing to compare with (${period})`);
  }
  find("#shown").textContent = plain(parts.join(" · "));
}

function showDownloads() {
  const { days } = submitted;
  for (const [name, path, asked] of [
    ["#report-files", REPORT, parameters(days, find("#per").value === "map" ? "total" : days.by)],
    ["#funnel-files", FUNNEL, plainParameters(days)],
    ["#blocked-files", BLOCKED, plainParameters(days)],
  ]) {
    const items = Object.entries(FILES).map(([format, label]) => {
      const item = create("li");
      item.append(createLink(label, path, [...asked, ["format", format], ...(format === "csv" ? [["bom", "true"]] : [])]));
      return item;
    });
    find(name).replaceChildren(...items);
  }
}

/** Show the submitted report. The first time, it asks for everything and says what is shown. */
async function show(isLatest) {
  const asked = submitted;
  asked.days ??= await resolve(asked.query, REPORT);
  if (!isLatest()) return;
  const { query, days, isShown } = asked;
  const isSlowDue = !isShown || Date.now() - slowAt > SLOW_PAUSE;
  const reading = askReport(days);
  const readBefore = () => askBefore(days).catch((error) => (error.field ? null : Promise.reject(error))); // too large, too
  const [report, total, funnel, blocked, times, before] = await Promise.all([
    reading,
    ask(REPORT, parameters(days, "total")),
    askPart(FUNNEL, plainParameters(days)),
    isSlowDue ? askPart(BLOCKED, plainParameters(days)) : null,
    isSlowDue ? askPart("/v1/reports/times", plainParameters(days)) : null,
    isShown ? asked.before : reading.then(readBefore),
  ]);
  if (!isLatest()) return;
  asked.before = before;
  asked.isShown = true;
  if (isSlowDue) slowAt = Date.now();
  for (const row of total.rows) if (!labels.has(row.action_map_id)) labels.set(row.action_map_id, labelOf(row));
  find("#figures").hidden = find("#nothing").hidden = find("#new").hidden = true;
  if (blocked) showBlocked(blocked, labelOf);
  if (times) showTimes(times, labelOf);
  const isEmpty = total.rows.length === 0 && find("#blocked").hidden && find("#blocked-unknown").hidden;
  find(!isEmpty ? "#figures" : labels.size ? "#nothing" : "#new").hidden = false;
  const compared = before?.total.rows.length ? before : null;
  if (!isShown) describe(compared);
  if (!isShown) showDownloads();
  if (blocked) asked.blocked = blocked.total?.blocked ?? null;
  showTiles(sumsOf(total.rows), compared && sumsOf(compared.total.rows), asked.blocked);
  find("#funnel-unit").hidden = query.count_by === "actions";
  find("#missing").hidden = !report.short_by;
  find("#missing").textContent = `Missing from the figures, as dead letters: ${number(report.short_by ?? 0)} event${report.short_by === 1 ? "" : "s"}.`;
  showFunnel(funnel, compared?.funnel, (name) => linkTo(name, query.maps, { count_by: "actions", cohort: "offered" }));
  const series = [report, compared?.report].map((one) => one && seriesOf(one, days.by, metric));
  chart.show(...series, { by: days.by, zone: query.zone, first: !isShown });
  find("#per-bucket").textContent = `action map and ${days.by}`;
  const found = { total, report, compared: compared?.total ?? null, by: days.by };
  asked.showTable = ({ first }) => showTable(found, { labelOf, linkTo, first });
  asked.showTable({ first: !isShown });
}

/** Ask for a query, and put it into the page's address, so that it can be kept and shared. */
async function submit(query) {
  const asked = { query, days: null, before: null, blocked: null, isShown: false, isWrong: false };
  submitted = asked;
  showChosenMaps();
  history.replaceState(null, "", `?${addressOf(query)}`);
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
  await submit(readForm());
}

/** Show the figures anew; all that the page begins with, if that could not be read. */
const update = async () => submitted?.isWrong || (await (submitted ? attempt(show, { quiet: true }) : attempt(begin)));

beginForm(submit);
fillForm(readAddress()); // before the first wait, so that later typing is kept
find("#per").addEventListener("change", () => {
  showDownloads();
  submitted.showTable({ first: true });
});
for (const menu of document.querySelectorAll(".menu")) closeByItself(menu);
find("#copy").addEventListener("click", () => copyLink(addressOf(submitted.query, submitted.days)));
find("#everything").addEventListener("click", () => {
  fillForm({ ...submitted.query, range: "all", maps: [] });
  submit(readForm());
});
const redrawFor = (isPrinted) => () => {
  document.documentElement.classList.toggle("printed", isPrinted);
  chart.redraw();
};
addEventListener("beforeprint", redrawFor(true));
addEventListener("afterprint", redrawFor(false));
attempt(begin);
follow(update, () => submitted?.query.zone ?? readForm().zone);
