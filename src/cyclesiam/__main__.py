"""`python -m cyclesiam` is the command `cyclesiam`."""

from cyclesiam.cli import run

if __name__ == "__main__":
    run()
