"""Fixtures that several test modules share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from cyclesiam.models.checkpoints import save_weights
from cyclesiam.models.config import NetworkConfig
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from support import ROOT

SHARED = ROOT.parent / "shared"

# A busy machine is slow at random; and a test that fails must fail for everyone.
settings.register_profile("same everywhere", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("same everywhere")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository; for tests marked `shared`."""
    if not SHARED.is_dir():
        pytest.skip(f"no real clips: {SHARED} is absent")
    return SHARED


@pytest.fixture(scope="session")
def suite() -> Path:
    """The annotated development suite, one folder a benchmark; for tests marked `shared`."""
    folder = Path(os.environ.get("CYCLESIAM_EVAL", Path.home() / ".cache/cyclesiam/eval"))
    if not folder.is_dir():
        pytest.skip(
            f"no development suite: {folder} is absent; unpack it by `python "
            "../shared/data/unpack_eval.py`, or name its folder in CYCLESIAM_EVAL"
        )
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Tiny networks gain nothing by threads, and lose much beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> str:
    """A folder of weights of a small network that learnt nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder, SiamRPN(NetworkConfig(hidden_channels=8)), TrainingRecord(policy="none"))
    return str(folder)


@pytest.fixture
def made_frames() -> list[np.ndarray]:
    """Twelve RGB frames (48, 64, 3): a bright square moves over a colour ramp, 2 px a frame.

    In frame t the square covers the box (10 + 2t, 14, 26 + 2t, 30).
    """
    y, x = np.mgrid[:48, :64]
    ramp = np.stack((x * 3, y * 4, (x + y) * 2), axis=-1).astype(np.uint8)
    frames = []
    for t in range(12):
        frame = ramp.copy()
        frame[14:30, 10 + 2 * t : 26 + 2 * t] = (240, 200, 40)
        frames.append(frame)
    return frames
