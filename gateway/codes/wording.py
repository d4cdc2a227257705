"""The text alternative of a code image, in the languages that Tessera speaks. It says what the image is for
and that there is another way; it never repeats the secret that the image carries."""

from typing import Final, Literal

CodeKind = Literal["activation", "code2"]
Language = Literal["fr", "en"]

LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en")

_TEXTS: Final[dict[CodeKind, dict[Language, str]]] = {
    "activation": {
        "fr": "Code d’activation à scanner avec le téléphone à associer. "
        "Sans appareil photo, saisissez sur le téléphone le code donné sous « Je ne peux pas scanner ».",
        "en": "Activation code to scan with the phone being added. "
        "Without a camera, type on the phone the code given under “I cannot scan”.",
    },
    "code2": {
        "fr": "Second code à scanner avec le même téléphone pour terminer l’association. "
        "Sans appareil photo, saisissez sur le téléphone le code donné sous « Je ne peux pas scanner ».",
        "en": "Second code to scan with the same phone to finish adding it. "
        "Without a camera, type on the phone the code given under “I cannot scan”.",
    },
}


def alt_text(kind: CodeKind, lang: Language) -> str:
    """Return the text alternative of a code image of that kind."""
    return _TEXTS[kind][lang]
