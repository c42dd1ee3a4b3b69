// Inputs of values that hold others: lists with a row for each item, and objects.
import { t } from "./api.js";
import { button, changed, element } from "./element.js";
import * as exact from "./exact.js";
import { fieldsOf } from "./form.js";
import { slot } from "./widgets.js";

/** Longer lists are edited as JSON: a row for each item would be slow. */
const MOST_ROWS = 200;

/** Return the rows of a list. */
export function list(schema, defs) {
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
export function object(schema, defs, isRequired) {
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
