"""What can be seen, when training starts, of why a resumed run would not repeat one without an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llamafund_chain.errors import UsageError
from llamafund_trainer.record.samples import draws_anew


class RepeatWarning(UserWarning):
    """A resumed run gives, or would give, other bytes than a run without an interruption."""


def doubts_of_trainer(args: Any, loader: Any) -> Iterator[str]:
    """Sentences on the settings of a Hugging Face `Trainer` by which a resumed run would differ.

    Args:
        args: Its arguments.
        loader: Its data loader.
    """
    if args.save_only_model:
        yield (
            "save_only_model leaves the optimizer's state out of the checkpoints. Nobody can repeat a part of this "
            "training, and a resumed run differs. Leave it out"
        )
    if args.ignore_data_skip:
        yield "ignore_data_skip lets a resumed run begin its epoch anew, so it differs. Leave it out"
    collator = getattr(loader, "collate_fn", None)
    collator = getattr(collator, "data_collator", collator)
    if getattr(collator, "mlm", False) and getattr(collator, "seed", None) is None:
        yield (
            f"{type(collator).__name__} masks tokens with the global random numbers, which are read ahead of the "
            "training. A resumed run differs. Give the collator a seed"
        )
    yield from _doubts_of_data(loader)


def doubts_of_lightning(trainer: Any, module: Any) -> Iterator[str]:
    """Sentences on the settings of a Lightning `Trainer` by which a resumed run would differ.

    Args:
        trainer: The trainer.
        module: The module that it trains.
    """
    from torch import nn

    if any(isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0 for part in module.modules()):
        yield (
            "Lightning does not save the state of random generators, and the module has dropout. A resumed run "
            "differs. Seed each step in on_train_batch_start, for example with its number"
        )
    yield from _doubts_of_data(trainer.train_dataloader)


def require_place(trainer: Any, module: Any) -> None:
    """Refuse a `SeededSampler` that starts at another sample than the next one.

    Args:
        trainer: The Lightning trainer.
        module: The module that it trains.

    Raises:
        UsageError: It does.
    """
    loader = trainer.train_dataloader
    first, size = getattr(_sampler(loader), "first", None), getattr(loader, "batch_size", None)
    if first is None or size is None or not module.automatic_optimization or trainer.world_size > 1:
        return
    seen = trainer.global_step * trainer.accumulate_grad_batches * size
    if first != seen:
        raise UsageError(
            f"The SeededSampler starts at sample {first}, but {trainer.global_step} steps have seen {seen}",
            f"A step takes {trainer.accumulate_grad_batches} batches of {size} samples",
            f"Give the sampler first={trainer.accumulate_grad_batches * size} * step",
        )


def _doubts_of_data(loader: Any) -> Iterator[str]:
    sampler = _sampler(loader)
    seeded = getattr(sampler, "initial_seed", None) is not None
    if not seeded and getattr(sampler, "generator", "none needed") is None:
        yield (
            f"The order of the samples comes from the global random numbers ({type(sampler).__name__}, as with "
            "shuffle=True). A resumed run differs. Use SeededSampler, or give the sampler a seeded generator"
        )
    if draws_anew(getattr(loader, "dataset", None)):
        yield (
            "The dataset gives another sample each time that it is asked for the same one. A resumed run differs "
            "unless the random numbers follow from the number of the sample"
        )


def _sampler(loader: Any) -> Any:
    """The sampler below all wrappers; `None` for an iterable dataset."""
    found: Any = getattr(loader, "batch_sampler", None)
    while hasattr(found, "batch_sampler"):
        found = found.batch_sampler
    return getattr(found, "sampler", getattr(loader, "sampler", None))
