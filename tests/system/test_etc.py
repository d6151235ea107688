"""The files in etc/: they are right, whole, and do what they say."""

import pathlib
import re
import subprocess

from harness import HOME, PATIENCE, binary, free_port
from program import can_connect, run

ETC = HOME / "etc"


def check(folder, text):
    """--test-config of this text, with a conf.d of the test's own."""
    (folder / "conf.d").mkdir(exist_ok=True)
    file = folder / "knut.conf"
    file.write_text(text.replace("/etc/knut/conf.d", str(folder / "conf.d")))
    return run("-c", file, "--test-config")


def test_configuration_of_the_service(tmp_path):
    done = check(tmp_path, (ETC / "knut.conf").read_text())
    assert (done.returncode, done.stderr) == (0, "")


def test_configuration_of_the_seed(tmp_path):
    text = (ETC / "conf.d" / "websocket.conf").read_text()
    assert text == "listener 1883\nprotocol mqtt\n\nlistener 9001\nprotocol websockets\n"
    done = check(tmp_path, text)
    assert (done.returncode, done.stderr) == (0, "")


def test_example_is_right_as_it_is_and_with_all_switched_on(tmp_path):
    text = (ETC / "knut.conf.example").read_text()
    assert check(tmp_path, text).returncode == 0
    done = check(tmp_path, re.sub(r"^#(?=\w)", "", text, flags=re.M))
    assert done.returncode == 0, done.stderr


def test_example_shows_every_option_that_works():
    page = (HOME / "man" / "knut.conf.5").read_text()
    works = page[page.index(".Sh LISTENERS"):page.index(".Sh OPTIONS WITHOUT EFFECT")]
    expected = {name for line in re.findall(r"^\.It (Ic.*)", works, re.M)
                for name in re.findall(r"\bIc ([\w.]+)", line)}
    example = (ETC / "knut.conf.example").read_text()
    assert expected == set(re.findall(r"^#?(\w+)", example, re.M))


def test_init_script(tmp_path):
    (tmp_path / "etc").mkdir()
    port = free_port()
    script = tmp_path / "knut.init"
    text = (ETC / "knut.init").read_text()
    for old, new in ("/usr/local/sbin/knut", binary()), ("/etc/knut", tmp_path / "etc"), \
            ("/run/knut", tmp_path / "run"):
        text = text.replace(old, str(new))
    script.write_text(text)
    config = tmp_path / "etc" / "knut.conf"
    config.write_text(f"user root\nlistener {port}\npid_file {tmp_path}/run/knut.pid\n")

    def do(action):
        # The daemon must not keep the pipe of a waiting caller.
        return subprocess.run(["sh", script, action], timeout=PATIENCE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    assert do("status") == 3
    assert do("start") == 0
    try:
        assert can_connect(port)
        assert (do("status"), do("start"), do("check"), do("reload")) == (0, 0, 0, 0)
        assert do("restart") == 0
        assert can_connect(port)
        right = config.read_text()
        config.write_text("nonsense\n")
        assert (do("check"), do("reload"), do("restart")) == (3, 1, 3)
        assert can_connect(port)
        config.write_text(right)
    finally:
        assert do("stop") == 0
    assert do("status") == 3
    assert not can_connect(port)
    assert not pathlib.Path(tmp_path / "run" / "knut.pid").exists()
