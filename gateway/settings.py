"""What the operator may set: a frozen struct, read once from a TOML file and TESSERA_* variables (which win). The
composition root and the command line read it; services take the values they need, never this struct. Errors name
the key and the next step, and never repeat a value, since a database URL may hold a password."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.core.secrets import repr_without

Seconds = Annotated[int, Meta(ge=1)]
LogLevel = Literal["debug", "info", "warning", "error"]
SuiteName = Literal["hybrid", "classical"]
PREFIX = "TESSERA_"
MILLION = 1_000_000
_OTHERS = ("CONFIG", "PYTHON")
_KUBERNETES = re.compile(
    r"(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.*)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_.*)?)"
)


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`quota` requests in any `window_s` seconds for one caller."""

    quota: Annotated[int, Meta(ge=1, le=MILLION)]
    window_s: Annotated[int, Meta(ge=1, le=86_400)]


DEFAULT_LIMITS: dict[str, RateLimit] = {
    "default": RateLimit(6_000, 60),
    "start": RateLimit(6_000, 60),
    "guess": RateLimit(20, 60),
    "stream": RateLimit(60, 60),
    "phone": RateLimit(600, 60),
    "public": RateLimit(600, 60),
}


def _key(description: str, **rules: Any) -> Meta:
    return Meta(description=description, **rules)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every key, its default and its meaning. In the environment: TESSERA_ and the key in capitals; lists are
    separated by commas, `limits` is JSON."""

    listen_host: Annotated[str, _key("Address to listen on. Loopback unless told otherwise.")] = "127.0.0.1"
    listen_port: Annotated[int, _key("TCP port to listen on.", ge=0, le=65_535)] = 8080
    lan_address: Annotated[
        str | None,
        _key("IPv4 address on the network, for `serve --lan`. Default: that of the default route."),
    ] = None
    lan_port: Annotated[
        int, _key("TCP port of HTTPS on the network, for `serve --lan`.", ge=1, le=65_535)
    ] = 8443
    public_host: Annotated[
        str,
        _key(
            "HOST of the protocol, as phones reach it: lower case, with the port when it is not 443.",
            max_length=255,
        ),
    ] = "localhost:8080"
    alias_hosts: Annotated[
        list[str], _key("Other HOSTs under which phones on this computer reach it (development).")
    ] = msgspec.field(default_factory=list)
    public_name: Annotated[str, _key("Name that the phone app shows for this host.", max_length=64)] = (
        "Tessera"
    )
    data: Annotated[str, _key("Directory of the database and key files.")] = "var"
    database_url: Annotated[
        str | None,
        _key("sqlite:///FILE or postgresql://HOST/NAME. Default: tessera.db in the data directory."),
    ] = None
    hsm: Annotated[
        str | None,
        _key(
            "URI of the key store: software:file=PATH?passphrase-source=env:NAME, "
            "pkcs11:token=LABEL?module-path=PATH&pin-source=file:PATH (docs/hsm.md), or another adapter's."
        ),
    ] = None
    hsm_previous: Annotated[
        str | None,
        _key("URI of the key store before `hsm`, while `tessera keys migrate` moves from it."),
    ] = None
    otp_inside: Annotated[
        bool,
        _key(
            "Compute the HMACs of tokens' one-time codes inside the key store's module, so that no seed is in the "
            "gateway's memory. Slower; refused where the module cannot (`tessera keys doctor`)."
        ),
    ] = False
    production: Annotated[bool, _key("Refuse what only development may have.")] = False
    web_dist: Annotated[
        str | None, _key("Directory of the built web files. Default: web/dist beside the code.")
    ] = None
    demo: Annotated[bool, _key("Serve the demo bank at /demo/ and set up what it needs.")] = False
    tls_cert: Annotated[str | None, _key("PEM file of the certificate chain. Without it: plain HTTP.")] = None
    tls_key: Annotated[str | None, _key("PEM file of the certificate's key.")] = None
    trusted_proxies: Annotated[
        list[str], _key("Addresses of reverse proxies whose X-Forwarded-For and -Proto are believed.")
    ] = msgspec.field(default_factory=list)
    place_header: Annotated[
        str | None,
        _key("Header in which a trusted proxy says in words where the caller is, such as X-Place."),
    ] = None
    cors_origins: Annotated[
        list[str], _key("Origins of bank pages that embed the elements, such as https://bank.example.")
    ] = msgspec.field(default_factory=list)
    limits: Annotated[dict[str, RateLimit], _key("Rate limits by name: {quota, window_s}.")] = msgspec.field(
        default_factory=dict
    )
    max_body_bytes: Annotated[int, _key("Largest request body.", ge=1024, le=MILLION)] = 65_536
    max_connections: Annotated[int, _key("Open phone channels, and as many event streams.", ge=1)] = 10_000
    rotation_s: Annotated[int, _key("Seconds between two codes of an activation.", ge=2, le=3600)] = 10
    activation_life_s: Annotated[int, _key("Life of an activation, seconds.", ge=60, le=86_400)] = 300
    page_token_life_s: Annotated[int, _key("Life of a page token, seconds.", ge=60, le=86_400)] = 900
    suites: Annotated[list[SuiteName], _key("Handshake suites that activations may use.", min_length=1)] = (
        msgspec.field(default_factory=lambda: ["hybrid", "classical"])
    )
    hybrid_days: Annotated[
        int, _key("Days after which a phone runs the hybrid handshake again.", ge=1, le=365)
    ] = 30
    pin_digits: Annotated[int, _key("Length of the PIN.", ge=4, le=12)] = 6
    biometric: Annotated[
        Literal["off", "optional", "required"],
        _key("Whether phones may, or must, add the fingerprint or face of their device."),
    ] = "optional"
    push_contact: Annotated[
        str | None,
        _key("Whom a push service may write to: mailto:… or https:… (RFC 8292). Default: the public host."),
    ] = None
    push_attempts: Annotated[int, _key("Tries to wake a phone by push.", ge=1, le=10)] = 5
    webhook_private: Annotated[
        bool,
        _key(
            "Let webhooks go to private addresses and over plain HTTP (development; refused in production)."
        ),
    ] = False
    webhook_timeout_s: Annotated[
        int, _key("Seconds that a webhook's receiver has to answer.", ge=1, le=30)
    ] = 10
    webhook_attempts: Annotated[int, _key("Tries before a delivery is listed as failed.", ge=1, le=30)] = 9
    event_retention_s: Annotated[int, _key("How long an event stream can be taken up again.", ge=60)] = 86_400
    retention_days: Annotated[
        int,
        _key("Days that ended activations and failed webhooks are kept. The audit log stays.", ge=1, le=3650),
    ] = 30
    approval_retention_days: Annotated[
        int,
        _key("Days that requests for approval are kept, from which evidence is made.", ge=1, le=36_500),
    ] = 3_650
    metrics_token: Annotated[
        str | None, _key("Bearer token that /metrics asks for. Default: loopback callers only.")
    ] = None
    log_level: Annotated[LogLevel, _key("Least important level that is logged.")] = "info"

    def __repr__(self) -> str:
        return repr_without(self, "database_url", "metrics_token")

    @property
    def resolved_database_url(self) -> str:
        """The database URL, with the default in the data directory."""
        return self.database_url or f"sqlite:///{Path(self.data) / 'tessera.db'}"

    @property
    def resolved_web_dist(self) -> Path:
        """The directory of the built web files."""
        return Path(self.web_dist) if self.web_dist else Path(__file__).parents[1] / "web" / "dist"

    @property
    def allows_inside_webhooks(self) -> bool:
        """Whether webhooks may go to private addresses and over plain HTTP."""
        return (self.webhook_private or self.demo) and not self.production

    @property
    def is_secure(self) -> bool:
        """Whether phones and pages come by HTTPS, here or at a proxy before it."""
        return self.origin.startswith("https:")

    @property
    def origin(self) -> str:
        """The origin that phones and pages see."""
        plain = self.tls_cert is None and not self.production and _is_loopback(self.public_host)
        return f"{'http' if plain else 'https'}://{self.public_host}"

    def all_limits(self) -> dict[str, RateLimit]:
        """Return the rate limits in force, by name."""
        return DEFAULT_LIMITS | self.limits


class ConfigProblem(msgspec.Struct, frozen=True):
    """What is wrong with one key, and what the operator does next."""

    key: str
    problem: str
    next_step: str


class ConfigError(Exception):
    """The settings cannot be used."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        super().__init__("; ".join(f"{p.key}: {p.problem}. {p.next_step}" for p in problems))
        self.problems = problems


