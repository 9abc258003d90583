import uPlot from "/static/vendor/uPlot.esm.js";
import { ask, attempt, countedMaps, create, number, PagedTable, plain, share } from "/static/asking.js";

const REPORT = "/v1/reports/action-map-performance";
const METRICS = ["Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"];
const FUNNEL = ["Offered", "Accepted", "Started", "Engaged"];
const LOST = { Accepted: "Rejected", Started: "Abandoned" };
const form = document.querySelector("#asked");
const picker = document.querySelector(".picker");
const maps = document.querySelector("#maps");
const rowsTable = new PagedTable(document.querySelector("#rows"), document.querySelector("#pager"));
/** Least milliseconds between two live updates. */
const LIVE_PAUSE = 2_000;
let chart = null;
/** The query that was last submitted with the button or by the page's address; live updates repeat it. */
let submitted = null;

const readForm = () => new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
const withParameter = (parameters, name, value) => {
  const others = new URLSearchParams(parameters);
  others.set(name, value);
  return others;
};
const metric = (row, name) => row.metrics[`nWebActions${name}`];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function funnel(rows) {
  const sums = Object.fromEntries(METRICS.map((name) => [name, rows.reduce((sum, row) => sum + metric(row, name), 0)]));
  const step = (name, before, kind) => {
    const line = create("div", "", { className: `step ${kind}` });
    const most = Math.max(sums.Offered, sums[name], 1);
    const bar = create("progress", "", { max: most, value: sums[name] });
    bar.setAttribute("aria-label", `${name}: ${sums[name]} of ${sums.Offered} offered`);
    const figures = `${number(sums[name])}${before ? ` (${share(sums[name], sums[before])} of ${before.toLowerCase()})` : ""}`;
    line.append(create("span", name), bar, create("span", figures));
    return line;
  };
  const lines = [];
  FUNNEL.forEach((name, n) => {
    lines.push(step(name, FUNNEL[n - 1], ""));
    if (LOST[name]) lines.push(step(LOST[name], name === "Accepted" ? "Offered" : "Started", "lost"));
  });
  document.querySelector("#funnel").replaceChildren(...lines);
}

/** Width of the labels of the vertical axis, in pixels; 10,000 needs more than 100. */
function widthOf(_, labels) {
  return 20 + 8 * Math.max(2, ...(labels ?? []).map((label) => label.length));
}
/** Sum the metrics by bucket: first the buckets, in seconds since 1970, then the sums of each line. */
function sumsByBucket(rows) {
  const sums = new Map();
  for (const row of rows) {
    let line = sums.get(row.bucket);
    if (!line) sums.set(row.bucket, (line = FUNNEL.map(() => 0)));
    FUNNEL.forEach((name, n) => (line[n] += metric(row, name)));
  }
  const buckets = [...sums].map(([bucket, line]) => [Date.parse(bucket) / 1_000, line]).sort(([a], [b]) => a - b);
  return [buckets.map(([at]) => at), ...FUNNEL.map((_, n) => buckets.map(([, line]) => line[n]))];
}

/** Draw the lines in the same chart: hidden lines stay hidden, and a live update keeps the zoom. */
function course(rows, { first }) {
  const data = sumsByBucket(rows);
  if (!chart) {
    chart = newChart(data);
    return;
  }
  const { min, max } = chart.scales.x;
  const [before] = chart.data;
  const zoomed = before.length > 1 && (min > before[0] || max < before.at(-1));
  chart.setData(data, first || !zoomed);
  if (!first && zoomed) chart.setScale("x", { min, max });
}

function newChart(data) {
  const place = document.querySelector("#course");
  const strokes = ["--accent", "--quiet", "--ink", "--good"].map((name) => () => colour(name));
  const dashes = [[], [6, 4], [2, 3], []];
  const axis = { stroke: () => colour("--quiet"), grid: { stroke: () => colour("--line") } };
  return new uPlot(
    {
      width: place.clientWidth || 600,
      height: 260,
      // in the zone of the report, not of the browser
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), submitted.get("zone") ?? "UTC"),
      series: [
        {},
        ...FUNNEL.map((label, n) => {
          return { label, stroke: strokes[n], dash: dashes[n], width: 2, points: { show: (one) => one.data[0].length < 60 } };
        }),
      ],
      axes: [axis, { ...axis, size: widthOf }],
      scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.05, 1)] } },
    },
    data,
    place,
  );
}

