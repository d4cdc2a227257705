"""The JSON messages of tessera-v1.json: one of each, and ones that must be refused. `generate_parts.py` calls
`wire_messages`."""

import json
from typing import Any

from generate_keys import Fixed

from gateway.core.encoding import b64url_encode


def _phone_about_requests(b: dict[int, str]) -> list[str]:
    """What a phone says about requests, messages, wake-ups and biometrics."""
    answer = f'{{"t":"answer","id":"{b[16]}","decision":'
    members = ("credential", "client_data", "authenticator_data", "signature")
    assertion = json.dumps(dict.fromkeys(members, b[77]))
    return [
        f'{answer}"refuse","factor":"possession","number":null,"signature":"{b[64]}"}}',
        f'{answer}"approve","factor":"pin","number":47,"signature":"{b[64]}","pin_signature":"{b[64]}"}}',
        f'{answer}"approve","factor":"biometric","number":null,"signature":"{b[64]}","assertion":{assertion}}}',
        '{"t":"approvals"}',
        f'{{"t":"approvals","before":"{b[16]}"}}',
        '{"t":"inbox"}',
        f'{{"t":"inbox","before":"{b[16]}"}}',
        f'{{"t":"inbox-read","id":"{b[16]}"}}',
        f'{{"t":"push-subscribe","endpoint":"https://push.example/x","p256dh":"{b[65]}","auth":"{b[16]}"}}',
        '{"t":"push-unsubscribe"}',
        '{"t":"biometric-begin"}',
        f'{{"t":"biometric-enrol","client_data":"{b[1]}","attestation_object":"{b[77]}"}}',
        '{"t":"biometric-remove"}',
        '{"t":"offline-counter","value":7}',
    ]


def _gateway_about_requests(b: dict[int, str]) -> list[str]:
    """What the gateway says about them."""
    past = f'{{"id":"{b[16]}","statement":"{b[77]}","state":"reported","at":1800000000,"here":true}}'
    letter = (
        f'{{"id":"{b[16]}","title":"Bienvenue","body":"Bonjour,\\n\\nmerci.","at":1800000000,'
        '"expires":null,"read":false}'
    )
    ask = f'{{"t":"ask","id":"{b[16]}","statement":"{b[77]}","factors":'
    return [
        f'{ask}["pin","biometric"],"number":"choose","numbers":[10,47,99],"time":1800000000}}',
        f'{ask}["possession"],"number":"none","numbers":[],"time":1800000000}}',
        f'{{"t":"settled","id":"{b[16]}","state":"cancelled"}}',
        f'{{"t":"answered","id":"{b[16]}","state":"approved"}}',
        f'{{"t":"answer-wrong","id":"{b[16]}","left":4,"until":null,"bank":false,"last":false}}',
        f'{{"t":"answer-wrong","id":"{b[16]}","left":0,"until":1800000300,"bank":true,"last":true}}',
        '{"t":"approval-page","items":[],"more":false}',
        f'{{"t":"approval-page","items":[{past},{past}],"more":true}}',
        f'{{"t":"inbox-page","items":[{letter}],"more":false,"unread":1}}',
        '{"t":"unread","count":3}',
        f'{{"t":"push-key","key":"{b[65]}","subscribed":false}}',
        '{"t":"push-subscribed","subscribed":true}',
        f'{{"t":"biometric-challenge","challenge":"{b[32]}","user":"{b[16]}"}}',
        '{"t":"biometric-state","policy":"off","credential":null}',
        f'{{"t":"biometric-state","policy":"required","credential":"{b[1]}"}}',
        '{"t":"offline-counted","value":7}',
    ]


def _wrong_about_requests(b: dict[int, str]) -> list[str]:
    """What the gateway may not say about them."""
    past = f'{{"id":"{b[16]}","statement":"{b[77]}","state":"approved","at":1,"here":true}}'
    ask = f'{{"t":"ask","id":"{b[16]}","statement":"{b[77]}","factors":'
    rest = '"number":"choose","numbers":[10,47,99],"time":1'
    long = b64url_encode(bytes(8_193))
    return [
        f"{ask}[],{rest}}}",
        f'{ask}["pin","pin","pin","pin"],{rest}}}',
        f'{ask}["password"],{rest}}}',
        f'{ask}"pin",{rest}}}',
        f'{ask}["pin"],"number":"choose","numbers":[10,47,98,99],"time":1}}',
        f'{ask}["pin"],"number":"choose","numbers":[9],"time":1}}',
        f'{ask}["pin"],"number":"choose","numbers":[100],"time":1}}',
        f'{ask}["pin"],"number":"choose","numbers":["47"],"time":1}}',
        f'{{"t":"ask","id":"{b[16]}","statement":"","factors":["pin"],{rest}}}',
        f'{{"t":"ask","id":"{b[16]}","statement":"{long}","factors":["pin"],{rest}}}',
        f'{{"t":"settled","id":"{b[16]}","state":"pending"}}',
        f'{{"t":"answer-wrong","id":"{b[16]}","left":4,"until":null,"bank":0,"last":false}}',
        f'{{"t":"approval-page","items":[{",".join([past] * 11)}],"more":true}}',
        f'{{"t":"approval-page","items":{past},"more":true}}',
        f'{{"t":"approval-page","items":[{past[:-1]},"x":1}}],"more":true}}',
        '{"t":"unread","count":4294967296}',
        '{"t":"biometric-state","policy":"sometimes","credential":null}',
        f'{{"t":"biometric-state","policy":"off","credential":"{b64url_encode(bytes(1_024))}"}}',
        '{"t":"biometric-state","policy":"off"}',
    ]


