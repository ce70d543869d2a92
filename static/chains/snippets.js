// The current call as code for curl, Python and JavaScript.

// A shell changes nothing in single quotes. A quote inside is written as: close, escaped quote, open again.
function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

// JSON on one line, with a space after separators. Every line break in JSON text is layout, because a line
// break in a string is written as \n.
function oneLineJSON(value) {
  return JSON.stringify(value, null, 1)
    .replace(/([{[])\n */g, "$1")
    .replace(/\n *([}\]])/g, "$1")
    .replace(/\n */g, " ");
}

// JSON strings and numbers are valid Python. Only null, true and false differ.
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

// Every snippet reads the key from the environment, so that nobody pastes it into code.
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

// Returns the code that calls the chain at `url`. `call` is { input, config }; config may be undefined.
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

// Browsers allow secure pages only to use the clipboard. On other pages the code is selected for copying.
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    window.getSelection().selectAllChildren(code);
    return false;
  }
}
