/**
 * What this phone tells the bank about itself: model, system, app. Read from what the browser offers freely; the person sees it
 * on the bank's page and can rename the phone. It is a label for people, never evidence. A name that the person gave stays on this
 * phone and is told to the next bank too.
 */
import type { Lang } from "../shared/i18n/index.js";
import type { DeviceFacts } from "../shared/phone-client/index.js";
import { phone } from "./text/contact.js";

export const APP = "Tessera web 0.1";
const MAX = 64;
const NAME_PLACE = "tessera.phone-name";
/** What stands in the model's place of a User-Agent string and is none. */
const NO_MODEL = /^(?:.|wv|Mobile|Tablet)?$/u;

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
    return [NO_MODEL.test(model) ? "Android" : model, `Android ${android[1]!}`];
  }
  const os = /Windows/.test(ua) ? "Windows" : /Mac OS X/.test(ua) ? "macOS" : /CrOS/.test(ua) ? "ChromeOS" : /Linux/.test(ua) ? "Linux" : "Web";
  return [readBrowser(ua), os];
}

function readBrowser(ua: string): string {
  if (/EdgA?\//.test(ua)) return "Edge";
  if (/SamsungBrowser\//.test(ua)) return "Samsung Internet";
  return /Firefox\//.exec(ua) ? "Firefox" : /Chrome\//.exec(ua) ? "Chrome" : /Safari\//.exec(ua) ? "Safari" : "Web";
}

/** Returns a name that tells one phone from another: the model, or browser and system where no model is told. */
export function nameOf(ua: string, model: string, os: string, lang: Lang): string {
  const browser = readBrowser(ua);
  if (browser === "Web" || (model !== browser && model !== "Android")) return model;
  return phone[lang].nameOf(browser, os.replace(/ [\d.]+$/, ""));
}

/** Keeps the name that the person gave this phone; without room for it, it is told once. */
export function keepName(name: string): void {
  try {
    localStorage.setItem(NAME_PLACE, name);
  } catch {
    // storage is full or refused
  }
}

function keptName(): string | null {
  try {
    return localStorage.getItem(NAME_PLACE);
  } catch {
    return null;
  }
}

/** Returns the facts of this phone, each at most 64 characters. */
export async function deviceFacts(lang: Lang): Promise<DeviceFacts> {
  const ua = navigator.userAgent;
  let [model, os] = readUserAgent(ua);
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
  const cut = (text: string): string => Array.from(text).slice(0, MAX).join("");
  return { name: cut(keptName() ?? nameOf(ua, model, os, lang)), model: cut(model), platform: "web", os: cut(os), app: APP };
}
