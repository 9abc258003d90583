import uPlot from "/static/vendor/uPlot.esm.js";
import { ask, attempt, countedMaps, made, number, PagedTable, plain, share } from "/static/asking.js";

const REPORT = "/v1/reports/action-map-performance";
const METRICS = ["Offered", "Accepted", "Rejected", "Started", "Abandoned", "Engaged"];
const FUNNEL = ["Offered", "Accepted", "Started", "Engaged"];
const LOST = { Accepted: "Rejected", Started: "Abandoned" };
const asked = document.querySelector("#asked");
const picker = document.querySelector(".picker");
const maps = document.querySelector("#maps");
const rowsTable = new PagedTable(document.querySelector("#rows"), document.querySelector("#pager"));
/** Milliseconds between two live updates, at least. */
const LIVE_PAUSE = 2_000;
let chart = null;
/** What was last asked for with the button, or by the page's address: live updates ask for the same. */
let submitted = null;

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
/** The sums of each bucket: first the buckets, in seconds since 1970, then a list of sums for each line. */
function sumsByBucket(rows) {
  const sums = new Map();
  for (const row of rows) {
    let line = sums.get(row.bucket);
    if (!line) sums.set(row.bucket, (line = FUNNEL.map(() => 0)));
    FUNNEL.forEach((name, n) => (line[n] += metric(row, name)));
  }
  const found = [...sums].map(([bucket, line]) => [Date.parse(bucket) / 1_000, line]).sort(([a], [b]) => a - b);
  return [found.map(([at]) => at), ...FUNNEL.map((_, n) => found.map(([, line]) => line[n]))];
}

/** Draw the lines. The chart stays the same one: lines that are hidden stay hidden, and a live update keeps the zoom. */
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
      // the report's clocks, not the browser's
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

/** Show the report that is asked for; `first` where it is another one than before. */
async function show(counts, { first }) {
  const asked = submitted;
  const [{ rows }, { rows: whole }] = await Promise.all([ask(REPORT, asked), ask(REPORT, changed(asked, "by", "total"))]);
  if (!counts()) return;
  document.querySelector("#csv").href = `${REPORT}?${changed(asked, "format", "csv")}`;
  document.querySelector("#nothing").hidden = rows.length > 0;
  funnel(whole);
  course(rows, { first });
  table(rows, asked.get("by"), { first });
}

/** Take over what the form says; the address of the page says it too, so that it can be kept and passed on. */
async function submit() {
  submitted = wanted();
  sayWhichMaps();
  history.replaceState(null, "", `?${submitted}`);
  await attempt((counts) => show(counts, { first: true }));
}

function sayWhichMaps() {
  const chosen = [...maps.querySelectorAll("input:checked")].map((box) => box.parentElement.textContent.trim());
  document.querySelector("#chosen").textContent = chosen.length < 2 ? plain(chosen[0] ?? "all") : `${chosen.length} of them`;
}

function offerMaps(found) {
  for (const { id, label } of found) {
    const line = maps.appendChild(made("label"));
    line.append(made("input", "", { type: "checkbox", name: "action_map", value: id }), " ", made("bdi", label));
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
    const field = asked.elements[name];
    const known = field instanceof HTMLSelectElement ? [...field.options].some((one) => one.value === value) : true;
    if ((field instanceof HTMLSelectElement || field instanceof HTMLInputElement) && known) field.value = value;
  }
}

/** Fill the form in before anything is awaited: what somebody types meanwhile stays. */
function fillIn() {
  document.querySelector("#zones").append(...Intl.supportedValuesOf("timeZone").map((zone) => made("option", "", { value: zone })));
  readAddress();
  asked.elements.zone.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

async function begin() {
  const chosen = new Set(new URLSearchParams(location.search).getAll("action_map")); // a submission changes the address
  offerMaps(await countedMaps());
  for (const box of maps.querySelectorAll("input")) box.checked = chosen.has(box.value);
  await submit();
  follow();
}

/** Update the figures when they change: not more often than they can be read, and not while nobody looks. */
function follow() {
  const live = document.querySelector("#live");
  let timer = null;
  let due = false;
  const update = async () => {
    if (!due || timer !== null || document.visibilityState === "hidden") return;
    due = false;
    timer = 0; // until it has been answered
    if (!document.querySelector("#main").hasAttribute("aria-busy")) {
      await attempt((counts) => show(counts, { first: false }), { quiet: true });
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

/** Hear of changes for as long as the page is there; a session that has ended leads to the log-in. */
function listen(changed, lost) {
  const source = new EventSource("/v1/stream");
  let first = true;
  source.addEventListener("metrics", () => {
    changed(first);
    first = false;
  });
  source.addEventListener("error", () => {
    lost();
    if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
    source.close();
    ask("/v1/projections").catch(() => {}); // finds out whether it was the session; all else is worth another try
    setTimeout(() => listen(() => changed(false), lost), 5_000);
  });
}

asked.addEventListener("submit", (event) => {
  event.preventDefault();
  picker.open = false;
  submit();
});
addEventListener("resize", () => chart?.setSize({ width: document.querySelector("#course").clientWidth, height: 260 }));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart?.redraw());
fillIn();
attempt(begin);
