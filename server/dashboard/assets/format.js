// Numbers as people read them. What is not known is a dash.

export const unknown = '–';

const isKnown = (n) => typeof n === 'number' && Number.isFinite(n);
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

// count shows a number of things, all of its digits.
export const count = (n) => (isKnown(n) ? whole.format(n) : unknown);

// scaled shows three digits of a number and what it is multiplied by.
function scaled(n, step, units) {
  let i = 0;
  while (Math.abs(n) >= step * 0.9995 && i < units.length - 1) {
    n /= step;
    i++;
  }
  const text = Math.abs(n) >= 100 ? whole.format(n) : short.format(n);
  return units[i] ? text + ' ' + units[i] : text;
}

// amount shows a number where its first digits matter, such as 12.3 k.
export const amount = (n) => (isKnown(n) ? scaled(n, 1000, ['', 'k', 'M', 'G']) : unknown);

// rate shows so many in a second.
export const rate = (n) => (isKnown(n) ? amount(n) + '/s' : unknown);

// bytes shows a size.
export const bytes = (n) => (isKnown(n) ? scaled(n, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB']) : unknown);

// byteRate shows so many bytes in a second.
export const byteRate = (n) => (isKnown(n) ? bytes(n) + '/s' : unknown);

// percent shows a share of 1.
export const percent = (n) => (isKnown(n) ? short.format(n * 100) + ' %' : unknown);

// seconds shows how long something took or takes.
export function seconds(n) {
  if (!isKnown(n)) return unknown;
  if (n === 0) return '0 s';
  if (n < 0.001) return short.format(n * 1e6) + ' µs';
  if (n < 1) return short.format(n * 1000) + ' ms';
  if (n < 60) return short.format(n) + ' s';
  return age(n);
}

// age shows how long ago something was, in its two largest units.
export function age(n) {
  if (!isKnown(n)) return unknown;
  const left = Math.max(0, Math.floor(n));
  for (const [size, unit, part, smaller] of [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']]) {
    if (left < size) continue;
    const rest = Math.floor((left % size) / part);
    return Math.floor(left / size) + ' ' + unit + (rest ? ' ' + rest + ' ' + smaller : '');
  }
  return left + ' s';
}

const twoDigits = (n) => String(n).padStart(2, '0');

// clock shows the time of day of milliseconds since 1970, where the reader is.
export function clock(ms, withSeconds = true) {
  const at = new Date(ms);
  if (Number.isNaN(at.getTime())) return unknown;
  return twoDigits(at.getHours()) + ':' + twoDigits(at.getMinutes()) + (withSeconds ? ':' + twoDigits(at.getSeconds()) : '');
}
