// A new job: a script, its parameters, its data; run at once, or saved as a draft.
import { act, api, notify, root, send, t } from "./api.js";
import { dataChoice } from "./choice.js";
import { delayed, element } from "./element.js";
import * as exact from "./exact.js";
import { scriptChoice } from "./script.js";

const form = document.getElementById("new");
const problemBox = document.getElementById("problem");
const advanced = document.getElementById("advanced");
const query = new URLSearchParams(location.search);
const DRAFT = `jobserver.new${location.search}`;
const SERVER_FIELDS = new Set(JSON.parse(form.dataset.serverFields));
const NUMBERS = ["timeout", "retries", "seed"];
const TEXTS = ["description", "notify"];
const FLAGS = ["pinned", "public"]; // chosen for each job anew
const READ = new Set(["script", "script_name", "datafile", "raw_data", "data", ...NUMBERS, ...TEXTS, ...FLAGS]);

const script = scriptChoice(form);
const data = dataChoice(form, (isBound) => script.showData(!isBound));

function input(name) {
  return form.elements[name];
}

/** Return the fields of the job; collect what is wrong with them. */
function readJob(problems) {
  const job = { ...script.read(problems), ...data.read(problems) };
  for (const name of NUMBERS) number(name, job, problems);
  for (const name of TEXTS) if (input(name).value.trim()) job[name] = input(name).value.trim();
  if (job.notify === "true") job.notify = true;
  for (const name of FLAGS) if (input(name).checked) job[name] = true;
  return { ...others(problems), ...job };
}

function number(name, job, problems) {
  const box = input(name);
  const problem = box.validationMessage;
  try {
    if (problem) throw new RangeError(problem);
    if (box.value.trim()) job[name] = exact.fromInput(box.value.trim());
  } catch (error) {
    problems.push({ field: name, problem: error.message });
  }
}

/** Return the fields that the server does not read: any JSON. */
function others(problems) {
  const text = input("others").value.trim();
  if (!text) return {};
  try {
    const value = exact.parse(text);
    if (value?.constructor === Object) return value;
    problems.push({ field: "others", problem: t("new.no_object") });
  } catch (error) {
    problems.push({ field: "others", problem: t("form.json", { reason: error.message }) });
  }
  return {};
}

function clearProblems() {
  problemBox.hidden = true;
  problemBox.replaceChildren();
  for (const node of form.querySelectorAll(".wrong")) mark(node, "");
  script.clearProblems();
}

function mark(node, text) {
  const slot = node.querySelector(":scope > .field-problem, :scope > label + .field-problem");
  slot.textContent = text;
  slot.hidden = !text;
  node.classList.toggle("wrong", Boolean(text));
  const target = node.querySelector("input, select, textarea");
  if (text) target.setAttribute("aria-invalid", "true");
  else target.removeAttribute("aria-invalid");
}

/** Show problems beside their fields, the others in a list; and go to the first. */
function showProblems(message, problems) {
  clearProblems();
  const unplaced = problems.filter(({ field, problem }) => !place(field, problem));
  problemBox.hidden = false;
  problemBox.append(element("p", {}, message));
  if (unplaced.length) {
    const items = unplaced.slice(0, 20).map(({ field, problem }) => element("li", {}, element("code", {}, field), ` ${problem}`));
    problemBox.append(element("ul", {}, ...items));
  }
  const first = form.querySelector(".wrong [aria-invalid]");
  for (let parent = first?.closest("details"); parent; parent = parent.parentElement.closest("details")) parent.open = true;
  (first ?? problemBox).focus();
}

function place(field, problem) {
  if (script.show(field, problem) || data.show(field, problem)) return true;
  const node = form.querySelector(`[data-field="${CSS.escape(field)}"]:has(> .field-problem)`);
  if (!node || node.closest("[hidden]")) return false;
  mark(node, problem);
  return true;
}

/** Return the job that was created: once only, even if an answer was lost. */
async function create(job) {
  const body = JSON.stringify(job);
  if (create.last?.body !== body) create.last = { body, key: `${Date.now()}-${Math.random()}` };
  const headers = { "Content-Type": "application/json", "Idempotency-Key": create.last.key };
  return api("PUT", "/job", { body, headers });
}

