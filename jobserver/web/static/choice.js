// The data of a new job: none, a data file, stored data, or JSON.
import { act, api, notify, t } from "./api.js";
import { moment } from "./app.js";
import { changed, delayed } from "./element.js";
import * as exact from "./exact.js";
import { difference, optionsEditor } from "./options.js";
import { picker } from "./picker.js";
import { previewer } from "./preview.js";
import { start, uploads } from "./upload.js";

/** Longer raw data is not shown: editing it in a browser would be slow. */
const MOST_SHOWN = 500_000;

/** Return the choice of data in the form of the page; report whether there is any. */
export function dataChoice(form, onBound) {
  const get = (id) => document.getElementById(id);
  const raw = get("raw");
  const box = get("options");
  let [files, stored] = [[], []];
  let kept = {};
  let hidden; // raw data too large to show
  const kind = () => form.elements.kind.value;
  const editor = optionsEditor(box, delayed(() => tryOptions(), 400));
  const preview = previewer(get("preview"), editor);
  const file = picker(get("datafile"), () => files, (name) => {
    changed(get("datafile"));
    return open(name);
  });
  const data = picker(get("stored"), () => stored, () => changed(get("stored")));

  const tryOptions = () => {
    if (kind() === "datafile" && file.value) preview.show(file.value);
  };

  /** Show a file, with the options kept with it, or others. */
  async function open(name, options) {
    file.value = name;
    editor.use(name);
    preview.clear();
    if (!name) return;
    kept = {};
    try {
      const { options: found = {} } = await api("GET", `/datafile/${encodeURIComponent(name)}`);
      if (file.value !== name) return; // another was chosen meanwhile
      kept = found;
    } catch (error) {
      return mark("datafile", error.message);
    }
    editor.write(options ?? kept);
    tryOptions();
  }

  function setKind(value) {
    form.elements.kind.value = value;
    for (const node of form.querySelectorAll("[data-kind]")) node.hidden = node.dataset.kind !== value;
    box.hidden = value === "none";
    get("keep-options").hidden = value !== "datafile";
    editor.use(value === "datafile" ? file.value : "");
    onBound(value !== "none");
  }

  function mark(id, text) {
    const slot = get(`${id}-problem`);
    slot.textContent = text;
    slot.hidden = !text;
    slot.closest(".field").classList.toggle("wrong", Boolean(text));
    get(id)[text ? "setAttribute" : "removeAttribute"]("aria-invalid", "true");
  }

  async function list() {
    const [{ files: found }, { data: documents }] = await Promise.all([api("GET", "/datafiles"), api("GET", "/data")]);
    files = found.map(({ name, size }) => ({ name, hint: size }));
    stored = documents.map(({ _id, datatype, created }) => ({ name: _id, hint: `${datatype} · ${moment(created)}` }));
    file.refresh();
    data.refresh();
  }

  async function onStored(name) {
    await list();
    setKind("datafile");
    await open(name);
    changed(get("datafile"));
  }

  const isJson = () => {
    try {
      exact.parse(raw.value);
      return true;
    } catch {
      return false;
    }
  };

  form.addEventListener("change", (event) => {
    if (event.target.name === "kind") setKind(kind());
  });
  raw.addEventListener("input", () => {
    hidden = undefined;
    get("store-raw").hidden = !raw.value.trim() || isJson();
  });
  const store = async () => {
    const name = `${t("new.pasted")}-${new Date().toISOString().slice(0, 23).replace(/\D/g, "")}.csv`;
    setKind("datafile");
    file.value = "";
    await start(new File([raw.value], name), form.querySelector(".uploads"), onStored);
  };
  get("store-raw").addEventListener("click", (event) => act(event.target, store));
  get("keep-options").addEventListener("click", (event) => act(event.target, async () => {
    kept = (await api("POST", `/datafile/${encodeURIComponent(file.value)}`, { json: { options: editor.read() } })).options ?? {};
    notify(t("options.kept", { name: file.value }));
  }));
  get("reset-options").addEventListener("click", () => {
    editor.write(kind() === "datafile" ? kept : {});
    changed(box.querySelector("select"));
  });
  uploads(form.querySelector("[data-upload]"), onStored, onStored);
  setKind(kind()); // it may have been chosen while this was loading

  function readRaw(problems) {
    if (hidden !== undefined) return { raw_data: hidden };
    try {
      return { raw_data: exact.parse(raw.value) };
    } catch (error) {
      const reason = error instanceof RangeError ? error.message : t("form.json", { reason: error.message });
      problems.push({ field: "raw_data", problem: raw.value.trim() ? reason : t("form.missing") });
      return {};
    }
  }

  return {
    load: list,
    /** Store what is pasted as a data file, if it is a table: of several lines, and not begun like JSON. */
    async storeTable() {
      const isTable = hidden === undefined && /^[^[{].*\n/.test(raw.value.trim());
      if (kind() === "raw_data" && isTable && !isJson()) await store();
    },
    choose(name, id, options) {
      if (name) {
        setKind("datafile");
        open(name, options ?? undefined);
      } else if (id) {
        setKind("mongodb");
        data.value = id;
      }
    },
    read(problems) {
      const options = editor.read();
      if (kind() === "none") return {};
      if (kind() === "raw_data") {
        const found = readRaw(problems);
        if (!Object.keys(options).length || !("raw_data" in found)) return found;
        return { data: { type: "raw_data", data: found.raw_data, ...options } };
      }
      if (kind() === "mongodb") {
        if (!data.value) problems.push({ field: "data.id", problem: t("form.missing") });
        return { data: { type: "mongodb", id: data.value, ...options } };
      }
      if (!file.value) problems.push({ field: "datafile", problem: t("form.missing") });
      const own = difference(kept, options);
      if (!Object.keys(own).length) return { datafile: file.value };
      return { data: { type: "datafile", name: file.value, ...own } };
    },
    write(job) {
      const { type, name, id, path, size, data: value, ...options } = job.data ?? {};
      if (type === "datafile" || job.datafile) {
        setKind("datafile");
        return open(name ?? job.datafile, job.data ? options : undefined);
      }
      if (type === "mongodb") {
        setKind("mongodb");
        data.value = id;
      } else if (type === "raw_data" || "raw_data" in job) {
        setKind("raw_data");
        writeRaw(value === undefined ? job.raw_data : value);
      } else return;
      editor.write(options);
    },
    show(field, text) {
      if (kind() !== "none" && editor.show(field, text)) return true;
      const ids = { datafile: ["datafile", /^(datafile|data\.name|data)$/], mongodb: ["stored", /^data(\.id)?$/], raw_data: ["raw", /^(raw_data|data(\.data)?)/] };
      const [id, pattern] = ids[kind()] ?? [];
      if (!id || !pattern.test(field)) return false;
      mark(id, text);
      return true;
    },
    draft: () => ({ kind: kind(), file: file.value, id: data.value, raw: raw.value, options: editor.read() }),
    restore(draft) {
      setKind(draft.kind);
      data.value = draft.id;
      raw.value = draft.raw;
      if (draft.kind === "datafile") open(draft.file, draft.options);
      else editor.write(draft.options);
    },
  };

  function writeRaw(value) {
    const written = exact.write(value, 1) ?? "";
    if (written.length > MOST_SHOWN) {
      raw.value = t("new.large", { size: Math.round(written.length / 1e6) });
      hidden = value;
    } else raw.value = written;
  }
}
