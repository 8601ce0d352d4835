// An authorization server that we didn't write: npm `oidc-provider`, with a sign-in page that does what its form says.
//
// Its settings come in REGRANT_FOREIGN (JSON). Beside its own pages it tells what it did (`/journal`, `/issued/<hash>`)
// and gives a grant without pages (`/grants`), as the simulator does: nothing of that is a client's.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const settings = JSON.parse(process.env.REGRANT_FOREIGN);
const issuer = `http://localhost:${settings.port}`; // another site than 127.0.0.1, to a browser
const journal = { refreshed: 0, issued: 0, presented: {}, authorized: [], pushed: 0, revoked: 0 };
const issued = new Set();
const scope = 'openid profile email offline_access';
const day = 24 * 60 * 60;

// One client that says in the browser's address what it asks for, and one that mustn't.
const client = (id, more) => ({
  client_id: id,
  client_secret: settings.client_secret,
  redirect_uris: settings.redirect_uris,
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'client_secret_basic',
  ...more,
});

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const provider = new Provider(issuer, {
  clients: [
    client(settings.client_id),
    client(`${settings.client_id}-pushed`, { require_pushed_authorization_requests: true }),
  ],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'foreign' }] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
  scopes: scope.split(' '),
  features: {
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true, // and a reused one ends its whole grant, as always
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, Grant: day, IdToken: 3600, Interaction: 600, RefreshToken: day, Session: day,
  },
  interactions: { url: (ctx, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, email: `${id}@foreign.example`, name: `The books of ${id}` }),
  }),
});

// Whatever it hands out is recognised by the tests' hunt for secrets.
for (const { prototype } of [provider.AccessToken, provider.RefreshToken, provider.AuthorizationCode]) {
  const made = prototype.generateTokenId;
  prototype.generateTokenId = function marked() { return settings.marker + made.call(this); };
}

const hashed = (token) => createHash('sha256').update(token).digest('hex');

async function body(ctx) {
  const parts = [];
  for await (const part of ctx.req) parts.push(part);
  return new URLSearchParams(Buffer.concat(parts).toString());
}

async function granted(accountId, clientId) {
  const grant = new provider.Grant({ accountId, clientId });
  grant.addOIDCScope(scope);
  return grant.save();
}

async function signIn(ctx) {
  if (ctx.method === 'GET') {
    ctx.type = 'html';
    ctx.body = '<form method="post"><input name="account"><input name="consent" type="checkbox"><button>Go on</button></form>';
    return;
  }
  const said = await body(ctx);
  const account = said.get('account');
  const { params } = await provider.interactionDetails(ctx.req, ctx.res);
  const result = said.get('consent')
    ? { login: { accountId: account }, consent: { grantId: await granted(account, params.client_id) } }
    : { error: 'access_denied', error_description: 'the person said no' };
  ctx.status = 303;
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result));
}

async function grantWithoutPages(ctx) {
  const accountId = (await body(ctx)).get('account');
  const client = await provider.Client.find(settings.client_id);
  const grantId = await granted(accountId, settings.client_id);
  const token = new provider.RefreshToken({ accountId, client, grantId, scope, gty: 'authorization_code' });
  ctx.body = { refresh_token: await token.save() };
}

provider.use(async (ctx, next) => {
  if (ctx.path.startsWith('/sign-in/')) return signIn(ctx);
  if (ctx.path === '/grants') return grantWithoutPages(ctx);
  if (ctx.path === '/journal') {
    ctx.body = journal;
    return undefined;
  }
  if (ctx.path.startsWith('/issued/')) {
    ctx.body = { known: issued.has(ctx.path.slice('/issued/'.length)) };
    return undefined;
  }
  if (ctx.path === '/auth') journal.authorized.push([...new URLSearchParams(ctx.querystring).keys()]);
  if (ctx.path === '/token' && settings.token_takes_ms) {
    await new Promise((done) => { setTimeout(done, settings.token_takes_ms); });
  }
  return next();
});

function noted(ctx) {
  const { grant_type: kind, refresh_token: presented } = ctx.oidc.params ?? {};
  if (kind !== 'refresh_token') return;
  journal.presented[hashed(presented)] = (journal.presented[hashed(presented)] ?? 0) + 1;
}

provider.on('grant.success', (ctx) => {
  noted(ctx);
  journal.refreshed += ctx.oidc.params.grant_type === 'refresh_token' ? 1 : 0;
  journal.issued += 1;
  issued.add(hashed(ctx.body.access_token));
});
provider.on('server_error', (ctx, error) => console.error(error));
provider.on('grant.error', noted);
provider.on('grant.revoked', () => { journal.revoked += 1; });
provider.on('pushed_authorization_request.success', () => { journal.pushed += 1; });

provider.listen(settings.port, '127.0.0.1', () => console.log('ready'));
