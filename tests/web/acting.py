"""What a person does on a campaign's page, for tests that act."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect
from wallets import Wallet

ETHER = 10**18
DAY = 86_400
PATIENCE = 60_000

expect.set_options(timeout=PATIENCE)


class Acting:
    """A window with a campaign in it, and what a person does there."""

    def __init__(self, site: Any, stage: Any, *wallets: Wallet, **settings: Any) -> None:
        self.site, self.stage, self.wallets = site, stage, wallets
        self.window = site.window(before=self._install, **settings)
        self.page = self.window.page

    def _install(self, context: Any) -> None:
        for wallet in self.wallets:
            wallet.install(context)

    def look(self, view: str = "") -> None:
        """Open the campaign, or read it anew."""
        self.page.goto("about:blank")
        self.page.goto(self.site.campaign(self.stage.client.address, view))

    def connect(self, name: str = "Test Wallet") -> None:
        self.page.get_by_role("button", name=name).click()
        expect(self.page.get_by_text(f"Connected with {name}")).to_be_visible()

    def start(self, offer: str) -> None:
        """Open an offer's form."""
        self.offer(offer).get_by_role("button", name="…").first.click()

    def offer(self, name: str) -> Any:
        return self.page.locator(f"[data-offer={name}]")

    def fill(self, **fields: str) -> None:
        for label, text in fields.items():
            self.page.locator(".act-form").get_by_role("textbox", name=label.replace("_", " ")).fill(text)

    def ask(self, name: str = "Test Wallet") -> None:
        self.page.get_by_role("button", name=f"Ask {name}").click()

    def phase(self, action: str, phase: str, what: str = "") -> None:
        """Wait until the newest transaction of an action, with these words in it, is in a phase."""
        found = self.page.locator(f".transaction[data-action={action}]").filter(has_text=what)
        expect(found.first).to_have_attribute("data-phase", phase)

    def final(self, action: str, phase: str = "final") -> None:
        """Let blocks come until the newest transaction of an action is over."""
        self.stage.devnet.finalize()
        self.phase(action, phase)

    def pledge(self, amount: str) -> None:
        """Ask the wallet for a pledge."""
        self.start("pledge")
        self.fill(Amount=amount)
        self.ask()

    def do(self, offer: str, **fields: str) -> None:
        """An offer from its form to its block."""
        self.start(offer)
        self.fill(**fields)
        self.ask()
        self.phase(offer, "mined")
