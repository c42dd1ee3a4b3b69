// What a JSON Schema of parameters says: which inputs a value needs, and how that is described.
import { t } from "./api.js";
import { write } from "./exact.js";

/** Return a schema with the definition that it refers to. */
export function resolve(schema, defs) {
  const { $ref, allOf = [], ...own } = schema;
  const named = $ref ? [defs[$ref.replace("#/$defs/", "")] ?? {}] : [];
  return Object.assign({}, ...[...named, ...allOf].map((each) => resolve(each, defs)), own);
}

/** Return the alternatives of a schema, and whether null is one; it is not among them then. */
export function alternatives(schema, defs) {
  const { anyOf, oneOf, ...rest } = resolve(schema, defs);
  const types = Array.isArray(rest.type) ? rest.type.map((type) => ({ ...rest, type })) : [rest];
  const given = (anyOf ?? oneOf)?.flatMap((each) => {
    const found = alternatives(each, defs);
    return found.isNullable ? [...found.variants, { type: "null" }] : found.variants;
  });
  const all = given ?? types;
  const variants = all.filter((each) => each.type !== "null");
  return { variants, isNullable: variants.length < all.length };
}

const FORMATS = { date: "date", "date-time": "datetime", time: "time" };

/** Return which input values of a schema without alternatives need. */
export function kindOf(schema) {
  if (schema.enum || "const" in schema) return "choice";
  if (["integer", "number", "boolean"].includes(schema.type)) return schema.type;
  if (schema.type === "string") return FORMATS[schema.format] ?? "string";
  if (schema.type === "array" && schema.items && !schema.prefixItems) return "list";
  if (schema.type === "object" && Object.keys(schema.properties ?? {}).length) return "object";
  return "json";
}

/** Return the name of a type, for people; on demand without null, where that is the default. */
export function typeName(schema, defs, isPlain = false) {
  const { variants, isNullable } = alternatives(schema, defs);
  const names = variants.map((each) => ownName(each, defs));
  return [...new Set(isNullable && !isPlain ? [...names, t("form.null")] : names)].join(` ${t("form.or")} `);
}

function ownName(schema, defs) {
  const kind = kindOf(schema);
  if (kind === "list") return t("form.list_of", { type: typeName(schema.items, defs) });
  if (kind === "object") return schema.title ?? t("form.object");
  const names = {
    ...{ choice: t("form.choice"), integer: t("form.integer"), number: t("form.number") },
    ...{ boolean: t("form.boolean"), string: t("form.string"), date: t("form.date") },
    ...{ datetime: t("form.datetime"), time: t("form.time") },
  };
  const others = { array: t("form.list"), object: t("form.object") };
  return names[kind] ?? others[schema.type] ?? t("form.any");
}

/** Return the limits of a value, each as a short text. */
export function limitsOf(schema, defs) {
  return alternatives(schema, defs).variants.flatMap((each) => [...ownLimits(each)]);
}

function* ownLimits(schema) {
  const signs = { minimum: "≥", exclusiveMinimum: ">", maximum: "≤", exclusiveMaximum: "<" };
  for (const [name, sign] of Object.entries(signs)) {
    if (name in schema) yield `${sign} ${schema[name]}`;
  }
  if (schema.multipleOf) yield t("form.multiple", { n: schema.multipleOf });
  if (schema.minLength) yield t("form.shortest", { n: schema.minLength });
  if ("maxLength" in schema) yield t("form.longest", { n: schema.maxLength });
  if (schema.pattern) yield t("form.pattern", { pattern: schema.pattern });
  if (schema.minItems) yield t("form.fewest", { n: schema.minItems });
  if ("maxItems" in schema) yield t("form.most", { n: schema.maxItems });
  if (schema.enum) yield schema.enum.slice(0, 20).map(shown).join(", ");
}

/** Return a value as a form shows it. */
export function shown(value) {
  if (value === true) return t("form.yes");
  if (value === false) return t("form.no");
  if (value === null) return t("form.null");
  const text = typeof value === "string" ? value : write(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
