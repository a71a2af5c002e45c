# shellcheck shell=bash
# The file `env` of a run: what tests and people need to reach the cluster, as shell assignments. It is written again whenever a program
# is restarted, because it holds process numbers (those that the host sees).

write_env() {
    local letter name
    {
        echo "SLOT=$slot"
        echo "STATE=$state"
        echo "KUBECONFIG=$state/pki/admin.kubeconfig"
        echo "KUBE_BIN=$KUBE_BIN"
        echo "KUBECTL=$KUBE_BIN/kubectl"
        echo "HELM=$KUBE_BIN/helm"
        echo "AUDIT_LOG=$state/audit.log"
        echo "LOGS=$state/log"
        echo "APISERVER=https://$control_ip:6443"
        echo "APISERVER_PID=$(pid_of apiserver || true)"
        echo "CONTROL_PID=$(pid_of control)"
        # The host's own address in the network of the nodes.
        echo "HOST_IP=$host_ip"
        for letter in a b; do
            name=node-$letter
            env_of_node "${letter^}" "$name" "$(pid_of "$name" || true)"
        done
    } >"$state/env.new"
    mv "$state/env.new" "$state/env"
}

# env_of_node LETTER NAME PID: MNT is the first process of the node, in its mount namespace; ROOT is where the host sees the node's
# files, and DATA its folder /data.
env_of_node() {
    local root=$state/nodes/$2
    echo "NODE_$1=$2"
    echo "IP_$1=$(node_ip "$2")"
    echo "PODS_$1=$(pod_range "$2")"
    echo "ROOT_$1=$root"
    echo "DATA_$1=$root/data"
    echo "CGROUP_$1=/$cgroup/${2#node-}"
    echo "MNT_$1=$3"
    echo "NETNS_$1=/proc/$3/ns/net"
    echo "CONTAINERD_SOCK_$1=$root/run/containerd/containerd.sock"
    echo "CONTAINERD_PID_$1=$(pid_of "$2.containerd" || true)"
    echo "KUBELET_PID_$1=$(pid_of "$2.kubelet" || true)"
}

# read_env: the variables of a running cluster, and the names that follow from them.
read_env() {
    [ -e "$state/env" ] || fail "no cluster in $state; start one with e2e/cluster/up"
    # shellcheck disable=SC1091
    . "$state/env"
    # shellcheck disable=SC2153
    name_slot "$SLOT"
}
