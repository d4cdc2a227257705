"""The text alternative of a code image, in the languages that Tessera speaks. It says what the image is for
and that there is another way; it never repeats the secret that the image carries."""

from typing import Final, Literal

CodeKind = Literal["activation", "code2", "offline"]
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
    "offline": {
        "fr": "Code à scanner avec le téléphone associé, qui n’a besoin d’aucun réseau : il montre la demande "
        "et donne huit chiffres à saisir ici.",
        "en": "Code to scan with the bound phone, which needs no network: it shows what is asked and gives eight "
        "digits to type here.",
    },
}


def alt_text(kind: CodeKind, lang: Language) -> str:
    """Return the text alternative of a code image of that kind."""
    return _TEXTS[kind][lang]
