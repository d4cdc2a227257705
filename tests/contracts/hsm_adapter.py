"""What every key store must do, whatever stands behind it. A back-end's test module subclasses
`HsmAdapterContract` and gives two fixtures: `adapter`, an open and empty store, and `open_again`, which opens the
same store once more."""

import asyncio
import hashlib
import hmac
import inspect
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hsm_kit import bad_points, fresh_peer, operations, point, some_kind, wrapped_keys, wrapped_mac_keys

from hsm_adapters.api import (
    CopyableStore,
    HashName,
    HsmAdapter,
    KeyInfo,
    KeyKind,
    WrappedKeyImport,
    WrappedKeyRelease,
)
from hsm_adapters.errors import (
    HsmUnavailable,
    InvalidPeerKey,
    InvalidRequest,
    KeyExists,
    KeyNotFound,
    UnwrapFailed,
    WrongKeyKind,
)

OpenAgain = Callable[[], Awaitable[HsmAdapter]]


class HsmAdapterContract:
    """The suite. Labels are fresh a test, since `adapter` may be one store for all."""

    # Keys by label ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("kind", list(KeyKind))
    async def test_a_generated_key_is_found_and_listed(self, adapter: HsmAdapter, kind: KeyKind) -> None:
        made = await adapter.generate(f"made-{kind.value}", kind)
        assert made == await adapter.find(made.label)
        assert made in await adapter.list()
        assert (made.label, made.kind) == (f"made-{kind.value}", kind)
        if kind in (KeyKind.SIGN_P256, KeyKind.AGREE_P256):
            point(made.public_key)
        else:
            assert made.public_key is None

    async def test_the_list_is_in_order_of_labels(self, adapter: HsmAdapter) -> None:
        for label in ("order-c", "order-a", "order-B", "order-b"):
            await adapter.generate(label, KeyKind.MAC_SHA256)
        labels = [info.label for info in await adapter.list()]
        assert labels == sorted(labels)
        assert {"order-a", "order-b", "order-B", "order-c"} <= set(labels)

    async def test_a_label_is_given_once(self, adapter: HsmAdapter) -> None:
        first = await adapter.generate("once", KeyKind.SIGN_P256)
        for kind in (KeyKind.SIGN_P256, KeyKind.WRAP_AES256):
            with pytest.raises(KeyExists):
                await adapter.generate("once", kind)
        assert await adapter.find("once") == first

    @pytest.mark.parametrize(
        "label", ["", "a" * 65, "with space", "a/b", "../a", "ü", "a;b=c", "a\n", "-a", ".a"]
    )
    async def test_odd_labels_are_refused(self, adapter: HsmAdapter, label: str) -> None:
        with pytest.raises(InvalidRequest):
            await adapter.generate(label, KeyKind.MAC_SHA256)
        with pytest.raises(InvalidRequest):
            await adapter.find(label)

    async def test_the_longest_label_works(self, adapter: HsmAdapter) -> None:
        label = "tessera-ten_" + "A-_9" * 13
        assert len(label) == 64
        assert (await adapter.generate(label, KeyKind.MAC_SHA256)).label == label

    async def test_unknown_keys_are_named_errors(self, adapter: HsmAdapter) -> None:
        _, peer = fresh_peer()
        for call in operations(adapter, "nobody", peer).values():
            with pytest.raises(KeyNotFound):
                await call()
        with pytest.raises(KeyNotFound):
            await adapter.find("nobody")
        with pytest.raises(KeyNotFound):
            await adapter.destroy("nobody")

    @pytest.mark.parametrize("kind", list(KeyKind))
    async def test_a_key_serves_its_own_purpose_only(self, adapter: HsmAdapter, kind: KeyKind) -> None:
        label = f"purpose-{kind.value}"
        await adapter.generate(label, kind)
        _, peer = fresh_peer()
        served = {
            KeyKind.SIGN_P256: {"sign"},
            KeyKind.AGREE_P256: {"ecdh"},
            KeyKind.MAC_SHA256: {"mac"},
            KeyKind.WRAP_AES256: {"wrap", "unwrap", "generate_wrapped", "ecdh_wrapped"},
        }[kind]
        for name, call in operations(adapter, label, peer).items():
            if name in served:
                continue
            with pytest.raises(WrongKeyKind):
                await call()

    async def test_a_destroyed_key_is_gone(self, adapter: HsmAdapter) -> None:
        await adapter.generate("doomed", KeyKind.WRAP_AES256)
        blob = await adapter.wrap("doomed", b"text", b"context")
        await adapter.destroy("doomed")
        with pytest.raises(KeyNotFound):
            await adapter.unwrap("doomed", blob, b"context")
        assert "doomed" not in [info.label for info in await adapter.list()]
        await adapter.generate("doomed", KeyKind.WRAP_AES256)
        with pytest.raises(UnwrapFailed):
            await adapter.unwrap("doomed", blob, b"context")

    async def test_keys_outlive_the_handle(self, adapter: HsmAdapter, open_again: OpenAgain) -> None:
        made = await adapter.generate("lasting", KeyKind.AGREE_P256)
        again = await open_again()
        assert await again.find("lasting") == made
        key, peer = fresh_peer()
        assert await again.ecdh("lasting", peer) == key.exchange(ec.ECDH(), point(made.public_key))
        await again.close()

    async def test_one_handle_sees_what_another_made(
        self, adapter: HsmAdapter, open_again: OpenAgain
    ) -> None:
        again = await open_again()
        made = await again.generate("from-the-other", KeyKind.SIGN_P256)
        assert await adapter.find("from-the-other") == made
        with pytest.raises(KeyExists):
            await adapter.generate("from-the-other", KeyKind.SIGN_P256)
        await again.destroy("from-the-other")
        assert "from-the-other" not in [info.label for info in await adapter.list()]
        await again.close()

    async def test_a_closed_store_says_so(self, adapter: HsmAdapter, open_again: OpenAgain) -> None:
        await adapter.generate("closing", KeyKind.MAC_SHA256)
        again = await open_again()
        await again.close()
        await again.close()
        for call in (
            lambda: again.mac("closing", b""),
            again.list,
            lambda: again.random(8),
            lambda: again.generate("x", KeyKind.MAC_SHA256),
        ):
            with pytest.raises(HsmUnavailable):
                await call()

    # Signing ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("message", [b"", b"a message", bytes(100_000)])
    async def test_signatures_verify(self, adapter: HsmAdapter, message: bytes) -> None:
        info = await adapter.generate("signer", KeyKind.SIGN_P256)
        for _ in range(20):  # r or s begins with a zero byte once in 128: padding shows up over the runs
            signature = await adapter.sign("signer", message)
            assert len(signature) == 64
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            point(info.public_key).verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))

    # Agreement ----------------------------------------------------------------------------------------------

    async def test_agreement_meets_the_other_side(self, adapter: HsmAdapter) -> None:
        info = await adapter.generate("agreeing", KeyKind.AGREE_P256)
        for _ in range(10):
            key, peer = fresh_peer()
            shared = await adapter.ecdh("agreeing", peer)
            assert len(shared) == 32
            assert shared == key.exchange(ec.ECDH(), point(info.public_key))

    @pytest.mark.parametrize("name", list(bad_points()))
    async def test_a_peer_off_the_curve_is_refused(self, adapter: HsmAdapter, name: str) -> None:
        await adapter.generate("careful", KeyKind.AGREE_P256)
        with pytest.raises(InvalidPeerKey):
            await adapter.ecdh("careful", bad_points()[name])

    # Message authentication ---------------------------------------------------------------------------------

    async def test_mac_is_a_function_of_key_and_message(self, adapter: HsmAdapter) -> None:
        await adapter.generate("mac-1", KeyKind.MAC_SHA256)
        await adapter.generate("mac-2", KeyKind.MAC_SHA256)
        first = await adapter.mac("mac-1", b"message")
        assert len(first) == 32
        assert first == await adapter.mac("mac-1", b"message")
        assert first != await adapter.mac("mac-1", b"messagf")
        assert first != await adapter.mac("mac-2", b"message")
        for weak in (b"", bytes(32)):  # a key left empty or zero by mistake
            assert first != hmac.digest(weak, b"message", hashlib.sha256)

    # Wrapping -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, 32, 65_536])
    async def test_what_was_wrapped_opens(self, adapter: HsmAdapter, size: int) -> None:
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        plaintext = bytes(range(256)) * (size // 256) + bytes(size % 256)
        blob = await adapter.wrap("wrapper", plaintext, b"context")
        assert len(blob) <= size + 64
        assert await adapter.unwrap("wrapper", blob, b"context") == plaintext

    async def test_wrapping_twice_gives_two_blobs(self, adapter: HsmAdapter) -> None:
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        blobs = {await adapter.wrap("wrapper", b"same", b"") for _ in range(50)}
        assert len(blobs) == 50

    @pytest.mark.parametrize("context", [b"", b"contex", b"contextt", b"CONTEXT", b"tessera data\x00context"])
    async def test_another_context_does_not_open(self, adapter: HsmAdapter, context: bytes) -> None:
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        blob = await adapter.wrap("wrapper", b"text", b"context")
        with pytest.raises(UnwrapFailed):
            await adapter.unwrap("wrapper", blob, context)

    async def test_another_key_does_not_open(self, adapter: HsmAdapter) -> None:
        await adapter.generate("wrap-1", KeyKind.WRAP_AES256)
        await adapter.generate("wrap-2", KeyKind.WRAP_AES256)
        blob = await adapter.wrap("wrap-1", b"text", b"context")
        with pytest.raises(UnwrapFailed):
            await adapter.unwrap("wrap-2", blob, b"context")

    async def test_any_changed_bit_does_not_open(self, adapter: HsmAdapter) -> None:
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        blob = await adapter.wrap("wrapper", b"text", b"context")
        for position in range(len(blob)):
            for bit in (1, 128):
                changed = bytearray(blob)
                changed[position] ^= bit
                with pytest.raises(UnwrapFailed):
                    await adapter.unwrap("wrapper", bytes(changed), b"context")
        for length in range(len(blob)):
            with pytest.raises(UnwrapFailed):
                await adapter.unwrap("wrapper", blob[:length], b"context")
        with pytest.raises(UnwrapFailed):
            await adapter.unwrap("wrapper", blob + b"\x00", b"context")

    async def test_what_is_over_the_limits_is_refused(self, adapter: HsmAdapter) -> None:
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        await adapter.generate("mac", KeyKind.MAC_SHA256)
        await adapter.generate("signer", KeyKind.SIGN_P256)
        for call in (
            lambda: adapter.wrap("wrapper", bytes(65_537), b""),
            lambda: adapter.wrap("wrapper", b"", bytes(1_025)),
            lambda: adapter.unwrap("wrapper", bytes(65_536 + 65), b""),
            lambda: adapter.mac("mac", bytes(1_048_577)),
            lambda: adapter.sign("signer", bytes(1_048_577)),
            lambda: adapter.random(0),
            lambda: adapter.random(-1),
            lambda: adapter.random(1_025),
        ):
            with pytest.raises(InvalidRequest):
                await call()

    # Random bytes -------------------------------------------------------------------------------------------

    async def test_random_bytes_differ(self, adapter: HsmAdapter) -> None:
        assert len(await adapter.random(1)) == 1
        assert len(await adapter.random(1_024)) == 1_024
        assert len({await adapter.random(16) for _ in range(100)}) == 100

    # Many at once -------------------------------------------------------------------------------------------

    async def test_a_hundred_operations_at_once(self, adapter: HsmAdapter) -> None:
        info = await adapter.generate("busy-agree", KeyKind.AGREE_P256)
        await adapter.generate("busy-wrap", KeyKind.WRAP_AES256)
        await adapter.generate("busy-mac", KeyKind.MAC_SHA256)
        public = point(info.public_key)

        async def round_trip(number: int) -> None:
            key, peer = fresh_peer()
            text = number.to_bytes(4, "big")
            blob, shared, mac = await asyncio.gather(
                adapter.wrap("busy-wrap", text, text),
                adapter.ecdh("busy-agree", peer),
                adapter.mac("busy-mac", text),
            )
            assert await adapter.unwrap("busy-wrap", blob, text) == text
            assert shared == key.exchange(ec.ECDH(), public)
            assert mac == await adapter.mac("busy-mac", text)

        await asyncio.gather(*(round_trip(number) for number in range(100)))

    async def test_keys_made_at_once_are_all_there(self, adapter: HsmAdapter, open_again: OpenAgain) -> None:
        again = await open_again()
        kind = await some_kind(adapter)
        made = await asyncio.gather(
            *((adapter, again)[n % 2].generate(f"crowd-{n:02}", kind) for n in range(20))
        )
        for store in (adapter, again):
            assert [info for info in await store.list() if info.label.startswith("crowd-")] == list(made)
        if made[0].public_key is not None:
            assert len({info.public_key for info in made}) == 20
        await again.close()

    async def test_one_label_made_at_once_is_made_once(
        self, adapter: HsmAdapter, open_again: OpenAgain
    ) -> None:
        again = await open_again()
        kind = await some_kind(adapter)
        outcomes = await asyncio.gather(
            *((adapter, again)[n % 2].generate("contended", kind) for n in range(8)),
            return_exceptions=True,
        )
        won = [outcome for outcome in outcomes if isinstance(outcome, KeyInfo)]
        assert len(won) == 1
        assert sum(isinstance(outcome, KeyExists) for outcome in outcomes) == 7
        assert await adapter.find("contended") == won[0] == await again.find("contended")
        await again.close()

    # No way out for keys ------------------------------------------------------------------------------------

    async def test_the_face_gives_no_key_bytes(self, adapter: HsmAdapter) -> None:
        public = {name for name in dir(adapter) if not name.startswith("_")}
        assert public <= {
            *(
                "open",
                "close",
                "generate",
                "find",
                "list",
                "destroy",
                "sign",
                "ecdh",
                "mac",
                "wrap",
                "unwrap",
            ),
            *("random", "generate_wrapped", "ecdh_wrapped", "rewrap", "create", "examine", "import_wrapped"),
            *("wrap_mac_key", "mac_wrapped", "rewrap_mac_key", "macs_inside"),
            *(("release_wrapped",) if isinstance(adapter, WrappedKeyRelease) else ()),
            *(("copy_to",) if isinstance(adapter, CopyableStore) else ()),
        }
        assert all(inspect.iscoroutinefunction(getattr(adapter, name)) for name in public)
        fields = set(KeyInfo.__dataclass_fields__)
        assert fields == {"label", "kind", "created_at", "public_key", "key_id"}

    # Wrapped agreement keys ---------------------------------------------------------------------------------

    async def test_a_wrapped_key_agrees(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped("wrapper", b"binding 1")
        assert len(wrapped.blob) <= 512
        public = point(wrapped.public_key)
        peers = [fresh_peer() for _ in range(4)]
        for count in range(1, 5):
            shared = await keys.ecdh_wrapped(
                "wrapper", wrapped.blob, b"binding 1", [peer for _, peer in peers[:count]]
            )
            assert shared == [key.exchange(ec.ECDH(), public) for key, _ in peers[:count]]

    async def test_wrapped_keys_differ(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        made = [await keys.generate_wrapped("wrapper", b"") for _ in range(20)]
        assert len({key.public_key for key in made}) == len({key.blob for key in made}) == 20

    async def test_a_wrapped_key_is_bound_to_its_context_and_wrapping_key(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrap-1", KeyKind.WRAP_AES256)
        await adapter.generate("wrap-2", KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped("wrap-1", b"binding 1")
        _, peer = fresh_peer()
        for label, context in (("wrap-1", b"binding 2"), ("wrap-1", b""), ("wrap-2", b"binding 1")):
            with pytest.raises(UnwrapFailed):
                await keys.ecdh_wrapped(label, wrapped.blob, context, [peer])
        for position in range(len(wrapped.blob)):
            changed = bytearray(wrapped.blob)
            changed[position] ^= 1
            with pytest.raises(UnwrapFailed):
                await keys.ecdh_wrapped("wrap-1", bytes(changed), b"binding 1", [peer])

    async def test_a_wrapped_key_never_comes_out_in_clear(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped("wrapper", b"context")
        for context in (b"context", b"", b"tessera agreement key\x00context"):
            with pytest.raises(UnwrapFailed):
                await adapter.unwrap("wrapper", wrapped.blob, context)

    async def test_no_key_of_ones_own_goes_in(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        _, peer = fresh_peer()
        blob = await adapter.wrap("wrapper", (1).to_bytes(32, "big"), b"context")
        with pytest.raises(UnwrapFailed):
            await keys.ecdh_wrapped("wrapper", blob, b"context", [peer])

    async def test_a_wrapped_key_refuses_bad_peers(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped("wrapper", b"")
        _, good = fresh_peer()
        for bad in bad_points().values():
            with pytest.raises(InvalidPeerKey):
                await keys.ecdh_wrapped("wrapper", wrapped.blob, b"", [good, bad])
        for peers in ([], [good] * 5):
            with pytest.raises(InvalidRequest):
                await keys.ecdh_wrapped("wrapper", wrapped.blob, b"", peers)

    async def test_a_wrapped_key_moves_to_another_wrapping_key(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        for label in ("wrap-1", "wrap-2"):
            await adapter.generate(label, KeyKind.WRAP_AES256)
        wrapped = await keys.generate_wrapped("wrap-1", b"binding 1")
        blob = await keys.rewrap(
            "wrap-1", wrapped.blob, b"binding 1", new_label="wrap-2", new_context=b"binding 1, anew"
        )
        await adapter.destroy("wrap-1")
        key, peer = fresh_peer()
        shared = await keys.ecdh_wrapped("wrap-2", blob, b"binding 1, anew", [peer])
        assert shared == [key.exchange(ec.ECDH(), point(wrapped.public_key))]
        for context in (b"binding 1", b"", b"binding 1, ane"):
            with pytest.raises(UnwrapFailed):
                await keys.ecdh_wrapped("wrap-2", blob, context, [peer])
        for old, context in ((blob, b"another"), (b"", b"binding 1, anew"), (blob[:-1], b"binding 1, anew")):
            with pytest.raises(UnwrapFailed):
                await keys.rewrap("wrap-2", old, context, new_label="wrap-2", new_context=b"")
        with pytest.raises(KeyNotFound):
            await keys.rewrap("wrap-2", blob, b"binding 1, anew", new_label="wrap-3", new_context=b"")

    async def test_a_key_from_elsewhere_comes_in_wrapped(self, adapter: HsmAdapter) -> None:
        keys = wrapped_keys(adapter)
        if not isinstance(adapter, WrappedKeyImport):
            pytest.skip("this store takes no keys from elsewhere")
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        own, own_point = fresh_peer()
        scalar = own.private_numbers().private_value.to_bytes(32, "big")
        made = await adapter.import_wrapped("wrapper", scalar, b"binding 1")
        assert made.public_key == own_point
        assert scalar not in made.blob
        key, peer = fresh_peer()
        shared = await keys.ecdh_wrapped("wrapper", made.blob, b"binding 1", [peer])
        assert shared == [own.exchange(ec.ECDH(), key.public_key())]
        with pytest.raises(UnwrapFailed):
            await keys.ecdh_wrapped("wrapper", made.blob, b"binding 2", [peer])
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        for bad in (bytes(32), order.to_bytes(32, "big"), b"", bytes(31) + b"\x01\x00"):
            with pytest.raises(InvalidRequest):
                await adapter.import_wrapped("wrapper", bad, b"binding 1")

    # Wrapped HMAC keys --------------------------------------------------------------------------------------

    @pytest.mark.parametrize("hash_name", list(HashName))
    @pytest.mark.parametrize("size", [10, 16, 20, 32, 33, 63, 64])
    async def test_a_wrapped_mac_key_authenticates(
        self, adapter: HsmAdapter, hash_name: HashName, size: int
    ) -> None:
        keys = wrapped_mac_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        seed = bytes(range(1, size + 1))
        blob = await keys.wrap_mac_key("wrapper", seed, b"token 1")
        assert len(blob) <= 512
        assert seed not in blob
        messages = [b"", b"12345678", bytes(1_024), *(number.to_bytes(8, "big") for number in range(5))]
        expected = [hmac.digest(seed, message, hash_name.value) for message in messages]
        for _ in range(3):  # the second time from what the store may have kept
            assert (
                await keys.mac_wrapped("wrapper", blob, b"token 1", messages, hash_name=hash_name) == expected
            )

    async def test_a_wrapped_mac_key_is_bound_and_stays_inside(self, adapter: HsmAdapter) -> None:
        keys = wrapped_mac_keys(adapter)
        for label in ("wrap-1", "wrap-2"):
            await adapter.generate(label, KeyKind.WRAP_AES256)
        blob = await keys.wrap_mac_key("wrap-1", bytes(range(20)), b"token 1")
        await keys.mac_wrapped("wrap-1", blob, b"token 1", [b""], hash_name=HashName.SHA1)
        for label, context in (("wrap-1", b"token 2"), ("wrap-1", b""), ("wrap-2", b"token 1")):
            with pytest.raises(UnwrapFailed):
                await keys.mac_wrapped(label, blob, context, [b""], hash_name=HashName.SHA1)
        for position in range(len(blob)):
            changed = bytearray(blob)
            changed[position] ^= 1
            with pytest.raises(UnwrapFailed):
                await keys.mac_wrapped("wrap-1", bytes(changed), b"token 1", [b""], hash_name=HashName.SHA1)
        with pytest.raises(UnwrapFailed):
            await adapter.unwrap("wrap-1", blob, b"token 1")
        data = await adapter.wrap("wrap-1", bytes(64), b"token 1")
        with pytest.raises(UnwrapFailed):
            await keys.mac_wrapped("wrap-1", data, b"token 1", [b""], hash_name=HashName.SHA1)

    async def test_a_destroyed_wrapping_key_takes_its_mac_keys_along(self, adapter: HsmAdapter) -> None:
        keys = wrapped_mac_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        blob = await keys.wrap_mac_key("wrapper", bytes(range(20)), b"token 1")
        for _ in range(8):  # so that whatever the store keeps, it keeps
            await keys.mac_wrapped("wrapper", blob, b"token 1", [b""], hash_name=HashName.SHA1)
        await adapter.destroy("wrapper")
        with pytest.raises(KeyNotFound):
            await keys.mac_wrapped("wrapper", blob, b"token 1", [b""], hash_name=HashName.SHA1)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        for _ in range(8):
            with pytest.raises(UnwrapFailed):
                await keys.mac_wrapped("wrapper", blob, b"token 1", [b""], hash_name=HashName.SHA1)

    async def test_many_wrapped_mac_keys_at_once(self, adapter: HsmAdapter) -> None:
        """Some of them again and again, in no order."""
        keys = wrapped_mac_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        seeds = [number.to_bytes(2, "big") * 10 for number in range(1, 81)]
        blobs = [await keys.wrap_mac_key("wrapper", seed, b"token") for seed in seeds]

        async def check(number: int) -> None:
            message = number.to_bytes(8, "big")
            mac = await keys.mac_wrapped(
                "wrapper", blobs[number], b"token", [message], hash_name=HashName.SHA256
            )
            assert mac == [hmac.digest(seeds[number], message, "sha256")]

        await asyncio.gather(*(check((7 * n) % 80) for n in range(400)))

    async def test_a_wrapped_mac_key_moves_to_another_wrapping_key(self, adapter: HsmAdapter) -> None:
        keys = wrapped_mac_keys(adapter)
        for label in ("wrap-1", "wrap-2"):
            await adapter.generate(label, KeyKind.WRAP_AES256)
        seed = bytes(range(20))
        blob = await keys.wrap_mac_key("wrap-1", seed, b"token 1")
        moved = await keys.rewrap_mac_key(
            "wrap-1", blob, b"token 1", new_label="wrap-2", new_context=b"token 1, anew"
        )
        await adapter.destroy("wrap-1")
        macs = await keys.mac_wrapped("wrap-2", moved, b"token 1, anew", [b"x"], hash_name=HashName.SHA1)
        assert macs == [hmac.digest(seed, b"x", "sha1")]
        with pytest.raises(UnwrapFailed):
            await keys.rewrap_mac_key("wrap-2", moved, b"token 1", new_label="wrap-2", new_context=b"")

    async def test_wrapped_mac_keys_over_the_limits_are_refused(self, adapter: HsmAdapter) -> None:
        keys = wrapped_mac_keys(adapter)
        await adapter.generate("wrapper", KeyKind.WRAP_AES256)
        blob = await keys.wrap_mac_key("wrapper", bytes(20), b"")
        for size in (0, 9, 65):
            with pytest.raises(InvalidRequest):
                await keys.wrap_mac_key("wrapper", bytes(size), b"")
        for messages in ([], [b""] * 257, [bytes(1_025)]):
            with pytest.raises(InvalidRequest):
                await keys.mac_wrapped("wrapper", blob, b"", messages, hash_name=HashName.SHA1)
