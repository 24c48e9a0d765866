"""Seeds by role, so that no student that is reported was ever seen in a search or by a teacher."""

from __future__ import annotations

_ROLES = {"teaching": 0, "selection": 1, "search": 2, "test": 3}
_PER_ROLE = 10_000_000


def student_seed(role: str, index: int, run_seed: int = 0) -> int:
    """Returns the seed of the index-th student of a role.

    Args:
        role: "teaching" (hypergradients), "selection" (of the best teacher), "search" (of
            hyper-parameters), or "test" (what is reported).
        index: which student, from 0.
        run_seed: seed of the run; two runs share no student.
    """
    if not 0 <= index < _PER_ROLE:
        raise ValueError(f"index must be in [0, {_PER_ROLE}), got {index}.")
    if not 0 <= run_seed < 50:
        raise ValueError(f"seed must be in [0, 50), got {run_seed}.")
    return (run_seed * len(_ROLES) + _ROLES[role]) * _PER_ROLE + index
