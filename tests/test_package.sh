#!/bin/sh
# Makes the Debian package, installs it below an empty root, tries what is there and removes it: no file of it
# may stay. Its dependencies are read, not installed; where dpkg cannot be run the test is skipped.
#
#   tests/test_package.sh BUILD
set -eu
command -v dpkg-shlibdeps >/dev/null && command -v dpkg-deb >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fault() { echo "$*" && exit 1; }

cpack -G DEB --config "$1/CPackConfig.cmake" -B "$folder" >"$folder/log" 2>&1 || { cat "$folder/log" && exit 1; }
package=$(echo "$folder"/kiln_*.deb)

depends=" $(dpkg-deb -f "$package" Depends), "
for needed in libc6 libllvm19 libpthreadpool0; do
    case $depends in *" $needed"[\ ,]*) ;; *) fault "it does not depend on $needed:$depends" ;; esac
done
for needless in dnnl openblas xnnpack; do
    case $depends in *$needless*) fault "it depends on $needless:$depends" ;; esac
done
module=kiln/libkiln-generator.so
! grep -q '^KILN_STATIC_GENERATOR:.*=ON$' "$1/CMakeCache.txt" || module= # it is linked in
for file in usr/bin/kiln usr/include/kiln.h libkiln.so libkiln.a libkiln.so.0.1 $module \
    cmake/Kiln/KilnConfig.cmake pkgconfig/kiln.pc man/man1/kiln.1.gz man/man3/kiln.3.gz man/man3/kiln_run.3.gz \
    bash-completion/completions/kiln doc/kiln/copyright dist-packages/kiln/__init__.py dist-packages/kiln/libkiln.so.0.1; do
    dpkg-deb -c "$package" | awk '{ print $6 }' | grep -q "/$file\$" || fault "it lacks $file"
done

# dpkg's own scripts would need a whole system below the root.
root=$folder/root
mkdir -p "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/triggers"
: >"$root/var/lib/dpkg/status"
dpkg_root() { dpkg --root="$root" --force-not-root --force-depends --force-script-chrootless --log=/dev/null "$@" >"$folder/log" 2>&1 || { cat "$folder/log" && exit 1; }; }
dpkg_root --unpack "$package"
unset KILN_GENERATOR
"$root/usr/bin/kiln" check 'conv ic8 iw8 oc8 kw3 f32 nhwc'
dpkg_root --purge kiln
left=$(find "$root" -path "$root/var/lib/dpkg" -prune -o -type f -print -o -type l -print)
[ -z "$left" ] || fault "it leaves behind: $left"
