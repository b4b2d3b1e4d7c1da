#!/usr/bin/env bash
# The optional check with LeRobot: makes its environment if there is none yet, then runs the tests beside this file.
# AUTO_LOOP_LEROBOT_PYTHON names an interpreter that has LeRobot 0.4.4, PYTHON3 the one that runs auto_loop and pytest.
set -euo pipefail
cd "$(dirname "$0")/../../.."
venv=".codex_tmp/lerobot"
if [ -z "${AUTO_LOOP_LEROBOT_PYTHON:-}" ]; then
  [ -e "$venv/ready" ] || { rm -rf "$venv"; tests/optional/lerobot/install.sh "$venv"; touch "$venv/ready"; }
  AUTO_LOOP_LEROBOT_PYTHON="$PWD/$venv/bin/python"
fi
export AUTO_LOOP_LEROBOT_PYTHON
exec "${PYTHON3:-python}" -m pytest -rA --durations=3 tests/optional/lerobot "$@"
