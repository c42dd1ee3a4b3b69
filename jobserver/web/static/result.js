// The result of a job, in the way that suits it: picture, text, table with plot, number, or tree.
import { act, root, send, t } from "./api.js";
import { shownNumber } from "./app.js";
import { isObject, parseToShow } from "./exact.js";
import { plot } from "./plot.js";
import { asTable, plottable, showTable } from "./table.js";
import { showTree } from "./tree.js";

// Bytes that are loaded into the page without asking.
const ASK = 20e6;
const LONGEST_TEXT = 100_000;

/** Show a result; `formats` are those it can be had in, `size` is that of a large one. */
export async function showResult(element, path, formats, size) {
  element.replaceChildren(hint(t("result.loading")));
  try {
    if (formats.includes("png")) showPicture(element, path);
    else if (formats.includes("bin")) element.replaceChildren(hint(t("result.bytes")));
    else if (formats.includes("txt") && !formats.includes("csv")) await showText(element, path);
    else if (size > ASK) ask(element, path, size);
    else await showJson(element, path);
  } catch (error) {
    const problem = hint(error.message);
    problem.className = "error";
    element.replaceChildren(problem);
  }
}

function hint(text) {
  const line = document.createElement("p");
  line.className = "hint";
  line.textContent = text;
  return line;
}

function showPicture(element, path) {
  const picture = document.createElement("img");
  picture.className = "picture";
  picture.alt = t("result.picture");
  picture.src = `${root}${path}?format=png`;
  picture.addEventListener("error", () => element.replaceChildren(hint(t("result.no_picture"))));
  element.replaceChildren(picture);
}

/** Show the beginning of a text, and load no more than that. */
async function showText(element, path) {
  const response = await send("GET", `${path}?format=txt`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let isWhole = false;
  while (text.length <= LONGEST_TEXT && !isWhole) {
    const { done, value } = await reader.read();
    isWhole = done;
    text += value ?? "";
  }
  if (!isWhole) await reader.cancel();
  const pre = document.createElement("pre");
  pre.className = "text";
  pre.tabIndex = 0;
  pre.textContent = text.slice(0, LONGEST_TEXT);
  element.replaceChildren(pre);
  if (text.length > LONGEST_TEXT) element.append(hint(t("result.beginning", { n: LONGEST_TEXT })));
}

function ask(element, path, size) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = t("result.load", { n: Math.round(size / 1e6) });
  button.addEventListener("click", () => act(button, () => showJson(element, path)));
  element.replaceChildren(hint(t("result.large")), button);
}

async function showTableAndPlot(element, table) {
  const drawn = plottable(table);
  if (drawn) {
    const place = document.createElement("div");
    element.append(place);
    await plot(place, drawn).catch((error) => place.replaceChildren(hint(error.message)));
  }
  showTable(element, table, { caption: t("result.table") });
}

async function showJson(element, path) {
  const response = await send("GET", `${path}?typed=true`);
  const value = parseToShow(await response.text());
  element.replaceChildren();
  const table = asTable(value);
  if (table) return showTableAndPlot(element, table);
  if (isObject(value) || Array.isArray(value)) return showTree(element, value);
  const single = document.createElement("p");
  single.className = "single";
  single.textContent = typeof value === "number" ? shownNumber(value) : String(value);
  element.append(single);
}
