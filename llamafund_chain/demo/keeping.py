"""After the story: chain, store and page stay up, with one more campaign that is open to everybody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llamafund_chain.demo.opening import honest_plan, open_campaign
from llamafund_chain.errors import LlamafundError
from llamafund_chain.store import open_store
from llamafund_chain.web.server import place, serving

if TYPE_CHECKING:
    from llamafund_chain.demo.plot import Plot
    from llamafund_chain.demo.stage import Stage

_TITLE = "A second small Llama, for whoever reads this"

_BLOCK_TIME = 2
"""Seconds between blocks from now on: the page calls nothing done before later blocks made it final."""


def open_another(stage: Stage, plot: Plot) -> None:
    """Open a campaign that nobody in the story has a part in, except those who would do the work."""
    plan = replace(
        honest_plan(plot),
        title=_TITLE,
        summary="The same data, another seed. Pledge to it with a test account, take it back, or let it be.",
        goal="5",
        cap="50",
    )
    open_campaign(stage, plan, "open", "OPEN", show=False)


def stay(stage: Stage) -> None:
    """Serve the page beside the chain and the store until somebody stops it.

    Raises:
        LlamafundError: The chain's program stopped by itself.
    """
    narrator, devnet = stage.narrator, stage.devnet
    devnet.mine_every(_BLOCK_TIME)
    first = place(stage.connection.chain_id, None, devnet.rpc_url)
    try:
        with serving(0, open_store(stage.folder.store), first) as url:
            narrator.chapter("Still there")
            narrator.item(f"The page: {url}open")
            narrator.item(f"The chain: {devnet.rpc_url}")
            narrator.say(
                f"The page lists “{_TITLE}”, which is open. To pledge, choose “Test accounts of this node”: they are "
                "this chain's own, their coins are worth nothing, and the page never sees a key. Choose “All” under "
                "“Show” for the campaigns of the story: “Verify this campaign here” checks them. Ctrl-C stops "
                "everything."
            )
            status = devnet.wait()
            raise LlamafundError(
                f"The chain's program stopped by itself with status {status}", remedy="Run the demo again"
            )
    except KeyboardInterrupt:
        # It ends as it should: the story was told before.
        pass
