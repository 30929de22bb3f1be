# ratios: a row for every shape: a bar for the fastest peer, a dot for each.
named = shapes <= 300
set terminal svg size 900,(120 + (named ? 15 : 4) * shapes) dynamic noenhanced font "sans-serif,11"
set output "ratios.svg"
set logscale x
set logscale x2
set xrange [least:most]
set x2range [least:most]
set xtics @ticks
set x2tics @ticks
set x2label "time of a peer / ours: right of 1, Kiln is faster" textcolor rgb ink
set yrange [shapes - 0.3:-0.7]
if (!named) unset ytics
set border 5
set grid noytics
set key outside bottom center horizontal
set arrow from 1, graph 0 to 1, graph 1 nohead lw 1.2 lc rgb ink back
label(n) = named ? strcol("name") . "   " . strcol("family") : ""
bar(r) = r < 0.95 ? 0x80c2503f : 0x9012946f
length(n) = clamp(column("ratio")) - 1
plot "shapes.tsv" using (1):0:(length(0)):(0):(bar(column("ratio"))):ytic(label(0)) \
         with vectors nohead lw 6 lc rgb variable notitle, \
     for [p = 1:words(peers)] "shapes.tsv" using (clamp(column(peer(p)))):0 \
         with points pt 7 ps 0.4 lc rgb hue[p] title peer(p)
