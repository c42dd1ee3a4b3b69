// How a data file is read: its first rows, what the reader remarked, or why it was refused.
import { send, t } from "./api.js";
import { shownNumber } from "./app.js";
import { button, element } from "./element.js";
import * as exact from "./exact.js";
import { UNSET } from "./options.js";

const ROWS = 50;
const MOST_COLUMNS = 100;
/** Characters of an answer that are read, of a text shown, and of a cell. */
const MOST = 2_000_000;
const MOST_TEXT = 5_000;
const MOST_CELL = 200;

/** Return what shows data files in an element, always the last one asked for, by the options of an editor. */
export function previewer(container, editor) {
  const status = element("p", { role: "status", className: "hint" });
  const content = element("div", { className: "preview" });
  container.append(status, content);
  let running = null;
  return {
    clear() {
      running?.abort();
      status.textContent = "";
      content.replaceChildren();
    },
    async show(name) {
      running?.abort();
      const own = (running = new AbortController());
      status.textContent = t("preview.reading", { name });
      content.setAttribute("aria-busy", "true");
      editor.clearProblems();
      const shown = await read(name, editor, own).catch((error) => failure(error, editor));
      if (own !== running || !shown) return;
      content.removeAttribute("aria-busy");
      status.textContent = shown.status;
      content.replaceChildren(...shown.nodes);
    },
  };
}

/** Return a refusal, and what it proposes. */
function failure(error, editor) {
  if (error.name === "AbortError") return null;
  for (const { field, problem } of error.errors ?? []) editor.show(field, problem);
  const message = element("p", { className: "error plain", role: "alert", lang: "en" }, error.message);
  return { status: "", nodes: [message, proposals([error.message], editor)] };
}

/** Return a button for each set of options that messages propose. */
function proposals(messages, editor) {
  const found = messages.flatMap((message) => editor.proposals(message));
  const sets = new Map(found.map((options) => {
    const text = Object.entries(options).map(([name, value]) => `${name}: ${exact.write(value)}`).join(", ");
    return [text, options];
  }));
  const buttons = [...sets].map(([text, options]) => button(t("preview.set", { options: text }), () => editor.change(options)));
  return element("div", { className: "actions proposals" }, ...buttons);
}

/** Return the first rows of a file as a script gets them, and what the reader remarked. */
export async function readRows(name, options, { rows = ROWS, characters = MOST, signal, parse = exact.parse } = {}) {
  const query = options ? `&options=${encodeURIComponent(JSON.stringify({ ...UNSET, ...options }))}` : "";
  const response = await send("GET", `/datafile/${encodeURIComponent(name)}?format=json${query}`, { signal });
  const remarks = JSON.parse(response.headers.get("X-Remarks") ?? "[]");
  const { text, isWhole } = await beginning(response, rows, characters);
  const found = rowsOf(text, isWhole, rows);
  if (!found.rows) return { remarks, text };
  const names = found.rows.length ? keysOf(found.rows[0]) : [];
  return { remarks, names, rows: found.rows.map((row) => parse(row)), isAll: found.isAll };
}

async function read(name, editor, { signal }) {
  const { remarks, names, rows, isAll, text } = await readRows(name, editor.read(), { signal });
  const nodes = remarks.length ? [remarkList(remarks), proposals(remarks, editor)] : [];
  if (!rows) return { status: t("preview.no_table"), nodes: [...nodes, element("pre", { tabIndex: 0 }, shorten(text))] };
  const numbers = { n: rows.length, columns: names.length };
  const status = isAll ? t("preview.all", numbers) : t("preview.first", numbers);
  return { status, nodes: [...nodes, table(names, rows)] };
}

export function shorten(text) {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** Return the beginning of an answer, and whether it is all of it. */
export async function beginning(response, rows = ROWS, characters = MOST) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let [text, lines] = ["", 0];
  while (lines <= rows && text.length < characters) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), isWhole: true };
    const piece = decoder.decode(value, { stream: true });
    lines += piece.split("\n").length - 1;
    text += piece;
  }
  await reader.cancel();
  return { text, isWhole: false };
}

/** Return the first rows of a table, each as JSON; a table is a list with an object a line. */
function rowsOf(text, isWhole, most) {
  const lines = text.trim().split(",\n");
  const isTable = /^\[\{/.test(text) && (lines.length > 1 || isWhole);
  if (/^\[\]\s*$/.test(text)) return { rows: [], isAll: true };
  if (!isTable) return { rows: null };
  lines[0] = lines[0].slice(1);
  if (isWhole) lines.push(lines.pop().replace(/\]$/, ""));
  else lines.pop();
  if (isWhole && lines.length === 1) return ofList(text, most);
  return { rows: lines.slice(0, most), isAll: isWhole && lines.length <= most };
}

/** Return the rows of a list of objects in one line: a file that is JSON already. */
function ofList(text, most) {
  const list = exact.parse(text);
  if (!list.every((row) => row?.constructor === Object)) return { rows: null };
  return { rows: list.slice(0, most).map((row) => JSON.stringify(row)), isAll: list.length <= most };
}

/** Return the keys of an object in JSON in their order; JavaScript puts numbers first. */
function keysOf(text) {
  const keys = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"\s*:?|[{}[\]]/g)) {
    if ("{[".includes(token)) depth += 1;
    else if ("}]".includes(token)) depth -= 1;
    else if (depth === 1 && token.endsWith(":")) keys.push(JSON.parse(token.slice(0, -1)));
  }
  return keys;
}

function remarkList(remarks) {
  const items = remarks.map((text) => element("li", { lang: "en" }, text));
  const title = element("strong", {}, t("preview.remarks"));
  return element("div", { className: "remarks" }, title, element("ul", {}, ...items));
}

function table(names, rows) {
  const shown = names.slice(0, MOST_COLUMNS);
  const isNumber = (name) => rows.some((row) => typeof row[name] === "number" || exact.isLarge(row[name]));
  const classes = shown.map((name) => (isNumber(name) ? "number" : ""));
  const head = shown.map((name, n) => element("th", { scope: "col", className: classes[n] }, cut(name)));
  const body = rows.map((row) => element("tr", {}, ...shown.map((name, n) => element("td", { className: classes[n] }, cell(row[name])))));
  const made = element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  const more = names.length > MOST_COLUMNS ? [element("p", { className: "hint" }, t("preview.columns", { n: names.length - MOST_COLUMNS }))] : [];
  return element("div", {}, element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": t("preview.table") }, made), ...more);
}

function cell(value) {
  if (value === null || value === undefined) return element("span", { className: "missing" }, t("preview.missing"));
  return cut(typeof value === "string" ? value : typeof value === "number" ? shownNumber(value) : exact.write(value));
}

function cut(text) {
  return text.length > MOST_CELL ? `${text.slice(0, MOST_CELL)}…` : text;
}
