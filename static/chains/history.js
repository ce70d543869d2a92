// The user's last runs. The list is fetched again when a run has ended.

import { showLocalTime } from "../local-times.js";

export class RunHistory {
  constructor(url) {
    this.url = url;
    this.list = document.getElementById("history");
    this.empty = document.getElementById("history-empty");
    this.template = document.getElementById("run-row");
  }

  async refresh() {
    let runs;
    try {
      const answer = await fetch(this.url, { cache: "no-store", redirect: "manual" });
      if (!answer.ok) return;
      ({ runs } = await answer.json());
    } catch {
      // Keep the old list. It is fetched again after the next run.
      return;
    }
    this.list.replaceChildren(...runs.map((run) => this.#row(run)));
    this.empty.hidden = runs.length > 0;
  }

  #row(run) {
    const row = this.template.content.cloneNode(true).firstElementChild;
    const slot = (name) => row.querySelector(`[data-slot="${name}"]`);
    slot("status").textContent = run.status_text;
    slot("status").dataset.status = run.status;
    slot("excerpt").textContent = run.excerpt;
    slot("excerpt").href = run.url;
    slot("again").href = run.again_url;
    slot("version").textContent = run.version;
    slot("duration").textContent = run.duration;
    slot("cost").textContent = run.cost;
    slot("time").setAttribute("datetime", run.created_at);
    showLocalTime(slot("time"));
    return row;
  }
}
