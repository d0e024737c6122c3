"""The network at a twentieth of its arithmetic, for tests that learn."""

from cyclesiam.geometry.anchors import AnchorConfig
from cyclesiam.models.network_config import NetworkConfig

# A square target fills half of a template, 40 px, and so does the square anchor, 5 strides.
TINY = NetworkConfig(
    hidden_channels=16, template_size=79, search_size=143, anchors=AnchorConfig(scale=5.0)
)
