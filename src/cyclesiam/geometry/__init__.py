"""Pure functions on arrays: boxes, anchors, proposals, crop windows, regions."""
