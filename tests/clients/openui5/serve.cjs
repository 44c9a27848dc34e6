//! Serves OpenUI5 and the page of checks on a free loopback port, hands what the page asks of the services on to them as it is,
//! has a headless Chromium open the page, and prints what the checks report.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');

/** Longest time until the page has reported its end. */
const PAGE_MAX_MS = 120_000;
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome'];
const TYPES = { '.js': 'text/javascript', '.html': 'text/html', '.json': 'application/json', '.css': 'text/css', '.properties': 'text/plain' };
const ROOTS = { '/resources/': path.join(__dirname, 'node_modules/@openui5/sap.ui.core/src'), '/checks/': __dirname };
const SERVICES = {
  '/gateway/': { root: process.env.BULKHEAD_ODATA, authorization: `Bearer ${process.env.BULKHEAD_KEY}` },
  '/shop/': { root: process.env.BULKHEAD_SHOP }
};

let browser;
let profile;

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const service = Object.keys(SERVICES).find(prefix => pathname.startsWith(prefix));
  if (service) {
    return handOn(request, response, service);
  }
  if (pathname === '/report') {
    return report(request, response);
  }
  const root = Object.keys(ROOTS).find(prefix => pathname.startsWith(prefix));
  const file = root ? path.join(ROOTS[root], pathname.slice(root.length)) : path.join(__dirname, 'index.html');
  fs.readFile(file, (error, text) => {
    response.writeHead(error ? 404 : 200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' });
    response.end(error ? '' : text);
  });
});

/** As a reverse proxy does: the method, the header fields and the body as they are, and a credential of its own. */
function handOn(request, response, prefix) {
  const { root, authorization } = SERVICES[prefix];
  const target = new URL(root);
  const headers = { ...request.headers, host: target.host };
  delete headers.origin;
  if (authorization) {
    headers.authorization = authorization;
  }
  const options = { hostname: target.hostname, port: target.port, method: request.method, headers };
  options.path = target.pathname + request.url.slice(prefix.length);
  const passed = http.request(options, answer => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  passed.on('error', error => response.writeHead(502).end(String(error)));
  request.pipe(passed);
}

/** A line of the page's: a check, or the last line, which ends everything. */
function report(request, response) {
  let line = '';
  request.on('data', piece => (line += piece));
  request.on('end', () => {
    response.end();
    console.log(line);
    if (line.startsWith('checks ')) {
      end(0);
    }
  });
}

function end(code) {
  server.close();
  server.closeAllConnections();
  browser?.once('exit', () => {
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    process.exit(code);
  });
  browser?.kill('SIGKILL');
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

server.listen(0, '127.0.0.1', () => {
  profile = fs.mkdtempSync(path.join(os.tmpdir(), 'bulkhead-openui5-'));
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--no-proxy-server'];
  flags.push(`--user-data-dir=${profile}`, '--disable-background-networking', '--enable-logging=stderr', '--v=0');
  browser = spawn(find(), [...flags, `http://127.0.0.1:${server.address().port}/`], { stdio: ['ignore', 'ignore', 'inherit'] });
  browser.on('error', error => {
    console.error(String(error));
    process.exit(1);
  });
  setTimeout(() => {
    console.error(`the page has not reported its end within ${PAGE_MAX_MS / 1000} s`);
    end(1);
  }, PAGE_MAX_MS).unref();
});
