"""Pure functions on tensors: boxes, anchors, proposals, crop windows, regions."""
