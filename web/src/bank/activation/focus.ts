/** Whether the focus may be moved to a step that has begun: always, unless the person is typing somewhere else on the bank's page. */

/** What is asked of an element: `localName`, an input's `type`, and whether it is edited like a document. */
export interface Focusable {
  readonly localName: string;
  readonly type?: string;
  readonly isContentEditable?: boolean;
}

/** Inputs that nobody types into. */
const PRESSED = new Set(["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"]);
/** What takes keys that no page around it sees. */
const CLOSED = new Set(["embed", "iframe", "object", "select", "textarea"]);

/** Returns whether what is typed goes into this element; a custom element that shows nothing of itself may hold a field. */
export function takesTyping({ localName, type, isContentEditable }: Focusable): boolean {
  if (isContentEditable === true || CLOSED.has(localName) || localName.includes("-")) return true;
  return localName === "input" && !PRESSED.has(type ?? "text");
}

/** Returns whether nobody is typing outside of `host`. Its shadow root is `root`. */
export function isFocusFree(host: Element, root: Node): boolean {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  if (at === null || at === host || root.contains(at)) return true;
  // An ancestor, seen through the shadow roots that the host may lie in, has the focus when nothing in it has.
  let above: Node | null = host.parentNode;
  while (above !== null && above !== at) above = above instanceof ShadowRoot ? above.host : above.parentNode;
  return above === at || !takesTyping(at);
}
