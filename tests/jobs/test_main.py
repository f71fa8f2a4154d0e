"""The command line: what it says where it is stopped."""

import logging
import socket
from types import SimpleNamespace

import pytest
from py4j.clientserver import ClientServerConnection

from jobs.__main__ import main


def test_py4j_says_nothing_of_a_jvm_that_stopped_first(caplog: pytest.LogCaptureFixture) -> None:
    """Stopped during a call, Py4J closes its end and logs a traceback where the JVM is gone already."""
    assert main(["recipes"]) == 0
    ours, its = socket.socketpair()
    its.close()
    connection = SimpleNamespace(is_connected=True, stream=ours.makefile("rb"), socket=ours)
    with caplog.at_level(logging.ERROR):
        ClientServerConnection.shutdown_socket(connection, 1, 2)
        logging.getLogger("py4j.clientserver").error("anything else")
    ours.close()
    assert [record.message for record in caplog.records] == ["anything else"]