function table(rows, by, { first }) {
  const names = ["Action map", "Bucket", ...METRICS, "Accepted %", "Engaged %"];
  const cells = (row) => [
    row.action_map_name ?? row.action_map_id,
    by === "hour" ? row.bucket.slice(0, 16).replace("T", " ") + row.bucket.slice(19) : row.bucket.slice(0, 10),
    ...METRICS.map((name) => number(metric(row, name))),
    share(metric(row, "Accepted"), metric(row, "Offered")),
    share(metric(row, "Engaged"), metric(row, "Accepted")),
  ];
  rowsTable.fill(names, rows, cells, new Set([0, 1]), { first });
}

/** Show the submitted report; `first` if it is another report than before. */
async function show(isLatest, { first }) {
  const query = submitted;
  const [{ rows }, { rows: whole }] = await Promise.all([ask(REPORT, query), ask(REPORT, withParameter(query, "by", "total"))]);
  if (!isLatest()) return;
  document.querySelector("#csv").href = `${REPORT}?${withParameter(query, "format", "csv")}`;
  document.querySelector("#nothing").hidden = rows.length > 0;
  funnel(whole);
  course(rows, { first });
  table(rows, query.get("by"), { first });
}

/** Submit the form, and put its query into the page's address, so that it can be kept and shared. */
async function submit() {
  submitted = readForm();
  showChosenMaps();
  history.replaceState(null, "", `?${submitted}`);
  await attempt((isLatest) => show(isLatest, { first: true }));
}

function showChosenMaps() {
  const chosen = [...maps.querySelectorAll("input:checked")].map((box) => box.parentElement.textContent.trim());
  document.querySelector("#chosen").textContent = chosen.length < 2 ? plain(chosen[0] ?? "all") : `${chosen.length} of them`;
}

function listMaps(counted) {
  for (const { id, label } of counted) {
    const line = maps.appendChild(create("label"));
    line.append(create("input", "", { type: "checkbox", name: "action_map", value: id }), " ", create("bdi", label));
  }
  const search = document.querySelector("#find");
  search.addEventListener("input", () => {
    for (const label of maps.children) label.hidden = !label.textContent.toLowerCase().includes(search.value.toLowerCase());
  });
  maps.addEventListener("change", showChosenMaps);
  addEventListener("click", (event) => picker.contains(event.target) || (picker.open = false));
  picker.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    picker.open = false;
    picker.querySelector("summary").focus();
  });
}

/** Fill the form from the page's address; values that a field does not have are ignored. */
function readAddress() {
  for (const [name, value] of new URLSearchParams(location.search)) {
    const field = form.elements[name];
    const known = field instanceof HTMLSelectElement ? [...field.options].some((one) => one.value === value) : true;
    if ((field instanceof HTMLSelectElement || field instanceof HTMLInputElement) && known) field.value = value;
  }
}

/** Fill the form before the first wait, so that later typing is kept. */
function fillIn() {
  document.querySelector("#zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => create("option", "", { value: zone })));
  readAddress();
  form.elements.zone.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

async function begin() {
  const chosen = new Set(new URLSearchParams(location.search).getAll("action_map")); // a submission changes the address
  listMaps(await countedMaps());
  for (const box of maps.querySelectorAll("input")) box.checked = chosen.has(box.value);
  await submit();
  follow();
}

/** Update the figures when they change, but not faster than people read, and not while the page is hidden. */
function follow() {
  const live = document.querySelector("#live");
  let timer = null;
  let due = false;
  const update = async () => {
    if (!due || timer !== null || document.visibilityState === "hidden") return;
    due = false;
    timer = 0; // until the update has ended
    if (!document.querySelector("#main").hasAttribute("aria-busy")) {
      await attempt((isLatest) => show(isLatest, { first: false }), { quiet: true });
      live.textContent = `live, ${new Date().toLocaleTimeString()}`;
    } else {
      due = true;
    }
    timer = setTimeout(() => {
      timer = null;
      update();
    }, LIVE_PAUSE);
  };
  document.addEventListener("visibilitychange", update);
  listen(
    (first) => {
      live.textContent = `live, ${new Date().toLocaleTimeString()}`;
      due ||= !first;
      update();
    },
    () => (live.textContent = "not connected; trying again"),
  );
}

/** Listen to changes while the page is open. If the session has ended, show the log-in. */
function listen(changed, lost) {
  const source = new EventSource("/v1/stream");
  let first = true;
  source.addEventListener("metrics", () => {
    changed(first);
    first = false;
  });
  source.addEventListener("error", () => {
    lost();
    if (source.readyState !== EventSource.CLOSED) return; // the browser reconnects
    source.close();
    ask("/v1/projections").catch(() => {}); // shows the log-in if the session has ended
    setTimeout(() => listen(() => changed(false), lost), 5_000);
  });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  picker.open = false;
  submit();
});
addEventListener("resize", () => chart?.setSize({ width: document.querySelector("#course").clientWidth, height: 260 }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart?.redraw());
fillIn();
attempt(begin);
