// JSON whose numbers stay as they are written: JavaScript's own lose digits beyond 2^53.
import { t } from "./api.js";

const INTEGER = /^-?\d+$/;
const LONG = /(?<![.\d])\d{16,}(?![.\d])/;

/** Return a number from its text in JSON, as `JSON.stringify` writes it again. */
function kept(text) {
  const number = Number(text);
  if (!Number.isFinite(number)) throw new RangeError(t("exact.large", { text }));
  if (!INTEGER.test(text) || Number.isSafeInteger(number)) return number;
  if (!JSON.rawJSON) throw new RangeError(t("exact.digits", { text }));
  return JSON.rawJSON(text);
}

/** Return the value of a text in JSON; throw if it is not JSON, or has a number that would change. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    if (typeof value !== "number") return value;
    return kept(context?.source ?? String(value));
  });
}

/** Return the value of a number as an input holds it. */
export function fromInput(text) {
  return kept(INTEGER.test(text) ? text.replace(/^(-?)0+(?=\d)/, "$1") : text);
}

/** Whether a value is a number too large for JavaScript, kept as its text. */
export function isLarge(value) {
  return Boolean(JSON.isRawJSON?.(value));
}

/** Return a value as one line of text, or as indented JSON. */
export function write(value, indent) {
  return isLarge(value) ? value.rawJSON : JSON.stringify(value, null, indent);
}

/** Return the value of a text in JSON to be shown: large whole numbers are BigInt, or text where the browser cannot say. */
export function parseToShow(text) {
  return LONG.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

function exactly(_, value, context) {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  if (!context) return `≈ ${value}`;
  return INTEGER.test(context.source) ? BigInt(context.source) : value;
}

/** Whether something is an object with keys. */
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
