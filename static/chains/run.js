// The feedback on the page of a run.

import { Thumbs } from "./feedback.js";

const section = document.getElementById("feedback");
const pressed = section.querySelector("[aria-pressed=true]");
const thumbs = new Thumbs(section.querySelector("[data-thumbs]"), section.dataset.path, ({ comment }) => {
  const shown = document.getElementById("given-comment");
  shown.textContent = comment ?? "";
  shown.hidden = !comment;
});
const comment = section.querySelector("[data-comment]").value || undefined;
thumbs.show(section.dataset.run, pressed ? { score: Number(pressed.dataset.score), comment } : {});
