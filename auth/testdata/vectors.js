// Writes stringify.json and poosh.json beside itself:
//
//   node auth/testdata/vectors.js
//
// stringify.json: what V8 makes of texts, good and bad ("" and error: true where
// JSON.parse throws). poosh.json: tokens as the Node server made them, SHA-1 over
// the secret and JSON.stringify of what it had parsed.
//
// Made with Node.js 20.20.2; no packages.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const { answer, parse } = require('./stringify.js');

const texts = [
  // scalars
  'null', 'true', 'false', '42', '"x"', '[]', '{}', '""', ' \t\r\n1 ',
  // blanks
  '{ "a" : 1 }', '[ 1 , [ ] , { } ]', '{"a b":" c  d "}', '\n{\t"a"\r:[ ]\n}',
  // strings
  '"a\\/b"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\\u2028"', '"\\ud800"', '"\\uDFFF"', '"\\uD83Dx\\uDE00"',
  '"\\ud83d\\ud83d\\ude00"', '"\\ude00\\ud83d"', '"\\u0008\\u000a\\u001f\\u007f"', '"\\b\\f\\n\\r\\t\\"\\\\\\/"',
  '"\\u0022\\u005c\\u002f\\u0041"', '"<>&\'\u007f\u2028\u2029\ufeff"', '"é😀日本"', '"\\u0000"', '"\\u000b\\u000E"', '"\\uFFFD\\uFFFF"',
  // numbers
  '1.0', '1.50', '1e3', '-0', '-0.0', '0.0', '1.0e-7', '1.0e+25', '1.0e+20', '1.0e-5', '0.000001', '0.0000001', '1e21', '1e400', '-1e400', '1e-400', '-1e-400',
  '9007199254740993', '9007199254740992', '9007199254740991', '9223372036854775807', '12345678901234567890', '123456789012345', '1234567890123456', '999999999999999999999', '100000000000000000000', '1000000000000000000000', '123456789012345678901234567890',
  '0.1', '1.1', '-1.5', '0.30000000000000004', '5e-324', '2.5e-324', '1.7976931348623157e308', '1.7976931348623159e308', '2.2250738585072014e-308', '4.35', '1E5', '1e+5', '1E-5', '123.456e2', '1.23456789012345678901234567890', '0.00001234', '12345.678e-10', '-1e21', '-1e-7', '1e22', '1e23', '9.5e-7', '0.1e1',
  // keys
  '{"name":1,"5":2}', '{"2":1,"1":2}', '{"a":1,"b":2,"a":3}', '{"02":1,"01":2}', '{"a":1,"4294967295":2}', '{"a":1,"4294967294":2}', '{"a":1,"4294967296":2,"0":3}', '{"__proto__":1}',
  '{"__proto__":1,"a":2,"__proto__":{"b":3}}', '{"1":1,"01":2,"-1":3,"1.0":4,"1e0":5,"+1":6," 1":7,"":8,"0":9}', '{"10":1,"9":2,"x":3,"1":4,"9":5}', '{"\\u0061":1,"a":2}', '{"a":1,"\\u0061":2,"b":3}', '{"\\u0031":1,"0":2}',
  '{"b":{"2":1,"1":{"9":1,"x":2,"8":3}},"1":[{"4":1,"3":{"2":1,"1":2}}]}', '{"a":{"x":1},"b":1,"a":{"7":1,"3":2}}', '{"toJSON":1,"hasOwnProperty":2,"toString":3,"constructor":4,"valueOf":5}',
  '{"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"k1":10,"k9":11,"3":12,"\\u006b5":13}',
  '{"é":1,"\\u00e9":2}', '{"\\ud83d\\ude00":1,"😀":2}', '{"\\ud800":1,"\\uD800":2,"\\ud801":3}',
  // rooms
  '["a","b"]', '["a",["b",["c",null]],{},{"a":[1]},[],null,1.50,true,1e400]', '[null]', '[[[]]]', '[[],[]]', '["\\ud83d","\\ude00"]',
  // refused
  '', ' ', '[1,]', '{"a":1,}', '{,}', '[,]', '{"a"}', '{"a":}', '{a:1}', "'a'", '01', '-01', '+1', '.5', '1.', '1.e1', '1e', '1e+', '-', '--1', '0x10', 'NaN', 'Infinity', '-Infinity', 'undefined', 'True', 'nul', 'nulll', 'tru', '"a', '"a\\"', '"\\x41"', '"\\u12"', '"\\u12g4"', '"\\', '"\\u', '"a\nb"', '"\u0000"', '"\u001f"', '1 2', '{} {}', '[] ,', '[1 2]', '{"a":1 "b":2}', '{"a":1,,"b":2}', '[1}', '{"a":1]', ']', '}', '[', '{', '{"a":[}', '// c\n1', '1 // c', '/* c */1', '\ufeff1', '\u00a01', '\u000b1', '"a"b', '"\\\'"', '[1]x', '{1:2}', '{"a":1;"b":2}', '{null:1}', 'true1', '1true', '1_000', '1n',
];
const raw = [
  // invalid UTF-8: WHATWG's replacement, one for each maximal part
  [0x22, 0xff, 0x22], [0x22, 0xff, 0xfe, 0x22], [0x22, 0xe2, 0x82, 0x22], [0x22, 0xe2, 0x82, 0x41, 0x22], [0x22, 0xf0, 0x9f, 0x98, 0x22], [0x22, 0xf0, 0x9f, 0x41, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xc0, 0xaf, 0x22], [0x22, 0xe0, 0x80, 0x80, 0x22], [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xf8, 0x88, 0x80, 0x80, 0x80, 0x22], [0x22, 0x80, 0x80, 0x22], [0x22, 0xc3, 0x22], [0x22, 0xc3, 0xa9, 0xa9, 0x22], [0x22, 0xf0, 0x80, 0x80, 0x22], [0x22, 0xf1, 0x80, 0xe1, 0x80, 0xc2, 0x22], [0xff], [0x7b, 0xff, 0x7d], [0x22, 0xe2, 0x82],
  // a BOM is body-parser's business, not JSON.parse's: Buffer leaves it
  [0xef, 0xbb, 0xbf, 0x31],
];

