// The table of a script's parameters, from their JSON Schema; models are explained below it.
import { t } from "./api.js";
import { element } from "./element.js";
import { prose } from "./form.js";
import { limitsOf, resolve, shown, typeName } from "./schema.js";

const body = document.getElementById("parameters");

function rows(schema, defs, prefix = "", depth = 0) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, given]) => {
    const each = { ...given, ...resolve(given, defs), default: given.default };
    const own = row(`${prefix}${name}`, each, defs, required.has(name));
    return [own, ...inner(given, defs, `${prefix}${name}`, depth)];
  });
}

/** Return the rows of the models that a value may be, to a few levels. */
function inner(schema, defs, name, depth) {
  if (depth > 2) return [];
  const { anyOf = [], items, ...own } = resolve(schema, defs);
  const lists = items ? inner(items, defs, `${name}[…]`, depth + 1) : [];
  const models = own.properties ? rows(own, defs, `${name}.`, depth + 1) : [];
  return [...models, ...lists, ...anyOf.flatMap((each) => inner(each, defs, name, depth))];
}

function row(name, schema, defs, isRequired) {
  const note = isRequired ? [element("span", { className: "required" }, t("form.required"))] : [];
  const isSet = schema.default !== undefined && schema.default !== null;
  const about = schema.description ? prose(schema.description) : [];
  const data = schema["x-data"] ? [element("span", { className: "tag" }, t("form.takes_data")), " "] : [];
  return element(
    "tr",
    {},
    element("th", { scope: "row", className: "mono" }, name),
    element("td", {}, typeName(schema, defs)),
    element("td", { className: "mono" }, ...(isSet ? [shown(schema.default)] : note)),
    element("td", {}, limitsOf(schema, defs).join(" · ")),
    element("td", {}, ...data, ...about),
  );
}

if (body) {
  const schema = JSON.parse(document.getElementById("schema").textContent);
  body.append(...rows(schema, schema.$defs ?? {}));
}
