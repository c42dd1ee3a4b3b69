// Tables: what a result or a file has as columns, and the first rows of it on the page.
import { t } from "./api.js";
import { shownNumber } from "./app.js";
import { isNumber, isObject } from "./exact.js";
import { isTimes } from "./numbers.js";

const MOST_ROWS = 200;
const MOST_COLUMNS = 200;
const MOST_PLOTTED = 50;
const LONGEST = 200;
const DIGITS = 6;
// Keys that objects of JavaScript move to the front.
const MOVED = /^(?:0|[1-9]\d{0,9})$/;

/**
 * A table by columns.
 * @typedef {{names: string[], dtypes: string[], columns: any[][], rows: number,
 *            index: any[] | null, indexName: string, indexDtype: string}} Table
 */

/** Return a value as a table, or null if it is none. */
export function asTable(value) {
  if (Array.isArray(value)) return ofList(value);
  if (!isObject(value)) return null;
  if (value.type === "dataframe" && value.columns && value.dtypes) return ofFrame(value);
  if (value.type === "series" && Array.isArray(value.data)) {
    return build([label(value.name) || t("table.value")], [value.data], value, [value.dtypes.data]);
  }
  if (value.type === "index" && Array.isArray(value.index)) return build([], [], value, []);
  if (value.type === "ndarray" && Array.isArray(value.data)) return ofArray(value.data, value.dtype);
  return ofLabelled(value);
}

function build(names, columns, { index = null, names: named = {}, dtypes = {} }, dtypesOfData) {
  const rows = columns[0]?.length ?? index?.length ?? 0;
  const indexName = label(named.index ?? "");
  return { names, dtypes: dtypesOfData.map(label), columns, rows, index, indexName, indexDtype: label(dtypes.index ?? "") };
}

function ofFrame(value) {
  const columns = columnsInOrder(value.columns, value.data);
  return columns && build(value.columns.map(label), columns, value, value.dtypes.data);
}

/** Return the columns in the order of their labels; null if they cannot be told apart. */
function columnsInOrder(labels, data) {
  const keys = Object.keys(data);
  if (keys.length !== labels.length) return null;
  if (!keys.some((key) => MOVED.test(key))) return Object.values(data);
  const strings = new Set(labels.filter((each) => typeof each === "string"));
  const used = new Set();
  const found = labels.map((each) => {
    const text = String(each);
    let key = text;
    for (let n = 2; used.has(key) || (strings.has(key) && typeof each !== "string"); n++) key = `${text} (${n})`;
    used.add(key);
    return data[key];
  });
  return found.every(Array.isArray) ? found : null;
}

function ofArray(rows, dtype) {
  if (!rows.length || !Array.isArray(rows[0])) {
    return rows.length ? build([t("table.value")], [rows], {}, [dtype]) : null;
  }
  if (!rows[0].length || Array.isArray(rows[0][0])) return null;
  const names = rows[0].map((_, n) => String(n));
  return build(names, names.map((_, n) => rows.map((row) => row[n])), {}, names.map(() => dtype));
}

/** Return a list of numbers, or of records with the same shape, as a table. */
function ofList(list) {
  if (list.length < 2) return null;
  if (list.every((item) => isNumber(item) || item === null)) return build([t("table.value")], [list], {}, [""]);
  if (!list.every(isObject)) return null;
  const flat = list.map(flatten);
  if (flat.some((record) => [...record.values()].some((cell) => cell !== null && typeof cell === "object"))) return null;
  const names = [...new Set(flat.flatMap((record) => [...record.keys()]))];
  if (!names.length || names.length > MOST_COLUMNS) return null;
  return build(names, names.map((name) => flat.map((record) => record.get(name) ?? null)), {}, names.map(() => ""));
}

function flatten(record) {
  const cells = new Map();
  for (const [name, value] of Object.entries(record)) {
    if (!isObject(value)) cells.set(name, value);
    else for (const [inner, cell] of Object.entries(value)) cells.set(`${name}.${inner}`, cell);
  }
  return cells;
}

/** Return an object of columns, each an object with the same labels, as a table. */
function ofLabelled(value) {
  const columns = Object.values(value);
  if (!columns.length || !columns.every(isObject)) return null;
  const labels = Object.keys(columns[0]);
  const isSame = (column) => Object.keys(column).length === labels.length && labels.every((each) => each in column);
  if (!labels.length || !columns.every(isSame)) return null;
  const cells = columns.map((column) => labels.map((each) => column[each]));
  if (cells.flat().some((cell) => cell !== null && typeof cell === "object")) return null;
  return build(Object.keys(value), cells, { index: labels }, columns.map(() => ""));
}

const isPlottable = (column) => column.some(isNumber) && column.every((cell) => isNumber(cell) || cell === null);

