// What npm's oauth4webapi says of callbacks: one JSON line in, one out.
//
// In: {"advertised": whether `iss` is always sent, "issuer", "state": the one that was sent out, "query": as it came}.
// Out: {"code"} where it would be redeemed, {"error"} where it is a refusal, {"refused"} where it is no answer.

import { createInterface } from 'node:readline';
import { AuthorizationResponseError, validateAuthResponse } from 'oauth4webapi';

function judged({ advertised, issuer, state, query }) {
  const as = { issuer, authorization_response_iss_parameter_supported: advertised };
  try {
    const values = validateAuthResponse(as, { client_id: 'c' }, new URLSearchParams('?' + query), state);
    const code = values.get('code'); // as its authorizationCodeGrantRequest() reads it
    const codes = values.getAll('code').length;
    return code && codes === 1 ? { code } : { refused: codes > 1 ? 'code twice' : 'no code' };
  } catch (error) {
    if (error instanceof AuthorizationResponseError) return { error: error.error };
    return { refused: error.message };
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  console.log(JSON.stringify(judged(JSON.parse(line))));
});
