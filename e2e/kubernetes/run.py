#!/usr/bin/env python3
"""run.py [TEST...]: the tests of deploy/ on a node that starts before them and is gone after them, all of it.

TEST is a name like applying_test.Applying.test_x; without one all are run.
"""

import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cluster import cluster  # noqa: E402


class Timed(unittest.TextTestResult):
    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def stopTest(self, test):
        print(f"{time.monotonic() - self.began:7.1f} s  {test}", file=sys.stderr, flush=True)
        super().stopTest(test)


def main(names):
    loader = unittest.TestLoader()
    tests = loader.loadTestsFromNames(names) if names else loader.discover(str(HERE), "*_test.py")
    passed = False
    try:
        cluster.start()
        passed = unittest.TextTestRunner(resultclass=Timed, verbosity=1).run(tests).wasSuccessful()
    finally:
        if not passed:
            print(f"the node's logs are kept in {cluster.node.keep_logs()}", file=sys.stderr)
        left = cluster.stop()
    for each in left:
        print(f"left behind: {each}", file=sys.stderr)
    return 0 if passed and not left else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
