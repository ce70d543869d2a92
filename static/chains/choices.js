// The values that a caller has chosen for a chain's configurable options.

export class Choices {
  #defaults;

  // The chain's defaults: [[name, value], ...].
  constructor(defaults) {
    this.#defaults = new Map(defaults.map(([name, value]) => [name, JSON.stringify(value)]));
  }

  // The config to send. It has only the values that differ from the defaults; undefined if none does.
  config(entries) {
    const changed = entries.filter(
      ([name, value]) => JSON.stringify(value) !== this.#defaults.get(name),
    );
    return changed.length ? { configurable: Object.fromEntries(changed) } : undefined;
  }
}
