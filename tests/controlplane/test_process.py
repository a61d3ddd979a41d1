"""What a `Program` promises, shown on programs that need no control plane."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.controlplane.process import SERVER_PORTS, Program, find_ports, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]

HOLDER = """
import pathlib, time
from tests.controlplane.process import Program
Program(["sh", "-c", "echo $$; exec sleep 1000"], log=pathlib.Path("child.log")).start(lambda: True)
print("started", flush=True)
time.sleep(1000)
"""


def is_running(pid: int) -> bool:
    """Whether it exists and is no zombie that waits for its parent."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_a_program_dies_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "started\n"
        child = int(wait_for((tmp_path / "child.log").read_text, what="the child tells its pid"))
        assert is_running(child)
        run.send_signal(signal.SIGKILL)
    wait_for(lambda: not is_running(child), what="the child is gone")


def test_a_program_is_a_group_of_its_own_that_ctrl_c_does_not_reach(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    program = Program(["sh", "-c", "echo $$; exec sleep 1000"], log=log)
    program.start(lambda: bool(log.read_text().strip()))
    pid = int(log.read_text())
    try:
        assert os.getpgid(pid) == pid
    finally:
        program.kill()
    assert not is_running(pid)


def test_a_program_that_ends_at_once_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = Program(["sh", "-c", "echo unknown flag; exit 3"], log=tmp_path / "etcd.log")
    with pytest.raises(RuntimeError, match=r"etcd: ended with code 3; the end of its log:\nunknown flag"):
        program.start(lambda: False)


def test_a_program_that_does_not_get_ready_is_killed_and_told(tmp_path: Path) -> None:
    log = tmp_path / "etcd.log"

    def is_ready() -> bool:
        wait_for(log.read_text, what="the child tells its pid")
        return False

    with pytest.raises(RuntimeError, match="etcd: not within 0 s: the server is ready"):
        Program(["sh", "-c", "echo $$; exec sleep 1000"], log=log).start(is_ready, within=0)
    assert not is_running(int(log.read_text()))


def test_a_program_is_not_started_from_a_thread_that_may_end(tmp_path: Path) -> None:
    refusals: list[RuntimeError] = []

    def start() -> None:
        try:
            Program(["true"], log=tmp_path / "log").start(lambda: True)
        except RuntimeError as error:
            refusals.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(refusals)


def test_ports_are_different_and_none_that_the_kernel_gives_to_clients() -> None:
    ports = find_ports(50)
    assert len(set(ports)) == 50
    assert set(ports) <= set(SERVER_PORTS)
    if (clients := Path("/proc/sys/net/ipv4/ip_local_port_range")).exists():
        assert int(clients.read_text().split()[0]) >= SERVER_PORTS.stop


def test_waiting_returns_what_was_found_or_says_what_was_not() -> None:
    assert wait_for(lambda: "found", what="anything") == "found"
    with pytest.raises(TimeoutError, match="not within 0 s: a miracle"):
        wait_for(lambda: None, what="a miracle", within=0)
