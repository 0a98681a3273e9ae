"""The settings of Rehook: its API, and its webhook."""

from dataclasses import dataclass
from typing import ClassVar

from destination.settings.parsers import headers, names, switch, text, web_address
from destination.settings.tables import PREFIX, Pacing, setting


@dataclass(frozen=True, kw_only=True)
class RehookSettings(Pacing):
    """How to reach Rehook, and what its webhooks show."""

    PREFIX: ClassVar[str] = PREFIX + "REHOOK_"

    url: str = setting("https://api.rehook.ai", "The address of Rehook's API.", read=web_address)
    api_key: str = setting("", "The API key of your Rehook application.", read=text, secret=True)
    api_secret: str = setting(
        "", "The secret key of your Rehook application.", read=text, secret=True
    )
    conversion_events: tuple[str, ...] = setting(
        (),
        "The events that are conversion events of a referral campaign, comma-separated. "
        "Each needs a referral_code in its properties; an empty one is a direct sign-up.",
        read=names,
    )
    validate_codes: bool = setting(
        False,
        "Before a customer is sent with a referral code, ask Rehook who owns the code, and drop "
        "the call when it is somebody else's (yes or no). It costs a request each.",
        read=switch,
    )
    webhook_user: str = setting(
        "", "The user of the Basic auth of Rehook's webhook.", read=text, secret=True
    )
    webhook_password: str = setting(
        "", "The password of the Basic auth of Rehook's webhook.", read=text, secret=True
    )
    webhook_headers: tuple[tuple[str, str], ...] = setting(
        (),
        "The headers that Rehook's webhook is set up to send, comma-separated: X-Token: abc, "
        "X-Team: a. A comma with no name and colon behind it is part of a value. A call without "
        "one of them is refused.",
        read=headers,
        secret=True,
    )
    webhook_events: tuple[str, ...] = setting(
        (),
        "The events of Rehook's webhook that are wanted, comma-separated; all where it is left "
        "out. Others are discarded.",
        read=names,
    )
