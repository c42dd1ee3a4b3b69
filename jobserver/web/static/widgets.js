// Inputs for values of a JSON Schema. What was not touched reads as undefined, and is not sent.
import { t } from "./api.js";
import { element } from "./element.js";
import * as exact from "./exact.js";
import { list, object } from "./nested.js";
import { alternatives, kindOf, shown, typeName } from "./schema.js";

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
