/** The comparisons of versions of action maps: differences of rates, with their intervals. */

import { create, draw, find, share } from "/static/elements.js";
import { fill } from "/static/tables.js";

const RATES = [
  { name: "accepted", label: "Accepted % of offered", part: "accepted", whole: "offered" },
  { name: "engaged", label: "Engaged % of accepted", part: "engaged", whole: "accepted" },
  { name: "engaged_of_offered", label: "Engaged % of offered", part: "engaged", whole: "offered" },
];

const points = (fraction) => `${fraction > 0 ? "+" : ""}${(100 * fraction).toFixed(1)}`;

/** Return whether an interval excludes 0: 1 where the version is better, -1 where it is worse, else 0. */
const verdictOf = ({ low, high }) => (low > 0 ? 1 : high < 0 ? -1 : 0);

/** Create the interval as a bar around the mark of 0; it is left to the eye, as the row has the figures. */
function createInterval(difference, most) {
  const [width, height] = [120, 18];
  const place = (fraction) => (width / 2 + (fraction / most) * (width / 2 - 4)).toFixed(1);
  const kind = { 1: "better", "-1": "worse", 0: "same" }[verdictOf(difference)];
  const picture = draw("svg", { class: `interval ${kind}`, width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
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
      const mark = create("span", points(difference.difference), {
        className: `change ${{ 1: "better", "-1": "worse", 0: "same" }[verdictOf(difference)]}`,
      });
      return [
        `${labelOf(row)} (${typeOf(row)})`,
        `${row.action_map_version} against ${row.comparison.baseline}`,
        rate.label,
        share(other[rate.part], other[rate.whole]),
        share(row[rate.part], row[rate.whole]),
        mark,
        [`${points(difference.low)} to ${points(difference.high)}`, createInterval(difference, most)],
        difference.in_words,
      ];
    }),
    new Set([0, 1, 2, 7]),
  );
}
