#!/bin/sh
# A first look at Kiln: a tiny two-layer network reproduced exactly and explained by hand, then a large
# convolution planned, checked and timed.
#   examples/demo.sh [PATH-OF-KILN]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kiln=${1:-$here/../build/release/kiln}
chain=$here/chain
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

bold='' plain=''
if [ -t 1 ]; then bold=$(printf '\033[1m') plain=$(printf '\033[0m'); fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
tell() { printf '%s\n' "$*"; }
show() { # a command, as one would type it, and what it prints
    printf '$ kiln'
    for word in "$@"; do printf ' %s' "$word"; done | sed "s|$chain/||g; s|$made/||g"
    printf '\n'
    "$kiln" "$@"
}
same() { # FILE EXPECTED: equal to the last byte
    cmp "$1" "$2"
    tell "  $(basename "$1") is $(basename "$2"), byte for byte"
}

layer0="conv n1 ic1 ih8 iw8 oc2 kh2 kw2 sh2 sw2 f32 nchw"
layer1="conv n1 ic2 ih4 iw4 oc4 kh2 kw2 sh2 sw2 f32 nchw"
large="conv n16 ic128 ih64 iw64 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias"

# shellcheck disable=SC2086 # a CONV may be given as words
{
    say "1. Two layers on integers: 1 -> 2 -> 4 channels, 2x2 kernels, stride 2"
    tell "Each layer is compiled to machine code for exactly this shape and run on .npy files. On"
    tell "integers f32 makes no error, so the results must be those computed by hand."
    show run $layer0 --src "$chain/input.npy" --weights "$chain/weights0.npy" --dst "$made/y0.npy"
    same "$made/y0.npy" "$chain/output0.npy"
    show run $layer1 --src "$made/y0.npy" --weights "$chain/weights1.npy" --dst "$made/y1.npy"
    same "$made/y1.npy" "$chain/output1.npy"

    say "2. Where one number comes from: layer 1, output channel 0, top left corner"
    tell "An output channel has one 2x2 kernel per input channel. Each tap multiplies one input value"
    tell "with one weight; all products of all input channels add up."
    show explain $layer1 --at 0,0,0,0 --src "$made/y0.npy" --weights "$chain/weights1.npy"

    say "3. A large one: 16 images of 64x64 with 128 channels, 64 kernels of 3x3"
    tell "Each kernel spans all 128 input channels; 64 kernels make 64 feature maps. This is how Kiln"
    tell "would compute them on this machine, and why:"
    show explain $large

    say "4. Is it right? The compiled kernel against the oracle, a plain loop nest with f64 sums"
    show check $large

    say "5. Is it fast? One thread"
    show bench $large

    say "Done. Next: kiln help, README.md, and \`kiln dump $layer1 --asm\` to read the code."
}
