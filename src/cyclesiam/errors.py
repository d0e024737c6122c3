"""What goes wrong for users, by where it goes wrong.

Every message says what failed, where, and what to do next. Wrong arguments of a function are
plain `ValueError`; these classes are for input from outside: files, boxes, weights, clips.
"""


class CycleSiamError(Exception):
    """Anything that a user can mend; the command line prints it as one line."""


class SourceError(CycleSiamError):
    """A video, picture, camera or stream cannot be read or written."""


class TargetError(CycleSiamError, ValueError):
    """A box cannot be a target: not four finite numbers, empty, or outside the frame."""


class DatasetError(CycleSiamError):
    """A benchmark's folder or annotation is not what its layout promises."""


class LabelPolicyError(CycleSiamError):
    """Annotations are about to be read that the label policy in force does not grant."""


class WeightsError(CycleSiamError):
    """Weights are missing, unreadable, or of another network."""


class TrainingError(CycleSiamError):
    """Training cannot start or go on."""


class MissingExtraError(CycleSiamError):
    """An optional package is not installed; the message names the extra."""
