#!/bin/sh
# examples/feature_maps: the contact sheet of the scene is the one in the repository, to the last pixel; all
# kinds of PNG are read; what cannot be done is said in a sentence, and leaves no file.
#
#   tests/test_feature_maps.sh FEATURE_MAPS SCENE PICTURES ROOT
#
# With KILN_UPDATE_GOLDEN the picture in the repository is written anew.
set -eu
maps=$1 scene=$2 pictures=$3 root=$4
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
cd "$made"
faults=0

fault() {
    echo "$*"
    faults=$((faults + 1))
}

# ---- the picture ----

"$scene" scene.png
"$maps" scene.png sheet.png
[ -z "${KILN_UPDATE_GOLDEN-}" ] || cp sheet.png "$root/docs/feature_maps.png"
"$pictures" same sheet.png "$root/docs/feature_maps.png" || fault "docs/feature_maps.png is not what is made now"

# ---- kinds and sizes ----

for size in '70 9' '1 1' '1 40' '400 2'; do
    for kind in rgb grey palette rgba; do
        # shellcheck disable=SC2086 # two numbers
        "$pictures" make $kind $size $kind.png
        "$maps" $kind.png $kind.sheet.png
        "$pictures" same rgb.sheet.png $kind.sheet.png || fault "$size in $kind is not as in rgb"
    done
done
for kind in clear white; do
    "$pictures" make $kind 5 5 $kind.png
    "$maps" $kind.png $kind.sheet.png
done
"$pictures" same clear.sheet.png white.sheet.png || fault "what is transparent is not seen on white"
"$pictures" same clear.sheet.png rgb.sheet.png >/dev/null && fault "different pictures are said to be the same"

# ---- what cannot be done ----

# The command from the third word on must exit with 2, say one line with $1 in it, and leave no file $2.
refused() {
    wanted=$1 out=$2 status=0
    shift 2
    "$@" 2>said >/dev/null || status=$?
    [ $status = 2 ] || fault "$*: exit status $status: $(cat said)"
    [ "$(wc -l <said)" = 1 ] || fault "$*: says more than a line, or nothing: $(cat said)"
    grep -q -e "$wanted" said || fault "$*: says, without '$wanted': $(cat said)"
    [ ! -e "$out" ] || fault "$*: leaves $out"
}

refused usage out.png "$maps"
refused usage out.png "$maps" scene.png
refused usage out.png "$maps" scene.png out.png more
refused 'none.png: cannot be read' out.png "$maps" none.png out.png
refused '[.]: cannot be read' out.png "$maps" . out.png
: >empty.png
refused 'empty.png: cannot be read as a PNG' out.png "$maps" empty.png out.png
echo 'no PNG, but words enough to fill the place where a signature would be' >words.png
refused 'words.png: cannot be read as a PNG' out.png "$maps" words.png out.png
for count in 8 20 33 40 200 5000 30000; do
    head -c $count scene.png >short.png
    refused 'short.png: cannot be read as a PNG' out.png "$maps" short.png out.png
done
cp scene.png damaged.png
printf 'damage' | dd of=damaged.png bs=1 seek=9000 conv=notrunc 2>/dev/null
refused 'damaged.png: cannot be read as a PNG' out.png "$maps" damaged.png out.png
"$pictures" make rgb 2049 1 wide.png
refused 'wide.png: has 2049 x 1 pixels' out.png "$maps" wide.png out.png
"$pictures" make rgb 1 2049 high.png
refused 'high.png: has 1 x 2049 pixels' out.png "$maps" high.png out.png
refused 'nowhere/out.png: cannot be written' nowhere/out.png "$maps" scene.png nowhere/out.png
refused 'nowhere/out.png: cannot be written' nowhere/out.png "$scene" nowhere/out.png
refused 'out.png: cannot be written' out.png sh -c 'trap "" XFSZ; ulimit -f 8; exec "$@"' sh "$maps" scene.png out.png # the disk is full

echo "$faults faults"
[ $faults = 0 ]