const write = (name, rows) => fs.writeFileSync(path.join(__dirname, name), '[\n' + rows.map((r) => '  ' + JSON.stringify(r)).join(',\n') + '\n]\n');

write('stringify.json', texts.map((t) => Buffer.from(t, 'utf8')).concat(raw.map((b) => Buffer.from(b))).map((bytes) => {
  const [json, name, how] = answer(bytes);
  return how === 'ok' ? { in: bytes.toString('base64'), json, name } : { in: bytes.toString('base64'), error: true };
}));

const sha1 = (s) => crypto.createHash('sha1').update(s, 'utf8').digest('hex');
const secrets = ['thisisthesharedsecret', 'sécret-öf-ten+', 'x'.repeat(200)];
const bodies = [
  ['no payload', '{"event":"e"}'],
  ['null', '{"payload":null}'],
  ['true', '{"payload":true}'],
  ['integer', '{"payload":42}'],
  ['string', '{"payload":"x"}'],
  ['empty array', '{"payload":[]}'],
  ['empty object', '{"payload":{}}'],
  ['blanks', '{"payload": { "a" : 1 } }'],
  ['slash', '{"payload":"a\\/b"}'],
  ['accent', '{"payload":"\\u00e9"}'],
  ['emoji', '{"payload":"\\ud83d\\ude00"}'],
  ['line separator', '{"payload":"\\u2028"}'],
  ['half a pair', '{"payload":"\\uD800"}'],
  ['control characters', '{"payload":"\\u0008\\u000a\\u001f\\u007f"}'],
  ['markup', '{"payload":"<>&\'\u007f\u2028"}'],
  ['floats', '{"payload":[1.0,1.50,1e3,-0,1.0e-7,1.0e+25,1.0e+20,0.000001,1e21,1e400,1e-400]}'],
  ['big integers', '{"payload":[9007199254740993,9223372036854775807,12345678901234567890]}'],
  ['index keys', '{"payload":{"name":1,"5":2,"2":{"2":1,"1":2}}}'],
  ['repeated key', '{"payload":{"a":1,"b":2,"a":3}}'],
  ['not index keys', '{"payload":{"02":1,"01":2,"a":1,"4294967295":2}}'],
  ['__proto__', '{"payload":{"__proto__":1}}'],
  ['last payload counts', '{"payload":1,"p\\u0061yload":2}'],
  ['case of payload', '{"Payload":1}'],
  ['array body', '[{"payload":1}]'],
];
write('poosh.json', secrets.flatMap((secret) => bodies.map(([name, body]) => {
  const token = sha1(secret + JSON.stringify(parse(Buffer.from(body)).payload));
  return { name, secret, body, token };
})));
