// What is asked of the server; every refusal is an Error with the server's own sentence.

const windowName = sessionStorage.window ??= crypto.getRandomValues(new Uint32Array(4)).join("-");

function fields() {
  const who = localStorage.who ?? "";
  return { "X-Ild-Window": windowName, "X-Ild-Who": encodeURIComponent(who) };
}

async function ask(method, path, body) {
  const options = { method, headers: fields() };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  if (!reply.ok) {
    const told = await reply.json().catch(() => ({}));
    throw Object.assign(new Error(told.detail ?? `the server said ${reply.status}`), { status: reply.status });
  }
  return reply;
}

const json = async (...request) => (await ask(...request)).json();

export const cases = () => json("GET", "/page/cases");
export const next = (after) => json("GET", `/page/next?after=${encodeURIComponent(after ?? "")}`);

// One case.
export function caseOf(id) {
  const at = (what) => `/page/case/${encodeURIComponent(id)}/${what}`;
  return {
    open: () => json("GET", at("").slice(0, -1)),
    ct: async () => (await ask("GET", at("ct.nii"))).arrayBuffer(),
    state: (revision) => json("GET", at(`state?revision=${revision}`)),
    look: (k) => ask("POST", at("look"), { k }),
    prompt: (marks) => json("POST", at("prompt"), marks),
    paint: (painted) => json("POST", at("paint"), painted),
    undo: () => json("POST", at("undo"), {}),
    redo: () => json("POST", at("redo"), {}),
    propagate: (marks) => json("POST", at("propagate"), marks),
    auto: () => json("POST", at("auto"), {}),
    job: () => json("GET", at("job")),
    cancel: () => json("DELETE", at("job")),
    accept: (wish) => json("POST", at("accept"), wish),
  };
}
