"""How Blit is started, and where its figures come from. Run with `python3 -m unittest`."""

import json
import tempfile
import unittest
from pathlib import Path

from contestants import COMMANDS, Programs, by_shell

# Remembers a run as Blit does, and refuses what its peers do not do either.
REMEMBERS = """#!/bin/sh -eu
for word in "$@"; do
    case $word in --json | --itemize | -*v*) exit 2 ;; esac
done
mkdir "$XDG_CONFIG_HOME" "$XDG_CONFIG_HOME/blit"
echo '{}' > "$XDG_CONFIG_HOME/blit/perf_local.jsonl"
"""


class Blit(unittest.TestCase):
    def test_it_prints_no_line_for_an_entry_and_no_run_knows_of_another(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            program = work / "blit"
            program.write_text(REMEMBERS.replace("{}", json.dumps({"syncSeconds": 0.5, "secondsToFirstByte": 0.25})))
            program.chmod(0o700)
            run = by_shell(Programs(program, None), COMMANDS["blit"])
            for _ in range(2):
                taken = run(work / "source", work / "destination", work)
                self.assertEqual((taken.sync_seconds, taken.first_byte_seconds), (0.5, 0.25))


if __name__ == "__main__":
    unittest.main()
