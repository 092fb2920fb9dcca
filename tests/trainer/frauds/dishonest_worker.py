"""The training process, tampered with: `dishonest_worker.py JOBS`, a JSON list of {fraud, job, parameters}.

Each job is done by the real worker in a child process in which one thing was changed first. It is a cheat's own
program: nothing in it asks the honest one for a favour.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any


def one_percent_of_the_samples_replaced(blocks: list[int]) -> None:
    """These samples are read backwards: tokens as frequent as before, in an order that means nothing."""
    _change_blocks(lambda samples: samples.__setitem__(blocks, samples[blocks][:, ::-1]))


def one_token_changed(block: int, place: int) -> None:
    """One token of one sample is another one."""

    def change(samples: Any) -> None:
        samples[block, place] = 0 if samples[block, place] else 1

    _change_blocks(change)


def steps_claimed_but_not_run(first: int, last: int) -> None:
    """The optimizer does nothing in these steps; counters, schedule and data go on as if it had."""
    _at_each_step(lambda step, run: None if first <= step < last else run())


def optimizer_state_reset(before: int) -> None:
    """The optimizer forgets its moments before this step."""
    import torch

    def step(number: int, run: Callable[[], Any]) -> Any:
        if number == before:
            for optimizer in _optimizers:
                for state in optimizer.state.values():
                    for name in ("exp_avg", "exp_avg_sq"):
                        torch.Tensor.zero_(state[name])
        return run()

    _at_each_step(step)


FRAUDS = {
    each.__name__: each
    for each in (
        one_percent_of_the_samples_replaced,
        one_token_changed,
        steps_claimed_but_not_run,
        optimizer_state_reset,
    )
}

_optimizers: list[Any] = []


def _change_blocks(change: Callable[[Any], None]) -> None:
    from llamafund_trainer.worker import corpus

    honest = corpus.load_corpus

    def load(*arguments: Any) -> Any:
        loaded = honest(*arguments)
        blocks = loaded.blocks.copy()
        change(blocks)
        return replace(loaded, blocks=blocks)

    corpus.load_corpus = load


def _at_each_step(around: Callable[[int, Callable[[], Any]], Any]) -> None:
    import torch

    honest = torch.optim.AdamW.step
    done = 0

    def step(self: Any, closure: Any = None) -> Any:
        nonlocal done
        _optimizers[:] = [self]
        done += 1
        return around(done - 1, lambda: honest(self, closure))

    # The class's own hooks would wrap it a second time.
    step.hooked = True  # type: ignore[attr-defined]
    torch.optim.AdamW.step = step  # type: ignore[method-assign]


def main() -> None:
    """Do every job in a child of its own, with the libraries loaded once."""
    from llamafund_trainer.worker import loop
    from llamafund_trainer.worker import main as worker

    assert loop.train, "loaded here, once, and inherited by all children"
    os.environ["LLAMAFUND_PARENT"] = str(os.getpid())
    with open(sys.argv[1], encoding="utf-8") as file:  # noqa: PTH123
        jobs = json.load(file)
    for each in jobs:
        child = os.fork()
        if child == 0:
            fraud = FRAUDS.get(each["fraud"])
            if fraud is not None:
                fraud(**each["parameters"])
            sys.argv[1] = each["job"]
            worker.main()
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"{each['fraud']} ended with {status}")


if __name__ == "__main__":
    main()
