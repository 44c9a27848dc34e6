//! Has a headless Chromium open the gateway's own pages, `/` and `/docs`, and looks at what a person would see, at every request
//! that leaves the browser, and at what its console says. Chromium is spoken to by its own protocol (Chrome DevTools) over a pipe.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

/** Longest time until a page shows what it is to show. */
const SHOWN_MAX_MS = 60_000;
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const GATEWAY = new URL(process.env.BULKHEAD_ODATA).origin;
const AUTHORIZATION = `Bearer ${process.env.BULKHEAD_KEY}`;

/** A browser with its profile, which goes with it. */
class Browser {
  constructor() {
    this.profile = fs.mkdtempSync(path.join(os.tmpdir(), 'bulkhead-pages-'));
    const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--no-proxy-server'];
    flags.push(`--user-data-dir=${this.profile}`, '--disable-background-networking', '--remote-debugging-pipe', 'about:blank');
    this.process = spawn(find(), flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    this.waiting = new Map();
    this.listeners = new Map();
    this.last = 0;
    let rest = '';
    this.process.stdio[4].setEncoding('utf8').on('data', piece => {
      const messages = (rest + piece).split('\0');
      rest = messages.pop();
      messages.forEach(text => this.take(JSON.parse(text)));
    });
    this.process.on('exit', () => this.waiting.forEach(({ reject }) => reject(new Error('the browser has ended'))));
  }

  take(message) {
    const asked = this.waiting.get(message.id);
    if (asked) {
      this.waiting.delete(message.id);
      return message.error ? asked.reject(new Error(message.error.message)) : asked.resolve(message.result);
    }
    this.listeners.get(message.sessionId)?.(message.method, message.params);
  }

  ask(method, params = {}, sessionId = undefined) {
    const id = ++this.last;
    this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + '\0');
    return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
  }

  async end() {
    const ended = new Promise(resolve => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
    fs.rmSync(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

function find() {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const files = BROWSERS.flatMap(name => folders.map(folder => path.join(folder, name)));
  const found = files.find(file => fs.existsSync(file));
  if (!found) {
    throw new Error(`no browser: one of ${BROWSERS.join(', ')} is needed`);
  }
  return found;
}

/** Opens a page and waits until an expression of its is true; gives its value, all requests, and all complaints. */
async function visit(browser, place, expression) {
  const { targetId } = await browser.ask('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await browser.ask('Target.attachToTarget', { targetId, flatten: true });
  const [requests, complaints] = [[], []];
  const loaded = new Promise(resolve => {
    browser.listeners.set(sessionId, (method, params) => {
      if (method === 'Network.requestWillBeSent') requests.push(params.request.url);
      if (method === 'Network.responseReceived' && params.response.status >= 400) complaints.push(`${params.response.status} of ${params.response.url}`);
      if (method === 'Runtime.exceptionThrown') complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) complaints.push(JSON.stringify(params.args.map(one => one.value)));
      // What the browser itself complains about: what the page's policy forbids, what could not be fetched.
      if (method === 'Log.entryAdded' && params.entry.level === 'error') complaints.push(`${params.entry.text} ${params.entry.url ?? ''}`);
      if (method === 'Page.loadEventFired') resolve();
    });
  });
  for (const domain of ['Network', 'Runtime', 'Log', 'Page']) await browser.ask(`${domain}.enable`, {}, sessionId);
  await browser.ask('Network.setExtraHTTPHeaders', { headers: { Authorization: AUTHORIZATION } }, sessionId);
  await browser.ask('Page.navigate', { url: GATEWAY + place }, sessionId);
  await loaded;
  const look = `new Promise(resolve => {
    const look = () => { const found = ${expression}; if (found) resolve(found); return found; };
    if (!look()) new MutationObserver((_, all) => look() && all.disconnect()).observe(document, { subtree: true, childList: true, characterData: true });
  })`;
  const asked = { expression: look, awaitPromise: true, returnByValue: true, timeout: SHOWN_MAX_MS };
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`${place} has not shown it in ${SHOWN_MAX_MS / 1000} s`)), SHOWN_MAX_MS).unref());
  const { result, exceptionDetails } = await Promise.race([browser.ask('Runtime.evaluate', asked, sessionId), late]);
  if (exceptionDetails) throw new Error(exceptionDetails.text);
  return { value: result.value, requests, complaints };
}

