// The stream of server-sent events, with a bearer token, which EventSource can't send.

// The server says something every 15 s at the latest.
const SILENT = 40_000;
const LONGEST_WAIT = 15_000;

// Follows the stream until `stop` is called or the token is refused. `on` has: snapshot, change (data), open (), lost
// (why), refused (why).
export function follow(token, on) {
  const ending = new AbortController();
  run(token, on, ending.signal);
  return () => ending.abort();
}

async function run(token, on, ending) {
  let failures = 0;
  while (!ending.aborted) {
    try {
      await read(token, on, ending, () => { failures = 0; });
      on.lost("The stream has ended.");
    } catch (error) {
      if (ending.aborted) return;
      if (error instanceof Refused) return on.refused(error.message);
      on.lost(error.message);
    }
    await pause(Math.min(1000 * 2 ** failures++, LONGEST_WAIT), ending);
  }
}

class Refused extends Error {}

async function read(token, on, ending, alive) {
  const connection = new AbortController();
  const cut = () => connection.abort();
  ending.addEventListener("abort", cut);
  let silent = setTimeout(cut, SILENT);
  try {
    const answer = await fetch("events", {
      headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" },
      cache: "no-store",
      signal: connection.signal,
    });
    if (!answer.ok) await fail(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silent);
      silent = setTimeout(cut, SILENT);
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) dispatch(parse(block), on, alive);
    }
  } catch (error) {
    if (error.name === "AbortError") throw new Error("The operator doesn’t answer.");
    if (error instanceof TypeError) throw new Error("The operator can’t be reached.");
    throw error;
  } finally {
    clearTimeout(silent);
    // Whatever ended it, what is still open would go on in vain, and hold a place at the operator.
    cut();
    ending.removeEventListener("abort", cut);
  }
}

async function fail(answer) {
  const told = await answer.json().catch(() => ({}));
  const message = told.message ?? `The operator answers with ${answer.status}.`;
  throw answer.status === 401 || answer.status === 403 ? new Refused(message) : new Error(message);
}

function parse(block) {
  let event = "message";
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    else if (line.startsWith("data:")) data += line.slice(5).trimStart();
  }
  return { event, data };
}

function dispatch({ event, data }, on, alive) {
  if (event === "end") {
    const { status, message } = JSON.parse(data);
    throw status === 401 || status === 403 ? new Refused(message) : new Error(message);
  }
  if (event !== "snapshot" && event !== "change") return;
  alive();
  on[event](JSON.parse(data));
}

function pause(time, ending) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => { clearTimeout(timer); over.abort(); resolve(); };
    const timer = setTimeout(end, time);
    ending.addEventListener("abort", end, { signal: over.signal });
    addEventListener("online", end, { signal: over.signal });
  });
}