def load(path: Path | None, environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the file (if any), then the environment, then `overrides` (what the command line says; None is not said).
    Raises ConfigError with every key that cannot be read."""
    values: dict[str, Any] = _read_file(path) if path is not None else {}
    variables = os.environ if environment is None else environment
    values |= _read_environment(variables)
    values |= {key: value for key, value in overrides.items() if value is not None}
    problems = _unknown_names(variables, key_stores=f"{values.get('hsm')} {values.get('hsm_previous')}")
    types = {f.name: f.type for f in msgspec.structs.fields(Settings)}
    for key, value in values.items():
        if key not in types:
            problems.append(ConfigProblem(key, "there is no such key", "See `tessera check-config --keys`."))
            continue
        try:
            msgspec.convert(value, types[key], strict=False)
        except msgspec.ValidationError as error:
            problems.append(
                ConfigProblem(
                    key, _without_value(str(error)), "Correct it; see `tessera check-config --keys`."
                )
            )
        if key == "limits" and isinstance(value, dict) and not value.keys() <= DEFAULT_LIMITS.keys():
            step = f"The limits are: {', '.join(DEFAULT_LIMITS)}."
            problems.append(ConfigProblem("limits", "there is no limit by one of these names", step))
    if problems:
        raise ConfigError(problems)
    if "public_host" not in values and "listen_port" in values:
        values["public_host"] = f"localhost:{values['listen_port']}"
    return msgspec.convert(values, Settings, strict=False)


def describe_keys() -> list[tuple[str, str, str]]:
    """Return name, default and meaning of every key."""
    rows = []
    for info in msgspec.inspect.type_info(Settings).fields:  # type: ignore[attr-defined]
        default = info.default if info.default is not msgspec.NODEFAULT else info.default_factory()
        description = (info.type.extra_json_schema or {}).get("description", "")
        rows.append((info.name, msgspec.json.encode(default).decode(), description))
    return rows


def _read_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError([ConfigProblem("config", "the file does not exist", "Correct --config.")]) from None
    except (OSError, UnicodeDecodeError) as error:
        step = "Check its permissions and encoding."
        raise ConfigError(
            [ConfigProblem("config", f"the file cannot be read ({type(error).__name__})", step)]
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([ConfigProblem("config", "the file is not TOML", _position(str(error)))]) from None


def _read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    problems = []
    for info in msgspec.structs.fields(Settings):
        text = environment.get(PREFIX + info.name.upper())
        if text is None or text == "":
            continue
        if info.name == "limits":
            try:
                values[info.name] = msgspec.json.decode(text)
            except msgspec.DecodeError:
                problems.append(
                    ConfigProblem("limits", "TESSERA_LIMITS is not JSON", 'Write {"default": {…}}.')
                )
        elif info.name in ("alias_hosts", "cors_origins", "suites", "trusted_proxies"):
            values[info.name] = [part.strip() for part in text.split(",") if part.strip()]
        else:
            values[info.name] = text
    if problems:
        raise ConfigError(problems)
    return values


def _unknown_names(environment: Mapping[str, str], *, key_stores: str) -> list[ConfigProblem]:
    """Find TESSERA_* variables that nothing reads: a misspelt one would leave its default in force, unsaid. The
    key store's secret, `tessera phone` and Kubernetes, for a service called tessera, have names of their own."""
    known = {info.name.upper() for info in msgspec.structs.fields(Settings)} | set(_OTHERS)
    known |= {name.removeprefix(PREFIX) for name in re.findall(r"env:(\w+)", key_stores)}
    problems = []
    for name, value in sorted(environment.items()):
        short = name.removeprefix(PREFIX)
        if not name.startswith(PREFIX) or short in known or short.startswith("PHONE_"):
            continue
        if _KUBERNETES.fullmatch(short) or (short.endswith("PORT") and "://" in value):
            continue
        step = "Correct its name, or unset it; see `tessera check-config --keys`."
        if near := difflib.get_close_matches(short, known, n=2, cutoff=0.5):
            step = f"Did you mean {' or '.join(PREFIX + other for other in near)}? {step}"
        problems.append(ConfigProblem(name, "nothing reads this variable", step))
    return problems


def _without_value(message: str) -> str:
    """msgspec quotes an invalid enum value: drop it."""
    return message.split(" '", 1)[0] if message.startswith("Invalid enum value") else message


def _position(message: str) -> str:
    """Keep the place of a TOML error, not the text around it."""
    _, _, place = message.rpartition("(")
    return f"Correct it {place.rstrip(')')}." if place else "Correct its syntax."


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name in ("localhost", "127.0.0.1", "[::1]")
