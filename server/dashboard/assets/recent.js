// The newest sends, each of which is there once.

const most = 200;        // sends
const longest = 4096;    // characters of a payload that are shown

// Recent holds them, the newest first, by the times that the server told.
export class Recent {
  list = [];
  #known = new Map(); // by their rows

  // take adds a send, or what is not known yet of one that is there: it may be told by two
  // ways. row is what it is told apart by; a payload is a text.
  take(row, send) {
    const known = this.#known.get(row);
    if (known) {
      known.payload ??= send.payload;
      return;
    }
    const found = this.list.findIndex((one) => one.at <= send.at); // of one length, in UTC
    const place = found < 0 ? this.list.length : found;
    if (place === most) return;
    const one = { ...send, row };
    this.list.splice(place, 0, one);
    this.#known.set(row, one);
    if (this.list.length > most) this.#known.delete(this.list.pop().row);
  }
}

// payloadOf is what is shown of the payload in the JSON of a send, undefined where there is
// none. Its numbers keep all their digits, which JSON.parse would round.
export function payloadOf(json) {
  const [from, to] = member(json, 'payload') ?? [];
  if (from === undefined) return undefined;
  // One character takes six at the most, as an escape.
  const text = json.slice(from, Math.min(to, from + 6 * longest)).trim().replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, (s) => JSON.stringify(JSON.parse(s)));
  return text.length > longest || to - from > 6 * longest ? text.slice(0, longest) + '…' : text;
}

// member finds where in the text of an object the value of a name stands.
function member(json, name) {
  let depth = 0, from = null;
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === '"') {
      const begin = i++;
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
      const colon = depth === 1 && from === null ? /\s*:/y : null;
      if (!colon) continue;
      colon.lastIndex = i + 1;
      if (colon.test(json) && JSON.parse(json.slice(begin, i + 1)) === name) from = colon.lastIndex;
    } else if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') {
      if (--depth === 0) return from === null ? null : [from, i];
    } else if (c === ',' && depth === 1 && from !== null) return [from, i];
  }
  return null;
}
