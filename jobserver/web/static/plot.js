// A plot of columns against time or number: uPlot, with panning, the keyboard, and numbers as text.
import { t } from "./api.js";
import { shownNumber } from "./app.js";
import { numbersOf } from "./numbers.js";
import { navigate } from "./plot-moves.js";

const AT_FIRST = 3;
const COLOURS = 8;
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
// Dashes say nothing, and cost much, where points are closer than they.
const MOST_DASHED = 1000;
const WIDTH = 1.5;
// Pixels a point of lines that are drawn thin; on screens with fine pixels only lines that fill an area are.
const DENSE = 8;
const DENSE_IF_FINE = 1;
const HEIGHT = 320;
const DAY = 86400;
let loading = null;

/** Load uPlot and its styles once. */
function load() {
  const head = (tag, values) =>
    new Promise((resolve, reject) => {
      const part = Object.assign(document.createElement(tag), values, { onload: resolve, onerror: reject });
      document.head.append(part);
    });
  const url = (name) => new URL(name, import.meta.url).href;
  loading ??= Promise.all([
    head("link", { rel: "stylesheet", href: url("uplot/uPlot.min.css") }),
    head("link", { rel: "stylesheet", href: url("plot.css") }),
    head("script", { src: url("uplot/uPlot.iife.min.js") }),
  ]).catch(() => {
    loading = null;
    throw new Error(t("plot.not_loaded"));
  });
  return loading;
}

/**
 * Plot columns.
 * @param {Element} element Where; its content is replaced.
 * @param {{x: any[] | null, columns: any[][], labels: string[], xLabel?: string}} data
 *   x: times as in ISO 8601 (UTC unless they say more), numbers, or null for the row's number;
 *   columns: numbers, null for a gap.
 */
export async function plot(element, { x, columns, labels, xLabel = "" }) {
  await load();
  const data = numbersOf(x, columns);
  const area = document.createElement("div");
  Object.assign(area, { className: "plot-area", tabIndex: 0 });
  area.setAttribute("role", "group");
  area.setAttribute("aria-label", t("plot.label"));
  const chart = new window.uPlot(options(data, labels, element.clientWidth), [data.x, ...data.columns], area);
  const tools = navigate(chart, area, data);
  tools.append(rangeOf(chart, data));
  const legend = legendOf(chart, data, labels, xLabel);
  const hint = document.createElement("p");
  Object.assign(hint, { className: "hint", textContent: t("plot.keys") });
  element.classList.add("plot");
  element.replaceChildren(legend, area, tools, hint, ...remarks(data), statistics(data, labels));
  followSize(chart, element);
  followTheme(chart, element);
  return chart;
}

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (n) => style(`--series-${n % COLOURS}`);

function options(data, labels, width) {
  const axis = { stroke: () => style("--dim"), grid: { stroke: () => style("--line"), width: 1 }, ticks: { stroke: () => style("--line"), width: 1 } };
  const isDashed = data.x.length <= MOST_DASHED;
  return {
    width: Math.max(width, 200),
    height: HEIGHT,
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    legend: { show: false },
    scales: { x: { time: data.isTime } },
    axes: [
      { ...axis, ...(data.isTime ? { values: timeLabels, space: 90 } : { values: numberLabels }) },
      { ...axis, size: axisSize, values: numberLabels },
    ],
    cursor: { drag: { x: true, y: false }, bind: { mousedown: withoutShift } },
    hooks: { drawClear: [thinWhereDense] },
    series: [
      {},
      ...labels.map((label, n) => ({
        label,
        show: isShownAtFirst(data, n),
        stroke: () => colour(n),
        width: WIDTH,
        dash: isDashed ? DASHES[n % DASHES.length] : [],
        // A value between two gaps is no line, but must be seen.
        points: { filter: (_, index, isShown) => (isShown ? null : data.isolated[index - 1]), size: 5 },
      })),
    ],
  };
}

/** Draw lines one pixel wide where they are dense: wider ones, which overlap, take five times as long. */
function thinWhereDense({ series, bbox }) {
  const [first, last] = series[0].idxs;
  const ratio = window.uPlot.pxRatio;
  const isDense = last - first > bbox.width / (ratio < 2 ? DENSE : DENSE_IF_FINE);
  const width = isDense ? 1 / ratio : WIDTH;
  series.slice(1).forEach((each) => Object.assign(each, { width }));
}

/** Whether a column is drawn at first: of the first ones, those that are no flat line beside the largest. */
function isShownAtFirst({ statistics: columns }, n) {
  const size = ({ min, max }) => Math.max(Math.abs(min), Math.abs(max));
  return n < AT_FIRST && size(columns[n]) >= Math.max(...columns.slice(0, AT_FIRST).map(size)) / 100;
}

/** Leave a drag with Shift to panning. */
function withoutShift(_, __, handle) {
  return (event) => {
    if (!event.shiftKey) handle(event);
  };
}

/** Return a number as text: a whole one as it is, others with this many digits. */
function numberText(value, digits = 8) {
  if (value === null || value === undefined) return "–";
  return shownNumber(Number.isInteger(value) ? value : Number(value.toPrecision(digits)));
}

