/**
 * Turns the SVG of a code, which the gateway sends, into an element of the page. Only shapes pass: nothing that could run,
 * load or style anything, so that not even a gateway gone bad gains a foothold in the bank's page.
 */

const SVG = "http://www.w3.org/2000/svg";
const ELEMENTS = new Set(["svg", "g", "path", "rect", "polygon"]);
const ATTRIBUTES = new Set(["viewBox", "d", "fill", "x", "y", "width", "height", "points", "transform", "shape-rendering", "fill-rule", "stroke", "stroke-width"]);
const MAX_LENGTH = 400_000;

/** Returns whether an attribute may be copied: known, and free of references to anything outside. Pure. */
export function allowsAttribute(name: string, value: string): boolean {
  return ATTRIBUTES.has(name) && !/url\s*\(|javascript:|data:/i.test(value);
}

/** Returns whether an element may be copied. Pure. */
export function allowsElement(name: string): boolean {
  return ELEMENTS.has(name);
}

function copy(source: Element): SVGElement {
  const target = document.createElementNS(SVG, source.localName);
  for (const { name, value } of source.attributes) {
    if (allowsAttribute(name, value)) target.setAttribute(name, value);
  }
  for (const child of source.children) {
    if (child.namespaceURI === SVG && allowsElement(child.localName)) target.append(copy(child));
  }
  return target;
}

/** Returns the image with its alternative text, or null when the text is no SVG image. */
export function svgImage(text: string, alternative: string): SVGElement | null {
  if (text.length > MAX_LENGTH) return null;
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  if (root.localName !== "svg" || root.namespaceURI !== SVG) return null;
  const image = copy(root);
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", alternative);
  image.setAttribute("shape-rendering", "crispEdges");
  return image;
}
