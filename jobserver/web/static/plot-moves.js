// Panning and zooming of a plot: by mouse, fingers, wheel, keyboard, and buttons.
import { t } from "./api.js";

const PAN = 0.2;
const ZOOM = 1.5;

/** Let a plot be moved, and return the buttons that do it, too. */
export function navigate(chart, area, { x }) {
  const [first, last] = [x[0] ?? 0, x[x.length - 1] ?? 1];
  const range = () => [chart.scales.x.min ?? first, chart.scales.x.max ?? last];
  let wanted = null;

  /** Show a part of x, kept within the data; at most once a frame. */
  function show(min, max) {
    const width = Math.min(max - min, last - first);
    const from = Math.min(Math.max(min, first), last - width);
    if (!(width > 0)) return;
    if (!wanted) requestAnimationFrame(() => {
      chart.setScale("x", wanted);
      wanted = null;
    });
    wanted = { min: from, max: from + width };
  }

  const current = () => (wanted ? [wanted.min, wanted.max] : range());
  const pan = (part) => {
    const [min, max] = current();
    show(min + part * (max - min), max + part * (max - min));
  };
  const zoom = (factor, at = 0.5) => {
    const [min, max] = current();
    const width = (max - min) / factor;
    const from = min + (max - min - width) * at;
    show(from, from + width);
  };
  const reset = () => show(first, last);

  byKeyboard(area, { pan, zoom, reset });
  byWheel(chart, area, { pan, zoom });
  byPointers(chart, { pan, zoom });
  return buttons({ pan, zoom, reset });
}

function byKeyboard(area, { pan, zoom, reset }) {
  const keys = {
    ArrowLeft: () => pan(-PAN),
    ArrowRight: () => pan(PAN),
    "+": () => zoom(ZOOM),
    "=": () => zoom(ZOOM),
    "-": () => zoom(1 / ZOOM),
    Home: reset,
    0: reset,
  };
  area.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** Zoom by wheel with Ctrl, or two fingers on a touchpad; pan sideways, or while it has the focus. */
function byWheel(chart, area, { pan, zoom }) {
  chart.over.addEventListener("wheel", (event) => {
    const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const isZoom = event.ctrlKey || event.metaKey;
    if (!isZoom && !isSideways && !event.shiftKey && !area.contains(document.activeElement)) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 30 : 1;
    if (isZoom) zoom(Math.exp((-event.deltaY * unit) / 300), event.offsetX / chart.over.clientWidth);
    else pan(((isSideways ? event.deltaX : event.deltaY) * unit) / chart.over.clientWidth);
  }, { passive: false });
}

/** Pan by a drag with Shift; pan and zoom by two fingers. */
function byPointers(chart, { pan, zoom }) {
  const { over } = chart;
  const points = new Map();
  const width = () => over.clientWidth || 1;
  const spread = () => {
    const [a, b] = [...points.values()];
    return { middle: (a + b) / 2, distance: Math.max(Math.abs(a - b), 10) };
  };
  over.addEventListener("pointerdown", (event) => {
    const isPan = event.pointerType === "touch" || (event.shiftKey && event.button === 0);
    if (!isPan) return;
    points.set(event.pointerId, event.clientX);
    over.setPointerCapture(event.pointerId);
  });
  over.addEventListener("pointermove", (event) => {
    const before = points.get(event.pointerId);
    if (before === undefined) return;
    const isPinch = points.size === 2;
    const was = isPinch ? spread() : null;
    points.set(event.pointerId, event.clientX);
    if (!isPinch) {
      if (event.pointerType !== "touch") pan((before - event.clientX) / width());
      return;
    }
    const now = spread();
    pan((was.middle - now.middle) / width());
    zoom(now.distance / was.distance, (now.middle - over.getBoundingClientRect().left) / width());
  });
  for (const name of ["pointerup", "pointercancel"]) {
    over.addEventListener(name, (event) => points.delete(event.pointerId));
  }
}

function buttons({ pan, zoom, reset }) {
  const tools = document.createElement("div");
  tools.className = "plot-tools";
  const add = (sign, name, action) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "small", textContent: sign, title: name });
    button.setAttribute("aria-label", name);
    button.addEventListener("click", action);
    tools.append(button);
  };
  add("←", t("plot.left"), () => pan(-PAN));
  add("→", t("plot.right"), () => pan(PAN));
  add("+", t("plot.in"), () => zoom(ZOOM));
  add("−", t("plot.out"), () => zoom(1 / ZOOM));
  add(t("plot.reset"), t("plot.reset"), reset);
  return tools;
}
