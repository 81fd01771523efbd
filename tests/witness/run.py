"""Thousands of random networks: ``python tests/witness/run.py --cases 3000 [--first SEED]``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from random_cases import case_of
from trials import Outcome, run_case


def main(given: list[str] | None = None) -> int:
    """Run cases, tell those that differ as they come, and count them at the end."""
    options = _options(given)
    if options.show:
        print(case_of(options.first).described())  # noqa: T201
    seeds = range(options.first, options.first + options.cases)
    before, done = time.process_time(), []
    for seed in seeds:
        outcome = run_case(seed)
        done.append(outcome)
        if outcome.kind in ("differs", "crashed") or options.show:
            _say(f"seed {seed} {outcome.kind}: {outcome.detail.splitlines()[0][:200]}")
    _count(done, time.process_time() - before)
    return int(any(o.kind in ("differs", "crashed") for o in done))


def _options(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--show", action="store_true", help="describe the first case")
    return parser.parse_args(given)


def _count(done: list[Outcome], seconds: float) -> None:
    kinds = Counter(o.kind for o in done)
    _say(f"{len(done)} cases in {seconds:.0f} s: {dict(kinds)}")
    reasons = Counter(o.detail.splitlines()[0][:160] for o in done if o.kind == "refused")
    for reason, count in reasons.most_common():
        _say(f"  refused {count}: {reason}")
    bad = [o for o in done if o.kind in ("differs", "crashed")]
    if not bad:
        return
    every = Counter(tag for o in done for tag in set(o.case.tags))
    of_bad = Counter(tag for o in bad for tag in set(o.case.tags))
    _say("tags of those that differ or crash, by their share:")
    for tag, count in sorted(of_bad.items(), key=lambda t: -t[1] / every[t[0]])[:25]:
        _say(f"  {tag}: {count} of {every[tag]}")
    small = sorted(bad, key=lambda o: o.case.size)[:5]
    _say(f"the smallest: {[o.seed for o in small]}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
