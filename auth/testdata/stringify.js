// The JavaScript side of TestAgainstNode, and of vectors.js. Reads one base64 text a
// line and writes for each a line of three fields parted by blanks:
//   JSON.stringify(JSON.parse(text)), String(JSON.parse(text))
// both in base64, then "ok"; or "- - error" where JSON.parse throws. Text that holds
// half a surrogate pair is written in WTF-8, which Buffer cannot do by itself.
//
// Node.js 20.20.2; no packages.
'use strict';

function wtf8(s) {
  const parts = [];
  for (const c of s) {
    const u = c.codePointAt(0);
    if (u >= 0xd800 && u <= 0xdfff) {
      parts.push(Buffer.from([0xe0 | (u >> 12), 0x80 | ((u >> 6) & 0x3f), 0x80 | (u & 0x3f)]));
    } else {
      parts.push(Buffer.from(c, 'utf8'));
    }
  }
  return Buffer.concat(parts);
}

// body-parser decodes a body with iconv-lite, which for UTF-8 is Buffer's decoder.
function parse(bytes) {
  return JSON.parse(bytes.toString('utf8'));
}

function answer(bytes) {
  let value;
  try {
    value = parse(bytes);
  } catch (e) {
    return ['-', '-', 'error'];
  }
  const stringified = JSON.stringify(value);
  // Objects have members of their own called toString now and then.
  const plain = (v) => (Array.isArray(v) ? v.map(plain) : v !== null && typeof v === 'object' ? {} : v);
  return [Buffer.from(stringified, 'utf8').toString('base64'), wtf8(String(plain(value))).toString('base64'), 'ok'];
}

module.exports = { answer, parse, wtf8 };

if (require.main === module) {
  const lines = require('fs').readFileSync(0, 'latin1').split('\n');
  lines.pop(); // what follows the last newline
  process.stdout.write(lines.map((l) => answer(Buffer.from(l, 'base64')).join(' ')).join('\n') + '\n');
}
