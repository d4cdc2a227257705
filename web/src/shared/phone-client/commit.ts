/**
 * The last step of a first contact (m7): the PIN is evaluated and enrolled, the binding is stored as "committing" with
 * bpsk_0, and `commit` is sent. Storing comes first, so that an answer that is lost can be settled by a resume.
 */
import { type Bytes, wipe } from "../protocol/bytes";
import { commitInput } from "../protocol/keys";
import type { ContactContext, Linked } from "./contact-link";
import { PhoneClientError } from "./errors";
import { signByPhone } from "./keystore";
import { enrolment, evaluatePin, type PinContext } from "./pin";
import type { BindingRecord } from "./records";
import { ratchetPlace } from "./resume";
import { idText } from "./store";

/** Stores the binding that `commit` is about to make. */
async function storeCommitting(context: ContactContext, linked: Linked): Promise<BindingRecord> {
  const { store, environment, device } = context;
  const { answer, record } = linked;
  const id = idText("bnd", answer.binding);
  const secret = await linked.conversation.session.export("binding-psk");
  const psk = await store.seal(secret, ratchetPlace(id, 0));
  wipe(secret);
  const { agreement, signing, deviceSecret, activation, host, gatewayStatic } = record;
  const binding: BindingRecord = {
    id,
    activation,
    host,
    gatewayStatic,
    agreement,
    signing,
    deviceSecret,
    tenant: answer.tenant,
    label: answer.label,
    name: device.name,
    platform: device.platform,
    pinDigits: answer.pin.digits,
    state: "committing",
    addedAt: environment.now(),
    lastSeenAt: null,
    ratchet: { index: 0, psk, next: null },
    hybridDueAt: null,
    nextDeviceSecret: null,
    offlineAnswers: 0,
  };
  await store.writeBinding(binding);
  return binding;
}

/** Enrols the PIN and commits. `onStored` is told when only the gateway can say whether the binding stands. */
export async function commitBinding(
  context: ContactContext,
  linked: Linked,
  give: { readonly pin: string; readonly nonce: Bytes; readonly onStored: () => void },
): Promise<BindingRecord> {
  const { conversation, answer, clockOffset, record } = linked;
  const pinContext: PinContext = {
    conversation,
    binding: answer.binding,
    toLocal: (seconds) => seconds * 1000 - clockOffset,
  };
  const evaluation = await evaluatePin(pinContext, give.pin, record.deviceSecret);
  if (evaluation.nonce !== null) throw new PhoneClientError("protocol");
  const members = await enrolment(pinContext, evaluation, { pin: give.pin, deviceSecret: record.deviceSecret });
  const { id } = await storeCommitting(context, linked);
  const signature = await signByPhone(record, commitInput(conversation.session.handshakeHash, give.nonce));
  give.onStored();
  const commit = { t: "commit", nonce: give.nonce, signature, ...members } as const;
  const active = await conversation.request(commit, "active");
  const addedAt = active.added * 1000 - clockOffset;
  return context.store.settleBinding(id, { state: "active", addedAt, lastSeenAt: context.environment.now() });
}
