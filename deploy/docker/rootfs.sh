#!/bin/sh
# Makes the root file system of the image.
#
#   rootfs.sh FOLDER PROGRAM...
#
# The programs go to /usr/local/bin with the libraries they are linked with. It runs in the image's
# build, and in `cargo xtask deploy`, which then starts the programs in the folder as user 65532.
set -eu

root=$1
shift

mkdir -p "$root/etc/ssl/certs" "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/usr/local/bin" "$root/tmp"
chmod 1777 "$root/tmp"
# As Debian has it, so that what is linked for Debian finds its libraries.
ln -sfn usr/lib "$root/lib"
ln -sfn usr/lib64 "$root/lib64"

for program in "$@"; do
    install -m 0755 "$program" "$root/usr/local/bin/"
done

# `libc.so.6 => /lib/…/libc.so.6 (0x…)`, and the loader as `/lib64/ld-linux-….so.2 (0x…)`.
libraries=$(ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\/.*ld-linux/ { print $1 }' | sort -u)
for library in $libraries; do
    cp -L --parents "$library" "$root"
done

# NVIDIA's driver library, which the container runtime adds, is linked with these. They are empty
# since glibc 2.34, but must be there.
libc=$(printf '%s\n' "$libraries" | grep '/libc\.so\.6$')
for library in libdl.so.2 libpthread.so.0 librt.so.1 libm.so.6; do
    cp -L --parents "$(dirname "$libc")/$library" "$root"
done

# By this file NVIDIA's runtime knows into which folder the driver's libraries go.
cp /etc/debian_version "$root/etc/"

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'tokenpath:x:65532:65532::/:/sbin/nologin' >"$root/etc/passwd"
echo 'tokenpath:x:65532:' >"$root/etc/group"

# Called by this name it is wget and nothing else.
install -m 0755 "${BUSYBOX:-/bin/busybox}" "$root/usr/bin/wget"
