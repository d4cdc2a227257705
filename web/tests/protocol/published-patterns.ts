/** The message patterns of Noise revision 34 (sections 7 and 18), for the published vectors; the product needs two. */
import type { HandshakePattern, Token } from "../../src/shared/protocol/noise";

const LINES: Record<string, string> = {
  N: "<s | e es",
  K: ">s <s | e es ss",
  X: "<s | e es s ss",
  NN: "| e | e ee",
  NK: "<s | e es | e ee",
  NX: "| e | e ee s es",
  XN: "| e | e ee | s se",
  XK: "<s | e es | e ee | s se",
  XX: "| e | e ee s es | s se",
  KN: ">s | e | e ee se",
  KK: ">s <s | e es ss | e ee se",
  KX: ">s | e | e ee se s es",
  IN: "| e s | e ee se",
  IK: "<s | e es s ss | e ee se",
  IX: "| e s | e ee se s es",
  NK1: "<s | e | e ee es",
  NX1: "| e | e ee s | es",
  X1N: "| e | e ee | s | se",
  X1K: "<s | e es | e ee | s | se",
  XK1: "<s | e | e ee es | s se",
  X1K1: "<s | e | e ee es | s | se",
  X1X: "| e | e ee s es | s | se",
  XX1: "| e | e ee s | es s se",
  X1X1: "| e | e ee s | es s | se",
  K1N: ">s | e | e ee | se",
  K1K: ">s <s | e es | e ee | se",
  KK1: ">s <s | e | e ee se es",
  K1K1: ">s <s | e | e ee es | se",
  K1X: ">s | e | e ee s es | se",
  KX1: ">s | e | e ee se s | es",
  K1X1: ">s | e | e ee s | se es",
  I1N: "| e s | e ee | se",
  I1K: "<s | e es s | e ee | se",
  IK1: "<s | e s | e ee se es",
  I1K1: "<s | e s | e ee es | se",
  I1X: "| e s | e ee s es | se",
  IX1: "| e s | e ee se s | es",
  I1X1: "| e s | e ee s | se es",
};

/** The pattern of a name such as `IKpsk0+psk2`: a psk goes in front of the first message, or behind message n. */
export function publishedPattern(name: string): HandshakePattern {
  const [, base, modifiers] = /^([A-Z0-9]+)(.*)$/.exec(name)!;
  const [known, ...lines] = LINES[base!]!.split("|").map((part) => part.trim());
  const messages = lines.map((line) => line.split(" ") as Token[]);
  for (const modifier of modifiers === "" ? [] : modifiers!.split("+")) {
    const place = Number(modifier.slice(3));
    if (place === 0) messages[0]!.unshift("psk");
    else messages[place - 1]!.push("psk");
  }
  return { initiatorKnown: known!.includes(">s"), responderKnown: known!.includes("<s"), messages };
}
