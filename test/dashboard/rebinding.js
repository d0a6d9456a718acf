'use strict';
// A page whose own name has come to stand for this machine (DNS rebinding), where there
// is no token: the port does not answer to that name.
const { assert, site, home, launch, Watch, main } = require('./lib');

main(async () => {
  const browser = await launch('--host-resolver-rules=MAP evil.example 127.0.0.1');
  const page = await (await browser.newContext()).newPage();
  const evil = `http://evil.example:${site.admin}`;
  for (const path of ['/', '/assets/main.js', '/api/overview', '/ready']) {
    const res = await page.goto(evil + path);
    assert.equal(res.status(), 403, path);
    assert(!(await res.text()).includes('version'), path);
  }
  // As a page of that name it may read what it is answered, which is nothing.
  assert.deepEqual(await page.evaluate(async () => {
    const get = await fetch('/api/overview'), post = await fetch('/api/send', { method: 'POST', body: '{}', headers: { 'Content-Type': 'application/json' } });
    return [get.status, post.status];
  }), [403, 403]);

  // The names of this machine are answered to, without a token.
  const watch = new Watch();
  watch.expected.push(/status of 403.*\/api\/slow/); // ids are told with a token alone
  const own = watch.page(await (await browser.newContext()).newPage());
  await own.goto(home + '/');
  await own.getByText('live', { exact: true }).waitFor();
  watch.check();
  const local = await (await browser.newContext()).newPage();
  assert.equal((await local.goto(`http://localhost:${site.admin}/`)).status(), 200);
  await browser.close();
});
