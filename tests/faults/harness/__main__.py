"""`python -m tests.faults.harness`."""

from tests.faults.harness.run import main

if __name__ == "__main__":
    main()
