// Where things are on a plot: pure functions of numbers.

// top is the first round number that is not below a value, and ticks are round steps up
// to it. Steps of bytes are round in powers of two.
export function ticks(value, wanted = 4, binary = false) {
  if (!(value > 0)) return { top: 1, list: [0, 1] };
  const rough = value / wanted;
  const step = binary && value >= 1024 ? binaryStep(rough) : decimalStep(rough);
  const steps = Math.ceil(value / step - 1e-9);
  return { top: steps * step, list: Array.from({ length: steps + 1 }, (_, i) => i * step) };
}

function decimalStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 2.5, 5, 10].find((m) => m * power >= rough * (1 - 1e-9));
}

const binaryStep = (rough) => 2 ** Math.ceil(Math.log2(rough));

const minute = 60, hour = 3600;
const timeSteps = [minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, hour, 2 * hour, 3 * hour, 4 * hour, 6 * hour, 12 * hour, 24 * hour];

// timeTicks are round times of day between two times in seconds since 1970. offset is
// how many seconds the reader's clock is ahead of UTC.
export function timeTicks(from, to, wanted, offset = 0) {
  const step = timeSteps.find((s) => (to - from) / s <= wanted) ?? timeSteps.at(-1);
  const list = [];
  for (let t = Math.ceil((from + offset) / step) * step - offset; t <= to; t += step) list.push(t);
  return list;
}

// line is the path of a series through its points; where a value is not known it ends and
// begins anew. x and y turn the index and the value of a point into its place.
export function line(values, x, y) {
  let path = '';
  let drawing = false;
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (v === null || v === undefined) {
      drawing = false;
      continue;
    }
    path += (drawing ? 'L' : 'M') + x(i).toFixed(1) + ' ' + y(v).toFixed(1);
    // A point by itself would be nothing to see.
    if (!drawing && (values[i + 1] === null || values[i + 1] === undefined)) path += 'h0.1';
    drawing = true;
  }
  return path;
}

// area is what lies below a series, as one path for each stretch that is known.
export function area(values, x, y) {
  let path = '';
  for (let i = 0; i < values.length; i++) {
    if (values[i] === null || values[i] === undefined) continue;
    path += 'M' + x(i).toFixed(1) + ' ' + y(0).toFixed(1);
    for (; i < values.length && values[i] !== null && values[i] !== undefined; i++) path += 'L' + x(i).toFixed(1) + ' ' + y(values[i]).toFixed(1);
    path += 'L' + x(i - 1).toFixed(1) + ' ' + y(0).toFixed(1) + 'Z';
  }
  return path;
}

// largest is the largest value that is known, 0 where none is.
export function largest(series) {
  let most = 0;
  for (const values of series) for (const v of values) if (v > most) most = v;
  return most;
}

// gathered makes at most so many points of a series, each the largest of those that it
// stands for: what was high for a second is seen in a day.
export function gathered(values, most) {
  const size = Math.ceil(values.length / most);
  if (size <= 1) return values;
  const list = [];
  // Counted from the end, so that the newest point stands for as many as the others.
  for (let end = values.length; end > 0; end -= size) {
    let high = null;
    for (let i = Math.max(0, end - size); i < end; i++) if (values[i] !== null && values[i] !== undefined && (high === null || values[i] > high)) high = values[i];
    list.push(high);
  }
  return list.reverse();
}