async function submit(isRun) {
  const problems = [];
  await data.storeTable();
  const job = readJob(problems);
  clearProblems();
  if (problems.length) return showProblems(t("new.problems"), problems);
  try {
    const created = await create(job);
    if (isRun) await run(created._id);
    leave(created._id);
  } catch (error) {
    if (error.status === undefined) throw error;
    showProblems(error.errors.length ? t("new.problems") : error.message, error.errors);
  }
}

/** Start a job; one that cannot run is deleted again, as it exists only to be run. */
async function run(id) {
  try {
    await send("POST", `/job/${id}/run`);
  } catch (error) {
    if (error.status === 409) return; // an earlier answer was lost
    if (error.status >= 400 && error.status < 500) {
      create.last = null;
      await send("DELETE", `/job/${id}`).catch(() => notify(t("new.kept", { id }), { problem: true }));
    }
    throw error;
  }
}

function leave(id) {
  sessionStorage.removeItem(DRAFT);
  keep.isOff = true;
  create.last = null; // who comes back and runs it again wants another job
  location.href = `${root}/ui/job/${encodeURIComponent(id)}`;
}

/** Keep what was typed, for a reload. */
function keep() {
  if (keep.isOff) return;
  const draft = { script: script.draft(), data: data.draft(), fields: {} };
  for (const box of advanced.querySelectorAll("[name]")) {
    draft.fields[box.name] = box.type === "checkbox" ? box.checked : box.value;
  }
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    sessionStorage.removeItem(DRAFT); // too large for the browser: nothing is better than a part
  }
}

function restore(draft) {
  script.restore(draft.script);
  data.restore(draft.data);
  for (const [name, value] of Object.entries(draft.fields)) {
    const box = input(name);
    if (box.type === "checkbox") box.checked = value;
    else box.value = value;
    advanced.open ||= value !== "" && value !== false;
  }
}

/** Fill the form from a job. */
async function copy(id) {
  const response = await send("GET", `/job/${encodeURIComponent(id)}?stringify=false`);
  const job = exact.parse(await response.text());
  script.write(job.script ?? (job.script_name && { name: job.script_name }));
  if (form.dataset.shared !== "true") data.write(job);
  for (const name of [...NUMBERS, ...TEXTS]) {
    if (job[name] !== undefined && job[name] !== null) input(name).value = exact.isLarge(job[name]) ? exact.write(job[name]) : job[name];
  }
  const rest = Object.entries(job).filter(([name]) => !SERVER_FIELDS.has(name) && !READ.has(name));
  if (rest.length) input("others").value = exact.write(Object.fromEntries(rest), 1);
  advanced.open = [...advanced.querySelectorAll("[name]")].some((box) => (box.type === "checkbox" ? box.checked : box.value));
}

async function load() {
  const loading = document.getElementById("loading");
  try {
    await Promise.all([script.load(), data.load()]);
    const draft = sessionStorage.getItem(DRAFT);
    if (draft) restore(exact.parse(draft));
    else if (query.get("from")) await copy(query.get("from"));
    else {
      if (query.get("script")) script.choose(query.get("script"));
      data.choose(query.get("datafile"), query.get("data"), exact.parse(query.get("options") ?? "null"));
    }
    loading.hidden = true;
  } catch (error) {
    loading.textContent = error.message;
    loading.className = "error";
  }
  form.classList.remove("loading");
  for (const id of ["run", "save"]) document.getElementById(id).disabled = false;
}

const keepSoon = delayed(keep, 300);
form.addEventListener("input", (event) => {
  const node = event.target.closest(".wrong");
  if (node?.dataset.field) mark(node, "");
  keepSoon();
});
addEventListener("pagehide", keep);
addEventListener("pageshow", () => (keep.isOff = false));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act(document.getElementById("run"), () => submit(true));
});
document.getElementById("save").addEventListener("click", (event) => act(event.target, () => submit(false)));
document.getElementById("clear").addEventListener("click", () => {
  keep.isOff = true;
  sessionStorage.removeItem(DRAFT);
  location.href = `${root}/ui/new`;
});
load();
