/** The comparisons of versions of action maps: differences of rates, with their intervals. */

import { create, draw, find, percent } from "/static/elements.js";
import { fill } from "/static/tables.js";

const RATES = [
  { name: "accepted", label: "Accepted % of offered" },
  { name: "engaged", label: "Engaged % of accepted" },
  { name: "engaged_of_offered", label: "Engaged % of offered" },
];

const ONE_DIGIT = new Intl.NumberFormat("en", { maximumSignificantDigits: 1, useGrouping: false });

/** Format a difference in percentage points by the rule of the sentences: as many digits as show that it is not 0. */
function points(fraction) {
  const number = 100 * fraction;
  if (!number) return "0";
  const rounded = number.toFixed(1);
  return `${number > 0 ? "+" : ""}${Number(rounded) ? rounded : ONE_DIGIT.format(number)}`;
}

/** Return the kind of a difference: better or worse where its interval excludes 0, else same. */
const kindOf = ({ difference, excludes_zero }) => (!excludes_zero ? "same" : difference > 0 ? "better" : "worse");

/** Create the interval as a bar around the mark of 0; it is left to the eye, as the row has the figures. */
function createInterval(difference, most) {
  const [width, height] = [120, 18];
  const place = (fraction) => (width / 2 + (fraction / most) * (width / 2 - 4)).toFixed(1);
  const picture = draw("svg", { class: `interval ${kindOf(difference)}`, width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  picture.append(
    draw("line", { class: "zero", x1: width / 2, x2: width / 2, y1: 1, y2: height - 1 }),
    draw("line", { class: "span", x1: place(difference.low), x2: place(difference.high), y1: height / 2, y2: height / 2 }),
    draw("circle", { cx: place(difference.difference), cy: height / 2, r: 3.5 }),
  );
  return picture;
}

/** Show the comparisons of a report by version. `labelOf(row)` names an action map, `typeOf(row)` its media type. */
export function showComparisons({ rows, cohort }, { labelOf, typeOf }) {
  const keyOf = ({ action_map_id, media_type }, version) => `${action_map_id} ${media_type} ${version}`;
  const byVersion = new Map(rows.map((row) => [keyOf(row, row.action_map_version), row]));
  const found = rows.flatMap((row) =>
    RATES.filter(({ name }) => row.comparison?.[name]).map((rate) => {
      return { row, rate, difference: row.comparison[rate.name], other: byVersion.get(keyOf(row, row.comparison.baseline)) };
    }),
  );
  const isByOffer = cohort === "offered";
  find("#compared-event").hidden = isByOffer;
  find("#compared-none").hidden = !isByOffer || found.length > 0;
  find("#compared-scroll").hidden = found.length === 0;
  const most = Math.max(0.01, ...found.flatMap(({ difference: { low, high } }) => [Math.abs(low), Math.abs(high)]));
  fill(
    find("#comparisons"),
    ["Action map", "Versions", "Rate", "Baseline", "This version", "Points", "95 % interval", "In words"],
    found.map(({ row, rate, difference, other }) => {
      const mark = create("span", points(difference.difference), { className: `change ${kindOf(difference)}` });
      return [
        `${labelOf(row)} (${typeOf(row)})`,
        `${row.action_map_version} against ${row.comparison.baseline}`,
        rate.label,
        percent(other.rates[rate.name]),
        percent(row.rates[rate.name]),
        mark,
        [`${points(difference.low)} to ${points(difference.high)}`, createInterval(difference, most)],
        difference.in_words,
      ];
    }),
    new Set([0, 1, 2, 7]),
  );
}
