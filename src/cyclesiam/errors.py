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


EXTRAS = {
    "train": "torch safetensors lightning tensorboard",
    "export": "torch safetensors onnx onnxscript",
    "evaluate": "opencv-contrib-python-headless matplotlib",
    "openvino": "openvino",
}
"""The packages of each extra, as pyproject.toml has them."""


def missing_extra(what: str, package: str, extra: str) -> MissingExtraError:
    """Return the error that a package of an extra is not installed.

    >>> str(missing_extra("a report", "matplotlib", "evaluate")).partition(";")[0]
    'a report needs matplotlib, which is not installed'
    """
    return MissingExtraError(
        f"{what} needs {package}, which is not installed; the extra `{extra}` brings it: "
        f"pip install {EXTRAS[extra]}"
    )
