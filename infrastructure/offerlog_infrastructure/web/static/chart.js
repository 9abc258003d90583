/** The chart over time: one line for each step, and paler ones for the period before. */

import uPlot from "/static/vendor/uPlot.esm.js";
import { addDays, formatInstant } from "/static/dates.js";
import { create, draw, find, number } from "/static/elements.js";

/** The lines: name, colour (a property of the style sheet) and dashes. They differ by more than colour. */
export const LINES = [
  { name: "Offered", colour: "--offered", dash: [] },
  { name: "Accepted", colour: "--accepted", dash: [9, 4] },
  { name: "Started", colour: "--started", dash: [2, 3] },
  { name: "Engaged", colour: "--engaged", dash: [], width: 3 },
];
const HEIGHT = 280;
const HOUR = 3_600;
/** Steps of the time axis in seconds: of hours; and of days, where no time of the day is meant. */
const HOURS = [1, 2, 3, 6, 12].map((hours) => hours * HOUR);
const DAYS = [1, 2, 3, 5, 7, 14, 28, 91, 182, 365, 730].map((days) => days * 24 * HOUR);
/** Most buckets without counts that are drawn as zeros. */
const MOST_BUCKETS = 5_000;

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Seconds since 1970 of a bucket's label: of its instant for hours, else of its day in UTC, where no clock shifts. */
const secondsOf = (bucket, by) => (by === "hour" ? Date.parse(bucket) : Date.parse(`${bucket.slice(0, 10)}T00:00Z`)) / 1_000;

/** Return all buckets from the first to the last one in seconds: those without counts, too. */
function allBuckets(counted, by, from, to) {
  if (!counted.length && !(from && to)) return [];
  const start = from ? secondsOf(from, by) : counted[0];
  const end = to ? secondsOf(to, by) : counted.at(-1) + 1;
  const step = { hour: HOUR, day: 24 * HOUR, week: 7 * 24 * HOUR }[by];
  const found = new Set(counted);
  if (by === "month") {
    for (let day = new Date(start * 1_000).toISOString().slice(0, 8) + "01", n = 0; secondsOf(day, by) < end && n < MOST_BUCKETS; n += 1) {
      found.add(secondsOf(day, by));
      day = `${addDays(day, 31).slice(0, 8)}01`;
    }
  } else if ((end - start) / step < MOST_BUCKETS) {
    const monday = by === "week" ? (new Date(start * 1_000).getUTCDay() + 6) % 7 : 0;
    const near = (at) => by === "hour" && counted.some((one) => Math.abs(one - at) < HOUR); // half-hour shifts of clocks
    for (let at = start - monday * 24 * HOUR; at < end; at += step) if (!found.has(at) && !near(at)) found.add(at);
  }
  return [...found].sort((one, other) => one - other);
}

/** Return the offers of each action map in each bucket of a report, as far as the buckets have begun. */
export function offersByMap({ rows, from, to }, by, metric) {
  const counted = [...new Set(rows.map((row) => secondsOf(row.bucket, by)))].sort((one, other) => one - other);
  const now = Date.now() / 1_000;
  const buckets = allBuckets(counted, by, from, to).filter((at) => at <= Math.max(now, counted.at(-1)));
  const places = new Map(buckets.map((at, place) => [at, place]));
  const offers = new Map();
  for (const row of rows) {
    if (!offers.has(row.action_map_id)) offers.set(row.action_map_id, buckets.map(() => 0));
    offers.get(row.action_map_id)[places.get(secondsOf(row.bucket, by))] = metric(row, "Offered");
  }
  return offers;
}

/**
 * Sum rows of a report by bucket: the buckets in seconds, and the sums of each line.
 *
 * A bucket without counts is zero; one that is not over is empty.
 */
