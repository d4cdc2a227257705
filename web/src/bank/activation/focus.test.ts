/** When the focus is left where it is. */
import { expect, it } from "vitest";
import { takesTyping, type Focusable } from "./focus.js";

it.each<Focusable>([
  { localName: "input", type: "text" },
  { localName: "input", type: "password" },
  { localName: "input" },
  { localName: "textarea" },
  { localName: "select" },
  { localName: "iframe" },
  { localName: "bank-chat" },
  { localName: "div", isContentEditable: true },
])("is left to $localName $type", (element) => {
  expect(takesTyping(element)).toBe(true);
});

it.each<Focusable>([
  { localName: "body" },
  { localName: "h1" },
  { localName: "a" },
  { localName: "button", type: "submit" },
  { localName: "input", type: "checkbox" },
])("is taken from $localName $type", (element) => {
  expect(takesTyping(element)).toBe(false);
});
