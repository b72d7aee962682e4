// Talking to the server: JSON, text and event streams, with the key of this tab.

export class ApiError extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export function key() { return sessionStorage.getItem("key") || ""; }
export function setKey(value) {
  if (value) sessionStorage.setItem("key", value); else sessionStorage.removeItem("key");
}

function headers(more) {
  const out = { ...more };
  if (key()) out.Authorization = "Bearer " + key();
  return out;
}

// Resolves against the page, so that a path prefix of a proxy in front stays.
async function request(path, options = {}) {
  const response = await fetch(path, { cache: "no-store", ...options, headers: headers(options.headers) });
  if (response.ok) return response;
  let error = {};
  try { error = (await response.json()).error || {}; } catch { /* the status says enough */ }
  throw new ApiError(response.status, error.code, error.message || response.statusText,
                     Number(response.headers.get("Retry-After")) || 0);
}

export async function getJson(path) { return (await request(path)).json(); }
export async function getText(path) { return (await request(path)).text(); }

// Calls onEvent with each parsed event of a stream until it ends.
export async function stream(path, body, signal, onEvent) {
  const response = await request(path, {
    method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data: "))
        .map((line) => line.slice(6)).join("\n");
      if (data === "" || data === "[DONE]") continue;
      const parsed = JSON.parse(data);
      if (parsed.error) throw new ApiError(500, parsed.error.code, parsed.error.message, 0);
      onEvent(parsed);
    }
  }
}
