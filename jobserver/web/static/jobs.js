// The list of jobs: kept up to date, and many of them cancelled or deleted at once.
import { act, api, notify, offline, t } from "./api.js";
import { freshPage, localize } from "./app.js";

const SECONDS = 2;
const live = document.getElementById("live");
const chosen = () => [...live.querySelectorAll("[name=job]:checked")];

function count() {
  const boxes = chosen();
  document.getElementById("selected-count").textContent =
    boxes.length ? t("jobs.selected", { n: boxes.length }) : "";
  document.getElementById("cancel").disabled = !boxes.some((box) => box.dataset.active === "true");
  document.getElementById("delete").disabled = !boxes.some((box) => box.dataset.active !== "true");
  const all = document.getElementById("all");
  if (all) all.checked = boxes.length > 0 && boxes.length === live.querySelectorAll("[name=job]").length;
}

/** Fetch the list as it is now, and keep what is selected and focused. */
async function refresh() {
  const fresh = (await freshPage())?.getElementById("live");
  if (!fresh) return;
  const kept = new Set(chosen().map((box) => box.value));
  const focused = document.activeElement;
  for (const box of fresh.querySelectorAll("[name=job]")) box.checked = kept.has(box.value);
  localize(fresh);
  const selector =
    live.contains(focused) &&
    (focused.id ? `#${focused.id}` : focused.name && `[name="${focused.name}"][value="${focused.value}"]`);
  const isRowLink = live.contains(focused) && focused.matches("td a") && focused.getAttribute("href");
  live.replaceChildren(...fresh.childNodes);
  const again = selector ? live.querySelector(selector)
    : isRowLink ? live.querySelector(`td a[href="${isRowLink}"]`) : null;
  again?.focus({ preventScroll: true });
  count();
}

async function keepUpToDate() {
  if (!document.hidden) await refresh().catch(() => offline(true));
  setTimeout(keepUpToDate, SECONDS * 1000);
}

live.addEventListener("change", (event) => {
  if (event.target.id === "all") {
    for (const box of live.querySelectorAll("[name=job]")) box.checked = event.target.checked;
  }
  count();
});

live.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.id === "cancel") act(button, cancel).then(count);
  if (button?.id === "delete") act(button, remove).then(count);
});

async function cancel() {
  const ids = chosen().map((box) => box.value);
  const { cancelled } = await api("POST", "/jobs/cancel", { json: { _id: { $in: ids } } });
  notify(t("jobs.cancelled", { n: cancelled }));
  await refresh();
}

async function remove() {
  const boxes = chosen().filter((box) => box.dataset.active !== "true");
  if (!confirm(t("jobs.delete_these", { n: boxes.length }))) return;
  const gone = await Promise.allSettled(boxes.map((box) => api("DELETE", `/job/${box.value}`)));
  const failed = gone.filter((each) => each.status === "rejected");
  for (const each of failed.slice(0, 3)) notify(each.reason.message, { problem: true });
  notify(t("jobs.deleted", { n: gone.length - failed.length }));
  await refresh();
}

setTimeout(keepUpToDate, SECONDS * 1000);
count();
