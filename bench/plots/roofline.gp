# roofline: our speed, and from where the fastest peer is. Points above the roof: tensors in the caches, or
# fewer multiplications than the direct convolution has.
set terminal svg size 900,520 dynamic noenhanced font "sans-serif,13"
set output "roofline.svg"
kinds = "dense 1×1 grouped depthwise small"
array shape[5] = [7, 5, 9, 13, 6]
floor = peak / 100
theirs(n) = above(column("peer_gflops"))
above(y) = y < floor ? floor : y
roof(x) = memory > 0 && x * memory < peak ? x * memory : peak
set logscale xy
set xrange [0.25:1024]
set yrange [floor:peak * 6]
set xlabel "flops per byte of the tensors, each counted once" textcolor rgb ink
set ylabel "GFLOP/s of direct convolution" textcolor rgb ink
set xtics (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
set ytics (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)
set border 3
set key inside bottom right Left reverse
set samples 400
plot roof(x) with lines lw 1.6 lc rgb ink title "roof: FMA peak and memory", \
     "shapes.tsv" using "intensity":(theirs(0)):(0):(above(column("gflops")) - theirs(0)) \
         with vectors nohead lw 1 lc rgb rule title "from the fastest peer", \
     for [k = 1:words(kinds)] "shapes.tsv" \
         using (strcol("kind") eq word(kinds, k) ? column("intensity") : NaN):(above(column("gflops"))) \
         with points pt shape[k] ps 0.6 lc rgb hue[k] title word(kinds, k)
