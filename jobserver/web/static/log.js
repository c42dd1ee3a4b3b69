// The output of a run: read by its offset, shown at its end, harmless whatever is printed.
import { send, t } from "./api.js";

const MOST_LINES = 3000;
const LONGEST = 2000;
// Sequences that steer a terminal: CSI, OSC, and those of one letter; then what else cannot be seen.
const STEERING = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])/g;
const UNSEEN = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Return a line as it is shown: what a terminal would leave of it, cut where it is huge. */
export function shownLine(line) {
  const visible = line.endsWith("\r") ? line.slice(0, -1) : line;
  const last = visible.slice(visible.lastIndexOf("\r") + 1);
  const text = last.slice(0, 2 * LONGEST).replace(STEERING, "").replace(UNSEEN, "").slice(0, LONGEST);
  return last.length > 2 * LONGEST ? `${text}… ${t("log.cut", { n: last.length })}` : text;
}

/** Follow a log, and return a function that reads what is new of it; report its warnings. */
export function followLog(pre, note, path, onWarning) {
  const decoder = new TextDecoder();
  const blocks = [];
  const end = document.createElement("span");
  let offset = 0;
  let partial = "";
  let lines = 0;
  let reading = null;
  let again = false;

  function append(text) {
    const parts = (partial + text).split("\n");
    partial = parts.pop();
    for (const line of parts) if (line.startsWith("WARNING ")) onWarning(shownLine(line.replace(/^WARNING (jobserver: )?/, "")));
    const skipped = Math.max(0, parts.length - MOST_LINES);
    const shown = parts.slice(skipped).map(shownLine);
    lines += skipped;
    if (shown.length) {
      const block = document.createElement("span");
      block.textContent = `${shown.join("\n")}\n`;
      end.before(block);
      blocks.push({ block, count: shown.length });
      lines += shown.length;
    }
    end.textContent = shownLine(partial);
    dropOld();
  }

  function dropOld() {
    let kept = blocks.reduce((sum, { count }) => sum + count, 0);
    while (blocks.length > 1 && kept - blocks[0].count >= MOST_LINES) {
      kept -= blocks[0].count;
      blocks.shift().block.remove();
    }
    note.textContent = lines > kept ? t("log.end", { n: kept }) : "";
  }

  async function readOnce() {
    const response = await send("GET", `${path}?offset=${offset}`);
    const bytes = await response.arrayBuffer();
    if (!end.isConnected) pre.replaceChildren(end);
    if (bytes.byteLength) {
      const isAtEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40;
      offset += bytes.byteLength;
      append(decoder.decode(bytes, { stream: true }));
      if (isAtEnd) pre.scrollTop = pre.scrollHeight;
    }
    if (!offset) end.textContent = t("log.empty");
  }

  async function read() {
    again = true;
    reading ??= (async () => {
      while (again) {
        again = false;
        await readOnce().catch((error) => (note.textContent = error.message));
        // What is printed quickly is read a few times a second.
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      reading = null;
    })();
    await reading;
  }

  return { read };
}