export function seriesOf({ rows, from, to }, by, metric) {
  const sums = new Map();
  for (const row of rows) {
    const at = secondsOf(row.bucket, by);
    if (!sums.has(at)) sums.set(at, LINES.map(() => 0));
    LINES.forEach(({ name }, n) => (sums.get(at)[n] += metric(row, name)));
  }
  const counted = [...sums.keys()].sort((one, other) => one - other);
  const buckets = allBuckets(counted, by, from, to);
  const now = Date.now() / 1_000 + (by === "hour" ? -HOUR : -12 * HOUR); // the day is over in any zone
  const value = (at, n) => sums.get(at)?.[n] ?? (at > now ? null : 0);
  return [buckets, ...LINES.map((_, n) => buckets.map((at) => value(at, n)))];
}

/** The chart with its legend. Hidden lines stay hidden and the zoom stays while figures are updated. */
export class Chart {
  #plot = null;
  #place;
  #by = "day";
  #zone = "UTC";
  #hasBefore = false;
  #hidden = new Set();
  #outputs = [];
  #at;

  constructor(place, legend) {
    this.#place = place;
    this.#at = create("span", "", { className: "at" });
    legend.append(...LINES.map((line, n) => this.#createToggle(line, n)), this.#at);
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  /** Draw again, in the present colours. */
  redraw() {
    this.#plot?.redraw();
  }

  /** Show series; `before` are those of the period before, which are drawn at the places of `series`. */
  show(series, before, { by, zone, first }) {
    [this.#by, this.#zone] = [by, zone];
    this.#hasBefore = Boolean(before);
    const ghosts = LINES.map((_, n) => series[0].map((__, place) => before?.[n + 1][place] ?? null));
    const data = [...series, ...ghosts];
    if (!this.#plot) this.#plot = new uPlot(this.#options(), data, this.#place);
    else {
      const { min, max } = this.#plot.scales.x;
      const [shown] = this.#plot.data;
      const isZoomed = shown.length > 1 && (min > shown[0] || max < shown.at(-1));
      this.#plot.setData(data, first || !isZoomed);
      if (!first && isZoomed) this.#plot.setScale("x", { min, max });
    }
    this.#showValues();
  }

  #size() {
    return { width: this.#place.clientWidth || 600, height: HEIGHT };
  }

  #createToggle({ name, colour, dash, width = 2 }, n) {
    const toggle = create("button", "", { type: "button", className: "toggle" });
    const sample = draw("svg", { width: 28, height: 10, "aria-hidden": "true", class: `line ${colour.slice(2)}` });
    sample.append(draw("line", { x1: 0, x2: 28, y1: 5, y2: 5, "stroke-width": width, "stroke-dasharray": dash.join(" ") || "none" }));
    const output = create("span", "", { className: "figure" });
    this.#outputs[n] = output;
    toggle.append(sample, ` ${name}`, output);
    toggle.setAttribute("aria-pressed", "true");
    toggle.addEventListener("click", () => {
      const isShown = this.#hidden.delete(n) || !this.#hidden.add(n);
      toggle.setAttribute("aria-pressed", isShown);
      for (const series of [n + 1, n + 1 + LINES.length]) this.#plot?.setSeries(series, { show: isShown });
    });
    return toggle;
  }

  #options() {
    const isShown = (n) => !this.#hidden.has(n);
    const points = { show: (plot) => plot.data[0].length < 60, size: 5, fill: () => colourOf("--card") };
    const lines = LINES.map(({ name, colour, dash, width = 2 }, n) => {
      return { label: name, stroke: () => colourOf(colour), dash, width, points, show: isShown(n) };
    });
    const ghosts = LINES.map(({ name, colour }, n) => {
      const stroke = () => `color-mix(in srgb, ${colourOf(colour)} 60%, transparent)`;
      return { label: `${name} before`, stroke, dash: [3, 4], width: 1.25, points: { show: false }, show: isShown(n) };
    });
    const axis = { stroke: () => colourOf("--quiet"), grid: { stroke: () => colourOf("--line"), width: 1 }, ticks: { show: false } };
    return {
      ...this.#size(),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), this.#clock()),
      legend: { show: false },
      cursor: { points: { size: 7 } },
      padding: [null, (plot) => (plot.width > 520 ? 76 : 8), null, null],
      series: [{}, ...lines, ...ghosts],
      axes: [
        {
          ...axis,
          space: 84,
          incrs: () => (this.#by === "hour" ? [...HOURS, ...DAYS] : DAYS),
          size: () => (this.#by === "hour" ? 48 : 32),
          values: (_, places, __, ___, step) => this.#labels(places, step),
        },
        { ...axis, size: (_, labels) => 20 + 8 * Math.max(2, ...(labels ?? []).map((label) => label.length)) },
      ],
      scales: { y: { range: (_, __, most) => [0, Math.max((most ?? 0) * 1.05, 1)] } },
      hooks: { setCursor: [() => this.#showValues()], draw: [(plot) => this.#nameLines(plot)] },
    };
  }

  /** The zone of the clocks: days are drawn at midnight in UTC, whatever the report's zone. */
  #clock() {
    return this.#by === "hour" ? this.#zone : "UTC";
  }

  #labels(places, step) {
    let day = "";
    return places.map((at) => {
      const text = formatInstant(at * 1_000, this.#clock());
      const isNewDay = text.slice(0, 10) !== day;
      day = text.slice(0, 10);
      if (step >= 24 * HOUR) return this.#by === "month" ? day.slice(0, 7) : day;
      return isNewDay ? `${text.slice(11, 16)}\n${day}` : text.slice(11, 16);
    });
  }

  /** Write the names of the lines at their ends, one above the other. */
  #nameLines(plot) {
    if (plot.width <= 520) return;
    const ratio = uPlot.pxRatio;
    const ends = LINES.flatMap(({ name, colour }, n) => {
      const values = plot.data[n + 1];
      let last = plot.series[n + 1].show ? Math.min(plot.valToIdx(plot.scales.x.max), values.length - 1) : -1;
      while (last >= 0 && values[last] === null) last -= 1;
      if (last < 0) return [];
      return [{ name, colour, x: plot.valToPos(plot.data[0][last], "x", true), y: plot.valToPos(values[last], "y", true) }];
    }).sort((one, other) => other.y - one.y);
    ends.forEach((end, n) => n && (end.y = Math.min(end.y, ends[n - 1].y - 14 * ratio)));
    plot.ctx.save();
    plot.ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    plot.ctx.textAlign = "left";
    plot.ctx.textBaseline = "middle";
    for (const { name, colour, x, y } of ends) {
      plot.ctx.fillStyle = colourOf(colour);
      plot.ctx.fillText(name, x + 8 * ratio, y);
    }
    plot.ctx.restore();
  }

  /** Show in the legend what the lines are where the pointer is. */
  #showValues() {
    const place = this.#plot?.cursor.idx ?? null;
    const data = this.#plot?.data;
    this.#outputs.forEach((output, n) => {
      const value = place === null ? null : data[n + 1][place];
      const before = place === null || !this.#hasBefore ? null : data[n + 1 + LINES.length][place];
      const figures = [value ?? null, before ?? null].map((one) => (one === null ? "" : number(one)));
      output.textContent = figures[0] && ` ${figures[0]}${figures[1] && ` (before ${figures[1]})`}`;
    });
    const ghosts = this.#hasBefore ? ", thin dashes are the period before" : "";
    this.#at.textContent = place === null ? `Each point is one ${this.#by}${ghosts}.` : this.#describe(data[0][place]);
  }

  #describe(seconds) {
    const text = formatInstant(seconds * 1_000, this.#clock());
    return text.slice(0, { hour: 16, month: 7 }[this.#by] ?? 10);
  }
}

/** Return the chart of the page. */
export const createChart = () => new Chart(find("#course"), find("#legend"));
