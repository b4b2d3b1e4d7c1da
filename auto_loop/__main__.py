"""`python -m auto_loop VERB`."""

from auto_loop.cli.main import main

if __name__ == "__main__":
    main(prog_name="auto-loop")
