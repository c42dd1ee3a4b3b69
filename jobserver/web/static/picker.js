// A searchable choice: an input with a list of matches, by the pattern of a combobox.
import { notify, t } from "./api.js";
import { element, newId } from "./element.js";

/** Longer lists are cut: whoever sees so many types more of the name. */
const MOST = 100;

/** Make an input choose one of `items()`, each with a name and a hint. */
export function picker(input, items, onPick) {
  const list = element("ul", { id: newId(), role: "listbox", className: "matches", hidden: true });
  list.setAttribute("aria-label", input.labels[0]?.textContent ?? "");
  const attributes = { role: "combobox", "aria-expanded": "false", "aria-controls": list.id, "aria-autocomplete": "list" };
  for (const [name, value] of Object.entries(attributes)) input.setAttribute(name, value);
  input.autocomplete = "off";
  input.closest(".picker").append(list);
  let chosen = "";
  let active = -1;

  const open = (is) => {
    list.hidden = !is;
    input.setAttribute("aria-expanded", String(is));
    if (!is) input.removeAttribute("aria-activedescendant");
  };
  const show = () => {
    const words = input.value === chosen ? [] : input.value.toLowerCase().split(/\s+/);
    const matches = items().filter(({ name, hint }) => words.every((word) => `${name} ${hint}`.toLowerCase().includes(word)));
    const others = matches.length > MOST ? [note(t("picker.more", { n: matches.length - MOST }))] : [];
    const nodes = matches.slice(0, MOST).map(option);
    list.replaceChildren(...(nodes.length ? nodes : [note(t("picker.nothing"))]), ...others);
    active = -1;
    open(true);
    const current = nodes.findIndex((node) => node.dataset.name === chosen);
    if (words.length || current >= 0) activate(words.length ? 0 : current);
  };
  const activate = (n) => {
    const options = [...list.querySelectorAll("[role=option]")];
    if (!options.length) return;
    active = (n + options.length) % options.length;
    for (const [k, each] of options.entries()) each.setAttribute("aria-selected", String(k === active));
    input.setAttribute("aria-activedescendant", options[active].id);
    options[active].scrollIntoView({ block: "nearest" });
  };
  const pick = (name) => {
    open(false);
    input.value = name;
    if (name === chosen) return;
    chosen = name;
    onPick(name);
  };
  const take = () => {
    const option = list.querySelector("[aria-selected=true]");
    if (!list.hidden && option) pick(option.dataset.name);
  };
  const leave = () => {
    if (list.hidden) return;
    const typed = input.value.trim();
    const exact = items().find(({ name }) => name === typed);
    if (!exact && typed && typed !== chosen) notify(t("picker.unknown", { typed }), { problem: true });
    pick(exact?.name ?? chosen);
  };

  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", show);
  input.addEventListener("input", (event) => {
    if (!event.isTrusted) return; // a choice that is reported to the form
    event.stopPropagation();
    show();
  });
  input.addEventListener("blur", leave);
  input.addEventListener("keydown", (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      if (list.hidden) show();
      else activate(active + steps[event.key]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      take();
    } else if (event.key === "Tab") {
      take();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      pick(chosen);
    }
  });
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // keeps the focus in the input
    const option = event.target.closest("[role=option]");
    if (option) pick(option.dataset.name);
  });
  return {
    /** Show the matches again, if they are shown, as the items have changed. */
    refresh: () => list.hidden || show(),
    get value() {
      return chosen;
    },
    /** Choose a name without a report. */
    set value(name) {
      chosen = name;
      input.value = name;
    },
  };
}

function option({ name, hint }) {
  const node = element("li", { role: "option", id: newId(), "aria-selected": "false" });
  node.dataset.name = name;
  node.append(element("strong", {}, name), element("span", { className: "hint" }, hint.slice(0, 200)));
  return node;
}

function note(text) {
  return element("li", { className: "hint", role: "presentation" }, text);
}
