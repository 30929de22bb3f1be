#!/bin/sh
# Installs a build into a prefix that is then moved, and builds the projects of tests/consumers against it: by
# CMake and by make with pkg-config, in C and in C++, shared and static. All of them must run, and so must Python.
# What was installed can be removed by the list of it.
#
#   tests/test_install.sh BUILD CC CXX PYTHON
set -eu
build=$1 python=$4
export CC="$2" CXX="$3"
source=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset KILN_GENERATOR

cmake --install "$build" --prefix "$folder/first" >"$folder/log" || { cat "$folder/log" && exit 1; }
mv "$folder/first" "$folder/prefix"
modules=$(dirname "$(find "$folder/prefix" -name 'libkiln.so')")/kiln

# Programs must not find the library or the module in the build folder that is theirs by accident.
run() {
    ! ldd "$1" | grep 'libkiln' | grep -v "$folder/prefix" || { echo "$1 has another libkiln" && exit 1; }
    case $1 in
    *static)
        ! ldd "$1" | grep -q libkiln || { echo "$1 is not static" && exit 1; }
        export KILN_GENERATOR="$modules/libkiln-generator.so" # it stands nowhere near, unless it is linked in
        ;;
    *) unset KILN_GENERATOR ;;
    esac
    "$1" || { echo "$1 failed" && exit 1; }
}

programs='c-shared c-static cc-shared cc-static'
cmake -S "$source/consumers" -B "$folder/cmake" -DCMAKE_PREFIX_PATH="$folder/prefix" >"$folder/log" &&
    cmake --build "$folder/cmake" >>"$folder/log" || { cat "$folder/log" && exit 1; }
for program in $programs; do run "$folder/cmake/$program"; done
! cmake -S "$source/consumers" -B "$folder/parts" -DCMAKE_PREFIX_PATH="$folder/prefix" -DPARTS=cuda >"$folder/log" 2>&1 &&
    grep -q 'Kiln has no component "cuda"' "$folder/log" || { cat "$folder/log" && exit 1; }

mkdir "$folder/make"
PKG_CONFIG_PATH=$(dirname "$(find "$folder/prefix" -name kiln.pc)") \
    make -s -C "$folder/make" -f "$source/consumers/Makefile" VPATH="$source/consumers"
for program in $programs; do run "$folder/make/$program"; done

unset KILN_GENERATOR
"$folder/prefix/bin/kiln" check 'conv ic8 iw8 oc8 kw3 f32 nhwc'

# The Python package finds the library by itself, however its own folder was reached.
ln -s "$(dirname "$(find "$folder/prefix" -name kiln -path '*/lib/python*')")" "$folder/python"
if "$python" -c 'import numpy' 2>"$folder/log"; then
    env -u KILN_LIBRARY PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$folder/python" \
        "$python" "$source/consumers/consumer.py" "$folder/prefix"
else
    echo 'Python is left out: there is none with NumPy'
fi

mv "$folder/prefix" "$folder/first"
xargs -d '\n' rm <"$build/install_manifest.txt"
left=$(find "$folder/first" ! -type d)
[ -z "$left" ] || { echo "install_manifest.txt lacks $left" && exit 1; }
