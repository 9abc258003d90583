/** Tables of figures: plain ones, and one that is sorted, searched and shown page by page. */

import { create, number, plain, replaceChildren } from "/static/elements.js";

/** Rows of a table on one page. */
export const ROWS = 100;

/** Characters of a text that always fit into a cell. */
const LONG = 25;

/** Fill a cell with a text, an element, or several of them. */
function fillCell(cell, content) {
  for (const one of [content].flat()) cell.append(one instanceof Node ? one : plain(one));
  const isCut = cell.className === "text" && cell.textContent.length > LONG; // a narrow cell shows only the beginning
  if (isCut) cell.title = cell.textContent;
  return cell;
}

function createRow(contents, texts, { heading = true } = {}) {
  const row = create("tr");
  contents.forEach((content, n) => {
    const cell = n || !heading ? create("td") : create("th", "", { scope: "row" });
    cell.className = texts.has(n) ? "text" : "";
    row.append(fillCell(cell, content));
  });
  return row;
}

/** Fill a table with a header of names and rows of cells. `texts` holds the numbers of the columns that are text. */
export function fill(table, names, rows, texts = new Set([0])) {
  const head = create("thead");
  const line = head.appendChild(create("tr"));
  names.forEach((name, n) => line.append(create("th", name, { scope: "col", className: texts.has(n) ? "text" : "" })));
  const body = create("tbody");
  body.append(...rows.map((cells) => createRow(cells, texts)));
  table.replaceChildren(head, body);
}

const isEmpty = (value) => value === null || value === undefined;

function compareValues(one, other) {
  if (isEmpty(one) || isEmpty(other)) return Number(isEmpty(one)) - Number(isEmpty(other));
  return typeof one === "string" ? one.localeCompare(other) : one - other;
}

/**
 * A table that is sorted by its header, searched, and shown one page at a time.
 *
 * A column is `{ label, cell(row), value(row), text, title }`: cells are made for the rows of one page only. `value`
 * is sorted by; without it the column is not sorted. Updates keep order, search, page and focus.
 */
export class SortedTable {
  #table;
  #pager;
  #search;
  #columns = [];
  #rows = [];
  #totals = null;
  #page = 0;
  #order = null;
  #head = create("thead");
  #sums = create("tbody", "", { className: "totals" });
  #body = create("tbody", "", { className: "rows" });

  constructor(table, pager, search) {
    this.#table = table;
    this.#pager = pager;
    this.#search = search;
    const step = (by) => () => {
      this.#page += by;
      this.#show();
    };
    this.previous = create("button", "Previous", { type: "button", className: "second", onclick: step(-1) });
    this.next = create("button", "Next", { type: "button", className: "second", onclick: step(1) });
    this.position = create("span", "", { role: "status" });
    pager.append(this.previous, this.position, this.next);
    search.addEventListener("input", () => {
      this.#page = 0;
      this.#show();
    });
    table.append(this.#head, this.#sums, this.#body);
  }

  /**
   * Show these rows, on the same page as before; on the first page if `first`.
   *
   * `totals(rows)` returns the cells of the first row for the rows found; `name(row)` is the text that is searched.
   */
  fill(columns, rows, { totals, name, order, first = false }) {
    const isSame = columns.map((one) => one.label).join() === this.#columns.map((one) => one.label).join();
    [this.#columns, this.#rows, this.#totals, this.name] = [columns, rows, totals, name];
    if (!isSame || !this.#order) {
      this.#order = order;
      this.#fillHead();
    }
    if (first) this.#page = 0;
    this.#show();
  }

  #texts() {
    return new Set(this.#columns.flatMap((column, n) => (column.text ? [n] : [])));
  }

  #fillHead() {
    const line = create("tr");
    for (const column of this.#columns) {
      const cell = create("th", "", { scope: "col", className: column.text ? "text" : "" });
      if (!column.value) cell.append(column.label);
      else cell.append(create("button", column.label, { type: "button", title: column.title ?? "", onclick: () => this.#sortBy(column) }));
      line.append(cell);
    }
    this.#head.replaceChildren(line);
  }

  #sortBy({ label, text }) {
    const turned = this.#order.label === label ? !this.#order.isFalling : !text;
    this.#order = { label, isFalling: turned };
    this.#page = 0;
    this.#show();
  }

  #found() {
    const wanted = this.#search.value.trim().toLowerCase();
    const found = wanted ? this.#rows.filter((row) => this.name(row).toLowerCase().includes(wanted)) : [...this.#rows];
    const { label, isFalling } = this.#order;
    const column = this.#columns.find((one) => one.label === label);
    const keys = new Map(found.map((row) => [row, column.value(row)]));
    const sign = isFalling ? -1 : 1;
    return found.sort((one, other) => {
      const [key, otherKey] = [keys.get(one), keys.get(other)];
      return isEmpty(key) || isEmpty(otherKey) ? compareValues(key, otherKey) : sign * compareValues(key, otherKey);
    });
  }

  #show() {
    const found = this.#found();
    const count = found.length;
    this.#page = Math.max(0, Math.min(this.#page, Math.ceil(count / ROWS) - 1));
    const start = this.#page * ROWS;
    const end = Math.min(start + ROWS, count);
    const texts = this.#texts();
    const cellsOf = (row) => this.#columns.map((column) => column.cell(row));
    replaceChildren(this.#body, found.slice(start, end).map((row) => createRow(cellsOf(row), texts)));
    this.#sums.replaceChildren(...(this.#rows.length ? [createRow(this.#totals(found), texts)] : []));
    this.#table.hidden = this.#rows.length === 0;
    [...this.#head.rows[0].cells].forEach((cell, n) => {
      const { label } = this.#columns[n];
      if (label === this.#order.label) cell.setAttribute("aria-sort", this.#order.isFalling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    this.#pager.hidden = this.#rows.length <= ROWS && count === this.#rows.length;
    this.#pager.classList.toggle("single", count <= ROWS);
    this.position.textContent = count ? `Rows ${number(start + 1)} to ${number(end)} of ${number(count)}` : "No row has this in its name.";
    // not `disabled`: the keyboard would lose its place when a page is the last one
    this.previous.ariaDisabled = String(start === 0);
    this.next.ariaDisabled = String(end === count);
  }
}
