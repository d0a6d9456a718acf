// Makes elements. Everything that this page shows goes through here or textContent, so
// that no text of others can become markup.

const svgSpace = 'http://www.w3.org/2000/svg';

// el makes an element of HTML. An attribute that is a function listens to the event of
// its name; true stands for an attribute without a value, and false, null or undefined
// for none. Children are nodes or texts.
export const el = (name, attributes, ...children) => build(document.createElement(name), attributes, children);

// svg does the same for SVG.
export const svg = (name, attributes, ...children) => build(document.createElementNS(svgSpace, name), attributes, children);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === 'function') node.addEventListener(name, value);
    else set(node, name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// set changes an attribute if it is another one.
export function set(node, name, value) {
  if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

// write changes a text if it is another one: what has not changed is not announced, and
// what somebody has selected stays selected.
export function write(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

// name shows a name that a stranger may have chosen: by itself, so that the direction of
// its writing ends with it, and not as nothing where it is empty.
export function name(text) {
  return text === '' ? el('span', { class: 'dim' }, '(no name)') : el('bdi', { class: 'name' }, text);
}
