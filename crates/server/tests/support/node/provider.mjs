// A certified OpenID provider on loopback that shares no line with Keywright, for tests.
//
// `node provider.mjs 2026-11-21T09:00:00Z` prints `{"issuer": …}` once it listens. Its clock stands at that time, as the
// tests' own does. It issues access tokens for `client_credentials`; `resource` chooses what signs them and whom they are for:
// `urn:test:ES256:keywright`. `POST /control/rotate` gives it new keys. It ends when its standard input does.

import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';

const at = Date.parse(process.argv[2]);
Date.now = () => at;

const { default: Provider } = await import('oidc-provider');

const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  ES384: ['ec', { namedCurve: 'P-384' }],
  EdDSA: ['ed25519', {}],
};

function key([alg, [kind, options]]) {
  const { privateKey } = generateKeyPairSync(kind, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
}

function provider(issuer) {
  return new Provider(issuer, {
    clients: [{
      client_id: 'nightly-job', client_secret: 'test', grant_types: ['client_credentials'], redirect_uris: [],
      response_types: [],
    }],
    jwks: { keys: Object.entries(KINDS).map(key) },
    enabledJWA: { idTokenSigningAlgValues: Object.keys(KINDS) },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_, resource) {
          const [, , alg, audience] = resource.split(':');
          return { scope: '', audience, accessTokenTTL: 3600, accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
        },
      },
    },
  });
}

let current;
const server = createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/control/rotate') {
    current = provider(current.issuer);
    response.writeHead(204).end();
  } else {
    current.callback()(request, response);
  }
});
server.listen(0, '127.0.0.1', () => {
  current = provider(`http://127.0.0.1:${server.address().port}`);
  console.log(JSON.stringify({ issuer: current.issuer }));
});
process.stdin.resume().on('end', () => process.exit());
