# shellcheck shell=bash
# A node: its namespaces, files, network and control group, and the programs on it.

# make_node NAME: the first process of the node and what the node needs before a program can run there.
make_node() {
    local name=$1 parent init control
    local root=$state/nodes/$name
    mkdir -p "$root" "$root/etc/cni/net.d" "$root/etc/kubernetes" "$root/etc/containerd"
    write_node_files "$name" "$root"
    make_cgroups "$cgroup/${name#node-}"

    # Asked for here: in the background it would be one more child.
    control=$(pid_of control)
    nsenter --target "$control" --mount --net --pid --uts --ipc \
        unshare --mount --propagation slave --net --pid --uts --ipc --fork \
        "$cluster_scripts/lib/node-init" "$root" "$name" "$KUBE_BIN" </dev/null >>"$state/log/$name.log" 2>&1 9>&- &
    parent=$!
    disown "$parent"
    # nsenter forks to be in the process namespace, and unshare once more.
    parent=$(child_of "$parent" "$name")
    init=$(child_of "$parent" "$name")
    remember "$name" "$init"
    wait_until 10 "the file system of $name" test -e "$root/run/node-is-made" || fail "see $state/log/$name.log"
    connect_node "$name"
}

# connect_node NAME: one end of a cable into the bridge, the other is the node's eth0. Pods of the other node are behind that node.
connect_node() {
    local name=$1 init control other
    init=$(pid_of "$name")
    control=$(pid_of control)
    other=$([[ $name == node-a ]] && echo node-b || echo node-a)
    nsenter --target "$control" --net ip -batch - <<EOT
link add $name type veth peer name eth0 netns $init
link set $name master nodes up
EOT
    nsenter --target "$init" --net ip -batch - <<EOT
link set lo up
address add $(node_ip "$name")/24 dev eth0
link set eth0 up
route add default via $control_ip
route add $(pod_range "$other") via $(node_ip "$other")
EOT
    nsenter --target "$init" --net sysctl --quiet --write net.ipv4.ip_forward=1
}

# make_cgroups PATH: the group in every hierarchy. Those of version 1 want the processors and memory nodes named at each level.
make_cgroups() {
    local hierarchy part path file
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do
        hierarchy=${hierarchy%/}
        # The folder that holds the hierarchies of version 1 is none itself.
        [ -e "$hierarchy/cgroup.procs" ] || continue
        path=$hierarchy
        for part in ${1//\// }; do
            path+=/$part
            mkdir -p "$path"
            for file in cpuset.cpus cpuset.mems; do
                [[ $hierarchy != */cpuset ]] || cat "${path%/*}/$file" >"$path/$file"
            done
        done
    done
}

write_node_files() {
    local name=$1 root=$2
    # Every machine has one, and the kubelet reports it.
    [ -e "$root/etc/machine-id" ] || tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    cp "$state/pki/ca.crt" "$root/etc/kubernetes/ca.crt"
    cp "$state/pki/$name.crt" "$root/etc/kubernetes/kubelet.crt"
    cp "$state/pki/$name.key" "$root/etc/kubernetes/kubelet.key"
    cp "$state/pki/$name.kubeconfig" "$root/etc/kubernetes/kubelet.kubeconfig"
    cp "$state/pki/kube-proxy.kubeconfig" "$root/etc/kubernetes/kube-proxy.kubeconfig"
    cat >"$root/etc/cni/net.d/10-pods.conflist" <<EOT
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "pods",
      "isGateway": true,
      "ipMasq": false,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "dataDir": "/var/lib/cni",
        "ranges": [[{"subnet": "$(pod_range "$name")"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
EOT
    # restrict_oom_score_adj: here root may lack CAP_SYS_RESOURCE, without which no process may be made less likely to be killed.
    cat >"$root/etc/containerd/config.toml" <<'EOT'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "blit.test/pause:latest"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
EOT
    # KubeletInUserNamespace: for the same reason. There is no DNS: whoever asks is refused at once, and no pod gets a warning.
    cat >"$root/etc/kubernetes/kubelet.yaml" <<EOT
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: /etc/kubernetes/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/kubelet.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup/${name#node-}
clusterDNS: [127.0.0.1]
clusterDomain: cluster.local
failSwapOn: false
failCgroupV1: false
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
featureGates: {KubeletInUserNamespace: true}
imageGCHighThresholdPercent: 100
nodeStatusUpdateFrequency: 5s
syncFrequency: 5s
EOT
}

# start_on_node NAME containerd|kubelet|kube-proxy
start_on_node() {
    local name=$1 init
    init=$(pid_of "$name") || fail "$name is off"
    # Restarted programs append to their log.
    ! pid_of "$name.$2" >/dev/null || return 0
    case "$2" in
        containerd)
            spawn "$name.containerd" "$init" containerd --log-level info
            wait_until 20 "containerd on $name" containerd_answers "$name" || fail "see $state/log/$name.containerd.log"
            ;;
        kubelet)
            spawn "$name.kubelet" "$init" /opt/kube/bin/kubelet --config=/etc/kubernetes/kubelet.yaml \
                --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override="$name" \
                --node-ip="$network.0.1$(node_number "$name")"
            ;;
        kube-proxy)
            spawn "$name.kube-proxy" "$init" /opt/kube/bin/kube-proxy --kubeconfig=/etc/kubernetes/kube-proxy.kubeconfig \
                --hostname-override="$name" --proxy-mode=nftables --cluster-cidr="$network.0.0/16" --conntrack-max-per-core=0
            ;;
        *) fail "no program is called $2; there are containerd, kubelet and kube-proxy" ;;
    esac
}

# on_node NAME COMMAND...: runs a command there.
on_node() {
    local init
    init=$(pid_of "$1") || fail "$1 is off"
    shift
    nsenter --target "$init" --mount --net --pid --uts --ipc "$@"
}

containerd_answers() {
    pid_of "$1.containerd" || return 3
    on_node "$1" ctr version
}
