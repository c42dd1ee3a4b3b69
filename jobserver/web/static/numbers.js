// Columns as what a plot needs: ascending numbers against which numbers or gaps stand.

const DAY = 86400;

/** Return x in order, its columns as numbers or null, and what they are like. */
export function numbersOf(x, columns) {
  const isTime = isTimes(x);
  const positions = x === null ? columns[0].map((_, n) => n) : x.map(isTime ? seconds : number);
  const rows = [];
  let isSorted = false;
  let last = -Infinity;
  positions.forEach((position, row) => {
    if (position === null) return;
    rows.push(row);
    isSorted ||= position < last;
    last = position;
  });
  if (isSorted) rows.sort((a, b) => positions[a] - positions[b] || a - b);
  const ordered = columns.map((column) => rows.map((row) => number(column[row])));
  return {
    x: rows.map((row) => positions[row]),
    columns: ordered,
    isTime,
    isDaily: isTime && rows.every((row) => positions[row] % DAY === 0),
    isSorted,
    leftOut: positions.length - rows.length,
    isolated: ordered.map(isolated),
    statistics: ordered.map(describe),
  };
}

const number = (value) => (value === null || value === undefined || !Number.isFinite(Number(value)) ? null : Number(value));

/** Whether values are times as text. */
export function isTimes(values) {
  const first = values?.find((value) => value !== null);
  return typeof first === "string" && seconds(first) !== null;
}

const TIME = /^([+-]?\d{4,6}-\d\d(?:-\d\d)?)(?:[T ](\d\d:\d\d(?::\d\d)?)(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;

/** Return a time in seconds since 1970; one without a zone counts as UTC. */
function seconds(text) {
  const [, day, clock = "00:00", fraction = "0", zone = "Z"] = TIME.exec(text) ?? [];
  if (!day) return null;
  const found = Date.parse(`${day.length === 7 ? `${day}-01` : day}T${clock}${zone}`);
  return Number.isNaN(found) ? null : found / 1000 + Number(fraction);
}

/** Return the rows whose value stands between two gaps, or null if there are none. */
function isolated(column) {
  const isGap = (row) => column[row] === null || column[row] === undefined;
  const rows = [];
  for (let row = 0; row < column.length; row++) {
    if (!isGap(row) && isGap(row - 1) && isGap(row + 1)) rows.push(row);
  }
  return rows.length ? rows : null;
}

function describe(column) {
  let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (const value of column) {
    if (value === null) continue;
    count += 1;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const gaps = column.length - count;
  return count ? { count, gaps, min, mean: sum / count, max } : { count, gaps, min: null, mean: null, max: null };
}
