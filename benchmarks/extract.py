"""Measures the whole run: trials per second and peak memory of `critnlp extract`, and that workers do not change its output.

python benchmarks/extract.py TRIALS.jsonl.xz [--trials 2000] [--workers 1 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import lzma
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Runs in a process of its own, so that the peak is that of one command and its workers.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024, file=sys.stderr)
sys.exit(code)
"""


def run(source: Path, out: Path, workers: int) -> tuple[float, int]:
    """Wall-clock seconds, and the peak memory in MB of the largest process of the command."""
    command = [sys.executable, "-m", "critnlp", "extract", str(source), "-o", str(out), "--workers", str(workers)]
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _MEASURE, *command], capture_output=True, encoding="utf-8", check=False)
    seconds = time.perf_counter() - began
    *words, peak = done.stderr.splitlines()
    if done.returncode:
        sys.exit("\n".join(words))
    return seconds, int(peak)


def digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--trials", type=int, default=2000, help="how many of the file's trials, 0 for all")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "trials.jsonl")
        number = 0
        with (
            lzma.open(chosen.path, "rt", encoding="utf-8", newline="\n") as lines,
            source.open("w", encoding="utf-8", newline="") as out,
        ):
            # every k-th line, so that old and new trials are both in the sample
            for line in itertools.islice(lines, 0, None, 24 if chosen.trials else 1):
                if chosen.trials and number == chosen.trials:
                    break
                out.write(line)
                number += 1
        digests = set()
        for workers in chosen.workers:
            result = Path(folder, f"out-{workers}.jsonl")
            rounds = [run(source, result, workers) for _ in range(chosen.rounds)]
            digests.add(digest(result))
            rate = [number / seconds for seconds, _ in rounds]
            size = result.stat().st_size / 1e6
            print(
                f"{number} trials, {workers} worker(s), {chosen.rounds} round(s): median {statistics.median(rate):.0f} trials/s"
                f" with start-up, peak {max(peak for _, peak in rounds)} MB a process, {size:.0f} MB written",
                flush=True,
            )
        print("the output is the same for all" if len(digests) == 1 else "THE OUTPUT DIFFERS")


if __name__ == "__main__":
    main()
