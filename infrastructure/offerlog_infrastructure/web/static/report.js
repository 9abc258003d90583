import uPlot from "/static/vendor/uPlot.esm.js";
import { ask, attempt, countedMaps, fill, made, number, share } from "/static/asking.js";

const REPORT = "/v1/reports/action-map-performance";
const METRICS = ["Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"];
const FUNNEL = ["Offered", "Accepted", "Started", "Engaged"];
const LOST = { Accepted: "Rejected", Started: "Abandoned" };
const asked = document.querySelector("#asked");
const picker = document.querySelector(".picker");
const maps = document.querySelector("#maps");
let chart = null;

const wanted = () => new URLSearchParams([...new FormData(asked)].filter(([, value]) => value));
const changed = (parameters, name, value) => {
  const others = new URLSearchParams(parameters);
  others.set(name, value);
  return others;
};
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

function course(rows, zone) {
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
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), zone), // the report's clocks, not the browser's
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

/** Show what is asked for; the address of the page says it too, so that it can be kept and passed on. */
async function show() {
  const parameters = wanted();
  sayWhichMaps();
  history.replaceState(null, "", `?${parameters}`);
  const { rows } = await ask(REPORT, parameters);
  document.querySelector("#csv").href = `${REPORT}?${changed(parameters, "format", "csv")}`;
  const { rows: whole } = await ask(REPORT, changed(parameters, "by", "total"));
  funnel(whole);
  course(rows, parameters.get("zone") ?? "UTC");
  table(rows, parameters.get("by"));
}

function sayWhichMaps() {
  const chosen = [...maps.querySelectorAll("input:checked")].map((box) => box.parentElement.textContent.trim());
  document.querySelector("#chosen").textContent = chosen.length < 2 ? (chosen[0] ?? "all") : `${chosen.length} of them`;
}

function offerMaps(found) {
  for (const { id, label } of found) {
    const line = maps.appendChild(made("label"));
    line.append(made("input", "", { type: "checkbox", name: "action_map", value: id }), ` ${label}`);
  }
  const search = document.querySelector("#find");
  search.addEventListener("input", () => {
    for (const label of maps.children) label.hidden = !label.textContent.toLowerCase().includes(search.value.toLowerCase());
  });
  maps.addEventListener("change", sayWhichMaps);
  addEventListener("click", (event) => picker.contains(event.target) || (picker.open = false));
  picker.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    picker.open = false;
    picker.querySelector("summary").focus();
  });
}

/** Fill the form in as the page's address says; what it cannot say is left as it is. */
function readAddress() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const box = [...maps.querySelectorAll("input")].find((one) => name === "action_map" && one.value === value);
    const field = asked.elements[name];
    const known = field instanceof HTMLSelectElement ? [...field.options].some((one) => one.value === value) : true;
    if (box) box.checked = true;
    else if ((field instanceof HTMLSelectElement || field instanceof HTMLInputElement) && known) field.value = value;
  }
}

async function begin() {
  offerMaps(await countedMaps());
  asked.elements.zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  document.querySelector("#zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => made("option", "", { value: zone })));
  readAddress();
  await attempt(show);
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
  picker.open = false;
  attempt(show);
});
addEventListener("resize", () => chart?.setSize({ width: document.querySelector("#course").clientWidth, height: 260 }));
attempt(begin);
