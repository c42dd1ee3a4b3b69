// A form for the parameters of a script, from their JSON Schema.
import { t } from "./api.js";
import { element, newId } from "./element.js";
import { alternatives, kindOf, limitsOf, resolve, shown, typeName } from "./schema.js";
import { slot } from "./widgets.js";

/** With more parameters than this, they can be searched. */
const MANY = 12;
/** Field for parameters that the schema does not name. */
const OTHERS = "";

/** Return the fields of an object's properties, by name. */
export function fieldsOf(schema, defs) {
  const required = new Set(schema.required ?? []);
  const properties = Object.entries(schema.properties ?? {});
  return new Map(properties.map(([name, each]) => [name, field(name, each, defs, required.has(name))]));
}

function field(name, given, defs, isRequired) {
  const schema = { ...given, ...resolve(given, defs) };
  const id = newId();
  const part = slot(schema, defs, isRequired);
  const problem = element("p", { className: "field-problem", id: `${id}-problem`, hidden: true });
  const hint = element("p", { className: "hint", id: `${id}-hint` }, ...hints(schema, defs));
  const label = element("span", { className: "name", id }, name);
  const head = element("div", { className: "field-head" }, label, ...tags(schema, defs, isRequired));
  const node = element("div", { className: "field" }, head, hint, part.node, problem);
  node.dataset.search = `${name} ${schema.description ?? ""}`.toLowerCase();
  const isGroup = !part.node.firstChild.matches("input, select, textarea");
  const named = isGroup ? part.node : part.target();
  if (isGroup) named.setAttribute("role", "group");
  named.setAttribute("aria-labelledby", id);
  named.setAttribute("aria-describedby", `${id}-hint ${id}-problem`);
  const first = part.target();
  const isUnnamed = first?.matches("input, textarea") && !first.labels.length && !first.hasAttribute("aria-label");
  if (isUnnamed) first.setAttribute("aria-labelledby", id);
  if (!isGroup) label.addEventListener("click", () => part.target().focus());
  node.addEventListener("input", () => showProblem(node, problem, part, ""));
  const missing = (path) => (isRequired && part.read() === undefined ? [{ field: path, problem: t("form.missing") }] : []);
  return {
    node,
    slot: part,
    problems(path) {
      const own = `${path}.${name}`;
      const found = part.problems(own);
      return found.length ? found : missing(own);
    },
    /** Show a problem beside those that are shown. */
    show: (text) => showProblem(node, problem, part, [problem.textContent, text].filter(Boolean).join("\n")),
  };
}

function showProblem(node, problem, part, text) {
  problem.textContent = text;
  problem.hidden = !text;
  node.classList.toggle("wrong", Boolean(text));
  const target = part.target();
  if (text) target?.setAttribute("aria-invalid", "true");
  else target?.removeAttribute("aria-invalid");
}

function tags(schema, defs, isRequired) {
  const isPlain = !isRequired && (schema.default ?? null) === null;
  const type = element("span", { className: "type" }, typeName(schema, defs, isPlain));
  return isRequired ? [element("span", { className: "required" }, t("form.required")), type] : [type];
}

function hints(schema, defs) {
  const limits = limitsOf(schema, defs).filter(() => !schema.enum);
  const { default: value } = schema;
  const isEmpty = typeof value === "object" && !Object.keys(value ?? {}).length;
  const isSet = value !== undefined && !isEmpty && !isChoice(schema, defs);
  const facts = [...limits, ...(isSet ? [t("form.default", { value: shown(value) || '""' })] : [])];
  const about = schema.description ? prose(schema.description) : [];
  if (schema["x-data"]) facts.unshift(t("form.data"));
  return facts.length ? [...about, element("span", { className: "limits" }, facts.join(" · "))] : about;
}

function isChoice(schema, defs) {
  return alternatives(schema, defs).variants.every((each) => ["choice", "boolean"].includes(kindOf(each)));
}

