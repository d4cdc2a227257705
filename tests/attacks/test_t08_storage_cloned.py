"""T08: the phone's storage is copied, and both the phone and the copy are used."""

from collections.abc import Awaitable, Callable

import pytest
from attack_kit import WireNetwork, bind_phone, copy_of, phone_over
from gateway_kit import PIN, GatewayKit
from msgspec.structs import replace
from sqlalchemy import text

from gateway.core.secrets import system_random
from gateway.devices.live import LiveChannels
from gateway.devices.store import find_for_phone
from gateway.phone.channel import Channel
from gateway.phone.errors import CloneSuspected, ConnectionLost, GatewayProblem, GatewayRefused, PinIsWrong
from gateway.phone.models import PhoneKeys
from gateway.phone.store import MemoryStore
from gateway.protocol.errors import ErrorCode
from gateway.protocol.frames import Hello, Kind, Suite, stale_answer_frame
from gateway.protocol.keys import resume_prologue, sign, stale_input
from gateway.protocol.messages import PinEvaluate
from gateway.protocol.oprf import blind
from gateway.protocol.wiretypes import Bytes33


async def state_of(kit: GatewayKit) -> str:
    [binding] = await kit.bindings()
    return str(binding["state"])


async def test_the_phone_alone_is_never_suspected(kit: GatewayKit) -> None:
    """The control of this file: many contacts of the one real phone."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    for _ in range(4):
        await (await phone.open(channel.binding.binding_id)).close()
    assert await state_of(kit) == "active"


async def test_a_copy_used_after_the_ratchet_moved_suspends_the_binding(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    identifier = channel.binding.binding_id
    for _ in range(2):
        await (await phone.open(identifier)).close()
    with pytest.raises(CloneSuspected):
        await copy.open(identifier)
    assert await state_of(kit) == "suspended"
    for either in (phone, copy):
        with pytest.raises(GatewayRefused):
            await either.open(identifier)


async def test_a_copy_used_first_is_shown_by_the_phones_next_contact(kit: GatewayKit) -> None:
    """And the bank is told: in the audit log, and by an event that says why."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    identifier = channel.binding.binding_id
    for _ in range(2):
        await (await copy.open(identifier)).close()
    with pytest.raises(CloneSuspected):
        await phone.open(identifier)
    assert await state_of(kit) == "suspended"
    page = await kit.call("GET", "/api/v1/audit?limit=200")
    [told] = [entry for entry in page["items"] if "clone" in entry["word"]]
    assert told["data"]["reason"] == "clone"


async def guess(channel: Channel) -> None:
    for pin in ("483910", "483917"):
        with pytest.raises(PinIsWrong):
            await channel.prove_pin(pin)


async def rename(channel: Channel) -> None:
    await channel.rename("Mine")


async def ask_only(channel: Channel) -> None:
    await channel._conversation.send(PinEvaluate(blinded=Bytes33(blind(b"483910", system_random).element)))
    await channel._conversation.receive(5)


@pytest.mark.parametrize("acts", [guess, rename, ask_only])
@pytest.mark.parametrize("contacts", [1, 2])
async def test_a_silent_copy_that_does_anything_is_shown_by_the_phones_next_contact(
    kit: GatewayKit, acts: Callable[[Channel], Awaitable[None]], contacts: int
) -> None:
    """It answers no challenge, so that only the phone can tell. Whoever acts on a channel has had `welcome`: the index
    moves on, and the phone, which has not, is challenged."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    await (await phone.open(identifier)).close()
    copy = copy_of(phone, kit)
    for _ in range(contacts):
        opened = await copy.open(identifier)
        await acts(opened)
        await opened.close()
    with pytest.raises(CloneSuspected):
        await phone.open(identifier)
    [binding] = await kit.bindings()
    assert (binding["state"], binding["suspended_by"]) == ("suspended", "clone")
    with pytest.raises(GatewayRefused):
        await copy.open(identifier)


async def test_a_copy_that_comes_with_the_same_index_again_and_again_acts_once(kit: GatewayKit) -> None:
    """It forgets what it was told and comes as if every answer were lost."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    first, again = copy_of(phone, kit), copy_of(phone, kit)
    await rename(await first.open(identifier))
    with pytest.raises(CloneSuspected):
        await again.open(identifier)


