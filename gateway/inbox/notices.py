"""What the gateway itself writes to customers, in both languages, beside what banks write. A phone's name in it is what
that phone gave itself: it is quoted, and whatever no text may hold is left out."""

import re
from collections.abc import Mapping

from gateway.inbox.models import HIDDEN, Lang, Text

Texts = Mapping[Lang, Text]
_HIDDEN = re.compile(rf"[\n{HIDDEN}]")


def welcome(phone: str) -> Texts:
    """A customer's first phone is bound."""
    phone = _quoted(phone)
    return {
        "fr": Text(
            "Bienvenue",
            f"« {phone} » est maintenant associé à votre compte. Vous y approuverez vos connexions et vos paiements. "
            "N’approuvez que ce que vous avez demandé vous-même ; en cas de doute, refusez et appelez votre banque.",
        ),
        "en": Text(
            "Welcome",
            f"“{phone}” is now bound to your account. You will approve your logins and payments on it. Approve only "
            "what you asked for yourself; when in doubt, refuse and call your bank.",
        ),
    }


def added(phone: str) -> Texts:
    """A further phone is bound."""
    phone = _quoted(phone)
    return {
        "fr": Text(
            "Un téléphone a été ajouté",
            f"« {phone} » peut désormais approuver pour votre compte. Si ce n’est pas vous, suspendez-le "
            "dans la page de vos téléphones et appelez votre banque.",
        ),
        "en": Text(
            "A phone was added",
            f"“{phone}” can now approve for your account. If this was not you, suspend it on the page of "
            "your phones and call your bank.",
        ),
    }


def block_ahead(phone: str) -> Texts:
    """One more series of wrong answers blocks a phone until the bank unblocks it."""
    phone = _quoted(phone)
    return {
        "fr": Text(
            "Trop de réponses erronées",
            f"« {phone} » a été bloqué un moment après des réponses erronées. Si d’autres suivent, seule votre banque "
            "pourra le débloquer. Si ce n’est pas vous, appelez votre banque.",
        ),
        "en": Text(
            "Too many wrong answers",
            f"“{phone}” was blocked for a while after wrong answers. If more follow, only your bank can unblock it. "
            "If this was not you, call your bank.",
        ),
    }


def _quoted(name: str) -> str:
    """Return a name that cannot end its own quotation marks, nor hide or turn round what stands beside it."""
    return re.sub("[«»“”]", "'", _HIDDEN.sub("", name)).strip() or "?"