let checks = 0;

async function check(what, work) {
  checks += 1;
  try {
    const wrong = await work();
    console.log(wrong ? `not ok ${what}: ${wrong}` : `ok ${what}`);
  } catch (error) {
    console.log(`not ok ${what}: ${error.message.replaceAll('\n', ' ')}`);
  }
}

/** What the gateway answers to a request. */
async function ask(path) {
  const answer = await fetch(`${GATEWAY}${path}`, { headers: { Authorization: AUTHORIZATION } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** What is wrong with where a page's requests went and what was said about them. */
async function checkQuiet(name, page, atLeast) {
  await check(`${name} asks nobody but the gateway`, () => {
    const elsewhere = page.requests.filter(url => !url.startsWith(`${GATEWAY}/`) && !url.startsWith('data:'));
    if (elsewhere.length > 0) return elsewhere.join(' ');
    return page.requests.length >= atLeast ? '' : `only ${page.requests.length} requests were seen`;
  });
  await check(`${name} has nothing to complain about`, () => page.complaints.join('; '));
}

async function frontPage(browser) {
  let page = { requests: [], complaints: [] };
  await check('the front page shows connections, points and values', async () => {
    const table = id => `[...document.querySelectorAll('#${id} tbody tr')].map(row => row.innerText)`;
    const filled = `${table('connections')}.length >= 2 && ${table('latest')}.length >= 3`;
    page = await visit(browser, '/', `${filled} && { connections: ${table('connections')}, latest: ${table('latest')}, state: document.querySelector('#state').innerText }`);
    const { connections, latest } = page.value;
    for (const name of ['boiler-1', 'source']) {
      if (!connections.some(row => row.includes(name) && row.includes('running'))) return `${name} is not running in ${JSON.stringify(connections)}`;
    }
    // Other clients have written it: what it is now, the gateway says.
    const setpoint = await ask('/api/v1/connections/boiler-1/points/setpoint');
    const shown = [['flow temp', '61.5', '°C', 'Good'], ['setpoint', `${setpoint.latest.value} °C`], ["Pump's Ø [mm] / 50 %", 'mm']];
    const missing = shown.find(parts => !latest.some(row => parts.every(part => row.includes(part))));
    return missing ? `${missing} is not in ${JSON.stringify(latest)}` : '';
  });
  await checkQuiet('the front page', page, 6);
}

async function docs(browser) {
  let page = { requests: [], complaints: [] };
  const paths = Object.entries((await ask('/api/v1/openapi.json')).paths);
  const operations = paths.flatMap(([name, item]) => METHODS.filter(method => item[method]).map(method => `${method.toUpperCase()} ${name}`));
  await check(`/docs shows all ${operations.length} operations of the document`, async () => {
    const blocks = `[...document.querySelectorAll('.opblock')].map(block => block.querySelector('.opblock-summary-method').textContent + ' ' + block.querySelector('.opblock-summary-path').dataset.path)`;
    page = await visit(browser, '/docs', `${blocks}.length >= ${operations.length} && ${blocks}`);
    const missing = operations.filter(operation => !page.value.includes(operation));
    return operations.length < 60 ? `the document has only ${operations.length}` : missing.join(', ');
  });
  await checkQuiet('/docs', page, 6);
}

(async () => {
  const browser = new Browser();
  try {
    await frontPage(browser);
    await docs(browser);
  } finally {
    await browser.end();
  }
  console.log(`checks ${checks}`);
})().catch(error => {
  console.error(String(error.stack));
  process.exit(1);
});
