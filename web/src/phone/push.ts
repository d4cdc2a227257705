/**
 * Being woken by the bank: permission, the browser's one subscription, and telling each bank of it. One subscription serves all bindings
 * of this address. What the person switched on is kept in `localStorage`, so that a subscription that the browser replaced, or that the
 * gateway put away, is told anew when the app is open.
 */
import { PhoneClientError, type Channel } from "../shared/phone-client/index.js";

/**
 * unsupported: this browser has none; install: only once the app is on the home screen (iOS); unavailable: the bank offers none, or has not
 * said yet; denied: the person, or the system, forbids notifications here.
 */
export type PushState = "unsupported" | "install" | "unavailable" | "denied" | "off" | "on";

const PLACE = "tessera.push";
/** Browsers wait for their push service without an end. */
const PATIENCE_MS = 20_000;

/** For each binding that is to be woken: which subscription its bank was told last, as a hash, since the address itself can wake. */
type Kept = Readonly<Record<string, string>>;

function kept(): Kept {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(PLACE) ?? "null");
    return typeof value === "object" && value !== null ? (value as Kept) : {};
  } catch {
    return {}; // refused or damaged: the switch tells the bank anew
  }
}

function keep(value: Kept): void {
  try {
    localStorage.setItem(PLACE, JSON.stringify(value));
  } catch {
    // without room for it, a replaced subscription has to be switched on by hand again
  }
}

async function markOf({ endpoint }: PushSubscription): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint));
  return Array.from(new Uint8Array(hash).subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What tells how this browser stands. */
export interface PushWorld {
  readonly hasPush: boolean;
  readonly userAgent: string;
  readonly isInstalled: boolean;
  readonly permission: NotificationPermission;
}

export function browserPushWorld(): PushWorld {
  const hasPush = "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
  return {
    hasPush,
    userAgent: navigator.userAgent,
    isInstalled: matchMedia("(display-mode: standalone)").matches,
    permission: hasPush ? Notification.permission : "default",
  };
}

export function pushState(push: Channel["push"], world: PushWorld): PushState {
  if (!world.hasPush) return /iPhone|iPad/.test(world.userAgent) && !world.isInstalled ? "install" : "unsupported";
  if (push === null) return "unavailable";
  if (world.permission === "denied") return "denied";
  return push.subscribed && world.permission === "granted" ? "on" : "off";
}

function isSameKey(subscription: PushSubscription, key: Uint8Array): boolean {
  const present = subscription.options.applicationServerKey;
  if (present === null) return false;
  const bytes = new Uint8Array(present);
  return bytes.length === key.length && bytes.every((byte, at) => byte === key[at]);
}

/** Rejects with `push-invalid` when the browser comes to no end. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new PhoneClientError("push-invalid"));
    }, PATIENCE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The browser's subscription for this key; one for another key has to go first. */
async function subscriptionFor(key: NonNullable<Channel["push"]>["key"]): Promise<PushSubscription> {
  const { pushManager } = await navigator.serviceWorker.ready;
  const present = await pushManager.getSubscription();
  if (present !== null) {
    if (isSameKey(present, key)) return present;
    await present.unsubscribe();
  }
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
}

async function tell(channel: Channel, subscription: PushSubscription): Promise<void> {
  await channel.subscribePush(subscription);
  keep({ ...kept(), [channel.bindingId]: await markOf(subscription) });
}

/** Asks for permission, subscribes, tells the bank. Call it from a click. Resolves with whether the person allowed it. */
export async function turnPushOn(channel: Channel): Promise<boolean> {
  const { push } = channel;
  if (push === null || (await Notification.requestPermission()) !== "granted") return false;
  const subscription = await inTime(subscriptionFor(push.key));
  await tell(channel, subscription);
  return true;
}

/** Tells the bank; the browser's subscription goes with the last bank that has it. */
export async function turnPushOff(channel: Channel): Promise<void> {
  await channel.unsubscribePush();
  await dropPush(channel.bindingId);
}

/** This binding wants no waking up any more, or is no more. */
export async function dropPush(bindingId: string): Promise<void> {
  const { [bindingId]: mark, ...rest } = kept();
  if (mark === undefined) return;
  keep(rest);
  if (Object.keys(rest).length > 0 || !("serviceWorker" in navigator)) return;
  const registration = await navigator.serviceWorker.getRegistration("/phone/");
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}

/** Tells the bank the subscription that is in force, where it knows another one or none of a phone that wants to be woken. */
export async function mendPush(channel: Channel): Promise<void> {
  const { push, bindingId } = channel;
  const mark = kept()[bindingId];
  if (push === null || mark === undefined || !browserPushWorld().hasPush || Notification.permission !== "granted") return;
  const subscription = await inTime(subscriptionFor(push.key));
  if (!push.subscribed || (await markOf(subscription)) !== mark) await tell(channel, subscription);
}
