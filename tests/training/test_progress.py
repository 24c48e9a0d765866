import pytest

from tf_l2t.training import interruption
from tf_l2t.training.progress import Progress


def test_an_interruption_that_was_lost_comes_again() -> None:
    with Progress("work", 10) as progress:
        progress.steps(1)
        interruption.requested.set()
        try:
            with pytest.raises(KeyboardInterrupt):
                progress.steps(1)
        finally:
            interruption.requested.clear()
        progress.steps(1)
