"""What a teacher step of a benchmark must leave to no timed call."""

import numpy as np


def assert_traced_by_warming_up(step) -> None:
    """Warms a teacher step up, runs it, and checks that nothing was traced in between."""
    step.warm_up()
    segments = step._teaching.engine.segments
    count = lambda: [
        loop.experimental_get_tracing_count()
        for loop in (segments._run_forward, segments._run_reverse)
    ]
    before = count()
    step(seed=1)
    assert count() == before
    assert np.isfinite(step.norm)
