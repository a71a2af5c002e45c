# shellcheck shell=bash
# What every script of the cluster needs: where a run keeps its state, how it is waited for, how its processes are started and ended.
#
# A run is a folder, BLIT_CLUSTER (target/cluster unless set). Three processes hold it together: the first process of the control plane's
# namespaces, and inside them one for each node. Whatever belongs to the run is in those namespaces, so that the kernel ends
# and removes all of it when the first process ends.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
readonly repository
readonly cluster_scripts=$repository/e2e/cluster
# shellcheck disable=SC2034
readonly nodes=(node-a node-b)

# Absolute, because the scripts change folders and so do those who read the env file.
state=${BLIT_CLUSTER:-${CARGO_TARGET_DIR:-$repository/target}/cluster}
[[ $state == /* ]] || state=$PWD/$state
readonly state

fail() {
    echo "cluster: $*" >&2
    exit 1
}

say() {
    echo "cluster: $*"
}

# wait_until SECONDS WHAT COMMAND...: returns as soon as the command succeeds, and fails by name when it did not in time. A command that
# returns 3 says that there is nothing to wait for.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2 status
    shift 2
    while :; do
        status=0
        "$@" &>/dev/null || status=$?
        ((status != 0)) || return 0
        if ((status == 3 || SECONDS >= deadline)); then
            echo "cluster: gave up waiting for $what" >&2
            return 1
        fi
        sleep 0.1
    done
}

# Field 22 of stat, counted behind the name, which may hold spaces: tells a process from a later one with the same number.
start_time() {
    local stat
    [ -n "$1" ] || return 1
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    read -ra stat <<<"$stat"
    # A zombie has ended, and of a process that ends while it is read there may be nothing.
    ((${#stat[@]} > 19)) && [[ ${stat[0]} != [ZX] ]] || return 1
    echo "${stat[19]}"
}

# remember NAME PID: writes down a process of the run.
remember() {
    local time
    time=$(start_time "$2") || fail "$1 ended as soon as it was started; its log is $state/log/$1.log"
    mkdir -p "$state/pids"
    echo "$2 $time" >"$state/pids/$1"
}

# pid_of NAME: prints the process number of a living process of the run.
pid_of() {
    alive "$state/pids/$1" || return 1
    cut -d ' ' -f 1 "$state/pids/$1"
}

# alive FILE: whether the process that was written down in FILE lives.
alive() {
    local pid time
    [ -e "$1" ] || return 1
    read -r pid time <"$1"
    [[ $(start_time "$pid") == "$time" ]]
}

gone() {
    ! pid_of "$1"
}

# end NAME [SIGNAL]: ends a process of the run and waits until it has ended.
end() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -s "${2:-TERM}" "$pid"
    # A stopped process takes no notice of TERM until it goes on.
    kill -s CONT "$pid" 2>/dev/null || true
    wait_until 20 "the end of $1" gone "$1"
}

# child_of PID WHAT: prints the number of the only child of a process, as soon as it has one.
child_of() {
    local children deadline=$((SECONDS + 10))
    while ((SECONDS < deadline)); do
        children=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || break
        if [ -n "$children" ]; then
            echo "${children%% *}"
            return
        fi
        sleep 0.02
    done
    fail "$2 did not start; its log is in $state/log"
}

# spawn NAME INIT COMMAND...: starts a command in the namespaces of the process INIT, without a terminal and
# as a child of the first process there. Its log is log/NAME.log.
spawn() {
    local name=$1 init=$2 enter
    shift 2
    mkdir -p "$state/log"
    nsenter --target "$init" --mount --net --pid --uts --ipc setsid "$@" </dev/null >>"$state/log/$name.log" 2>&1 9>&- &
    enter=$!
    disown "$enter"
    adopt "$name" "$enter"
}

# adopt NAME PARENT: remembers the child of PARENT and ends PARENT, which only waits for it.
adopt() {
    local name=$1 parent=$2 child
    child=$(child_of "$parent" "$name")
    remember "$name" "$child"
    kill -s KILL "$parent"
}

require_root() {
    [ "$(id -u)" -eq 0 ] || fail "needs root, for namespaces, mounts and control groups"
}

# node_letter NAME: a or b, from node-a, a, or A.
node_letter() {
    case "$1" in
        node-a | a | A) echo a ;;
        node-b | b | B) echo b ;;
        *) fail "no node is called $1; there are node-a and node-b" ;;
    esac
}
