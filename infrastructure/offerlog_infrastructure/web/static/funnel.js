/** How far offers came, where they ended, how long steps took, and which offers were blocked. */

import { create, createChange, createLink, duration, find, number, percent, plain, replaceChildren, share, change } from "/static/elements.js";
import { fill } from "/static/tables.js";
import { BLOCKED } from "/static/words.js";

/** The steps, each with the names of its rates by what they are of. */
const STEPS = [
  { name: "offered", label: "Offered" },
  { name: "accepted", label: "Accepted", of: { offered: "accepted" } },
  { name: "started", label: "Started", of: { accepted: "started_of_accepted", offered: "started_of_offered" } },
  { name: "engaged", label: "Engaged", of: { accepted: "engaged", offered: "engaged_of_offered" } },
];

/**
 * Where an offer can end, from success to what is not over, with the metric of the list behind the number.
 *
 * An end of content offers (`isRare`), or of the other media types alone (`isOfChats`), is shown only where there are such offers.
 */
const ENDS = [
  { name: "engaged", label: "Engaged", kind: "good", isOfChats: true },
  { name: "accepted", label: "Accepted (content)", kind: "good", isRare: true },
  { name: "abandoned", label: "Abandoned", kind: "bad", isOfChats: true },
  { name: "rejected_at_form", label: "Rejected at the form", kind: "bad", isOfChats: true },
  { name: "rejected_at_invitation", label: "Rejected at the invitation", kind: "bad" },
  { name: "ignored", label: "Ignored", kind: "" },
  { name: "timedout", label: "Timed out", kind: "", isOfChats: true },
  { name: "errored", label: "Errored", kind: "" },
  { name: "open", label: "Still open", kind: "open" },
  { name: "lapsed", label: "Lapsed", kind: "open" },
];

function createBar(part, whole, kind) {
  const bar = create("div", "", { className: `bar ${kind}` });
  bar.setAttribute("aria-hidden", "true");
  const filled = bar.appendChild(create("div"));
  filled.style.width = `${whole ? Math.min(100, (100 * part) / whole) : 0}%`;
  return bar;
}

function createLine(label, count, whole, { kind = "", notes = [], link = null, mark = "" }) {
  const line = create("li", "", { className: "step" });
  const figure = create("span", "", { className: "count" });
  figure.append(link && count ? createLink(number(count), "/offers", link) : number(count));
  const note = create("span", notes.join(", "), { className: "note" });
  note.append(mark);
  line.append(create("span", label, { className: "name" }), createBar(count, whole, kind), figure, note);
  return line;
}

/** Show the error of a card in place of its figures; return whether there is one. */
function showError(name, error) {
  find(`#${name}-wrong`).hidden = !error;
  find(`#${name}-wrong`).textContent = error ? plain(error.message) : "";
  if (error) for (const part of ["", "-more", "-none"]) find(`#${name}${part}`)?.toggleAttribute("hidden", true);
  return Boolean(error);
}

/**
 * Show the funnel: the steps on the one side, the ends on the other. The ends add up to the offers.
 *
 * `linkOf(metric)` returns the query of the list behind a number, or null. `before` is the funnel of the period before.
 */
export function showFunnel({ total, error }, before, linkOf) {
  find("#funnel").hidden = Boolean(error);
  if (showError("funnel", error)) return;
  const { offered, ends } = total;
  const steps = STEPS.map(({ name, label, of = {} }) => {
    const known = Object.entries(of).filter(([, rate]) => total.rates[rate] !== null);
    const notes = known.map(([whole, rate]) => `${percent(total.rates[rate])} of ${whole}`);
    if (!notes.length && name !== "offered") notes.push("–");
    const kind = name === "engaged" ? "good" : name;
    return createLine(label, total[name], offered, { kind, notes, link: linkOf(name) });
  });
  replaceChildren(find("#steps"), steps);
  const made = [total, before?.total].filter((one) => one?.offered);
  const hasChats = !made.length || made.some((one) => one.rates.engaged_of_offered !== null);
  const isUsual = ({ isRare, isOfChats }) => !isRare && (hasChats || !isOfChats);
  const isShown = (end) => isUsual(end) || ends[end.name] > 0 || before?.total?.ends[end.name] > 0;
  const lines = ENDS.filter(isShown).map(({ name, label, kind }) => {
    const part = offered ? ends[name] / offered : null;
    const earlier = before?.total?.offered ? before.total.ends[name] / before.total.offered : null;
    const better = { good: 1, bad: -1 }[kind] ?? 0;
    const found = change(part, earlier, { better, points: true });
    const mark = found?.text === "±0" ? "" : createChange(found);
    return createLine(label, ends[name], offered, { kind, notes: [share(ends[name], offered)], link: linkOf(name), mark });
  });
  const sum = ENDS.reduce((all, { name }) => all + ends[name], 0);
  const last = createLine("All offers", sum, 0, { notes: [share(sum, offered)] });
  last.classList.add("sum");
  replaceChildren(find("#ends"), [...lines, last]);
}

/** Show how long the steps took, in sum and for each action map. */
export function showTimes({ total, rows, method, error }, labelOf) {
  if (showError("times", error)) return;
  find("#times").hidden = false;
  const steps = STEPS.slice(1);
  const figures = ({ actions, median, p90 }) => [number(actions), duration(median), duration(p90)];
  fill(
    find("#times"),
    ["From the offer to", "Actions", "Median", "90 % within"],
    steps.map(({ name, label }) => [label, ...figures(total[name])]),
  );
  find("#times-method").textContent = method === "exact" ? "Exact, of the offers made in this time." : `Method: ${method}.`;
  fill(
    find("#times-maps"),
    ["Action map", ...steps.flatMap(({ label }) => [`${label}, median`, "90 %"])],
    rows.map((row) => [labelOf(row), ...steps.flatMap(({ name }) => figures(row[name]).slice(1))]),
  );
  find("#times-more").hidden = rows.length < 2;
}

/** Show which offers were blocked: by reason, and for each action map. */
export function showBlocked({ total, reasons, rows, error, unknown_media_type: unknown = 0 }, labelOf) {
  if (showError("blocked", error)) return;
  const known = (remembered, count) => (remembered === 0 ? "not known" : count === null ? "not counted" : number(count));
  const figures = ({ blocked, remembered, sessions, visitors }) => [
    number(blocked),
    number(remembered),
    known(remembered, sessions),
    known(remembered, visitors),
  ];
  const reasonOf = ({ reason }) => BLOCKED[reason] ?? reason;
  const names = ["Blocked", "Named", "Sessions of those", "Visitors of those"];
  find("#blocked-unknown").hidden = unknown === 0;
  find("#blocked-unknown").textContent = `Left out: ${number(unknown)} blocked ${unknown === 1 ? "offer" : "offers"} whose type is not known.`;
  const isEmpty = total.blocked === 0;
  find("#blocked-none").hidden = !isEmpty;
  for (const id of ["#blocked", "#blocked-more"]) find(id).hidden = isEmpty;
  const sum = reasons.length > 1 ? [["All reasons", ...figures(total)]] : [];
  fill(find("#blocked"), ["Reason", ...names], [...reasons.map((one) => [reasonOf(one), ...figures(one)]), ...sum]);
  fill(
    find("#blocked-maps"),
    ["Action map", "Reason", ...names],
    rows.map((row) => [labelOf(row), reasonOf(row), ...figures(row)]),
    new Set([0, 1]),
  );
}
