import uPlot from "/static/vendor/uPlot.esm.js";
import { ask, attempt, fill, made, number, share } from "/static/asking.js";

const REPORT = "/v1/reports/action-map-performance";
const METRICS = ["Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"];
const FUNNEL = ["Offered", "Accepted", "Started", "Engaged"];
const LOST = { Accepted: "Rejected", Started: "Abandoned" };
const asked = document.querySelector("#asked");
let chart = null;

const wanted = () => Object.fromEntries(new FormData(asked));
const metric = (row, name) => row.metrics[`nWebActions${name}`];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function funnel(rows) {
  const sums = Object.fromEntries(METRICS.map((name) => [name, rows.reduce((sum, row) => sum + metric(row, name), 0)]));
  const step = (name, before, kind) => {
    const line = made("div", "", { className: `step ${kind}` });
    const most = Math.max(sums.Offered, sums[name], 1);
    const bar = made("progress", "", { max: most, value: sums[name] });
    bar.setAttribute("aria-label", `${name}: ${sums[name]} of ${sums.Offered} offered`);
    const told = `${number(sums[name])}${before ? ` (${share(sums[name], sums[before])} of ${before.toLowerCase()})` : ""}`;
    line.append(made("span", name), bar, made("span", told));
    return line;
  };
  const lines = [];
  FUNNEL.forEach((name, n) => {
    lines.push(step(name, FUNNEL[n - 1], ""));
    if (LOST[name]) lines.push(step(LOST[name], name === "Accepted" ? "Offered" : "Started", "lost"));
  });
  document.querySelector("#funnel").replaceChildren(...lines);
}

/** How wide the labels of the upright axis are, in pixels: 10,000 takes more than 100. */
function widthOf(_, labels) {
  return 20 + 8 * Math.max(2, ...(labels ?? []).map((label) => label.length));
}

function course(rows) {
  const buckets = [...new Set(rows.map((row) => row.bucket))].sort((a, b) => Date.parse(a) - Date.parse(b));
  const sums = (name) =>
    buckets.map((bucket) => rows.reduce((sum, row) => sum + (row.bucket === bucket ? metric(row, name) : 0), 0));
  const place = document.querySelector("#course");
  const colours = ["--accent", "--good", "--quiet", "--bad"].map(colour);
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line") } };
  chart?.destroy();
  chart = new uPlot(
    {
      width: place.clientWidth || 600,
      height: 260,
      series: [{}, ...FUNNEL.map((name, n) => ({ label: name, stroke: colours[n], width: 2, points: { show: buckets.length < 60 } }))],
      axes: [axis, { ...axis, size: widthOf }],
      scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.05, 1)] } },
    },
    [buckets.map((bucket) => Date.parse(bucket) / 1000), ...FUNNEL.map(sums)],
    place,
  );
}

function table(rows, by) {
  const names = ["Action map", "Bucket", ...METRICS, "Accepted %", "Engaged %"];
  const cells = rows.map((row) => [
    row.action_map_name ?? row.action_map_id,
    by === "hour" ? row.bucket.slice(0, 16).replace("T", " ") + row.bucket.slice(19) : row.bucket.slice(0, 10),
    ...METRICS.map((name) => number(metric(row, name))),
    share(metric(row, "Accepted"), metric(row, "Offered")),
    share(metric(row, "Engaged"), metric(row, "Accepted")),
  ]);
  fill(document.querySelector("#rows"), names, cells, new Set([0, 1]));
}

async function show() {
  const parameters = wanted();
  const { rows } = await ask(REPORT, parameters);
  const query = new URLSearchParams(Object.entries({ ...parameters, format: "csv" }).filter(([, value]) => value));
  document.querySelector("#csv").href = `${REPORT}?${query}`;
  const { rows: whole } = await ask(REPORT, { ...parameters, by: "total" });
  funnel(whole);
  course(rows);
  table(rows, parameters.by);
}

async function begin() {
  const { action_maps: maps } = await ask("/v1/action-maps");
  for (const map of maps)
    asked.elements.action_map.append(made("option", map.action_map_name ?? map.action_map_id, { value: map.action_map_id }));
  asked.elements.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.querySelector("#zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => made("option", "", { value: zone })));
  await show();
  follow();
}

function follow() {
  const live = document.querySelector("#live");
  const source = new EventSource("/v1/stream");
  let first = true;
  source.addEventListener("metrics", () => {
    live.textContent = `live, ${new Date().toLocaleTimeString()}`;
    if (!first) attempt(show);
    first = false;
  });
  source.addEventListener("error", () => (live.textContent = "not connected; trying again"));
}

asked.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(show);
});
addEventListener("resize", () => chart?.setSize({ width: document.querySelector("#course").clientWidth, height: 260 }));
attempt(begin);
