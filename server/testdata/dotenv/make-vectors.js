// Prints vectors.json; README.md beside this file says how to run it.
'use strict'
const fs = require('fs')
const os = require('os')
const path = require('path')
const dotenv = require('dotenv')

const cases = [
  ['empty file', ''],
  ['plain', 'CLIENT_PORT=8000\nSERVER_PORT=1337\nSERVER_SECRET=thisisthesharedsecret\n'],
  ['no line end at the end', 'A=1'],
  ['CRLF', 'A=1\r\nB=two words\r\n\r\nC=3'],
  ['CR alone in a line', 'A=1\rB=2\nC=3'],
  ['CR between = and value', 'A=\r1\nB=2'],
  ['byte order mark', '\ufeffA=1\nB=2'],
  ['spaces around key and value', '  A  =  1  \n\tB\t=\t2\t'],
  ['no-break and ideographic spaces are trimmed', 'A=\u00a0x\u3000\nB=\ufeffy\u2003'],
  ['next line character is no space', 'A=\u0085x\u0085'],
  ['line separator inside a value', 'A=x\u2028y\nB=z\u2029\nC=1'],
  ['comment lines', '# A=1\n  # B=2\nC=3\n#\n'],
  ['inline comment is part of the value', 'A=abc # note\nB=abc#note\nC=#note\nD="abc" # note\nE=\'abc\' # note'],
  ['lines that do not match', 'A\nB C=1\n=2\nE:3\nF = \n!G=4\nH=5'],
  ['yaml style', 'A: 1\nB: "2"'],
  ['export is not understood', 'export A=1\nexport=2\nB=3'],
  ['keys', 'a.b=1\na-b=2\n9=3\n_=4\nlower=5\nMiXed=6\n\u00e9=7\nA\u00e9=8'],
  ['last of equal keys wins', 'A=1\nB=2\nA=3'],
  ['last of equal keys wins though empty', 'A=1\nA='],
  ['equals signs in the value', 'A=b=c==\nB==\nC= =d'],
  ['empty values', 'A=\nB=   \nC=""\nD=\'\'\nE="\nF=\'\nG="   "'],
  ['double quotes', 'A="x"\nB=" x "\nC="x y"'],
  ['single quotes', "A='x'\nB=' x '\nC='x y'"],
  ['quotes that do not match', 'A="x\'\nB=\'x"\nC="x\nD=x"\nE=\'x\nF=x\''],
  ['only one quote goes at each end', 'A=""x""\nB="\'x\'"\nC=\'"x"\'\nD=""""'],
  ['quotes inside', 'A=x"y"z\nB=it\'s\nC="it\'s"\nD="say "hi""\nE=\'it\'s\''],
  ['quote, then a space', 'A="x" \nB="x\\ny" \nC= "x"'],
  ['escaped quotes stay', 'A="x\\"y"\nB=\'x\\\'y\'\nC="x\\"'],
  ['\\n in double quotes', 'A="x\\ny"\nB=\'x\\ny\'\nC=x\\ny\nD="\\nx\\n"\nE="x\\\\ny"'],
  ['other escapes stay', 'A="x\\ty\\r"\nB="x\\\\y"\nC=x\\\\y\nD="\\"\nE=\\\nF="x\\\\"'],
  ['spaces inside quotes are trimmed', 'A="  x  "\nB=\'\\t\'\nC="\\n"'],
  ['backslash or quote at the end', 'A=x\\\nB=it\'s # x\\\nC=\'"it\'s\\\\\'\nD=x\\"y\\'],
  ['$ takes an earlier key', 'A=1\nB=$A\nC=$B\nD="$A"\nE=\'$A\''],
  ['$ takes a key with a dash', 'a-b=1\nB=$a-b'],
  ['$ only as the whole value', 'A=1\nB=x$A\nC=$A$A\nD=${A}\nE=$A x\nF=$(A)'],
  ['$ does not see later keys', 'B=$A\nA=1'],
  ['$ takes the environment', 'B=$A', { A: 'env' }],
  ['$ prefers the file', 'A=file\nB=$A', { A: 'env' }],
  ['$ skips an empty key of the file', 'A=\nB=$A', { A: 'env' }],
  ['$ unknown', 'B=$NOPE\nC=$\nD="$"'],
  ['$ in front of a space', 'A=1\nB=$ A\nC=$A # note'],
  ['\\$ is a literal $', 'A=1\nB=\\$A\nC="\\$A"\nD=x\\$A\nE=\\\\$A\nF=\\$\nG=\\\\\\$A'],
  ['\\$ out of a referred value', 'A=x\nB=$C', { C: '\\$A' }],
  ['what godotenv would expand', 'A=1\nB=pa$$word\nC=pa${A}word\nD="pa$Aword"\nE=a$A b\nF=x$(A)y'],
  ['what godotenv would cut or refuse', 'A="unfinished\nB=x #y\nC-D=1\nE=\'a\'b\nF="a"b\n"G"=1'],
  ['a value over several lines is not one', 'A="x\ny"\nB=1'],
  ['a non-empty variable wins', 'A=file\nB=file', { A: 'env', B: '' }],
  ['a blank variable wins', 'A=file', { A: ' ' }],
  ['text beyond ASCII', 'A=caf\u00e9\nB="\u{1f600} # x"\nC=\u00e9\u00e8'],
  ['NUL and other control characters', 'A=x\u0000y\nB=x\u0001\u007fy\nC=\u000bx\u000c'],
  ['Latin-1 bytes', Buffer.from('A=caf\u00e9\nB=\u00e9\u00e9x\nC=\u00c3x', 'latin1')],
  ['cut UTF-8 sequences', Buffer.from('413de282780a423df09f98780a433de282', 'hex')],
  ['surrogates and overlong forms', Buffer.from('413deda0800a423dc0800a433df8888080800a443df4908080', 'hex')],
  ['several equal quotes around spaces', 'A=" \' x \' "\nB=\' " \''],
]

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'dotenv-'))
process.chdir(dir)
const out = cases.map(([name, file, env]) => {
  fs.writeFileSync('.env', file)
  for (const k of Object.keys(process.env)) delete process.env[k]
  Object.assign(process.env, env)
  if (dotenv.config() !== true) throw new Error(name)
  const want = {}
  for (const k of Object.keys(process.env)) {
    if (!env || env[k] !== process.env[k]) want[k] = process.env[k]
  }
  const c = { name }
  if (Buffer.isBuffer(file)) c.hex = file.toString('hex')
  else c.file = file
  if (env) c.env = env
  c.want = want
  return c
})
fs.rmSync(dir, { recursive: true })
// ASCII alone, so that a reader sees which spaces are meant.
console.log(JSON.stringify(out, null, 1).replace(/[^\x00-\x7e]/g,
  (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')))
