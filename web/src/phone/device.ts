/**
 * What this phone tells the bank about itself: model, system, app. Read from what the browser offers freely; the person sees it
 * on the bank's page and can rename the phone. It is a label for people, never evidence.
 */
import type { DeviceFacts } from "../shared/phone-client/index.js";

export const APP = "Tessera web 0.1";
const MAX = 64;

interface UaData {
  readonly platform: string;
  getHighEntropyValues(hints: string[]): Promise<{ model?: string; platform?: string; platformVersion?: string }>;
}

/** Reads model and system out of a User-Agent string: `["iPhone", "iOS 17.4"]`. */
export function readUserAgent(ua: string): readonly [model: string, os: string] {
  const ios = /\((iPhone|iPad)[^)]*OS (\d+(?:_\d+)?)/.exec(ua);
  if (ios !== null) return [ios[1]!, `iOS ${ios[2]!.replace("_", ".")}`];
  const android = /Android (\d+(?:\.\d+)?)(?:; ([^;)]+))?/.exec(ua);
  if (android !== null) {
    const model = android[2]?.replace(/ Build\/.*/, "").trim() ?? "";
    return [model.length > 1 && model !== "wv" ? model : "Android", `Android ${android[1]!}`];
  }
  const os = /Windows/.test(ua) ? "Windows" : /Mac OS X/.test(ua) ? "macOS" : /CrOS/.test(ua) ? "ChromeOS" : /Linux/.test(ua) ? "Linux" : "Web";
  const browser = /Edg\//.test(ua) ? "Edge" : /Firefox\//.test(ua) ? "Firefox" : /Chrome\//.test(ua) ? "Chrome" : /Safari\//.test(ua) ? "Safari" : "Web";
  return [browser, os];
}

/** Returns the facts of this phone, each at most 64 characters. */
export async function deviceFacts(): Promise<DeviceFacts> {
  let [model, os] = readUserAgent(navigator.userAgent);
  const data = (navigator as { userAgentData?: UaData }).userAgentData;
  if (data !== undefined) {
    try {
      const high = await data.getHighEntropyValues(["model", "platformVersion"]);
      if (high.model !== undefined && high.model !== "") model = high.model;
      const version = high.platformVersion?.split(".")[0];
      if (data.platform === "Android" && version !== undefined && version !== "") os = `Android ${version}`;
    } catch {
      // refused by the browser's privacy settings: the User-Agent string must do
    }
  }
  const cut = (text: string): string => text.slice(0, MAX);
  return { name: cut(model), model: cut(model), platform: "web", os: cut(os), app: APP };
}
