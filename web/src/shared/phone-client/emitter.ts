/** Typed events: what first contact and channel tell their page. A listener that throws stops nobody else. */

type Listeners<Events> = { [Name in keyof Events]?: Set<(event: Events[Name]) => void> };

export class Emitter<Events> {
  readonly #listeners: Listeners<Events> = {};

  /** Listens; the returned function stops it. */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const listeners = (this.#listeners[name] ??= new Set());
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  protected emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners[name] ?? [])]) {
      try {
        listener(event);
      } catch (cause) {
        queueMicrotask(() => {
          throw cause;
        });
      }
    }
  }
}
