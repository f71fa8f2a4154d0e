import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.commands.review import ReviewRequest
from jobs.review import server
from jobs.runtime.errors import BackpromptError

ROOT = Path(__file__).resolve().parents[3]


def test_a_port_in_use_is_said_before_anything_starts(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "lake").mkdir()
        assert main(["review", "--lake", str(tmp_path / "lake"), "--port", str(port)]) == 2
    said = capsys.readouterr()
    assert f"port {port}: Address already in use" in said.err
    assert "Spark" not in said.out


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000), ("192.0.2.1", 0)])
def test_an_address_that_cannot_be_had_is_said(host, port):
    with pytest.raises(BackpromptError, match=f"cannot be served at {host}, port {port}"):
        server.listen(host, port)


def test_addresses():
    with server.listen("127.0.0.1", 0) as listener:
        assert server.address("127.0.0.1", listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert [server.is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_a_missing_package_is_named_with_what_to_install():
    code = (
        "import sys; sys.modules['nicegui'] = None; from jobs.__main__ import main; "
        "sys.exit(main(['review', '--lake', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "pip install 'backprompt[review]'" in done.stderr


def test_an_unknown_language_is_refused_with_the_closest():
    with pytest.raises(BackpromptError, match=r"'spa' is not a language of conf/languages.csv; closest: .*spa_Latn"):
        ReviewRequest(languages=("spa",))
