# shellcheck shell=bash
# A run's place on this machine: a number that no other run has, and all names and addresses that follow from it.
# And its opposite, the removal of what dead runs left.
#
# The register is /run/blit-cluster/NUMBER, one file a run: its state folder. Who holds the lock on it is starting or ending that run.

readonly register=/run/blit-cluster
# Each run has one network 10.X.0.0/16; X is 128 and more.
readonly first_network=128 last_network=191

# take_slot: finds a number that is free, registers this run and sets `slot`. The lock is held by descriptor 9 until the script ends.
take_slot() {
    mkdir -p "$register"
    local number
    for ((number = first_network; number <= last_network; number++)); do
        exec 9>>"$register/$number"
        flock --nonblock 9 || continue
        # Registered by a run that lives, or by one that could not be cleared away.
        [ ! -s "$register/$number" ] || continue
        if network_in_use "$number"; then
            rm -f "$register/$number"
            continue
        fi
        echo "$state" >"$register/$number"
        name_slot "$number"
        return
    done
    fail "no free network between 10.$first_network.0.0 and 10.$last_network.0.0; see ip route and $register"
}

# name_slot NUMBER: everything that is named after a run. The link is the only name that the host's network sees.
name_slot() {
    slot=$1
    link=blit$slot
    cgroup=blit-$slot
    network=10.$slot
    host_ip=$network.0.1
    control_ip=$network.0.2
    service_ip=$network.128.1
    service_range=$network.128.0/17
    # Read by the scripts that source this file.
    export slot link cgroup network host_ip control_ip service_ip service_range
}

# Pod and node addresses: of node-a 10.X.1.0/24 and 10.X.0.11, of node-b 10.X.2.0/24 and 10.X.0.12.
node_number() { [[ $1 == node-a ]] && echo 1 || echo 2; }
node_ip() { echo "$network.0.1$(node_number "$1")"; }
pod_range() { echo "$network.$(node_number "$1").0/24"; }

network_in_use() {
    [ -n "$(ip -4 route show root "10.$1.0.0/16" 2>/dev/null)" ] || [ -e "/sys/class/net/blit$1" ]
}

# slot_of_state: the number under which this state folder is registered.
slot_of_state() {
    local file
    for file in "$register"/*; do
        if [ -s "$file" ] && [ "$(cat "$file")" = "$state" ]; then
            basename "$file"
            return
        fi
    done
    return 1
}

# reap_dead: removes what runs left whose first process is gone, and with it every process they had. Ends abandoned ones first.
reap_dead() {
    local file folder
    for file in "$register"/*; do
        [ -s "$file" ] || continue
        folder=$(cat "$file")
        (
            exec 9>>"$file"
            # Somebody is starting or ending it this moment.
            flock --nonblock 9 || exit 0
            if run_alive "$folder"; then
                abandoned "$folder" || exit 0
                kill -s KILL "$(cut -d ' ' -f 1 "$folder/pids/control")"
                wait_until 20 "the end of the run in $folder" run_dead "$folder"
            fi
            echo "cluster: removing what a dead run left in $folder"
            release "$(basename "$file")" "$folder"
        )
    done
}

# run_alive FOLDER: whether the first process of the run lives.
run_alive() {
    alive "$1/pids/control"
}

run_dead() {
    ! run_alive "$1"
}

# abandoned FOLDER: whether nobody finishes the start of the run any more, or it was started for a process that has ended without ending it.
# Asked by who holds the lock, so that no start is under way.
abandoned() {
    [ ! -e "$1/env" ] || { [ -e "$1/pids/owner" ] && ! alive "$1/pids/owner"; }
}

# release NUMBER FOLDER: removes what the kernel does not remove by itself: mounts, files but the logs, control groups, the entry in the
# register. Every process of the run must have ended.
release() {
    local number=$1 folder=$2 target group
    while read -r target; do
        umount --lazy "$target"
    done < <(awk -v root="$folder/" 'index($5, root) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    rm -rf "$folder"/{nodes.img,nodes,etcd,pki,pids,env}
    # Some seconds pass until the kernel has let go of the links of a dead network namespace.
    if [ -e "/sys/class/net/blit$number" ]; then
        ip link del "blit$number" 2>/dev/null || true
    fi
    for group in /sys/fs/cgroup/*/"blit-$number" /sys/fs/cgroup/"blit-$number"; do
        [ ! -d "$group" ] || wait_until 10 "the processes in $group to end" remove_group "$group" || true
    done
    rm -f "$register/$number"
}

remove_group() {
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$1" ]
}
