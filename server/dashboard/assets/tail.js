// The view of all sends, as they happen.

import { el } from './dom.js';
import { SendList } from './sendlist.js';

export const tail = (context) => ({
  title: 'Tail',
  nodes: [el('h1', { tabindex: '-1' }, 'Tail'), new SendList({ caption: 'Sends', signal: context.signal }).element],
});
