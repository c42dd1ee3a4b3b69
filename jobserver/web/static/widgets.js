// Inputs for values of a JSON Schema. What was not touched reads as undefined, and is not sent.
import { t } from "./api.js";
import { button, changed, element } from "./element.js";
import * as exact from "./exact.js";
import { fieldsOf } from "./form.js";
import { alternatives, kindOf, shown, typeName } from "./schema.js";

/** Longer lists are edited as JSON: a row for each item would be slow. */
const MOST_ROWS = 200;
/** Key of text that is not valid yet, in drafts. */
const DRAFT = "\u0000text";

/** Return the input for a schema; what it cannot show becomes JSON. */
export function slot(schema, defs, isRequired) {
  const node = element("div", { className: "slot" });
  let input = choose(schema, defs, isRequired);
  const use = (other) => {
    input = other;
    node.replaceChildren(input.node);
  };
  use(input);
  return {
    node,
    read: (isDraft) => input.read(isDraft),
    write(value) {
      if (input.write(value) || value === null) return;
      use(json());
      input.write(value);
    },
    problems: (path) => input.problems(path),
    at: (part) => input.at?.(part),
    target: () => input.target?.() ?? node.querySelector("input, select, textarea, button"),
  };
}

function choose(schema, defs, isRequired) {
  const { variants, isNullable } = alternatives(schema, defs);
  const given = { default: schema.default };
  const input =
    variants.length === 1
      ? single({ ...variants[0], ...given }, defs, isRequired)
      : ofAlternatives(variants, defs, given);
  const explicit = new Map();
  if (isNullable && (isRequired || (schema.default ?? null) !== null)) {
    explicit.set("null", [null, t("form.null")]);
  }
  if (schema.default?.length) {
    if (variants.some((each) => kindOf(each) === "string" && !each.format)) explicit.set('""', ["", t("form.empty")]);
    if (variants.some((each) => kindOf(each) === "list")) explicit.set("[]", [[], t("form.none")]);
  }
  return explicit.size ? withExplicit(input, explicit) : input;
}

function single(schema, defs, isRequired) {
  const makers = { choice, boolean: choice, list, object, string: text, json };
  return (makers[kindOf(schema)] ?? native)(schema, defs, isRequired);
}

/** Let values be chosen that an empty input does not stand for, such as null. */
function withExplicit(input, explicit) {
  const boxes = [...explicit].map(([key, [value, label]]) => {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => {
      for (const other of boxes) other.box.checked &&= other.box === box;
      show();
    });
    const node = element("label", { className: "explicit" }, box, ` ${label}`);
    return { key, value, box, node };
  });
  const holder = element("div", {}, input.node);
  const chosen = () => boxes.find((each) => each.box.checked);
  const show = () => (holder.inert = Boolean(chosen()));
  const node = element("div", { className: "with-explicit" }, holder, ...boxes.map((each) => each.node));
  return {
    ...input,
    node,
    read: (isDraft) => (chosen() ? chosen().value : input.read(isDraft)),
    write(value) {
      const key = exact.write(value);
      for (const each of boxes) each.box.checked = each.key === key;
      show();
      return Boolean(chosen()) || input.write(value);
    },
    problems: (path) => (chosen() ? [] : input.problems(path)),
  };
}

/** Return an input whose type is chosen first. */
function ofAlternatives(variants, defs, given) {
  if (variants.some((each) => kindOf(each) === "json")) return json(given);
  const types = element("select", { "aria-label": t("form.type") });
  types.append(...variants.map((each, n) => new Option(typeName(each, defs), n)));
  const holder = element("div");
  let input;
  const use = (n) => {
    types.value = n;
    input = single({ ...variants[n], ...given }, defs, false);
    holder.replaceChildren(input.node);
  };
  types.addEventListener("change", () => use(Number(types.value)));
  use(0);
  return {
    node: element("div", { className: "variants" }, types, holder),
    read: (isDraft) => input.read(isDraft),
    write(value) {
      const fits = variants.findIndex((_, n) => {
        use(n);
        return input.write(value);
      });
      if (fits < 0) use(0);
      return fits >= 0;
    },
    problems: (path) => input.problems(path),
    at: (part) => input.at?.(part),
    target: () => holder.querySelector("input, select, textarea, button"),
  };
}

