import os
import subprocess
import sys

import pytest

from tf_l2t.file_locks import try_lock
from tf_l2t.runtime.run_lock import InUseError, RunLock

HOLD = """
import sys, time
from tf_l2t.runtime.run_lock import RunLock
import pathlib
lock = RunLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_is_told_who_has_it(tmp_path) -> None:
    lock = RunLock(tmp_path / "run")
    with pytest.raises(InUseError, match=rf"in use by process {os.getpid()} on .* since 20\d\d-"):
        RunLock(tmp_path / "run")
    lock.release()
    RunLock(tmp_path / "run").release()


def test_a_killed_process_leaves_it_free(tmp_path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InUseError, match=f"process {process.pid} "):
            RunLock(tmp_path)
        process.kill()
        process.wait()
    RunLock(tmp_path).release()


def test_of_many_at_the_same_instant_one_gets_it(tmp_path) -> None:
    start, stop = os.pipe(), os.pipe()
    children = []
    for _ in range(8):
        child = os.fork()
        if not child:
            os.close(start[1])
            os.close(stop[1])
            os.read(start[0], 1)
            got = try_lock(tmp_path / "lock") is not None
            os.read(stop[0] if got else start[0], 1)
            os._exit(got)
        children.append(child)
    os.close(start[1])
    losers = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in children[1:]]
    os.close(stop[1])
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1
    assert losers == [0] * 7
