"""Start-up against `import numpy`, each in a process of its own, in turn; medians and ratios."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "import numpy": [sys.executable, "-c", "import numpy"],
    "import emtools": [sys.executable, "-c", "import emtools"],
    "emtools --help": [str(Path(sys.executable).parent / "emtools"), "--help"],
}
ROUNDS = 15


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    for command in COMMANDS.values():  # warm the file cache
        seconds(command)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    # An empty interpreter starts in both; it is left in, as a user waits for it too.
    base = statistics.median(times["import numpy"])
    for name, values in times.items():
        print(f"{name:16s} {statistics.median(values):6.3f} s   "
              f"{statistics.median(values) / base:5.2f} x import numpy   (aim: at most 3)")


if __name__ == "__main__":
    main()
