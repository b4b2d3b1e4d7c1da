#!/usr/bin/env bash
# Makes a virtual environment with LeRobot 0.4.4 and what its trainer imports, on CPU: install.sh FOLDER
# Nothing of auto_loop goes into it. Versions are those of requirements.txt, installed as they stand.
set -euo pipefail
[ $# = 1 ] || { echo "usage: install.sh FOLDER" >&2; exit 2; }
here="$(cd "$(dirname "$0")" && pwd)"
"${PYTHON:-python3.11}" -m venv "$1"
"$1/bin/python" -m pip install --quiet --no-deps --requirement "$here/requirements.txt"
if ! "$1/bin/python" -c 'import torchvision' 2>/dev/null; then
  site="$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
  cp "$here/torchvision_operators.py" "$site/"
  echo 'import torchvision_operators' >"$site/torchvision_operators.pth"
  echo "torchvision does not import beside this torch: its operators are declared by $site/torchvision_operators.py"
fi
"$1/bin/python" -c 'import lerobot.scripts.lerobot_train'
echo "$1/bin/python"
