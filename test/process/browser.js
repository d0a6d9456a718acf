'use strict'
// Opens a page of the examples in Chromium, and runs commands that send to it:
// node browser.js MODULES JSON
//
// MODULES is a folder of npm's with playwright-core. In the JSON are url, the page's; scripts, the files
// that stand for what the page loads from elsewhere, by URL; and steps, each of a command, run, and what the
// page's list of events has to show then, shows. A command is run again until it does: a
// page may be connected and not yet in its channel.

const { execFileSync } = require('node:child_process')
const path = require('node:path')

const limit = 60_000

async function look (browser, { url, scripts, steps }) {
  const page = await (await browser.newContext()).newPage()
  const faults = []
  page.on('pageerror', (e) => faults.push(e.message))
  const left = new Set(Object.keys(scripts))
  await page.route((to) => to.protocol === 'https:', (route) => {
    const file = scripts[route.request().url()]
    if (!file) { faults.push(`it loads ${route.request().url()}`); return route.abort() }
    left.delete(route.request().url())
    return route.fulfill({ path: file, contentType: 'text/javascript' })
  })
  await page.goto(url)
  await page.waitForFunction(() => document.getElementById('state').textContent === 'connected', null, { timeout: limit })
  for (const { run, shows } of steps) {
    const shown = () => page.$$eval('#events li', (list) => list.map((item) => item.textContent))
    for (const end = Date.now() + limit; !(await shown()).includes(shows);) {
      if (Date.now() > end) throw new Error(`${run.join(' ')}: the page shows ${JSON.stringify(await shown())}, want ${shows}`)
      execFileSync(run[0], run.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] })
      await page.waitForFunction((text) => document.getElementById('events').textContent.includes(text), shows, { timeout: 2000 }).catch(() => {})
    }
  }
  for (const script of left) faults.push(`it does not load ${script}`)
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

async function main ([modules, what]) {
  const { chromium } = require(path.resolve(modules, 'playwright-core'))
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium', headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
  })
  try {
    await look(browser, JSON.parse(what))
  } finally {
    await browser.close()
  }
}

main(process.argv.slice(2)).catch((e) => { console.error(e); process.exit(1) })
