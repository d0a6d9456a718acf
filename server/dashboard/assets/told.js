// What a server does not tell at all, such as ids of clients where it has no token.

import { Refusal } from './ask.js';

// told returns what ask returns, or undefined where the server answers that this is not
// told: refuse is called with why.
export async function told(ask, refuse) {
  try {
    return await ask;
  } catch (err) {
    if (!(err instanceof Refusal) || err.status !== 403) throw err;
    refuse(err.message);
    return undefined;
  }
}
