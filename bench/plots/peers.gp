# peers: a row for every family, and in it one for each peer.
set terminal svg size 900,(110 + families * (10 + 11 * words(peers))) dynamic noenhanced font "sans-serif,13"
set output "peers.svg"
set logscale x
set xrange [least:most * 1.6]
set xtics @ticks
set xlabel "time of a peer / ours: right of 1, Kiln is faster" \
    . " (lines: least to most; dots and numbers: geometric means)" textcolor rgb ink
set yrange [families - 0.5:-0.5]
set border 1
set grid noytics
set key outside top center horizontal
set arrow from 1, graph 0 to 1, graph 1 nohead lw 1.2 lc rgb ink back
do for [i = 1:families - 1] {
    set arrow from graph 0, first i - 0.5 to graph 1, first i - 0.5 nohead lw 0.5 lc rgb faint back
}
row(p) = column(0) + (p - (words(peers) + 1) / 2.0) * 0.84 / words(peers)
number(p) = sprintf("%.2f", column(peer(p)))
low(p) = clamp(column(peer(p) . "_least"))
high(p) = clamp(column(peer(p) . "_most"))
plot "families.tsv" using (NaN):0:ytic(strcol("family")) with points notitle, \
     for [p = 1:words(peers)] "families.tsv" using (low(p)):(row(p)):(high(p) - low(p)):(0) \
         with vectors nohead lw 1 lc rgb hue[p] notitle, \
     for [p = 1:words(peers)] "families.tsv" using (clamp(column(peer(p)))):(row(p)) \
         with points pt 7 ps 0.7 lc rgb hue[p] title peer(p), \
     for [p = 1:words(peers)] "families.tsv" using (most * 1.55):(row(p)):(number(p)) \
         with labels right font ",10" textcolor rgb hue[p] notitle