async def test_a_copys_channel_does_nothing_once_the_phone_has_come(
    kit: GatewayKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another node, where the newer channel does not close the older."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    copy = copy_of(phone, kit)
    monkeypatch.setattr(LiveChannels, "add", lambda *_: None)
    of_copy = await copy.open(identifier)
    await of_copy.ping()
    of_phone = await phone.open(identifier)
    with pytest.raises(GatewayProblem) as problem:
        await of_copy.rename("Mine")
    assert problem.value.problem == "conflict"
    with pytest.raises(ConnectionLost):
        await of_copy.ping()
    await of_phone.rename("Still mine")
    [binding] = await kit.bindings()
    assert (binding["state"], binding["name"]) == ("active", "Still mine")


async def test_a_copy_that_only_looks_is_not_seen_and_gains_nothing(kit: GatewayKit) -> None:
    """The limit that THREAT_MODEL.md admits: an answer may have been lost, so that the same index may come again until
    the phone itself does something."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    copy = copy_of(phone, kit)
    looked = await copy.open(identifier)
    await looked.ping()
    await looked.close()
    opened = await phone.open(identifier)
    await opened.prove_pin(PIN)
    await opened.close()
    assert await state_of(kit) == "active"
    with pytest.raises(CloneSuspected):  # the copy's n+1 is another than the phone's
        await copy.open(identifier)


async def test_nobody_resumes_a_phone_of_which_a_copy_was_found(kit: GatewayKit) -> None:
    """The copy moved the ratchet, so a resume would let in the copy and keep the phone out."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    identifier = channel.binding.binding_id
    for _ in range(2):
        await (await copy.open(identifier)).close()
    with pytest.raises(CloneSuspected) as found:
        await phone.open(identifier)
    assert "anew" in found.value.next_step
    [binding] = await kit.bindings()
    path = f"/api/v1/bindings/{binding['id']}"
    refused = await kit.call("POST", f"{path}/resume", {}, status=409)
    assert refused["next_step"] == "Remove this phone and bind it anew."
    await kit.call("POST", f"{path}/suspend", {}, status=409)
    for either in (phone, copy):
        with pytest.raises(GatewayRefused):
            await either.open(identifier)
    storage = kit.now.installation.storage
    held = await storage.read(lambda tx: find_for_phone(tx, binding["id"]))
    assert held is not None
    assert (held.psk, held.psk_next) == (None, None)
    assert (await kit.call("DELETE", path))["state"] == "removed"
    _, anew = await bind_phone(kit, user="user-2")
    await anew.ping()


async def test_a_database_older_than_its_phones_is_told_from_a_copy(kit: GatewayKit) -> None:
    """Restored from a backup: the gateway stands behind. It cannot tell that from a row that an insider set back for a
    copy with old keys, so it suspends all the same, and tells the bank that the index lay ahead."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    columns = "psk, psk_next, ratchet_index"
    storage = kit.now.installation.storage
    kept = await storage.read(
        lambda tx: dict(tx.execute(text(f"SELECT {columns} FROM bindings")).mappings().one())  # noqa: S608
    )
    for _ in range(3):
        await (await phone.open(identifier)).close()
    back = "UPDATE bindings SET psk = :psk, psk_next = :psk_next, ratchet_index = :ratchet_index"
    await storage.write(lambda tx: tx.execute(text(back), kept))
    with pytest.raises(CloneSuspected):
        await phone.open(identifier)
    [binding] = await kit.bindings()
    assert (binding["state"], binding["suspended_by"]) == ("suspended", "clone")
    page = await kit.call("GET", "/api/v1/audit?limit=200")
    [told] = [entry for entry in page["items"] if "clone" in entry["word"]]
    assert told["data"]["reason"] == "ahead"


async def test_a_fork_at_one_index_is_found_as_soon_as_either_goes_on(kit: GatewayKit) -> None:
    """Both use index n, which the gateway allows until n+1 is used; the loser's n+1 then fails."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    copy = copy_of(phone, kit)
    identifier = channel.binding.binding_id
    await (await copy.open(identifier)).close()
    with pytest.raises(CloneSuspected):
        for turn in range(2):
            await (await (phone, copy)[turn].open(identifier)).close()
    assert await state_of(kit) == "suspended"


async def test_a_stranger_who_knows_the_binding_id_cannot_suspend_it(kit: GatewayKit) -> None:
    """The challenge is answered with a signature by the phone's key, which the stranger lacks."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    for index in (0, 1, 7):
        memory = MemoryStore()
        own = PhoneKeys.generate(system_random)
        memory.put_binding(replace(channel.binding, keys=own, psk=bytes(32), index=index))
        with pytest.raises(GatewayRefused) as refused:
            await phone_over(kit, store=memory).open(channel.binding.binding_id)
        assert not isinstance(refused.value, CloneSuspected)
        assert await state_of(kit) == "active"
    await (await phone.open(channel.binding.binding_id)).close()


class Relay(WireNetwork):
    """Somebody on the wire who opens a connection of his own with a hello of his own making, hands its challenge to the
    phone, and the phone's signature back to the gateway."""

    def __init__(self, kit: GatewayKit, hello: bytes) -> None:
        super().__init__(kit, sent=self.swap, attacked=1)
        self._hello = hello

    def swap(self, number: int, frame: bytes) -> list[bytes]:
        return [self._hello if number == 1 else frame]


async def test_the_challenge_of_another_hello_does_not_make_an_honest_phone_a_clone(kit: GatewayKit) -> None:
    phone, channel = await bind_phone(kit)
    await channel.close()
    identifier = channel.binding.binding_id
    for suite in (Suite.RESUME_CLASSICAL, Suite.RESUME_HYBRID):
        for message in (bytes(65), bytes(120), system_random(1_400)):
            held = phone.store.binding(identifier)
            assert held is not None
            made = Hello(Kind.RESUME, suite, identifier, held.index, message).encode()
            with pytest.raises(GatewayRefused) as refused:
                await phone_over(kit, Relay(kit, made), store=phone.store).open(identifier)
            assert refused.value.error is ErrorCode.REFUSED
            assert await state_of(kit) == "active"
    await (await phone.open(identifier)).close()


async def test_a_hello_taken_to_another_host_does_not_make_an_honest_phone_a_clone(kit: GatewayKit) -> None:
    """The wire changes the name under which the gateway is asked, so that an honest hello fails."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    held = phone.store.binding(channel.binding.binding_id)
    assert held is not None
    memory = MemoryStore()
    memory.put_binding(replace(held, host="elsewhere.example"))
    with pytest.raises(GatewayRefused) as refused:
        await phone_over(kit, store=memory).open(held.binding_id)
    assert refused.value.error is ErrorCode.REFUSED
    assert await state_of(kit) == "active"
    await (await phone.open(held.binding_id)).close()


async def test_a_recorded_answer_to_a_challenge_does_not_suspend(kit: GatewayKit) -> None:
    """The signature is over the challenge's own nonce: one that a phone gave once is worth nothing later."""
    phone, channel = await bind_phone(kit)
    await channel.close()
    binding = channel.binding
    suite = Suite.RESUME_CLASSICAL
    hello = Hello(Kind.RESUME, suite, binding.binding_id, 9, bytes(120)).encode()
    prologue = resume_prologue(suite, host=binding.host, binding_id=binding.binding_id, index=9)
    claim = stale_input(binding.binding_id, index=9, nonce=system_random(32), prologue=prologue, hello=hello)
    old = sign(binding.keys.signing_key(), claim)
    socket = await phone._tools.network.connect()
    await socket.send(hello)
    assert (await socket.receive(5))[0] == 0x03
    await socket.send(stale_answer_frame(old))
    assert b"refused" in await socket.receive(5)
    assert await state_of(kit) == "active"
