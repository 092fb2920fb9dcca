#!/bin/sh
# Install the CPU build of PyTorch where that is enough: install_torch.sh PYTHON [DEVICES]
#
# On Linux the usual build brings gigabytes of CUDA along. It is left to pip where there is a GPU (a device file in
# DEVICES, /dev by default), on other systems, and where the index of the CPU builds does not answer.
set -eu

python=$1
devices=${2:-/dev}
index=https://download.pytorch.org/whl/cpu

[ "$(uname -s)" = Linux ] || exit 0
! ls "$devices/nvidiactl" "$devices/kfd" "$devices/dxg" 2>/dev/null | grep -q . || exit 0
# One that is there stays: pip replaces it only where another version is wanted.
! "$python" -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null || exit 0
wanted=$(grep '^torch==' constraints.txt)
"$python" -m pip install --quiet --no-compile --no-deps --retries 0 --index-url "$index" "$wanted" 2>/dev/null ||
  echo "The CPU build of PyTorch could not be had from $index: the usual one is installed, which is larger" >&2
