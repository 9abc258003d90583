/** Elements, numbers and texts of the pages. Text is always set as text, never as markup. */

/**
 * Make text from outside safe to show: control, direction and invisible characters are spelled out.
 * The joiners of emoji and of Persian stay.
 */
export const plain = (text) =>
  `${text}`.replace(/(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (one) => {
    const hex = one.codePointAt(0).toString(16).toUpperCase();
    return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
  });

/** Return the first element of the page that the selector finds. */
export const find = (selector) => document.querySelector(selector);

/** Create an element with properties, and with text that may be from outside. */
export function create(name, text = "", properties = {}) {
  const element = Object.assign(document.createElement(name), properties);
  element.textContent = plain(text);
  return element;
}

/** Create a link to a page of the dashboard, with a query. */
export const createLink = (text, path, parameters = {}) =>
  create("a", text, { href: `${path}?${new URLSearchParams(parameters)}` });

/** Replace what an element holds; the focus stays at its place, such as the third link. */
export function replaceChildren(element, children) {
  const stops = () => [...element.querySelectorAll("a, button")];
  const place = stops().indexOf(document.activeElement);
  element.replaceChildren(...children);
  if (place >= 0) stops()[place]?.focus({ preventScroll: true });
}

/** Let a list that opens close by Escape, which gives the focus back, and by a press elsewhere. */
export function closeByItself(details) {
  addEventListener("click", (event) => details.contains(event.target) || (details.open = false));
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    details.open = false;
    details.querySelector("summary").focus();
  });
}

/** Create an element of SVG with attributes. */
export function draw(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

export const number = (value) => value.toLocaleString("en");
/** Join a number and its unit so that no line breaks between them. */
const withUnit = (figure, unit) => `${figure}\u00a0${unit}`;
/** Format a fraction as a percentage; a dash where there is none. */
export const percent = (fraction) => (fraction === null ? "–" : withUnit((100 * fraction).toFixed(1), "%"));
export const share = (part, whole) => percent(whole ? part / whole : null);

/** Format a number of seconds for people: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return withUnit(Number(seconds.toFixed(1)), "s");
  const units = [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
    ["s", 1],
  ];
  let rest = Math.round(seconds);
  const first = units.findIndex(([, size]) => rest >= size);
  return units
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return count ? withUnit(count, unit) : "";
    })
    .filter(Boolean)
    .join(" ");
}

/**
 * Describe a change from the period before: its text and whether it is good (1), bad (-1) or neither (0).
 *
 * `better` is 1 where more is better, -1 where less is. A share changes by percentage points (`points`).
 */
export function change(now, before, { better = 0, points = false } = {}) {
  if (before === null || before === undefined || now === null || now === undefined) return null;
  if (!points && !before) return now ? { text: "new", tone: better } : { text: "±0", tone: 0 };
  const difference = points ? 100 * (now - before) : (100 * (now - before)) / before;
  const rounded = difference.toFixed(1);
  if (Number(rounded) === 0) return { text: "±0", tone: 0 };
  const sign = difference > 0 ? "▲" : "▼";
  const text = `${sign} ${Math.abs(difference) >= 1_000 ? number(Math.round(Math.abs(difference))) : rounded.replace("-", "")}`;
  return { text: `${text} ${points ? "points" : "%"}`, tone: Math.sign(difference) * better };
}

/** Create the mark of such a change, with words in place of the arrow for who does not see it; nothing without one. */
export function createChange(found) {
  if (!found) return "";
  const tone = { 1: "better", "-1": "worse", 0: "same" }[found.tone];
  const mark = create("span", "", { className: `change ${tone}` });
  const [, arrow, text] = /^([▲▼] )?(.*)$/u.exec(found.text);
  if (arrow) {
    mark.append(create("span", arrow, { ariaHidden: "true" }), create("span", arrow === "▲ " ? "up " : "down ", { className: "unseen" }));
  }
  mark.append(text, create("span", " from the period before", { className: "unseen" }));
  return mark;
}

/** Create a small line of numbers, for a row of a table; it is left to the eye, as the row has the figures. */
export function createSparkline(values) {
  const [width, height] = [56, 18];
  const most = Math.max(...values, 1);
  const step = values.length > 1 ? (width - 4) / (values.length - 1) : 0;
  const points = values.map((value, n) => [2 + n * step, height - 2 - ((height - 4) * value) / most]);
  const picture = draw("svg", { class: "sparkline", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (points.length === 1) picture.append(draw("circle", { cx: width / 2, cy: points[0][1], r: 2.5 }));
  else picture.append(draw("polyline", { points: points.map((point) => point.map((one) => one.toFixed(1)).join()).join(" ") }));
  return picture;
}
