// What a caller chose of what a chain leaves open.

export class Choices {
  #defaults;

  // The chain's own choice: [[name, value], ...].
  constructor(defaults) {
    this.#defaults = new Map(defaults.map(([name, value]) => [name, JSON.stringify(value)]));
  }

  // As it is sent: only what differs from the chain's own choice, undefined where nothing does.
  config(entries) {
    const changed = entries.filter(
      ([name, value]) => JSON.stringify(value) !== this.#defaults.get(name),
    );
    return changed.length ? { configurable: Object.fromEntries(changed) } : undefined;
  }
}
