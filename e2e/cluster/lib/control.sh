# shellcheck shell=bash
# The control plane of a run: its namespaces and network, and the four programs in them.

# start_namespaces: the first process of the run. The bridge that joins the nodes is in its network, and one link leads to the host, so
# that the host reaches nodes and pods. There is no way from there to any other network.
start_namespaces() {
    local parent pid
    unshare --mount --propagation slave --net --pid --uts --ipc --fork --mount-proc \
        bash -c "$first_process" control </dev/null >>"$state/log/control.log" 2>&1 9>&- &
    parent=$!
    disown "$parent"
    pid=$(child_of "$parent" "the control plane")
    remember control "$pid"

    local inside=(nsenter --target "$pid" --net)
    ip link add "$link" type veth peer name uplink netns "$pid"
    ip address add "$host_ip/24" dev "$link"
    ip link set "$link" up
    "${inside[@]}" ip -batch - <<EOT
link set lo up
link add nodes type bridge
address add $control_ip/24 dev nodes
link set nodes up
link set uplink master nodes up
EOT
    "${inside[@]}" sysctl --quiet --write net.ipv4.ip_forward=1
    local node
    for node in "${nodes[@]}"; do
        ip route add "$(pod_range "$node")" via "$(node_ip "$node")" dev "$link"
        "${inside[@]}" ip route add "$(pod_range "$node")" via "$(node_ip "$node")" dev nodes onlink
    done
}

# What the first process of a namespace does: collect the processes whose parents have ended, for ever.
# shellcheck disable=SC2016
readonly first_process='
trap : TERM INT HUP
while :; do sleep infinity & wait; done'

start_etcd() {
    spawn etcd "$(pid_of control)" "$KUBE_BIN/etcd" --data-dir="$state/etcd" --unsafe-no-fsync --log-level=warn \
        --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379 \
        --listen-peer-urls=http://127.0.0.1:2380
}

start_apiserver() {
    local pki=$state/pki
    spawn apiserver "$(pid_of control)" "$KUBE_BIN/kube-apiserver" \
        --etcd-servers=http://127.0.0.1:2379 --advertise-address="$control_ip" --bind-address=0.0.0.0 \
        --service-cluster-ip-range="$service_range" \
        --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
        --kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
        --kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$pki/sa.key" --service-account-signing-key-file="$pki/sa.key" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
        --audit-policy-file="$cluster_scripts/audit-policy.yaml" --audit-log-path="$state/audit.log" --audit-log-maxsize=2000
}

start_controller_manager() {
    local pki=$state/pki
    spawn controller-manager "$(pid_of control)" "$KUBE_BIN/kube-controller-manager" \
        --kubeconfig="$pki/controller-manager.kubeconfig" --leader-elect=false --use-service-account-credentials \
        --kube-api-qps=200 --kube-api-burst=400 \
        --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" \
        --cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" \
        --allocate-node-cidrs=false
}

start_scheduler() {
    spawn scheduler "$(pid_of control)" "$KUBE_BIN/kube-scheduler" --kubeconfig="$state/pki/scheduler.kubeconfig" --leader-elect=false
}

# ready_api: whether the API server says so itself, its roles included.
ready_api() {
    pid_of apiserver || return 3
    [ "$(api /readyz)" = ok ]
}

# api PATH: what the API server answers to the administrator.
api() {
    curl --silent --fail --max-time 5 --cacert "$state/pki/ca.crt" --cert "$state/pki/admin.crt" --key "$state/pki/admin.key" \
        "https://$control_ip:6443$1"
}

# api_apply FILE...: applies manifests of e2e/cluster/manifests.
api_apply() {
    local file
    for file in "$@"; do
        "$KUBE_BIN/kubectl" --kubeconfig "$state/pki/admin.kubeconfig" apply --filename "$cluster_scripts/manifests/$file" >/dev/null
    done
}
