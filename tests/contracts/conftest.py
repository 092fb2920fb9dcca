"""A chain of its own for every worker, the contracts compiled once by brownie, and builders for what tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from world import Campaign, World

from llamafund_chain.chain.devnet import Devnet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def project(brownie_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The brownie project: compiled by whichever worker comes first."""
    import brownie_env
    import hypothesis

    home = tmp_path_factory.mktemp("home")
    lock = ROOT / "build" / "brownie.lock"
    lock.parent.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        # `prepare` sets these for the process; here they are put back afterwards.
        patch.setenv("HOME", str(home))
        patch.setenv("SOLCX_BINARY_PATH", "")
        brownie_env.prepare(home)
        with FileLock(lock):
            loaded = brownie_env.load_project()
        # brownie makes its own hypothesis profile everybody's.
        hypothesis.settings.load_profile("suite")
        yield loaded


@pytest.fixture(scope="session")
def session_world(project: Any) -> Iterator[World]:
    from brownie import network
    from brownie._config import CONFIG

    with Devnet() as chain:
        CONFIG.networks["worker"] = {"id": "worker", "chainid": "31337", "host": chain.rpc_url}
        network.connect("worker")
        yield World(chain, project)
        network.disconnect()


@pytest.fixture
def world(session_world: World) -> Iterator[World]:
    """The chain with the contracts and nothing else on it, whatever the test before did."""
    before = session_world.devnet.snapshot()
    yield session_world
    session_world.devnet.revert(before)


@pytest.fixture
def campaign(world: World) -> Campaign:
    """A campaign in the native coin, funding."""
    return world.open()


@pytest.fixture
def active(world: World) -> Campaign:
    """The same with 6 and 4 ether pledged by backers 0 and 1, active."""
    return world.open().funded().activated()