/** Return what of a table can be plotted, as `plot` takes it; null if that is nothing. */
export function plottable({ names, columns, rows, index, indexName }) {
  const chosen = columns.map((_, n) => n).filter((n) => isPlottable(columns[n])).slice(0, MOST_PLOTTED);
  if (rows < 2 || !chosen.length) return null;
  const isIndex = index && (isTimes(index) || isPlottable(index));
  const time = isIndex ? -1 : columns.findIndex(isTimes);
  if (index && !isIndex && time < 0) return null; // such as statistics by their names
  const [x, xLabel] = isIndex ? [index, indexName] : time < 0 ? [null, ""] : [columns[time], names[time]];
  return { x, xLabel, columns: chosen.map((n) => columns[n]), labels: chosen.map((n) => names[n]) };
}

/** Return the text of a label: of several levels, one after another. */
export function label(value) {
  if (Array.isArray(value)) return value.map(label).filter(Boolean).join(" / ");
  if (isObject(value)) return value.name ?? "";
  return value === null || value === undefined ? "" : String(value);
}

const MIDNIGHT = /^(\d{4}-\d\d-\d\d)[T ]00:00(:00(\.0+)?)?$/;

/** Return values, without the time of day where all are days. */
function daysOf(values) {
  const areDays = values?.every((each) => each === null || MIDNIGHT.test(each)) && values.some((each) => each !== null);
  return areDays ? values.map((each) => each && each.slice(0, 10)) : values;
}

/** Show the first rows of a table. */
export function showTable(element, given, { caption }) {
  const table = { ...given, index: daysOf(given.index), columns: given.columns.map(daysOf) };
  const scroll = document.createElement("div");
  Object.assign(scroll, { className: "scroll sheet", tabIndex: 0 });
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", caption);
  const note = document.createElement("p");
  note.className = "hint";
  const all = document.createElement("button");
  Object.assign(all, { type: "button", className: "small", textContent: t("table.digits") });
  all.setAttribute("aria-pressed", "false");
  const draw = () => {
    const isRounded = all.getAttribute("aria-pressed") === "false";
    const { grid, wasRounded } = gridOf(table, isRounded);
    scroll.replaceChildren(grid);
    if (isRounded) all.hidden = !wasRounded;
    note.textContent = sizeOf(table, isRounded && wasRounded);
    note.append(" ", all);
  };
  all.addEventListener("click", () => {
    all.setAttribute("aria-pressed", String(all.getAttribute("aria-pressed") === "false"));
    draw();
    all.focus();
  });
  element.append(note, scroll);
  draw();
}

function sizeOf({ rows, names }, isRounded) {
  const parts = [t("table.size", { rows, columns: names.length })];
  if (rows > MOST_ROWS) parts.push(t("table.first_rows", { n: MOST_ROWS }));
  if (names.length > MOST_COLUMNS) parts.push(t("table.first_columns", { n: MOST_COLUMNS }));
  if (isRounded) parts.push(t("table.rounded", { n: DIGITS }));
  return parts.join(" ");
}

function gridOf({ names, columns, rows, index, indexName }, isRounded) {
  const grid = document.createElement("table");
  const head = grid.createTHead().insertRow();
  const shown = columns.slice(0, MOST_COLUMNS);
  const count = Math.min(rows, MOST_ROWS);
  const isRight = shown.map((column) => column.slice(0, count).every((cell) => cell === null || isNumber(cell)));
  head.append(headCell(indexName, "col"), ...names.slice(0, MOST_COLUMNS).map((name, n) => headCell(name, "col", isRight[n])));
  const body = grid.createTBody();
  let wasRounded = false;
  for (let row = 0; row < count; row++) {
    const line = body.insertRow();
    line.append(headCell(index ? label(index[row]) : String(row), "row"));
    shown.forEach((column, n) => {
      const cell = line.insertCell();
      const text = cellText(column[row], isRounded);
      wasRounded ||= typeof column[row] === "number" && text !== shownNumber(column[row]);
      cell.textContent = text;
      if (isRight[n]) cell.className = "number";
      if (column[row] === null || column[row] === undefined) cell.className += " missing";
    });
  }
  return { grid, wasRounded };
}

function headCell(text, scope, isNumeric = false) {
  const cell = document.createElement(text ? "th" : "td");
  if (text) cell.scope = scope;
  cell.textContent = cut(text);
  if (isNumeric) cell.className = "number";
  return cell;
}

function cellText(value, isRounded) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number" && isRounded && !Number.isInteger(value)) return shownNumber(Number(value.toPrecision(DIGITS)));
  if (typeof value === "number") return shownNumber(value);
  if (typeof value === "object") return cut(JSON.stringify(value, (_, each) => (typeof each === "bigint" ? String(each) : each)));
  return cut(String(value));
}

const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
