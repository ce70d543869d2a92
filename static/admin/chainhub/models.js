// Suggests models while one is typed: those of the provider that is chosen in the same row. The page names
// the address that lists them. Without this file, the page's own suggestions remain.

const FIELD = "input[list='known-models'], input[data-suggests]";
const url = document.querySelector("[data-models-url]")?.dataset.modelsUrl;
// For each provider the promise of its list, so that each is asked for once.
const lists = new Map();

function providerOf(field) {
  const select = field.closest("[data-row]")?.querySelector("select[name$='-provider']");
  return field.dataset.provider ?? select?.value ?? "";
}

// The names, none where the provider or the server does not tell them.
async function namesOf(provider) {
  try {
    const answer = await fetch(`${url}?provider=${encodeURIComponent(provider)}`);
    return answer.ok ? (await answer.json()).models : [];
  } catch {
    return [];
  }
}

async function listOf(provider) {
  const names = await namesOf(provider);
  if (!names.length) return "known-models";
  const list = document.createElement("datalist");
  list.id = `models-of-${provider}`;
  for (const name of names) list.append(new Option("", name));
  document.body.append(list);
  return list.id;
}

async function suggest(field) {
  const provider = providerOf(field);
  field.dataset.suggests = provider;
  if (provider && !lists.has(provider)) lists.set(provider, listOf(provider));
  const list = provider ? await lists.get(provider) : "known-models";
  // Another provider may have been chosen meanwhile.
  if (field.dataset.suggests === provider) field.setAttribute("list", list);
}

// Rows may be added at any time, so the document listens.
if (url) {
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches(FIELD)) suggest(target);
  });
  document.addEventListener("change", ({ target }) => {
    const field = target.matches("select[name$='-provider']") && target.closest("[data-row]")?.querySelector(FIELD);
    if (field) suggest(field);
  });
}
