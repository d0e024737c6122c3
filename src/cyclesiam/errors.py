"""Errors that users meet, one class for each place where input can be wrong.

Every message says what failed, where, and what to do next. Wrong arguments of a function raise a
plain `ValueError`. These classes are for input from outside: files, boxes, weights, clips.
"""


class CycleSiamWarning(UserWarning):
    """What a user should know though the work goes on; the command line prints it as one line."""


class CycleSiamError(Exception):
    """An error that the user can correct; the command line prints it as one line."""


class SourceError(CycleSiamError):
    """A video, image, camera or stream cannot be read or written."""


class TargetError(CycleSiamError, ValueError):
    """A box cannot be a target: not four finite numbers, empty, or outside the frame."""


class ImageError(CycleSiamError, ValueError):
    """An image cannot be tracked in: there is none, or its shape, type or size is wrong."""


class DatasetError(CycleSiamError):
    """A benchmark's folder or annotation does not follow its documented layout."""


class LabelPolicyError(CycleSiamError):
    """Annotations were requested that the active label policy forbids."""


class WeightsError(CycleSiamError):
    """Weights are missing, unreadable, or belong to another network."""


class TrainingError(CycleSiamError):
    """Training cannot start or continue."""


class MissingExtraError(CycleSiamError):
    """An optional package is not installed; the message names the extra."""