/** Return the methods of an input whose text is its value. */
function ofText(input, convert, isText) {
  const problem = () => {
    try {
      if (input.value) convert(input.value);
      return input.validationMessage;
    } catch (error) {
      return error.message;
    }
  };
  return {
    node: input,
    read: () => (input.value === "" ? undefined : convert(input.value)),
    write(value) {
      if (!isText(value)) return false;
      const written = exact.isLarge(value) ? value.rawJSON : String(value);
      input.value = written;
      return input.value === written;
    },
    problems: (path) => (problem() ? [{ field: path, problem: problem() }] : []),
  };
}

const INPUTS = { integer: "number", number: "number", date: "date", datetime: "datetime-local", time: "time" };

function native(schema) {
  const kind = kindOf(schema);
  const isNumber = kind === "integer" || kind === "number";
  const input = element("input", { type: INPUTS[kind], placeholder: placeholder(schema) });
  if (!isNumber) {
    if (kind !== "date") input.step = 1;
    return ofText(input, (value) => value, (value) => typeof value === "string");
  }
  const step = schema.multipleOf ?? (kind === "integer" ? 1 : "any");
  input.step = step;
  input.min = lowest(schema, kind) ?? "";
  input.max = schema.maximum ?? (kind === "integer" && "exclusiveMaximum" in schema ? schema.exclusiveMaximum - 1 : "");
  const isValue = (value) => typeof value === "number" || exact.isLarge(value);
  return ofText(input, exact.fromInput, isValue);
}

/** Return the least value an input allows: steps of multiples are counted from it. */
function lowest(schema, kind) {
  const above = kind === "integer" && "exclusiveMinimum" in schema ? schema.exclusiveMinimum + 1 : undefined;
  const least = schema.minimum ?? above;
  const step = schema.multipleOf;
  return step && least !== undefined ? Math.ceil(least / step) * step : least;
}

function text(schema) {
  const input = element("textarea", { rows: 1, placeholder: placeholder(schema) });
  input.addEventListener("input", () => input.setCustomValidity(textProblem(schema, input.value)));
  return ofText(input, (value) => value, (value) => typeof value === "string" && value !== "");
}

function textProblem(schema, value) {
  const length = [...value].length;
  if (length === 0) return "";
  if (length < (schema.minLength ?? 0)) return t("form.shortest", { n: schema.minLength });
  if (length > (schema.maxLength ?? Infinity)) return t("form.longest", { n: schema.maxLength });
  try {
    if (schema.pattern && !new RegExp(schema.pattern, "u").test(value)) {
      return t("form.pattern", { pattern: schema.pattern });
    }
  } catch {
    return ""; // a pattern of another dialect, which the server checks
  }
  return "";
}

function placeholder(schema) {
  const { default: value } = schema;
  return value === undefined || value === null || value === "" ? "" : shown(value);
}

function choice(schema, defs, isRequired) {
  const values = schema.type === "boolean" && !schema.enum ? [true, false] : schema.enum ?? [schema.const];
  const unset = "default" in schema && schema.default !== undefined
    ? t("form.default", { value: shown(schema.default) })
    : isRequired ? t("form.choose") : t("form.unset");
  const input = element("select", {});
  input.append(new Option(unset, ""), ...values.map((value, n) => new Option(shown(value), n)));
  return {
    node: input,
    read: () => (input.value === "" ? undefined : values[Number(input.value)]),
    write(value) {
      const n = values.findIndex((each) => exact.write(each) === exact.write(value));
      input.value = n < 0 ? "" : n;
      return n >= 0;
    },
    problems: () => [],
  };
}

