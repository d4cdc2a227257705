/**
 * Puts the gateway's SVG of a code into the page. The text is parsed as XML and only shapes are taken, so that even a
 * gateway gone wrong could not bring a script or a link into the bank's page.
 */
const ALLOWED = new Set(["svg", "g", "path", "rect", "title"]);
const ATTRIBUTES = new Set(["viewBox", "d", "fill", "x", "y", "width", "height", "shape-rendering", "transform", "stroke", "stroke-width"]);
const SVG = "http://www.w3.org/2000/svg";

function copy(source: Element): SVGElement | null {
  if (source.namespaceURI !== SVG || !ALLOWED.has(source.localName)) return null;
  const target = document.createElementNS(SVG, source.localName);
  for (const { name, value } of source.attributes) if (ATTRIBUTES.has(name)) target.setAttribute(name, value);
  for (const child of source.children) {
    const copied = child.localName === "title" ? null : copy(child);
    if (copied !== null) target.append(copied);
  }
  return target;
}

/** Returns the image, labelled with its alternative text, or null when the text is not an SVG of shapes. */
export function symbolOf(text: string, alternative: string): SVGElement | null {
  const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  const image = root.localName === "svg" ? copy(root) : null;
  image?.setAttribute("role", "img");
  image?.setAttribute("aria-label", alternative);
  return image;
}
