#!/bin/sh
# Make a virtual environment: setup_venv.sh FOLDER [PYTHON...]
#
# The first of these Pythons that runs here, is supported and can make one is taken; where none is named, the newest.
# An environment that is there stays when it has that version, or any supported one where none is named.
#
# A command that exists need not run: pyenv's shims stand for versions that are switched off, too.
set -eu

folder=$1
shift

version() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none
}

supported() {
  case $(version "$1") in 3.11 | 3.12 | 3.13 | 3.14) ;; *) return 1 ;; esac
}

if [ $# = 0 ]; then
  ! supported "$folder/bin/python" || exit 0
  set -- python3.14 python3.13 python3.12 python3.11 python3
fi
refused=
for python; do
  found=$(version "$python")
  if [ "$found" = none ]; then
    refused="$refused$python does not run here. "
  elif ! supported "$python"; then
    refused="$refused$python is Python $found. "
  elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    refused="$refused$python makes no virtual environments; Debian and Ubuntu have that in python$found-venv. "
  else
    [ "$(version "$folder/bin/python")" = "$found" ] || "$python" -m venv --clear "$folder"
    exit 0
  fi
done
echo "${refused}This needs Python 3.11, 3.12, 3.13 or 3.14. Install one, or name it: make PYTHON=/path/to/python" >&2
exit 1
