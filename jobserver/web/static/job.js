// The page of one job: kept up to date while it runs; its log, its result, and what can be done.
import { act, api, copyText, offline, root, send, t } from "./api.js";
import { freshPage, localize } from "./app.js";
import { followLog } from "./log.js";
import { showResult } from "./result.js";
import { tabs } from "./tabs.js";

const SECONDS = 2;
const MOST_WARNINGS = 5;
const BLOB_LIMIT = 50e6;
const live = () => document.getElementById("live");
const { job: id, own } = live().dataset;
const path = `/job/${id}`;
const log = own === "true" ? followLog(document.getElementById("log"), document.getElementById("log-note"), `${path}/log`, warn) : null;
const exact = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });

/** Show a warning of the log above the result, which it may put in doubt. */
function warn(text) {
  const list = document.querySelector("#warnings ul");
  warn.count = (warn.count ?? 0) + 1;
  list.parentElement.hidden = false;
  const isMore = warn.count > MOST_WARNINGS;
  const line = warn.count > MOST_WARNINGS + 1 ? list.lastChild : list.appendChild(document.createElement("li"));
  line.textContent = isMore ? t("log.warnings", { n: warn.count - MOST_WARNINGS }) : text;
}

function localizeExactly(part) {
  localize(part);
  for (const time of part.querySelectorAll("time[data-exact]")) {
    time.textContent = exact.format(new Date(time.dateTime));
  }
}

const isFollowed = () => /created|queued|running/.test(live().dataset.state);

/** Take the parts of the page that change from the page as it is now; focus is kept. */
async function refresh() {
  const fresh = await freshPage();
  if (!fresh) return;
  const focused = document.activeElement?.id;
  const before = live().dataset.state;
  for (const part of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    const served = now.outerHTML;
    if (served === part.served) continue;
    for (const details of now.querySelectorAll("details[id]")) {
      details.open = document.getElementById(details.id)?.open ?? details.open;
    }
    localizeExactly(now);
    part.replaceWith(now);
    now.served = served;
  }
  document.title = fresh.title;
  if (focused && document.activeElement === document.body) {
    (document.getElementById(focused) ?? document.getElementById("main")).focus({ preventScroll: true });
  }
  if (live().dataset.state !== before) {
    document.getElementById("news").textContent = live().querySelector("h1 .state").lastChild.textContent;
    const { formats, size } = fresh.getElementById("result-content").dataset;
    Object.assign(document.getElementById("result-content").dataset, { formats, size });
    showResultOnce();
  }
}

let shown = false;
function showResultOnce() {
  const content = document.getElementById("result-content");
  if (shown || !content.dataset.formats) return;
  shown = true;
  document.getElementById("result").hidden = false;
  showResult(content, `${path}/result`, content.dataset.formats.split(" "), Number(content.dataset.size));
}

/** Show how far the run is; each change of state brings a fresh page. */
function showState({ state, progress, message }) {
  if (state !== live().dataset.state) return update();
  const bar = document.getElementById("progress");
  if (!bar) return;
  if (typeof progress === "number") {
    bar.value = progress;
    document.getElementById("percent").textContent = `${Math.floor(100 * progress)} %`;
  }
  document.getElementById("progress-message").textContent = (message ?? "").slice(0, 1000);
}

let updating = null;
let isStale = false;

/** Bring page and log up to date; what changes meanwhile is brought in, too. */
function update() {
  isStale = true;
  updating ??= (async () => {
    while (isStale) {
      isStale = false;
      await refresh().catch(() => offline(true));
    }
    updating = null;
    if (!isFollowed()) stream?.close();
    log?.read();
  })();
  return updating;
}

let stream = null;
let isStreaming = false;
let isLeaving = false;

/** Follow the job by events, if the page is seen: browsers allow few connections to one server. */
function follow() {
  stream?.close();
  stream = null;
  isStreaming = false;
  if (isLeaving || document.hidden || own !== "true" || !isFollowed()) return;
  stream = new EventSource(`${root}${path}/events`);
  stream.addEventListener("state", (event) => {
    isStreaming = true;
    offline(false);
    showState(JSON.parse(event.data));
  });
  stream.addEventListener("log", () => log.read());
  stream.addEventListener("error", () => (isStreaming = false));
}

/** Look now and then where events are refused or interrupted. */
async function poll() {
  if (!isLeaving && !document.hidden && !isStreaming && isFollowed()) await update();
  setTimeout(poll, SECONDS * 1000);
}

setInterval(() => {
  const elapsed = document.getElementById("elapsed");
  if (!elapsed) return;
  const seconds = Math.max(0, (Date.now() - Date.parse(elapsed.dataset.since)) / 1000);
  elapsed.textContent = `${Math.floor(seconds)} s`;
}, 500);

// Back shows the page as it was left.
addEventListener("pageshow", ({ persisted }) => {
  isLeaving = false;
  if (persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward") update();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) update();
  follow();
});

const actions = {
  run: async () => {
    await api("POST", `${path}/run`);
    await update();
    follow();
  },
  cancel: () => api("POST", `${path}/cancel`).then(update),
  rerun: async () => {
    const { _id: copy } = await api("POST", `${path}/rerun`, { json: {} });
    try {
      await api("POST", `/job/${copy}/run`);
    } catch (error) {
      await api("DELETE", `/job/${copy}`);
      throw error;
    }
    location.assign(`${root}/ui/job/${copy}`);
  },
  delete: async () => {
    if (!confirm(t("job.delete_this"))) return;
    // What still asks for the job would find none.
    isLeaving = true;
    stream?.close();
    await Promise.all([updating, log.read()]);
    try {
      await api("DELETE", path);
    } catch (error) {
      isLeaving = false;
      follow();
      throw error;
    }
    location.replace(`${root}/ui/jobs`); // Back does not lead to it
  },
};

/** Save a result as a file; a refusal is shown, which a plain link would not do. */
async function save(link) {
  const response = await send("GET", link.getAttribute("href").slice(root.length));
  const address = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: address, download: link.download }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

document.getElementById("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const action = actions[button?.id];
  if (action) act(button, action);
  else if (button?.dataset.copy) act(button, () => copyText(document.getElementById(button.dataset.copy).textContent));
  const link = event.target.closest("#downloads a");
  if (link && Number(link.dataset.size) < BLOB_LIMIT) {
    event.preventDefault();
    act(link, () => save(link));
  }
});

document.getElementById("main").addEventListener("change", async (event) => {
  const box = event.target;
  const flag = box.dataset.flag;
  if (!flag) return;
  const wanted = box.checked;
  const done = await act(box, () => api("POST", path, { json: { [flag]: wanted } }));
  if (!done) box.checked = !wanted;
});

localizeExactly(document);
const languages = document.querySelector("#code .tabs");
if (languages) tabs(languages, "jobserver-code");
log?.read();
showResultOnce();
follow();
setTimeout(poll, SECONDS * 1000);
