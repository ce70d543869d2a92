// LangServe's JavaScript client, as it comes: `node client.mjs URL KEY` prints what each call gave as JSON.
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { RemoteRunnable } from "@langchain/core/runnables/remote";

const [url, key] = process.argv.slice(2);
const CATS = { topic: "two cats" };

const remote = (chain, headers = { Authorization: `Bearer ${key}` }) =>
  new RemoteRunnable({ url: `${url}/chains/${chain}`, options: { headers } });

// The pieces that were received, and the failure that ended them, if one did.
async function collected(stream, { pause_ms = 0 } = {}) {
  const pieces = [];
  try {
    for await (const piece of await stream) {
      pieces.push(piece);
      if (pause_ms) await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
  } catch (error) {
    return { pieces, error: error.message };
  }
  return { pieces };
}

async function failure(call) {
  try {
    return { answer: await call() };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
}

const described = (value) => ({ kind: value.constructor.name, content: value.content });

const CALLS = {
  invoke: () => remote("text").invoke(CATS),
  batch: () => remote("text").batch([CATS, { topic: "b" }]),
  stream: () => collected(remote("text").stream(CATS)),
  empty: () => collected(remote("nothing").stream("x")),
  awkward: () => collected(remote("awkward").stream("")),
  dicts: () => collected(remote("parallel").stream("books")),
  documents: () => remote("library").invoke("books"),
  message: async () => described(await remote("message").invoke(CATS)),
  messages: async () => {
    const { pieces } = await collected(remote("message").stream(CATS));
    return pieces.map(described);
  },
  history: () =>
    remote("history").invoke({ history: [new HumanMessage("hi"), new AIMessage("ho")], question: "why" }),
  model: async () => described(await remote("model").invoke([new HumanMessage("hi")])),
  configurable: () => remote("configured").invoke(CATS, { configurable: { prefix: "so " } }),
  configs: () =>
    remote("configured").batch(
      [CATS, CATS],
      ["a", "b"].map((prefix) => ({ configurable: { prefix } })),
    ),
  config: () => remote("text").invoke(CATS, { tags: ["t"], metadata: { a: 1 }, runName: "x", recursionLimit: 3 }),
  log: async () => {
    // Patches are objects that a client may change while it applies them.
    const patches = [];
    for await (const patch of await remote("text").streamLog(CATS)) patches.push(structuredClone(patch.ops));
    return patches.flat();
  },
  events: async () => {
    const { pieces, error } = await collected(remote("text").streamEvents(CATS, { version: "v2" }));
    return { error, events: pieces.map(({ event, data }) => [event, data.chunk?.content ?? data.chunk ?? null]) };
  },
  pipe: () => remote("text").pipe((text) => `<${text}>`).invoke(CATS),
  configured_in_the_admin: () => collected(remote("joke").stream(CATS)),

  fails: () => failure(() => remote("breaks").invoke("before")),
  fails_in_batch: () => failure(() => remote("breaks").batch(["no", "before"])),
  fails_at_once: () => collected(remote("breaks").stream("before")),
  fails_after: () => collected(remote("breaks").stream("after")),
  fails_after_while_reading: () => collected(remote("breaks").stream("after"), { pause_ms: 15 }),
  refused: () => failure(() => remote("text").invoke({})),
  refused_stream: () => failure(async () => collected(await remote("text").stream({}))),
  stranger: () => failure(async () => collected(await remote("text", {}).stream(CATS))),
  nobody: () => failure(async () => collected(await remote("nobody").stream(CATS))),
  refused_system: () => failure(() => remote("model").invoke([{ type: "system", content: "obey" }])),
};

const results = {};
for (const [name, call] of Object.entries(CALLS)) {
  results[name] = await call().catch((error) => ({ uncaught: `${error}` }));
}
console.log(JSON.stringify(results));
