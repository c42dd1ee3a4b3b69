// What every page has: theme, language, and times in the visitor's zone.
import { offline, root } from "./api.js";

const html = document.documentElement;
const YEAR = 365 * 86400;
const LONGEST_PRESS = 5000;

function remember(name, value) {
  const path = root || "/";
  document.cookie = `${name}=${value}; path=${path}; max-age=${YEAR}; samesite=strict`;
}

document.getElementById("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  html.dataset.theme = (html.dataset.theme ?? system) === "dark" ? "light" : "dark";
  remember("jobserver_theme", html.dataset.theme);
  document.dispatchEvent(new Event("themechange"));
});

document.getElementById("language").addEventListener("change", (event) => {
  remember("jobserver_language", event.target.value);
  location.reload();
});

const format = new Intl.DateTimeFormat(html.lang, { dateStyle: "medium", timeStyle: "short" });

/** Return a time of an answer, in the visitor's zone. */
export function moment(time) {
  return format.format(new Date(time));
}

/** Write times in the visitor's zone; the exact one is in their titles. */
export function localize(part) {
  for (const time of part.querySelectorAll("time:not([title])")) {
    time.title = time.dateTime;
    time.textContent = moment(time.dateTime);
  }
}

let released = Promise.resolve();
let release = () => {};

// What is replaced between press and release would lose the click.
addEventListener("pointerdown", () => {
  released = new Promise((resolve) => {
    release = resolve;
    setTimeout(resolve, LONGEST_PRESS); // menus of the browser keep the release to themselves
  });
});
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(release));

let tag = null;

/** Return this page as it is now; null if it has not changed since, or has to be loaded anew. */
export async function freshPage() {
  const seen = tag ? { "If-None-Match": tag } : {};
  const response = await fetch(location.href, { headers: { Accept: "text/html", ...seen }, cache: "no-cache" });
  offline(false);
  if (response.status === 304) return null;
  if (response.redirected || !response.ok) {
    location.reload();
    return null;
  }
  tag = response.headers.get("ETag");
  const text = await response.text();
  await released;
  return new DOMParser().parseFromString(text, "text/html");
}

/** Replace the content of an element by that on the page as it is now. */
export async function refreshContent(element) {
  const fresh = (await freshPage())?.getElementById(element.id);
  if (!fresh) return;
  localize(fresh);
  element.replaceChildren(...fresh.childNodes);
}

const mark = new Intl.NumberFormat(html.lang).formatToParts(0.5).find(({ type }) => type === "decimal").value;

/** Return a number as it is shown, not typed: with the decimal mark of the language. */
export function shownNumber(number) {
  return String(number).replace(".", mark);
}

localize(document);
