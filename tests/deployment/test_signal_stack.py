import ctypes
import sys
from importlib.util import find_spec

import pytest

from cyclesiam.deployment.bundles import load_bundle
from cyclesiam.deployment.export import export
from cyclesiam.deployment.runtimes import RuntimeConfig
from cyclesiam.deployment.signal_stack import SignalStack, preserve_signal_stack
from cyclesiam.models.metadata import TrainingRecord
from cyclesiam.models.siamrpn import SiamRPN
from support.networks import TINY

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it kept")


def stack() -> tuple[int | None, int, int]:
    now = SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return now.start, now.flags, now.size


def test_it_is_as_before_whatever_was_installed():
    memory = ctypes.create_string_buffer(1 << 16)
    before = stack()
    with preserve_signal_stack():
        own = SignalStack(ctypes.addressof(memory), 0, len(memory))
        assert ctypes.CDLL(None).sigaltstack(ctypes.byref(own), None) == 0
        assert stack() == (ctypes.addressof(memory), 0, len(memory))
    assert stack() == before


@pytest.mark.skipif(not find_spec("openvino"), reason="openvino is not installed")
def test_openvino_leaves_it(tmp_path):
    export(SiamRPN(TINY), TrainingRecord(policy="none"), tmp_path / "bundle", format="openvino")
    before = stack()
    loaded = load_bundle(tmp_path / "bundle", RuntimeConfig(runtime="openvino"))
    assert stack() == before
    del loaded
    assert stack() == before
