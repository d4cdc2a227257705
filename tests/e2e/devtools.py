"""What the tests give to a phone's browser by the DevTools protocol: a fingerprint reader, and pushes without a push
service."""

from collections.abc import Callable
from typing import Any

from people import Phone, wait_until

_AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def add_fingerprint_reader(phone: Phone) -> None:
    """Give the phone a reader whose owner always touches it at once."""
    session = phone.context.new_cdp_session(phone.page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": _AUTHENTICATOR})


class Pusher:
    """Delivers pushes to the phone app's service worker, and hears of the notices that it shows; made while the app is
    open, so that its service worker is there."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        phone.context.grant_permissions(["notifications"], origin=phone.origin)
        phone.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
        self._session = phone.context.new_cdp_session(phone.page)
        self._registrations: set[str] = set()
        self._notices: list[dict[str, str]] = []
        self._session.on("ServiceWorker.workerRegistrationUpdated", self._on_registrations)
        self._session.on("BackgroundService.backgroundServiceEventReceived", self._on_event)
        self._session.send("BackgroundService.startObserving", {"service": "notifications"})
        self._session.send(
            "BackgroundService.setRecording", {"service": "notifications", "shouldRecord": True}
        )
        self._session.send("ServiceWorker.enable")
        self._wait_until(lambda: bool(self._registrations))

    def deliver(self) -> dict[str, str]:
        """Deliver a push while the app is closed; return the Title and Body of the notice that shows."""
        before = len(self._notices)
        for registration in self._registrations:
            wish = {"origin": self._phone.origin, "registrationId": registration, "data": "{}"}
            self._session.send("ServiceWorker.deliverPushMessage", wish)
        self._wait_until(lambda: len(self._notices) > before)
        return self._notices[-1]

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        def look() -> bool:
            self._phone.page.wait_for_timeout(50)  # the driver hears events only while it waits
            return condition()

        wait_until(look)

    def _on_registrations(self, event: dict[str, Any]) -> None:
        self._registrations.update(each["registrationId"] for each in event["registrations"])

    def _on_event(self, event: dict[str, Any]) -> None:
        told = event["backgroundServiceEvent"]
        if told["eventName"] == "Notification displayed":
            self._notices.append({each["key"]: each["value"] for each in told["eventMetadata"]})
