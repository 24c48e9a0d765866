# The shared part of quickstart.sh and check.sh; to be sourced, not run.
# Sets ROOT (this checkout) and PYTHON (that of an environment with tf_l2t installed).

ROOT="$(CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '\n== %s\n' "$*"; }

stop() {
  printf '\nerror: %s\n' "$*" >&2
  exit 1
}

supported() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; }

version_of() { "$1" -c 'import platform; print(platform.python_version())'; }

# Prints the first Python that this project runs on.
find_python() {
  local name seen=""
  for name in python3 python3.13 python3.12 python3.11 python3.10; do
    command -v "$name" >/dev/null || continue
    if supported "$name"; then
      command -v "$name"
      return
    fi
    seen="$seen $name ($(version_of "$name" 2>/dev/null || echo 'does not run'))"
  done
  [ -n "$seen" ] || stop "there is no python3 on the PATH: install Python 3.10, 3.11, 3.12 or 3.13"
  stop "tf_l2t needs Python 3.10 to 3.13, but here are only:$seen. Install one of them, such as python3.12"
}

# Sets PYTHON to that of the active virtual environment, or else to that of .venv, made if need be.
choose_python() {
  if [ -n "${VIRTUAL_ENV:-}" ]; then
    PYTHON="$VIRTUAL_ENV/bin/python"
    [ -x "$PYTHON" ] || stop "VIRTUAL_ENV is $VIRTUAL_ENV, but $PYTHON is not there: run deactivate, or unset VIRTUAL_ENV"
    supported "$PYTHON" || stop "the active environment $VIRTUAL_ENV has Python $(version_of "$PYTHON"), but tf_l2t needs 3.10 to 3.13: run deactivate, or activate another"
    say "Using the active environment $VIRTUAL_ENV (Python $(version_of "$PYTHON"))"
    return
  fi
  PYTHON="$ROOT/.venv/bin/python"
  if supported "$PYTHON" && "$PYTHON" -m pip --version >/dev/null 2>&1; then
    say "Using $ROOT/.venv (Python $(version_of "$PYTHON"))"
    return
  fi
  local base
  base="$(find_python)"
  say "Making a virtual environment in $ROOT/.venv with $base (Python $(version_of "$base"))"
  "$base" -c 'import ensurepip, venv' 2>/dev/null ||
    stop "$base cannot make virtual environments: its module venv or ensurepip is missing. On Debian and Ubuntu: apt install python3-venv"
  "$base" -m venv --clear "$ROOT/.venv" || stop "$base -m venv $ROOT/.venv failed: see the lines above"
}

# Installs tf_l2t where it is not yet installed from these very files.
install_project() {
  local stamp now
  stamp="$("$PYTHON" -c 'import sys; print(sys.prefix)')/tf_l2t-installed"
  now="$ROOT $(cd "$ROOT" && cat setup.py requirements.txt tf_l2t/version.py | cksum)"
  if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ] &&
    "$PYTHON" -c 'from importlib import metadata; metadata.version("tf-l2t")' 2>/dev/null; then
    say "tf_l2t and what it needs are installed already"
    return
  fi
  say "Installing tf_l2t and what it needs (about 2 GB with TensorFlow: some minutes)"
  # Before 23.1, pip may search for versions that fit together for an hour.
  "$PYTHON" -m pip install -qq --disable-pip-version-check "pip>=24" &&
    "$PYTHON" -m pip install -qq --disable-pip-version-check --editable "$ROOT[dev]" ||
    stop "pip could not install tf_l2t: see the lines above. It needs a package index that it can reach, and 3 GB of disk"
  printf '%s\n' "$now" >"$stamp"
}

choose_python
install_project
