// What every page has: theme, language, and times in the visitor's zone.
import { root } from "./api.js";

const html = document.documentElement;
const YEAR = 365 * 86400;

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

const mark = new Intl.NumberFormat(html.lang).formatToParts(0.5).find(({ type }) => type === "decimal").value;

/** Return a number as it is shown, not typed: with the decimal mark of the language. */
export function shownNumber(number) {
  return String(number).replace(".", mark);
}

localize(document);
