/** Calendar days as text, `2026-11-20`, ranges of them, and instants on the clocks of a zone. */

const DAY = 86_400_000;
const parse = (date) => Date.parse(`${date}T00:00Z`);

/** Return the day that is so many days later. */
export const addDays = (date, days) => new Date(parse(date) + days * DAY).toISOString().slice(0, 10);

/** Return whether a text is a day of the calendar, as 2026-11-20. */
export const isDate = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(parse(text)) && addDays(text, 0) === text;

/** Return the number of days from one day to another. */
export const daysBetween = (from, to) => Math.round((parse(to) - parse(from)) / DAY);

/** Return the weekday of a day, as Fri. */
export const weekday = (date) => new Intl.DateTimeFormat("en", { weekday: "short", timeZone: "UTC" }).format(parse(date));

const formats = new Map();

function formatOf(zone) {
  if (!formats.has(zone)) {
    const numeric = Object.fromEntries(["year", "month", "day", "hour", "minute", "second"].map((part) => [part, "2-digit"]));
    const options = { ...numeric, year: "numeric", hourCycle: "h23", calendar: "gregory", numberingSystem: "latn" };
    try {
      formats.set(zone, new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone }));
    } catch {
      return formatOf("UTC"); // the service says what is wrong with the zone
    }
  }
  return formats.get(zone);
}

/** Format an instant (a Date, milliseconds or RFC 3339) on the clocks of a zone: 2026-11-20 15:29:03. */
export function formatInstant(instant, zone) {
  const parts = Object.fromEntries(formatOf(zone).formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
  return `${parts.year.padStart(4, "0")}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second}`;
}

/** Return today's day in a zone. */
export const today = (zone) => formatInstant(Date.now(), zone).slice(0, 10);

/** Return the zone of this browser. */
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** Names of the ranges that need no days, in the order of their buttons. */
export const RANGES = {
  newest: "Newest day",
  today: "Today",
  yesterday: "Yesterday",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
  month: "This month",
  all: "All time",
};

/** Return the first day of a range and the day behind its last one; nothing for `newest` and `all`. */
export function rangeDays(range, zone) {
  const day = today(zone);
  const next = addDays(day, 1);
  const days = /^(\d+)d$/.exec(range);
  if (days) return { from: addDays(day, -days[1]), to: day }; // whole days, as `offerlog report --last 7d`
  if (range === "today") return { from: day, to: next };
  if (range === "yesterday") return { from: addDays(day, -1), to: day };
  if (range === "month") return { from: `${day.slice(0, 8)}01`, to: next };
  return {};
}

/** Return the granularity that shows so many days well. */
export function granularityOf(days) {
  if (days <= 3) return "hour";
  if (days <= 90) return "day";
  return days <= 730 ? "week" : "month";
}

/** Describe days for a heading: Fri 2026-11-20, or 2026-11-14 to 2026-11-20. `to` is the day behind the last one. */
export function describeDays(from, to) {
  if (!from || !to) return [from && `from ${from}`, to && isDate(to) && `until ${addDays(to, -1)}`].filter(Boolean).join(" ") || "all time";
  if (!isDate(from) || !isDate(to)) return `${from} to ${to}`;
  const last = addDays(to, -1);
  return from === last ? `${weekday(from)} ${from}` : `${from} to ${last}`;
}

/** Return the label of a bucket for people: its day, and for hours the time and the offset from UTC. */
export function describeBucket(bucket, by) {
  if (by === "hour") return `${bucket.slice(0, 16).replace("T", " ")} ${bucket.slice(19) || "UTC"}`;
  return by === "month" ? bucket.slice(0, 7) : bucket.slice(0, 10);
}
