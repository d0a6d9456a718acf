// Which view is shown: what stands behind the # of the address, so that there is one page
// and the browser's own way back.

// address is a link to a view: its name, and what it is to show.
export function address(view, values = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== null) query.set(name, value);
  const text = query.toString();
  return '#/' + view + (text ? '?' + text : '');
}

// parse is the other way: the view's name and its values.
export function parse(hash) {
  const [view, query = ''] = splitOnce(hash.replace(/^#\/?/, ''), '?');
  return { view, values: Object.fromEntries(new URLSearchParams(query)) };
}

function splitOnce(text, by) {
  const at = text.indexOf(by);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + by.length)];
}
