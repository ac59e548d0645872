import os
import subprocess
import sys

import pytest

from lbctl_lab import processes

SPEC = processes.Spec("etcd", ("etcd", "--x"), "node-1", {"A": "b"}, ("sh", "y"))


def test_a_record_survives_being_written_down():
    record = processes.Record(SPEC, 4711, 99)
    assert processes.decode(processes.encode(record)) == record


@pytest.mark.parametrize("name", ["a", "a b", "a) R 1", "((", "kube-proxy) S"])
def test_a_stat_line_is_read_whatever_the_program_is_called(name):
    line = f"7 ({name}) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
    assert processes.parse_stat(line) == ("S", 4242)


def test_this_process_is_alive_and_its_pid_with_another_start_time_is_not():
    started = processes.start_time(os.getpid())
    assert started is not None
    assert processes.is_alive(processes.Record(SPEC, os.getpid(), started))
    assert not processes.is_alive(processes.Record(SPEC, os.getpid(), started - 1))


def test_an_ended_process_that_nobody_has_waited_for_counts_as_dead():
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # end of file: it is about to end
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
    assert processes.start_time(child.pid) is None
    child.wait()
    child.stdout.close()


def test_a_pid_nobody_has_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert processes.start_time(child.pid) is None