def wire_messages(fixed: Fixed) -> dict[str, Any]:
    """One of each JSON message, and ones that must be refused."""
    b = {
        size: b64url_encode((fixed("message") + fixed("message 2") + fixed("message 3"))[:size])
        for size in (1, 10, 16, 32, 33, 64, 65, 77)
    }
    device = '{"name":"Phone","model":"","platform":"cli","os":"Linux","app":"x/1","lang":"fr"}'
    phone = [
        f'{{"t":"bind","key":"{b[65]}","signature":"{b[64]}","attestation":{{"type":"none"}},"device":{device}}}',
        f'{{"t":"pin-evaluate","blinded":"{b[33]}"}}',
        f'{{"t":"commit","nonce":"{b[10]}","signature":"{b[64]}","pin_key":"{b[65]}","pin_signature":"{b[64]}",'
        f'"pin_verifier":"{b[32]}"}}',
        '{"t":"ready"}',
        '{"t":"ping"}',
        f'{{"t":"pin-prove","signature":"{b[64]}"}}',
        '{"t":"pin-change"}',
        f'{{"t":"pin-enrol","pin_key":"{b[65]}","pin_signature":"{b[64]}","pin_verifier":"{b[32]}"}}',
        '{"t":"rename","name":"Mon téléphone"}',
        '{"t":"remove"}',
        '{"t":"cancel"}',
        *_phone_about_requests(b),
    ]
    gateway = [
        '{"t":"pending","tries":3}',
        '{"t":"wrong-code","left":2}',
        '{"t":"ended","reason":"contested"}',
        f'{{"t":"confirmed","nonce":"{b[10]}"}}',
        '{"t":"confirmed"}',
        f'{{"t":"pin-evaluated","element":"{b[33]}","left":4}}',
        f'{{"t":"pin-evaluated","element":"{b[33]}","left":4,"nonce":"{b[16]}"}}',
        '{"t":"pin-blocked","until":1800000300}',
        '{"t":"pin-blocked","until":null}',
        '{"t":"active","added":1800000100}',
        '{"t":"welcome","next":1,"state":"active","tenant":"Example Bank","label":"Account","hybrid_due":1802592000,'
        '"pin":{"digits":6,"left":5,"blocked_until":null}}',
        '{"t":"welcome","next":4294967295,"state":"active","tenant":"Example Bank","label":"","hybrid_due":4294967295,'
        f'"pin":{{"digits":6,"left":0,"blocked_until":1800000300}},"gateway_key":"{b[65]}"}}',
        '{"t":"pong","time":1800000013}',
        '{"t":"pin-proved"}',
        '{"t":"pin-wrong","left":4,"until":null}',
        '{"t":"pin-change-ready"}',
        '{"t":"pin-enrolled"}',
        '{"t":"renamed","name":"Phone"}',
        '{"t":"removed"}',
        '{"t":"state","state":"suspended"}',
        '{"t":"problem","code":"out-of-turn"}',
        *_gateway_about_requests(b),
    ]
    wrong_gateway = [
        "",
        "[]",
        "null",
        '{"t":"nonsense"}',
        '{"t":"pong"}',
        '{"t":"pong","time":-1}',
        '{"t":"pong","time":"1"}',
        '{"t":"pong","time":9007199254740992}',
        '{"t":"pong","time":1,"more":1}',
        '{"t":"pending","tries":256}',
        '{"t":"ended","reason":"because"}',
        '{"t":"confirmed","nonce":null}',
        f'{{"t":"confirmed","nonce":"{b[16]}"}}',
        f'{{"t":"confirmed","nonce":"{b[10]}="}}',
        f'{{"t":"confirmed","nonce":"{b[10][:-1]}*"}}',
        '{"t":"pin-blocked"}',
        '{"t":"renamed","name":""}',
        json.dumps({"t": "renamed", "name": "x" * 65}),
        '{"t":"renamed","name":"a\\u0000b"}',
        '{"t":"renamed","name":"a\\u009bb"}',
        '{"t":"ping"}',
        *(
            '{"t":"welcome","next":1,"state":"active","tenant":"Example Bank","label":"","hybrid_due":1802592000,'
            f'"pin":{{"digits":6,"left":5,"blocked_until":null}},"gateway_key":{key}}}'
            for key in ("null", '""', f'"{b[33]}"', f'"{b[64]}"')
        ),
        "[" * 9_000,
        *_wrong_about_requests(b),
    ]
    wrong_phone = [
        "",
        '{"t":"ready","more":1}',
        '{"t":"rename","name":"tab\\tbed"}',
        f'{{"t":"pin-evaluate","blinded":"{b[64]}"}}',
        f'{{"t":"bind","key":"{b[65]}","signature":"{b[64]}","device":{device}}}',
        '{"t":"pong","time":1}',
        f'{{"t":"pin-enrol","pin_key":"{b[65]}","pin_signature":"{b[64]}"}}',
        f'{{"t":"answer","id":"{b[16]}","decision":"maybe","factor":"pin","number":null,"signature":"{b[64]}"}}',
        f'{{"t":"answer","id":"{b[16]}","decision":"approve","factor":"pin","number":9,"signature":"{b[64]}"}}',
        f'{{"t":"answer","id":"{b[16]}","decision":"approve","factor":"pin","signature":"{b[64]}"}}',
        '{"t":"inbox","before":null}',
        f'{{"t":"push-subscribe","endpoint":"{"x" * 2_049}","p256dh":"{b[65]}","auth":"{b[16]}"}}',
        f'{{"t":"biometric-enrol","client_data":"","attestation_object":"{b[77]}"}}',
        '{"t":"offline-counter","value":-1}',
    ]
    return {"phone": phone, "gateway": gateway, "wrong_phone": wrong_phone, "wrong_gateway": wrong_gateway}
