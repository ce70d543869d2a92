// The same call as code: curl, Python, JavaScript, each with the current input.

// In single quotes a shell changes nothing; a quote inside closes, escapes and opens again.
function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// JSON on one line with a space after separators. A line break in JSON is always layout: inside
// strings it is written \n.
function oneLineJSON(value) {
  return JSON.stringify(value, null, 1)
    .replace(/([{[])\n */g, "$1")
    .replace(/\n *([}\]])/g, "$1")
    .replace(/\n */g, " ");
}

// A JSON string is a Python string as it stands; only the three constants differ.
function pythonLiteral(value, indent = "") {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const deeper = `${indent}    `;
  const items = Array.isArray(value)
    ? value.map((item) => pythonLiteral(item, deeper))
    : Object.entries(value).map(
        ([name, item]) => `${JSON.stringify(name)}: ${pythonLiteral(item, deeper)}`,
      );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  if (!items.length) return open + close;
  return `${open}\n${items.map((item) => `${deeper}${item},\n`).join("")}${indent}${close}`;
}

function pythonArguments({ input, config }) {
  if (config === undefined) return pythonLiteral(input);
  return `\n    ${pythonLiteral(input, "    ")},\n    config=${pythonLiteral(config, "    ")},\n`;
}

// The same key in every language: from the environment, so that no one pastes it into code.
const WRITERS = {
  curl: (url, call) =>
    [
      `curl -N -X POST ${shellQuoted(`${url}/stream`)} \\`,
      `  -H "Authorization: Bearer $CHAINHUB_API_KEY" \\`,
      `  -H "Content-Type: application/json" \\`,
      `  -d ${shellQuoted(oneLineJSON(call))}`,
    ].join("\n"),

  langserve: (url, call) =>
    `import os

from langserve import RemoteRunnable

chain = RemoteRunnable(
    ${JSON.stringify(`${url}/`)},
    headers={"Authorization": f"Bearer {os.environ['CHAINHUB_API_KEY']}"},
)
for chunk in chain.stream(${pythonArguments(call)}):
    print(chunk, end="", flush=True)`,

  requests: (url, call) =>
    `import os

import requests

response = requests.post(
    ${JSON.stringify(`${url}/invoke`)},
    headers={"Authorization": f"Bearer {os.environ['CHAINHUB_API_KEY']}"},
    json=${pythonLiteral(call, "    ")},
    timeout=300,
)
response.raise_for_status()
print(response.json()["output"])`,

  javascript: (url, call) =>
    `const response = await fetch(${JSON.stringify(`${url}/invoke`)}, {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.CHAINHUB_API_KEY}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify(${JSON.stringify(call, null, 2).replaceAll("\n", "\n  ")}),
});
if (!response.ok) throw new Error(await response.text());
const { output } = await response.json();
console.log(output);`,
};

// The code that calls the chain at `url`. `call` is what a run is asked for: { input, config }, config
// being undefined where there is none.
export function codeOf(name, url, call) {
  return WRITERS[name](url, call);
}

export class Snippets {
  constructor(section, path) {
    this.url = new URL(path, window.location.href).href;
    this.codes = [...section.querySelectorAll("[data-snippet]")];
    section.addEventListener("click", (event) => {
      const button = event.target.closest("[data-copy]");
      if (button) this.#copy(button);
    });
  }

  show(call) {
    for (const code of this.codes) {
      code.textContent = codeOf(code.dataset.snippet, this.url, call);
    }
  }

  async #copy(button) {
    const code = this.codes.find((element) => element.dataset.snippet === button.dataset.copy);
    button.textContent = (await copied(code)) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  }
}

// Browsers give the clipboard to secure pages only; elsewhere the code is selected, ready to copy.
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    window.getSelection().selectAllChildren(code);
    return false;
  }
}
