# shellcheck shell=bash
# The certificates and kubeconfig files of a run. They are valid for a week: nobody keeps a test cluster longer.

make_pki() {
    local name
    mkdir -p "$state/pki"
    new_key "$state/pki/ca.key"
    openssl req -x509 -new -key "$state/pki/ca.key" -out "$state/pki/ca.crt" -days 7 -subj /CN=kubernetes-ca
    new_key "$state/pki/sa.key"
    certificate apiserver /CN=kube-apiserver \
        "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:$control_ip,IP:127.0.0.1,IP:$service_ip"
    certificate admin /O=system:masters/CN=admin
    certificate kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate controller-manager /CN=system:kube-controller-manager
    certificate scheduler /CN=system:kube-scheduler
    certificate kube-proxy /CN=system:kube-proxy
    for name in "${nodes[@]}"; do
        certificate "$name" "/O=system:nodes/CN=system:node:$name" "DNS:$name,IP:$(node_ip "$name")"
    done
    for name in admin controller-manager scheduler kube-proxy "${nodes[@]}"; do
        kubeconfig "$name"
    done
}

# In the form "EC PRIVATE KEY", the only one in which the API server finds the public half of an elliptic key.
new_key() {
    openssl ecparam -name prime256v1 -genkey -noout -out "$1"
}

# certificate NAME SUBJECT [ALTERNATIVE_NAMES]
certificate() {
    local file=$state/pki/$1
    new_key "$file.key"
    openssl req -new -key "$file.key" -subj "$2" |
        openssl x509 -req -CA "$state/pki/ca.crt" -CAkey "$state/pki/ca.key" -CAcreateserial -days 7 -out "$file.crt" \
            -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${3:-DNS:$1}") 2>/dev/null
}

# kubeconfig NAME: the certificates are inside, so that the file works in every mount namespace.
kubeconfig() {
    local pki=$state/pki
    cat >"$pki/$1.kubeconfig" <<EOT
apiVersion: v1
kind: Config
current-context: blit
clusters:
  - name: blit
    cluster:
      server: https://$control_ip:6443
      certificate-authority-data: $(base64 --wrap=0 "$pki/ca.crt")
contexts:
  - name: blit
    context: {cluster: blit, user: $1}
users:
  - name: $1
    user:
      client-certificate-data: $(base64 --wrap=0 "$pki/$1.crt")
      client-key-data: $(base64 --wrap=0 "$pki/$1.key")
EOT
    chmod 600 "$pki/$1.kubeconfig"
}