/** Return an input of any JSON. */
export function json(schema = {}) {
  const input = element("textarea", { rows: 2, className: "mono", spellcheck: false, placeholder: placeholder(schema) });
  const problem = () => {
    try {
      if (input.value.trim()) exact.parse(input.value);
      return "";
    } catch (error) {
      return error instanceof RangeError ? error.message : t("form.json", { reason: error.message });
    }
  };
  return {
    node: input,
    read(isDraft) {
      if (!input.value.trim()) return undefined;
      if (problem()) return isDraft ? { [DRAFT]: input.value } : undefined;
      return exact.parse(input.value);
    },
    write(value) {
      const draft = value?.[DRAFT];
      input.value = draft ?? exact.write(value, Array.isArray(value) && value.length > 20 ? undefined : 1);
      input.rows = Math.min(12, Math.max(2, input.value.split("\n").length));
      return true;
    },
    problems: (path) => (problem() ? [{ field: path, problem: problem() }] : []),
  };
}

function list(schema, defs) {
  const rows = [];
  const body = element("ol", { className: "rows" });
  const remove = (row) => {
    const n = rows.indexOf(row);
    rows.splice(n, 1);
    row.node.remove();
    changed(body);
    (rows[n] ?? rows[n - 1])?.slot.target()?.focus() ?? more.focus();
  };
  const add = () => {
    const row = { slot: slot(schema.items, defs, true) };
    const less = button("×", () => remove(row), { "aria-label": t("form.remove"), className: "quiet" });
    row.node = element("li", {}, row.slot.node, less);
    row.slot.target()?.setAttribute("aria-label", t("form.item", { n: rows.length + 1 }));
    rows.push(row);
    body.append(row.node);
    return row;
  };
  const more = button(`+ ${t("form.add")}`, () => {
    add().slot.target()?.focus();
    changed(body);
  });
  return {
    node: element("div", { className: "list" }, body, more),
    read: (isDraft) => (rows.length ? rows.map((row) => row.slot.read(isDraft) ?? null) : undefined),
    write(value) {
      if (!Array.isArray(value) || value.length > MOST_ROWS) return false;
      rows.length = 0;
      body.replaceChildren();
      for (const each of value) add().slot.write(each);
      return true;
    },
    problems: (path) => rows.flatMap((row, n) => rowProblems(row.slot, `${path}[${n}]`)),
    at: (part) => rows[part]?.slot,
    target: () => rows[0]?.slot.target() ?? more,
  };
}

function rowProblems(row, field) {
  const found = row.problems(field);
  if (found.length || row.read() !== undefined) return found;
  return [{ field, problem: t("form.missing") }];
}

/** Return an object's fields; an optional one has none until it is opened. */
function object(schema, defs, isRequired) {
  const node = element("details", { className: "object" });
  const summary = element("summary", {}, schema.title ?? t("form.object"));
  const body = element("div");
  let fields = null;
  const build = () => {
    fields ??= fieldsOf(schema, defs);
    if (!body.firstChild) body.append(clear, ...[...fields.values()].map((each) => each.node));
  };
  const clear = button(t("form.clear"), () => {
    fields = null;
    body.replaceChildren();
    node.open = false;
    summary.focus();
    changed(node);
  }, { className: "quiet" });
  clear.hidden = isRequired;
  node.append(summary, body);
  node.addEventListener("toggle", () => node.open && build());
  if (isRequired) {
    node.open = true;
    build();
  }
  const read = (isDraft) => {
    const values = [...(fields ?? [])].map(([name, each]) => [name, each.slot.read(isDraft)]);
    const given = values.filter(([, value]) => value !== undefined);
    return given.length || isRequired ? Object.fromEntries(given) : undefined;
  };
  return {
    node,
    read,
    write(value) {
      const names = Object.keys(value ?? {});
      const isObject = typeof value === "object" && value !== null && !exact.isLarge(value);
      if (!isObject || Array.isArray(value) || !names.every((name) => name in schema.properties)) return false;
      fields = null;
      body.replaceChildren();
      build();
      node.open = true;
      for (const name of names) fields.get(name).slot.write(value[name]);
      return true;
    },
    problems: (path) => (read() === undefined ? [] : [...fields.values()].flatMap((each) => each.problems(path))),
    at: (part) => fields?.get(part),
    target: () => summary,
  };
}
