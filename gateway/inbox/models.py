"""A message of the bank to a customer, as data. Nothing here reads a clock or a database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Lang = Literal["fr", "en"]
LANGS: tuple[Lang, ...] = ("fr", "en")
HIDDEN = r"\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
"""What no text holds, as a class of a regular expression: control characters but the line feed, separators, the
controls of the bidirectional algorithm (UAX #9), and what has no width, but for the joiners that some scripts need."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message in one language: `title` on one line, `body` with line breaks. Plain text, without markup."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `texts` holds one language at least; times are Unix milliseconds. `expires_at` and `read_at` may be
    None: kept until it is deleted, unread."""

    id: str
    tenant_id: str
    user: str
    texts: Mapping[Lang, Text]
    created_at: int
    expires_at: int | None
    read_at: int | None

    def text_in(self, lang: Lang) -> Text:
        """Return the text in a language, or in the other one where the bank wrote that alone."""
        return self.texts.get(lang) or next(self.texts[each] for each in LANGS if each in self.texts)
