# shellcheck shell=bash
# The images that every run needs, made from programs of this machine: pause, which keeps a pod's namespaces, busybox, which does
# whatever a test wants done, and the provisioner of volumes.

# make_images FOLDER PROVISIONER: one archive for each in FOLDER.
make_images() {
    local busybox name rootfs=$1/rootfs
    busybox=$(command -v busybox) || fail "busybox is missing; scripts/setup cluster installs it"
    mkdir -p "$rootfs"/{bin,etc,root,tmp}
    chmod 1777 "$rootfs/tmp"
    cp "$busybox" "$rootfs/bin/busybox"
    for name in $("$busybox" --list); do
        [ "$name" = busybox ] || ln -s busybox "$rootfs/bin/$name"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
    echo 'root:x:0:' >"$rootfs/etc/group"
    oci_archive blit.test/busybox:latest '["/bin/sh"]' "$rootfs" "$1/busybox.tar"
    oci_archive blit.test/pause:latest '["/bin/sleep", "infinity"]' "$rootfs" "$1/pause.tar"
    rm -r "$rootfs"
    mkdir -p "$rootfs/tmp"
    cp "$2" "$rootfs/local-path-provisioner"
    oci_archive blit.test/local-path-provisioner:latest '["/local-path-provisioner"]' "$rootfs" "$1/local-path-provisioner.tar"
    rm -r "$rootfs"
}

# oci_archive NAME COMMAND ROOTFS OUT: an archive of one image of one layer.
oci_archive() {
    local folder layer config manifest architecture
    folder=$(mktemp --directory)
    mkdir -p "$folder/blobs/sha256"
    architecture=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    layer=$(tar --create --directory "$3" --owner 0 --group 0 --numeric-owner --sort name --mtime @0 . | blob "$folder")
    config=$(printf '{"architecture":"%s","os":"linux","config":{"Cmd":%s,"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$architecture" "$2" "${layer% *}" | blob "$folder")
    manifest=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' \
        "$(descriptor config.v1+json "$config")" "$(descriptor layer.v1.tar "$layer")" | blob "$folder")
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"%s"}}]}' \
        "${manifest% *}" "${manifest#* }" "$1" >"$folder/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$folder/oci-layout"
    tar --create --file "$4" --directory "$folder" .
    rm -r "$folder"
}

# blob FOLDER: stores standard input, prints its hash and its size.
blob() {
    local hash
    cat >"$1/new"
    hash=$(sha256sum "$1/new")
    hash=${hash%% *}
    mv "$1/new" "$1/blobs/sha256/$hash"
    echo "$hash $(stat --format %s "$1/blobs/sha256/$hash")"
}

descriptor() {
    printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%s}' "$1" "${2% *}" "${2#* }"
}

# import_image NODE ARCHIVE: under the name that the archive gives it, and also by its digest, which is printed.
import_image() {
    local line name reference=
    while read -r line; do
        # unpacking NAME (DIGEST)...done
        [[ $line =~ ^unpacking\ (.*)\ \((sha256:[0-9a-f]*)\) ]] || continue
        name=${BASH_REMATCH[1]}
        reference=${name%:*}@${BASH_REMATCH[2]}
        on_node "$1" ctr --namespace k8s.io images tag --force "$name" "$reference" >/dev/null
    done < <(on_node "$1" ctr --namespace k8s.io images import - <"$2")
    [ -n "$reference" ] || fail "$2 could not be imported on $1"
    echo "$reference"
}
