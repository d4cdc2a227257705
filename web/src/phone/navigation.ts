/**
 * Which screen is in front, and the browser's history beneath it. A request of the bank covers the screens with an entry of its own, so
 * that the system's "back" leaves it and nothing else. No screen is drawn here.
 */

export type Screen =
  | { readonly name: "home" }
  | { readonly name: "scan"; readonly want: "first" | "second" | "offline" }
  | { readonly name: "typed"; readonly second: boolean }
  | { readonly name: "paste" }
  | { readonly name: "contact" }
  | { readonly name: "offline" }
  | { readonly name: "detail"; readonly id: string }
  | { readonly name: "change-pin"; readonly id: string }
  | { readonly name: "biometric"; readonly id: string }
  | { readonly name: "approvals"; readonly id: string }
  | { readonly name: "messages"; readonly id: string };

const HOME: Screen = { name: "home" };

export interface NavigationOwner {
  /** Another screen is in front; these were left. */
  readonly onLeave: (left: readonly Screen[]) => void;
  /** What covered the screens was left by the system's "back". */
  readonly onUncover: () => void;
}

type Cover = "none" | "shown" | "leaving";

export class Navigation {
  readonly #owner: NavigationOwner;
  #stack: Screen[] = [HOME];
  #cover: Cover = "none";
  #isWanted = false;

  constructor(owner: NavigationOwner) {
    this.#owner = owner;
  }

  get screen(): Screen {
    return this.#stack[this.#stack.length - 1] ?? HOME;
  }

  /** Takes the address's fragment out, and follows the browser's history from now on. */
  start(): void {
    history.replaceState({ depth: 0 }, "", location.pathname + location.search);
    window.addEventListener("popstate", (event) => {
      this.#onPop(event.state);
    });
  }

  go(screen: Screen): void {
    this.#stack.push(screen);
    history.pushState({ depth: this.#stack.length - 1 }, "", location.pathname);
  }

  /** Puts another screen in the place of the present one. */
  swap(screen: Screen): void {
    if (this.#stack.length === 1) this.go(screen);
    else this.#stack[this.#stack.length - 1] = screen;
  }

  back(): void {
    if (this.#stack.length > 1) history.back();
  }

  toStart(): void {
    const depth = this.#stack.length - 1;
    if (depth > 0) history.go(-depth);
  }

  /** Whether something covers the screens. Its entry comes and goes with it. */
  cover(isCovered: boolean): void {
    this.#isWanted = isCovered;
    if (isCovered && this.#cover === "none") {
      this.#cover = "shown";
      history.pushState({ depth: this.#stack.length - 1, cover: true }, "", location.pathname);
    } else if (!isCovered && this.#cover === "shown") {
      this.#cover = "leaving";
      history.back();
    }
  }

  #onPop(state: unknown): void {
    const was = this.#cover;
    this.#cover = "none";
    if (was === "leaving") {
      // A request that came meanwhile gets its entry now.
      if (this.#isWanted) this.cover(true);
      return;
    }
    if (was === "shown") {
      this.#owner.onUncover();
      return;
    }
    const depth = typeof state === "object" && state !== null && "depth" in state ? Number(state.depth) : 0;
    const left = this.#stack.slice(depth + 1);
    this.#stack = this.#stack.slice(0, depth + 1);
    this.#owner.onLeave(left);
  }
}
