"""`python -m fuzz.led NAME [libFuzzer's options]`: a target led by coverage, by atheris."""

import sys

import atheris

with atheris.instrument_imports(include=["omniline.instructions", "omniline.tasks.bundle", "omniline.core.plan_json"]):
    from .targets import targets


def main() -> None:
    """Does not return."""
    name, *options = sys.argv[1:]
    target = targets()[name]()
    atheris.Setup([sys.argv[0], *options], lambda data: target.judge(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
