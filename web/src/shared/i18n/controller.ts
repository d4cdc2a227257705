/** Redraws a Lit element when the page's language changes. Used by every page component; embedded elements use `langOf`. */
import type { ReactiveController, ReactiveControllerHost } from "lit";
import { locale, type Lang } from "./locale.js";

export class LangController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  #stop: (() => void) | null = null;

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  get lang(): Lang {
    return locale.lang;
  }

  hostConnected(): void {
    this.#stop = locale.subscribe(() => {
      this.#host.requestUpdate();
    });
  }

  hostDisconnected(): void {
    this.#stop?.();
    this.#stop = null;
  }
}
