/** The figures of the performance report: sums, tiles and the table. */

import { offersByMap } from "/static/chart.js";
import { describeBucket } from "/static/dates.js";
import { change, create, createChange, createLink, createSparkline, find, number, percent } from "/static/elements.js";
import { SortedTable } from "/static/tables.js";

const METRICS = [
  { name: "Offered" },
  { name: "Accepted" },
  { name: "Rejected" },
  { name: "Ignored" },
  { name: "Timedout", label: "Timed out" },
  { name: "Errored" },
  { name: "Started" },
  { name: "Abandoned" },
  { name: "Engaged" },
];
const RATES = [
  { name: "accepted", label: "Accepted %", part: "Accepted", whole: "Offered", title: "Accepted in percent of offered" },
  { name: "engaged", label: "Engaged %", part: "Engaged", whole: "Accepted", title: "Engaged in percent of accepted" },
];

/** Return a count of a row of the report. */
export const metric = (row, name) => row.metrics[`nWebActions${name}`];

/** Sum the rows of a report by metric, with the rates of the sums. No sum has a rate that none of its rows has. */
export function sumsOf(rows) {
  const sums = Object.fromEntries(METRICS.map(({ name }) => [name, rows.reduce((sum, row) => sum + metric(row, name), 0)]));
  sums.rates = Object.fromEntries(
    RATES.map(({ name, part, whole }) => [name, rows.some((row) => row.rates[name] !== null) ? sums[part] / sums[whole] : null]),
  );
  return sums;
}

/** Show the sums in tiles; with `sumsBefore`, the changes from the period before. */
export function showTiles(sums, sumsBefore, blocked) {
  const tiles = [
    { label: "Offered", value: number(sums.Offered), mark: change(sums.Offered, sumsBefore?.Offered) },
    ...["Accepted", "Started", "Engaged"].map((name) => {
      return { label: name, value: number(sums[name]), mark: change(sums[name], sumsBefore?.[name], { better: 1 }) };
    }),
    ...RATES.map((one) => {
      const mark = sumsBefore && change(sums.rates[one.name], sumsBefore.rates[one.name], { better: 1, points: true });
      return { label: one.label, title: one.title, value: percent(sums.rates[one.name]), mark };
    }),
    ...(blocked === null ? [] : [{ label: "Offers blocked", value: number(blocked), mark: null }]),
  ].map(({ label, value, mark, title = "" }) => {
    const tile = create("div", "", { className: "tile", title });
    tile.append(create("dt", label), create("dd", value), createChange(mark));
    return tile;
  });
  find("#tiles").replaceChildren(...tiles);
}

/** Create a count, as a link to its list where it has one. */
function createFigure(row, name, linkTo) {
  const count = metric(row, name);
  const link = count && linkTo ? linkTo(name, [row.action_map_id]) : null;
  return link ? createLink(number(count), "/offers", link) : number(count);
}

/** Create the cell of a map's trend: its offers in each bucket, and the change from the period before. */
function createTrend(row, sparks, before) {
  const trend = create("div", "", { className: "trend" });
  const found = before && change(metric(row, "Offered"), before.get(row.action_map_id) ?? 0);
  trend.append(createSparkline(sparks.get(row.action_map_id) ?? []), createChange(found));
  return trend;
}

/** Columns of the table: for each action map with its trend, or for each action map and bucket without one. */
function columnsOf(by, trend, labelOf, linkTo) {
  const bucket = { hour: "Hour", day: "Day", week: "Week from", month: "Month" }[by] ?? "Time";
  return [
    { label: "Action map", text: true, cell: labelOf, value: labelOf },
    trend
      ? { label: "Trend", text: true, cell: trend }
      : { label: bucket, text: true, cell: (row) => describeBucket(row.bucket, by), value: (row) => row.bucket },
    ...METRICS.map(({ name, label = name }) => {
      return { label, cell: (row) => createFigure(row, name, linkTo), value: (row) => metric(row, name) };
    }),
    ...RATES.map(({ name, label, title }) => {
      return { label, title, cell: (row) => percent(row.rates[name]), value: (row) => row.rates[name] };
    }),
  ];
}

const rowsTable = new SortedTable(find("#rows"), find("#pager"), find("#search"));

/**
 * Show the table of the report.
 *
 * `total` and `report` are the report in sum and by bucket, `compared` that of the period before in sum, or null.
 * `labelOf(row)` names an action map, `linkTo(metric, maps)` is the query of the list behind a count.
 */
export function showTable({ total, report, compared, by }, { labelOf, linkTo, first }) {
  const isByMap = find("#per").value === "map";
  const before = compared && new Map(compared.rows.map((row) => [row.action_map_id, metric(row, "Offered")]));
  const sparks = isByMap ? offersByMap(report, by, metric) : null;
  const trend = isByMap ? (row) => createTrend(row, sparks, before) : null;
  const totals = (found) => {
    const maps = new Set(found.map((row) => row.action_map_id));
    const sums = sumsOf(total.rows.filter((row) => maps.has(row.action_map_id)));
    const all = number(total.rows.length);
    const count = maps.size === total.rows.length ? `All: ${all}` : `${number(maps.size)} of ${all}`;
    const figures = METRICS.map((one) => number(sums[one.name]));
    return [`${count} action map${all === "1" ? "" : "s"}`, "", ...figures, ...RATES.map(({ name }) => percent(sums.rates[name]))];
  };
  const columns = columnsOf(by, trend, labelOf, isByMap ? linkTo : null);
  const order = isByMap ? { label: "Offered", isFalling: true } : { label: columns[1].label, isFalling: false };
  const name = (row) => `${labelOf(row)} ${row.action_map_id}`;
  rowsTable.fill(columns, isByMap ? total.rows : report.rows, { totals, name, order, first });
}
