// Requests to the server, which tell in one sentence what is wrong.

const TIMEOUT_MS = 15000;
let token = "";

export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

export const setToken = (text) => { token = text.trim(); };

export async function ask(path, options = {}) {
  const headers = { ...(options.body && { "content-type": "application/json" }), ...(token && options.method && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (answer.ok) return answer.json();
  const said = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, said.error ?? `${path} is answered ${answer.status}`);
}
