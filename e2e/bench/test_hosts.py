"""What lies between the two hosts. Run with `python3 -m unittest`, as root."""

import subprocess
import sys
import time
import unittest

import hosts
from hosts import FAR, Hosts, Link

MIB = 1 << 20
# Takes one connection, and answers what it ends with once all has come.
SERVER = f"""
import socket
with socket.create_server(("{FAR}", 7)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    while connection.recv({MIB}):
        pass
    connection.sendall(b"all")
"""
CLIENT = f"""
import socket, sys
with socket.create_connection(("{FAR}", 7)) as connection:
    connection.sendall(bytes(int(sys.argv[1])))
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(3) == b"all"
"""


def send(two: Hosts, size: int) -> float:
    """Seconds for so many bytes and an answer."""
    with subprocess.Popen([*two.there, sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "ready\n"
        begin = time.monotonic()
        subprocess.run([*two.here, sys.executable, "-c", CLIENT, str(size)], check=True)
        return time.monotonic() - begin


class Path(unittest.TestCase):
    def test_on_a_long_path_the_handshake_and_the_answer_take_a_round_trip_each(self) -> None:
        with hosts.joined(Link(delay=200)) as two:
            self.assertGreaterEqual(send(two, 1), 0.8)

    def test_on_a_narrow_path_bytes_take_their_time(self) -> None:
        with hosts.joined(Link(limit=16)) as two:
            # A quarter of it may go at once.
            self.assertGreaterEqual(send(two, MIB), 0.75 * MIB * 8 / 16e6)

    def test_what_goes_over_the_wire_is_counted(self) -> None:
        with hosts.joined() as two:
            before = two.carried_mib()
            send(two, 4 * MIB)
            self.assertGreaterEqual(two.carried_mib() - before, 4)


if __name__ == "__main__":
    unittest.main()
