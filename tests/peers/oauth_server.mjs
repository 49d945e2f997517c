// A certified OAuth server (npm oidc-provider) on loopback: refresh tokens rotate, and one that comes twice ends its login.
// In front of it: faults, and short cuts that a test needs.
//   node oauth_server.mjs FILE-OF-OIDC-PROVIDER   prints its port
//   POST /_ctl      {status, times, retryAfter}: answer the next token requests so, unseen by the provider
//                   {drop: N}: let the provider answer the next N, and cut the connection instead of passing it on
//                   {hold: true}: keep answers of token requests back until {hold: false}
//                   {wait: true}: keep them from the provider until {wait: false}; whoever has gone by then never asked
//                   {skewMs}: what the Date header is ahead by
//   GET /_ctl       {ctl, token, injected, dropped, holding, waiting, most (at once), errors}
//   POST /_grant    {count}: logins without a person: [{access, refresh}]
//   POST /_newest   {refresh}: whether that refresh token is the one that is good now; spends nothing
import http from 'node:http';
import { pathToFileURL } from 'node:url';

const library = pathToFileURL(process.argv[2]).href;
const { Provider } = await import(library);
const { default: Memory } = await import(new URL('adapters/memory_adapter.js', library).href);
const TTL = Number(process.env.ACCESS_TTL || 3600);
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const SCOPE = 'openid offline_access';
const ctl = { status: null, times: 0, retryAfter: null, drop: 0, hold: false, wait: false, skewMs: 0 };
const counters = { token: 0, injected: 0, dropped: 0, holding: 0, waiting: 0, open: 0, most: 0, errors: {} };
let held = [];
let waiting = [];
// The library's own forgets the oldest of a thousand: logins of a hundred tests would end by themselves.
const store = new Map();

function body(req) {
  return new Promise((resolve) => {
    let text = '';
    req.on('data', (chunk) => { text += chunk; });
    req.on('end', () => resolve(JSON.parse(text || '{}')));
  });
}

function json(res, value) {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(value));
}

function faulty(req, res, app) {
  counters.token += 1;
  counters.open += 1;
  counters.most = Math.max(counters.most, counters.open);
  // Counted down before the answer is out: who asks for the next one has it.
  const last = res.end;
  res.end = (...args) => { counters.open -= 1; return last.apply(res, args); };
  if (ctl.skewMs) { res.sendDate = false; res.setHeader('date', new Date(Date.now() + ctl.skewMs).toUTCString()); }
  if (ctl.times > 0) {
    ctl.times -= 1;
    counters.injected += 1;
    req.resume();
    res.statusCode = ctl.status;
    if (ctl.retryAfter != null) res.setHeader('retry-after', String(ctl.retryAfter));
    json(res, { error: ctl.status === 429 ? 'rate_limited' : 'temporarily_unavailable' });
    return true;
  }
  const end = res.end.bind(res);
  if (ctl.drop > 0) {
    ctl.drop -= 1;
    counters.dropped += 1;
    res.end = () => { counters.open -= 1; res.destroy(); return res; };
  } else if (ctl.hold) {
    res.end = (...args) => { counters.holding += 1; held.push(() => end(...args)); return res; };
  } else if (ctl.wait) {
    counters.waiting += 1;
    waiting.push(() => { if (req.socket.destroyed) counters.open -= 1; else app(req, res); });
    return true;
  }
  return false;
}

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const client = (more) => ({ application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'], response_types: ['code'], grant_types: ['authorization_code', 'refresh_token', DEVICE], ...more });
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      client({ client_id: 'edgebotd-public', token_endpoint_auth_method: 'none' }),
      client({ client_id: 'edgebotd-secret', client_secret: 'test-secret-not-a-secret', token_endpoint_auth_method: 'client_secret_basic' }),
    ],
    adapter: (model) => new Memory(model, store),
    cookies: { keys: ['tests'] },
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access'],
    features: { devInteractions: { enabled: true }, revocation: { enabled: true }, deviceFlow: { enabled: true } },
    issueRefreshToken: async (ctx, asking, code) => asking.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    ttl: { AccessToken: TTL, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 600, AuthorizationCode: 60, IdToken: TTL, DeviceCode: 600 },
  });
  provider.on('grant.error', (ctx, error) => { counters.errors[error.error] = (counters.errors[error.error] || 0) + 1; });
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  const app = provider.callback();

  async function grant() {
    const asking = await provider.Client.find('edgebotd-public');
    const accountId = 'somebody';
    const made = new provider.Grant({ accountId, clientId: asking.clientId });
    made.addOIDCScope(SCOPE);
    const common = { accountId, client: asking, grantId: await made.save(), gty: 'authorization_code', scope: SCOPE };
    const refresh = new provider.RefreshToken({ ...common, rotations: 0, claims: {}, authTime: 1 });
    return { access: await new provider.AccessToken(common).save(), refresh: await refresh.save() };
  }

  server.on('request', async (req, res) => {
    const path = req.url.split('?')[0];
    if (path === '/_ctl') {
      if (req.method === 'POST') Object.assign(ctl, await body(req));
      if (!ctl.hold) { for (const release of held) release(); held = []; }
      if (!ctl.wait) { for (const release of waiting) release(); waiting = []; }
      json(res, { ctl, ...counters });
    } else if (path === '/_grant') {
      const { count } = await body(req);
      json(res, await Promise.all(Array.from({ length: count }, grant)));
    } else if (path === '/_newest') {
      const found = await provider.RefreshToken.find((await body(req)).refresh);
      json(res, Boolean(found && !found.consumed));
    } else if (!(path === '/token' && req.method === 'POST' && faulty(req, res, app))) {
      app(req, res);
    }
  });
  console.log(port);
});
