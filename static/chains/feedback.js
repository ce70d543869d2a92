// Thumbs up and down on an answer. The server stores the feedback; a new one replaces the old.

const SAID = { 1: "You found this answer good.", 0: "You found this answer bad." };

async function keep(path, feedback) {
  // Every page has this token, in the form that signs out.
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(feedback),
  });
  if (!answer.ok) throw new Error(`Feedback was refused: ${answer.status}`);
}

export class Thumbs {
  #runId = null;
  #given = {};

  // `onGiven({ score, comment })` is called after the server has stored the feedback.
  constructor(element, path, onGiven = () => {}) {
    const slot = (name) => element.querySelector(`[data-${name}]`);
    Object.assign(this, { element, path, onGiven });
    this.buttons = [...element.querySelectorAll("[data-score]")];
    this.said = slot("thumbs-said");
    this.commentRow = slot("thumbs-comment");
    this.comment = slot("comment");
    for (const button of this.buttons) {
      button.addEventListener("click", () => this.#judge(Number(button.dataset.score)));
    }
    slot("comment-send").addEventListener("click", () => this.#sendComment());
    this.comment.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      // Enter would submit a form around this input.
      event.preventDefault();
      this.#sendComment();
    });
  }

  // `given` is the earlier feedback on this run.
  show(runId, given = {}) {
    this.#runId = runId;
    this.#given = given;
    this.comment.value = given.comment ?? "";
    this.#render(SAID[given.score] ?? "");
    this.element.hidden = false;
  }

  hide() {
    this.element.hidden = true;
  }

  // The server replaces all of the earlier feedback. The comment belongs to the score, so the same score keeps it.
  #judge(score) {
    this.#give(score === this.#given.score ? this.#given : { score });
  }

  #sendComment() {
    const comment = this.comment.value.trim();
    this.#give({ score: this.#given.score, comment }, "Thank you, your words are kept.");
  }

  async #give(given, text = SAID[given.score]) {
    const runId = this.#runId;
    try {
      await keep(this.path, { run_id: runId, key: "thumbs", ...given });
    } catch {
      this.said.textContent = "This was not kept. Try again.";
      return;
    }
    this.onGiven(given);
    // The page may show another run's answer by now.
    if (runId !== this.#runId) return;
    this.#given = given;
    this.#render(text);
    this.commentRow.scrollIntoView({ block: "nearest" });
  }

  #render(text) {
    const { score, comment } = this.#given;
    for (const button of this.buttons) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.score) === score));
    }
    this.commentRow.hidden = score !== 0 || comment !== undefined;
    this.said.textContent = text;
  }
}
