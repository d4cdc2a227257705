/** The phone's memory across versions of the app. */
import "fake-indexeddb/auto";
import { openDB } from "idb";
import { describe, expect, it } from "vitest";

import { PhoneStore } from "../../src/shared/phone-client";
import { FakeEnvironment } from "./fake-environment";
import { bound } from "./setup";

describe("the phone's memory", () => {
  it("of the version before keeps its bindings, and counts offline answers from then on", async () => {
    const world = await bound();
    const stored = (await world.store.readBinding(await world.bindingId()))!;
    const older = Object.fromEntries(Object.entries(stored).filter(([name]) => name !== "offlineAnswers"));
    const before = await openDB("older-phone", 2, {
      upgrade(database) {
        database.createObjectStore("pending", { keyPath: "activation" });
        database.createObjectStore("bindings", { keyPath: "id" });
        database.createObjectStore("keys");
        database.createObjectStore("banks", { keyPath: "host" });
      },
    });
    await before.put("bindings", older);
    before.close();
    const opened = await PhoneStore.open(world.environment, "older-phone");
    expect(await opened.readBinding(stored.id)).toMatchObject({ id: stored.id, ratchet: stored.ratchet, offlineAnswers: 0 });
    expect(await Promise.all([1, 2, 3].map(() => opened.takeOfflineCounter(stored.id)))).toEqual([0, 1, 2]);
    opened.close();
    const again = await PhoneStore.open(world.environment, "older-phone");
    expect(await again.takeOfflineCounter(stored.id)).toBe(3);
  });

  it("takes no count for a binding that is not there", async () => {
    const store = await PhoneStore.open(new FakeEnvironment(() => undefined), "empty-phone");
    await expect(store.takeOfflineCounter("bnd_none")).rejects.toMatchObject({ code: "binding-missing" });
  });
});
