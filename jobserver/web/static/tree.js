// Nested JSON as a tree that opens branch by branch.
import { t } from "./api.js";
import { isObject } from "./exact.js";

const AT_ONCE = 100;
const LONGEST = 1000;

/** Show a value as a tree; branches are made when they are opened. */
export function showTree(element, value) {
  const list = document.createElement("ul");
  list.className = "tree";
  addItems(list, value);
  element.append(list);
}

const isBranch = (value) => value !== null && typeof value === "object" && Object.keys(value).length > 0;

function addItems(list, value, from = 0) {
  const entries = isBranch(value) ? Object.entries(value) : [["", value]];
  const few = entries.length <= 12;
  list.append(...entries.slice(from, from + AT_ONCE).map(([name, inner]) => item(name, inner, few)));
  const left = entries.length - from - AT_ONCE;
  if (left <= 0) return;
  const more = document.createElement("button");
  Object.assign(more, { type: "button", className: "small", textContent: t("tree.more", { n: left }) });
  const line = document.createElement("li");
  line.append(more);
  list.append(line);
  more.addEventListener("click", () => {
    addItems(list, value, from + AT_ONCE);
    line.nextElementSibling?.querySelector("summary, button")?.focus();
    line.remove();
  });
}

function item(name, value, isOpen) {
  const line = document.createElement("li");
  const key = document.createElement("span");
  key.className = "key";
  key.textContent = name.slice(0, LONGEST);
  if (!isBranch(value)) {
    line.append(key, leaf(value));
    return line;
  }
  const branch = document.createElement("details");
  const summary = document.createElement("summary");
  const count = document.createElement("span");
  count.className = "hint";
  const n = Object.keys(value).length;
  count.textContent = isObject(value) ? t("tree.fields", { n }) : t("tree.items", { n });
  summary.append(key, " ", count);
  branch.append(summary);
  branch.addEventListener("toggle", () => {
    if (!branch.open || branch.children.length > 1) return;
    const list = document.createElement("ul");
    addItems(list, value);
    branch.append(list);
  });
  branch.open = isOpen && Object.keys(value).length <= 12;
  line.append(branch);
  return line;
}

function leaf(value) {
  const text = document.createElement("code");
  const whole = typeof value === "string" ? JSON.stringify(value.slice(0, LONGEST)) : typeof value === "bigint" ? String(value) : JSON.stringify(value);
  const isCut = typeof value === "string" && value.length > LONGEST;
  text.textContent = isCut ? `${whole}… ${t("tree.cut", { n: value.length })}` : whole;
  return text;
}
