// One data file: how it is read, tried out and kept; and its numbers as a plot.
import { act, api, notify, t } from "./api.js";
import { deletion } from "./delete.js";
import { delayed, element } from "./element.js";
import * as exact from "./exact.js";
import { difference, optionsEditor } from "./options.js";
import { previewer, readRows } from "./preview.js";

/** More rows, or characters, are not plotted. */
const MOST = { rows: 200_000, characters: 30_000_000, parse: JSON.parse };
const TIME = /^\d{4}-\d\d-\d\d/;
const file = document.getElementById("file");

deletion(document.getElementById("main"));
if (file) show(file.dataset.name, exact.parse(file.dataset.kept));

function show(name, options) {
  let kept = options;
  const path = `/datafile/${encodeURIComponent(name)}`;
  const get = (id) => document.getElementById(id);
  const read = () => {
    carry(kept, editor.read());
    return preview.show(name);
  };
  const editor = optionsEditor(get("options"), delayed(read, 400));
  const preview = previewer(get("preview"), editor);
  editor.use(name);
  editor.write(kept);
  read();
  get("keep-options").addEventListener("click", (event) => act(event.target, async () => {
    kept = (await api("POST", path, { json: { options: editor.read() } })).options ?? {};
    carry(kept, kept);
    notify(t("options.kept", { name }));
  }));
  get("reset-options").addEventListener("click", () => {
    editor.write(kept);
    read();
  });
  get("draw").addEventListener("click", (event) => act(event.target, () => draw(name, editor.read(), get("plot"))));
}

/** Let links lead to the file as it is read here, with options that are not kept, too. */
function carry(kept, options) {
  const changes = difference(kept, options);
  for (const link of document.querySelectorAll("[data-read]")) {
    const address = new URL(link.href);
    const sent = address.pathname.endsWith("/ui/new") ? options : changes; // the form writes them all
    if (Object.keys(changes).length) address.searchParams.set("options", exact.write(sent));
    else address.searchParams.delete("options");
    link.setAttribute("href", address.pathname + address.search);
  }
}

async function draw(name, options, holder) {
  const { plot } = await import("./plot.js");
  holder.hidden = false;
  holder.textContent = t("preview.reading", { name });
  const { names, rows, isAll } = await readRows(name, options, MOST);
  const columns = new Map((names ?? []).map((each) => [each, rows.map((row) => row[each])]));
  const first = (values) => values.find((value) => value !== null && value !== undefined);
  const x = [...columns.keys()].find((each) => TIME.test(first(columns.get(each))));
  const labels = [...columns.keys()].filter((each) => typeof first(columns.get(each)) === "number");
  if (!labels.length) return (holder.textContent = t("data.no_numbers"));
  const inner = element("div");
  holder.replaceChildren(...(isAll ? [] : [element("p", { className: "hint" }, t("data.first", { n: rows.length }))]), inner);
  return plot(inner, { x: x === undefined ? null : columns.get(x), columns: labels.map((each) => columns.get(each)), labels, xLabel: x });
}
