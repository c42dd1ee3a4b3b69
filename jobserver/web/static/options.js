// The options of reading a table: one input each; what is empty is inferred by the server.
import { t } from "./api.js";
import * as exact from "./exact.js";

const LISTS = ["missing", "columns", "text"];
const CHOICES = ["separator", "decimal", "thousands", "header", "units", "datatype"];
/** Every option left out: options that are tried add to those kept, which the editor shows already. */
export const UNSET = Object.fromEntries([...LISTS, ...CHOICES, "encoding", "records", "skip", "sheet", "times"].map((name) => [name, null]));
const PART_OF_TIMES = ["format", "zone"];

/** Return the editor of options in an element; `onChange` is called when one is changed. */
export function optionsEditor(box, onChange) {
  const applicable = JSON.parse(box.dataset.applicable);
  const input = (name) => box.querySelector(`[name="${name}"]`);
  const field = (name) => box.querySelector(`[data-option="${name}"]`);
  const count = box.querySelector(".count");
  let allowed = new Set(applicable[""]);

  const read = () => {
    const options = {};
    for (const name of CHOICES) if (allowed.has(name) && input(name).value) options[name] = JSON.parse(input(name).value);
    for (const name of ["encoding", "records"]) if (allowed.has(name) && input(name).value.trim()) options[name] = input(name).value.trim();
    if (allowed.has("skip") && input("skip").value) options.skip = Number(input("skip").value);
    if (allowed.has("sheet") && input("sheet").value.trim()) options.sheet = column(input("sheet").value.trim());
    for (const name of LISTS) {
      const values = linesOf(input(name).value).map(name === "missing" ? missing : column);
      if (allowed.has(name) && values.length) options[name] = values;
    }
    const times = timesOf(input);
    return times === undefined || !allowed.has("times") ? options : { ...options, times };
  };

  const write = (options) => {
    for (const name of CHOICES) choose(input(name), options[name]);
    for (const name of ["encoding", "records", "skip"]) input(name).value = options[name] ?? "";
    input("sheet").value = "sheet" in options ? written(options.sheet) : "";
    for (const name of LISTS) input(name).value = (options[name] ?? []).map(name === "missing" ? writtenMissing : written).join("\n");
    const { columns, format = "", zone = "" } = options.times?.constructor === Object ? options.times : { columns: options.times ?? [] };
    input("times").value = [columns].flat().map(written).join("\n");
    [input("format").value, input("zone").value] = [format ?? "", zone ?? ""];
    show();
  };

  const show = () => {
    const n = Object.keys(read()).length;
    count.hidden = n === 0;
    count.textContent = t("options.set", { n });
  };

  const mark = (name, text) => {
    const slot = field(name).querySelector(".field-problem");
    slot.textContent = text;
    slot.hidden = !text;
    field(name).classList.toggle("wrong", Boolean(text));
    input(name)[text ? "setAttribute" : "removeAttribute"]("aria-invalid", "true");
  };

  box.addEventListener("input", (event) => {
    mark(event.target.name, "");
    show();
    onChange();
  });

  return {
    read,
    write,
    /** Set some options beside the others, and show what is set now and how it is kept. */
    change(options) {
      box.open = true;
      write({ ...read(), ...options });
      onChange();
    },
    /** Return the proposals of a refusal that this editor can show. */
    proposals: (message) => proposals(message).filter((options) => Object.keys(options).every((name) => allowed.has(name))),
    clearProblems: () => {
      for (const node of box.querySelectorAll(".wrong")) mark(node.dataset.option, "");
    },
    /** Show a problem of an option, such as ``data.times.format``; return whether it is one. */
    show(path, text) {
      const [, first, inner] = /^(?:data|options)\.(\w+)(?:\.(\w+))?/.exec(path) ?? [];
      const name = PART_OF_TIMES.includes(inner) ? inner : first;
      if (!name || !field(name)) return false;
      box.open = true;
      mark(name, text);
      return true;
    },
    /** Show the options that apply to a file, or to JSON if there is none. */
    use(fileName) {
      const parts = fileName.toLowerCase().split(".");
      const isPacked = ["gz", "bz2", "xz"].includes(parts.at(-1));
      const extension = fileName && `.${isPacked ? parts.at(-2) : parts.at(-1)}`;
      allowed = new Set(applicable[extension] ?? applicable[".csv"]);
      for (const node of box.querySelectorAll("[data-option]")) {
        const name = node.dataset.option;
        node.hidden = !allowed.has(PART_OF_TIMES.includes(name) ? "times" : name);
      }
      show();
    },
  };
}

/** Choose a value, also one that is not offered. */
function choose(select, value) {
  const text = value === undefined ? "" : JSON.stringify(value);
  select.value = text;
  if (select.value !== text) select.append(new Option(text, text, false, true));
}

/** Return the columns of the times, with their format and zone if these are given. */
function timesOf(input) {
  const columns = linesOf(input("times").value).map(column);
  const [format, zone] = PART_OF_TIMES.map((name) => input(name).value.trim());
  const of = columns.length === 1 ? columns[0] : columns;
  if (!format && !zone) return columns.length ? of : undefined;
  return { columns: of, ...(format && { format }), ...(zone && { zone }) };
}

function linesOf(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean);
}

/** Return a column: a name, a number from 0, or a name of digits in quotes. */
function column(text) {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  return /^".+"$/.test(text) ? text.slice(1, -1) : text;
}

function written(name) {
  return typeof name === "string" && /^(\d{1,5}|".+")$/.test(name) ? `"${name}"` : String(name);
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

function missing(text) {
  if (NUMBER.test(text)) return exact.fromInput(text);
  return /^".+"$/.test(text) ? text.slice(1, -1) : text;
}

function writtenMissing(value) {
  if (typeof value !== "string") return exact.write(value);
  return NUMBER.test(value) || /^".+"$/.test(value) ? `"${value}"` : value;
}

const PROPOSED = /"(\w+)": ("(?:[^"\\]|\\.)*"|\{[^{}]*\}|\[[^[\]]*\]|true|false|\d+)/g;

/** Return the options that a refusal proposes, each set once; those separated by a comma belong together. */
function proposals(message) {
  const found = [];
  let end = null;
  for (const match of message.matchAll(PROPOSED)) {
    const [, name, value] = match;
    const isNext = end !== null && message.slice(end, match.index) === ", ";
    end = match.index + match[0].length;
    try {
      if (!isNext) found.push({});
      found.at(-1)[name] = exact.parse(value);
    } catch {
      found.pop(); // it only looked like a value
      end = null;
    }
  }
  const texts = found.map((each) => exact.write(each));
  return found.filter((_, n) => texts.indexOf(texts[n]) === n);
}

/** Return what has to be sent beside kept options to get others: null removes one. */
export function difference(kept, options) {
  const same = (name) => exact.write(kept[name]) === exact.write(options[name]);
  const changed = Object.keys(options).filter((name) => !(name in kept) || !same(name));
  const removed = Object.keys(kept).filter((name) => !(name in options));
  return Object.fromEntries([...changed.map((name) => [name, options[name]]), ...removed.map((name) => [name, null])]);
}
