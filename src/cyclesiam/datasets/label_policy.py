"""The label policy: which annotations may be read, enforced where their files are opened.

Every reader calls `check_label_access` before it opens a file of annotations. Outside
`enforce_policy` everything may be read, as in evaluation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, get_args

from cyclesiam.errors import LabelPolicyError

LabelPolicy = Literal["none", "first-box", "first-mask"]
"""No label at all; a target's box in its first frame; its mask there, and so its box."""
LabelKind = Literal["boxes", "first mask", "mask"]
"""What a file holds: boxes and all else that is text; the mask in an object's first frame; another
mask."""

_GRANTS: dict[LabelPolicy, frozenset[LabelKind]] = {
    "none": frozenset(),
    "first-box": frozenset({"boxes"}),  # all but the first box in the file is dropped
    "first-mask": frozenset({"boxes", "first mask"}),
}
_POLICY: ContextVar[LabelPolicy | None] = ContextVar("label policy", default=None)


@contextmanager
def enforce_policy(policy: LabelPolicy) -> Iterator[None]:
    """Allow only what a policy grants to be read, within this context.

    A nested policy can only be narrower. The policy holds in this thread; a worker process must
    enter a context of its own.

    Raises:
        ValueError: there is no such policy.
    """
    if policy not in get_args(LabelPolicy):
        raise ValueError(f"policy must be one of {get_args(LabelPolicy)}, got {policy!r}")
    outer = _POLICY.get()
    if outer is not None and _GRANTS[outer] <= _GRANTS[policy]:
        policy = outer
    token = _POLICY.set(policy)
    try:
        yield
    finally:
        _POLICY.reset(token)


def first_frame_only() -> bool:
    """Check whether a policy is in force, so that only the first frame's label may be used."""
    return _POLICY.get() is not None


def check_label_access(path: Path, label: LabelKind) -> None:
    """Check whether a file of annotations may be opened.

    Raises:
        LabelPolicyError: the policy in force does not grant it.
    """
    policy = _POLICY.get()
    if policy is not None and label not in _GRANTS[policy]:
        what = {"boxes": "annotations", "first mask": "a mask", "mask": "a mask"}[label]
        raise LabelPolicyError(
            f"{path}: holds {what}, which label policy `{policy}` does not allow to be read. "
            "Train on the frames alone, or declare a wider policy in the run's config."
        )
