// JSON with whole numbers that JavaScript would round: they become BigInt.

const LONG = /(?<![.\d])\d{16,}(?![.\d])/;

/** Parse JSON; whole numbers beyond 53 bits become BigInt, or text where the browser cannot say. */
export function parse(text) {
  return LONG.test(text) ? JSON.parse(text, exactly) : JSON.parse(text);
}

function exactly(_, value, context) {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  if (!context) return `≈ ${value}`;
  return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
}

/** Whether something is an object with keys. */
export const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

export const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