function numberLabels(_, splits) {
  return splits.map((value) => shownNumber(Number(value.toPrecision(12))));
}

function axisSize(_, values) {
  const longest = Math.max(3, ...(values ?? []).map((text) => text.length));
  return 18 + 7.5 * longest;
}

/** Return an instant as text: as much of it as the distance of labels needs. */
function timeText(seconds, distance = 1) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "";
  const [day, clock] = date.toISOString().slice(0, -1).split("T");
  if (distance >= DAY) return [day];
  return [day, distance < 1 ? clock : distance < 60 ? clock.slice(0, 8) : clock.slice(0, 5)];
}

function timeLabels(_, splits, __, ___, distance) {
  let before = "";
  return splits.map((seconds) => {
    const [day, clock] = timeText(seconds, distance);
    if (!clock) return distance >= 360 * DAY ? day.slice(0, -6) : distance >= 28 * DAY ? day.slice(0, -3) : day;
    const label = day === before ? clock : `${clock}\n${day}`;
    before = day;
    return label;
  });
}

/** Make the choice of columns, which shows the values at the cursor, too. */
function legendOf(chart, data, labels, xLabel) {
  const list = document.createElement("div");
  list.className = "plot-legend";
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", t("plot.columns"));
  const at = document.createElement("output");
  at.className = "plot-at";
  list.classList.toggle("dashed", data.x.length <= MOST_DASHED);
  const values = labels.map((label, n) => {
    const [entry, value] = entryOf(label, n, isShownAtFirst(data, n), (isShown) => chart.setSeries(n + 1, { show: isShown }));
    list.append(entry);
    return value;
  });
  list.prepend(at);
  const show = () => {
    const index = chart.cursor.idx;
    const isInside = index !== null && index !== undefined;
    const position = !isInside ? "–" : data.isTime ? timeText(data.x[index], data.isDaily ? DAY : 1).join(" ") : numberText(data.x[index]);
    at.textContent = `${xLabel || (data.isTime ? t("plot.time") : t("plot.row"))}: ${position}`;
    values.forEach((value, n) => (value.textContent = isInside ? numberText(data.columns[n][index]) : ""));
  };
  chart.hooks.setCursor = [show];
  show();
  return list;
}

function entryOf(label, n, isShown, choose) {
  const entry = document.createElement("label");
  const box = document.createElement("input");
  Object.assign(box, { type: "checkbox", checked: isShown });
  box.setAttribute("aria-label", label.slice(0, 100));
  box.addEventListener("change", () => choose(box.checked));
  const swatch = document.createElement("span");
  swatch.className = `swatch series-${n % COLOURS} dash-${n % DASHES.length}`;
  const name = document.createElement("bdi");
  name.textContent = label.slice(0, 100);
  const value = document.createElement("output");
  value.setAttribute("aria-live", "off");
  entry.append(box, swatch, name, value);
  return [entry, value];
}

/** Say which part of x is shown, once it stays for a moment. */
function rangeOf(chart, data) {
  const output = document.createElement("output");
  const text = (value) => (data.isTime ? timeText(value, data.isDaily ? DAY : 1).join(" ") : numberText(value));
  const show = () => {
    const { min, max } = chart.scales.x;
    output.textContent = Number.isFinite(min) ? `${text(min)} – ${text(max)}` : "";
  };
  let timer = 0;
  chart.hooks.setScale = [() => {
    clearTimeout(timer);
    timer = setTimeout(show, 200);
  }];
  show();
  return output;
}

function remarks({ leftOut, isSorted }) {
  const texts = [leftOut && t("plot.left_out", { n: leftOut }), isSorted && t("plot.sorted")].filter(Boolean);
  return texts.map((text) => Object.assign(document.createElement("p"), { className: "hint", textContent: text }));
}

/** Say in numbers what the plot shows. */
function statistics(data, labels) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = t("plot.numbers");
  const scroll = Object.assign(document.createElement("div"), { className: "scroll", tabIndex: 0 });
  const grid = document.createElement("table");
  const head = grid.createTHead().insertRow();
  const cell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const names = [t("plot.column"), t("plot.count"), t("plot.gaps"), t("plot.min"), t("plot.mean"), t("plot.max")];
  head.append(...names.map((name) => Object.assign(cell("th", name), { scope: "col" })));
  const body = grid.createTBody();
  data.statistics.forEach(({ count, gaps, min, mean, max }, n) => {
    const numbers = [count, gaps, min, mean, max].map((value) => cell("td", numberText(value, 15)));
    body.insertRow().append(Object.assign(cell("th", labels[n].slice(0, 200)), { scope: "row" }), ...numbers);
  });
  scroll.append(grid);
  details.append(summary, scroll);
  return details;
}

function followSize(chart, element) {
  const observer = new ResizeObserver(() => {
    if (!element.isConnected) return observer.disconnect();
    const width = element.clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: HEIGHT });
  });
  observer.observe(element);
}

function followTheme(chart, element) {
  const repaint = () => element.isConnected && chart.redraw();
  document.addEventListener("themechange", repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}
