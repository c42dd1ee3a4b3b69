// The script of a new job: chosen from a list with a form for its parameters, or written as JSON.
import { api, t } from "./api.js";
import { changed, element } from "./element.js";
import * as exact from "./exact.js";
import { buildForm, prose } from "./form.js";
import { picker } from "./picker.js";

/** Return the choice of a script in the form of the page. */
export function scriptChoice(form) {
  const get = (id) => document.getElementById(id);
  const [about, parameters, toggle, text] = ["about", "parameters", "as-json", "script-text"].map(get);
  let scripts = new Map();
  let fields = null;
  let shown = false;
  const choice = picker(get("script"), () => [...scripts].map(([name, each]) => ({ name, hint: firstLine(each) })), (name) => {
    open(name, fields?.read(true) ?? {});
    changed(get("script"));
  });
  const isJson = () => toggle.getAttribute("aria-pressed") === "true";

  /** Show the form of a script, with the values of a former one that it has, too. */
  function open(name, values = {}) {
    choice.value = name;
    const script = scripts.get(name);
    about.hidden = !script;
    parameters.replaceChildren();
    fields = null;
    if (!script) return;
    about.replaceChildren(...prose(script.description || t("script.undocumented")));
    fields = buildForm(parameters, script.parameters, { hasArguments: script.type === "file" });
    const known = Object.entries(values).filter(([each]) => each in script.parameters.properties);
    fields.write(Object.fromEntries(known));
    fields.showData(shown);
  }

  /** Return the script as the job has it. */
  function current(isDraft) {
    const script = scripts.get(choice.value);
    if (!script || !fields) return null;
    const [kwargs, args] = [fields.read(isDraft), fields.readArguments(isDraft)];
    const module = choice.value === script.name || script.type === "file" ? {} : { module: script.module };
    const type = script.type === "function" ? {} : { type: script.type };
    return { ...type, name: script.name, ...module, ...(args ? { args } : {}), kwargs };
  }

  function setJson(is) {
    toggle.setAttribute("aria-pressed", String(is));
    get("script-form").hidden = is;
    get("script-json").hidden = !is;
  }

  /** Show a script in the form; return whether the form can show all of it. */
  function write(script) {
    const known = { ...script };
    const name = nameOf(known);
    if (name === undefined) return false;
    const isFile = known.type === "file";
    if (!isFile && known.args?.length) return false;
    open(name);
    if (isFile && known.args?.length) fields.writeArguments(known.args);
    return Object.keys(fields.write(known.kwargs ?? {})).length === 0;
  }

  /** Return the name in the list of a script of a job. */
  function nameOf(script) {
    const { type = "function", name, module, ...rest } = script ?? {};
    if (Object.keys(rest).some((each) => each !== "args" && each !== "kwargs")) return undefined;
    const fits = (each) => each.type === type && (!module || module === each.module);
    return [...scripts].find(([listed, each]) => fits(each) && (each.name === name || listed === name || `${each.module}.${each.name}` === name))?.[0];
  }

  function showJson(script) {
    text.value = script ? exact.write(script, 1) : "";
    setJson(true);
  }

  toggle.addEventListener("click", () => {
    problem("");
    if (!isJson()) return showJson(current(false) ?? { name: "", kwargs: {} });
    try {
      const script = exact.parse(text.value || "{}");
      if (script.name && !write(script)) return problem(t("script.no_form"));
      setJson(false);
    } catch (error) {
      problem(t("form.json", { reason: error.message }));
    }
  });

  /** Show a problem beside those that are shown; none clears them. */
  function problem(message) {
    const slot = get(isJson() ? "script-text-problem" : "script-problem");
    slot.textContent = message && [slot.textContent, message].filter(Boolean).join("\n");
    slot.hidden = !message;
    slot.closest(".field").classList.toggle("wrong", Boolean(message));
    (isJson() ? text : get("script"))[message ? "setAttribute" : "removeAttribute"]("aria-invalid", "true");
  }

  return {
    async load() {
      const { scripts: listed, errors = [] } = await api("GET", "/scripts");
      scripts = named(listed);
      choice.refresh();
      if (errors.length) parameters.after(element("p", { className: "hint" }, t("script.broken", { modules: errors.map((each) => each.module).join(", ") })));
    },
    choose(name) {
      const listed = nameOf({ name }) ?? nameOf({ name, type: "file" });
      if (listed) return open(listed);
      get("script").value = name;
      problem(t("script.unknown", { name }));
    },
    write(script) {
      if (script && !write(script)) showJson(script);
    },
    showData(is) {
      shown = is;
      fields?.showData(is);
    },
    read(problems) {
      if (isJson()) {
        try {
          return { script: exact.parse(text.value) };
        } catch (error) {
          problems.push({ field: "script", problem: t("form.json", { reason: error.message }) });
          return {};
        }
      }
      const script = current(false);
      if (!script) problems.push({ field: "script.name", problem: t("script.choose") });
      else problems.push(...fields.problems());
      if (!script) return {};
      const isPlain = Object.keys(script).every((name) => name === "name" || name === "kwargs") && !Object.keys(script.kwargs).length;
      return isPlain ? { script_name: script.name } : { script };
    },
    show(field, text) {
      const found = fields && !isJson() ? fields.find(field) : null;
      if (found) found.field.show(found.rest ? `${found.rest} ${text}` : text);
      else if (/^(script(\.|$)|script_name$)/.test(field) || (isJson() && /^(args|kwargs|steps|over)/.test(field))) problem(isJson() ? `${field} ${text}` : text);
      else return false;
      return true;
    },
    clearProblems: () => problem(""),
    draft: () => ({ name: choice.value, json: isJson() ? text.value : null, values: fields?.read(true), args: fields?.readArguments(true) }),
    restore({ name, json, values, args }) {
      if (scripts.has(name)) open(name);
      if (fields && values) fields.write(values);
      if (fields && args) fields.writeArguments(args);
      if (json !== null) {
        text.value = json;
        setJson(true);
      }
    },
  };
}

function firstLine(script) {
  return script.description.split("\n", 1)[0];
}

/** Return scripts by the names that tell them apart. */
function named(scripts) {
  const counts = Map.groupBy(scripts, (each) => each.name);
  return new Map(scripts.map((each) => {
    if (counts.get(each.name).length === 1) return [each.name, each];
    return [each.module ? `${each.module}.${each.name}` : `${each.name} (${each.type})`, each];
  }));
}