/** Return a text of a docstring, with what is in backticks as code. */
export function prose(text) {
  return text.split(/``([^`]+)``|`([^`]+)`/).flatMap((part, n) => {
    if (part === undefined) return [];
    return n % 3 ? [element("code", {}, part)] : [part];
  });
}

/** Build the form of a schema in an element. */
export function buildForm(container, schema, { hasArguments = false } = {}) {
  const defs = schema.$defs ?? {};
  const fields = fieldsOf(schema, defs);
  if (schema.additionalProperties) fields.set(OTHERS, field(t("form.others"), { type: "object" }, {}, false));
  const given = hasArguments ? field(t("form.arguments"), ARGUMENTS, {}, false) : null;
  const data = Object.keys(schema.properties ?? {}).find((name) => schema.properties[name]["x-data"]);
  container.replaceChildren(...(given ? [given.node] : []), ...sections(fields, schema, container));
  return {
    data,
    /** Show the field of the data only if none is bound. */
    showData: (is) => data && (fields.get(data).node.hidden = !is),
    read: (isDraft) => readFields(fields, isDraft),
    readArguments: (isDraft) => given?.slot.read(isDraft),
    writeArguments: (value) => given?.slot.write(value),
    write: (values) => writeFields(fields, values),
    problems: () => [...fields].flatMap(([name, each]) => (each.node.hidden || name === OTHERS ? [] : each.problems("kwargs"))),
    find: (path) => find(fields, given, path),
  };
}

const ARGUMENTS = { type: "array", items: { type: "string" } };

function sections(fields, schema, container) {
  const required = new Set(schema.required ?? []);
  const named = [...fields];
  const first = named.filter(([name]) => required.has(name)).map(([, each]) => each.node);
  const rest = named.filter(([name]) => !required.has(name)).map(([, each]) => each.node);
  if (!named.length) return [element("p", { className: "hint" }, t("form.no_parameters"))];
  const parts = named.length > MANY ? [search(container)] : [];
  if (first.length) parts.push(section(t("form.required_ones"), first));
  if (rest.length) parts.push(section(t("form.optional_ones"), rest));
  return parts;
}

function section(title, nodes) {
  return element("div", { className: "fields" }, element("h3", {}, title), ...nodes);
}

/** Return a box that hides the parameters that a text does not occur in. */
function search(container) {
  const input = element("input", { type: "search", autocomplete: "off" });
  input.addEventListener("input", (event) => {
    event.stopPropagation();
    const text = input.value.trim().toLowerCase();
    for (const node of container.querySelectorAll(".fields > .field")) {
      node.classList.toggle("filtered", !node.dataset.search.includes(text));
    }
  });
  return element("label", { className: "search" }, t("form.search"), input);
}

function readFields(fields, isDraft) {
  const values = {};
  for (const [name, each] of fields) {
    const value = each.node.hidden && !isDraft ? undefined : each.slot.read(isDraft);
    if (value === undefined) continue;
    if (name === OTHERS && !isDraft) Object.assign(values, value);
    else values[name] = value;
  }
  return values;
}

/** Write values, and return those that no field takes. */
function writeFields(fields, values) {
  const unknown = {};
  for (const [name, value] of Object.entries(values)) {
    if (fields.has(name)) fields.get(name).slot.write(value);
    else unknown[name] = value;
  }
  if (!fields.has(OTHERS) || !Object.keys(unknown).length) return unknown;
  fields.get(OTHERS).slot.write(unknown);
  return {};
}

/** Return the innermost field of a path such as ``kwargs.basin.stations[0].name``, and what of the path is left. */
function find(fields, given, path) {
  const [, first, inner] = /^(?:script\.)?(args|kwargs)(.*)$/.exec(path) ?? [];
  if (!first) return null;
  if (first === "args") return given && { field: given, rest: inner };
  let part = { at: (name) => fields.get(name) ?? fields.get(OTHERS) };
  let found = null;
  let rest = inner;
  for (const match of inner.matchAll(/\.([^.[]+)|\[(\d+)\]/g)) {
    const next = part.at(match[1] ?? Number(match[2]));
    if (!next) break;
    if (next.show) {
      const isNamed = next !== fields.get(OTHERS);
      found = next;
      rest = isNamed ? inner.slice(match.index + match[0].length) : inner;
    }
    part = next.slot ?? next;
  }
  return found && { field: found, rest: rest.replace(/^\./, "") };
}
