// What jose reads in a token by a published set of keys: JSON in, its header and claims out.
import { createLocalJWKSet, jwtVerify } from 'jose';

let text = '';
for await (const part of process.stdin) text += part;
const given = JSON.parse(text);
const { protectedHeader, payload } = await jwtVerify(given.token, createLocalJWKSet(given.jwks), {
  algorithms: [given.alg],
  audience: given.aud,
  issuer: given.iss,
  typ: 'at+jwt',
  currentDate: new Date(given.now),
  requiredClaims: ['exp', 'iat', 'sub'],
});
console.log(JSON.stringify([protectedHeader, payload]));
