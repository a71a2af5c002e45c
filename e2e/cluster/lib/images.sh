# shellcheck shell=bash
# The images that every run needs: pause, which keeps a pod's namespaces, and busybox, which does whatever a test wants done.

# make_images: archives in $state/images, from the busybox of this machine.
make_images() {
    local busybox name rootfs=$state/images/rootfs
    busybox=$(command -v busybox) || fail "busybox is missing; scripts/setup cluster installs it"
    mkdir -p "$rootfs"/{bin,etc,root,tmp}
    chmod 1777 "$rootfs/tmp"
    cp "$busybox" "$rootfs/bin/busybox"
    for name in $("$busybox" --list); do
        [ "$name" = busybox ] || ln -s busybox "$rootfs/bin/$name"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
    echo 'root:x:0:' >"$rootfs/etc/group"
    tar --create --file "$state/images/layer.tar" --directory "$rootfs" --owner 0 --group 0 --sort name --mtime @0 .
    oci_archive blit.test/busybox:latest '["/bin/sh"]' "$state/images/busybox.tar"
    oci_archive blit.test/pause:latest '["/bin/sleep", "infinity"]' "$state/images/pause.tar"
}

# oci_archive NAME COMMAND OUT: an archive of one image, whose only layer is layer.tar.
oci_archive() {
    local folder=$state/images/oci layer config manifest
    local architecture
    architecture=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
    rm -rf "$folder"
    mkdir -p "$folder/blobs/sha256"
    layer=$(blob "$folder" <"$state/images/layer.tar")
    config=$(printf '{"architecture":"%s","os":"linux","config":{"Cmd":%s,"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
        "$architecture" "$2" "${layer% *}" | blob "$folder")
    manifest=$(printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' application/vnd.oci.image.manifest.v1+json \
        "$(descriptor config.v1+json "$config")" "$(descriptor layer.v1.tar "$layer")" | blob "$folder")
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"%s"}}]}' \
        "${manifest% *}" "${manifest#* }" "$1" >"$folder/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' >"$folder/oci-layout"
    tar --create --file "$3" --directory "$folder" .
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

# load_images NODE
load_images() {
    local name
    for name in pause busybox; do
        import_image "$1" "$state/images/$name.tar"
    done
}

# import_image NODE ARCHIVE: under the name that the archive gives it.
import_image() {
    on_node "$1" ctr --namespace k8s.io images import - <"$2"
}
