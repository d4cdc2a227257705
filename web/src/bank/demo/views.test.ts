/** Which page an address means. */
import { expect, it } from "vitest";
import { viewOf, type View } from "./views.js";

it.each<[string, View]>([
  ["", "accounts"],
  ["#/", "accounts"],
  ["#/accounts", "accounts"],
  ["#/devices", "devices"],
  ["#/devices/add", "add"],
  ["#/devices/move", "move"],
  ["#/transfer", "transfer"],
  ["#/messages", "messages"],
  ["#/nope", "lost"],
  ["#/devices/", "lost"],
  ["constructor", "lost"],
])("%s means %s", (hash, view) => {
  expect(viewOf(hash)).toBe(view);
});
