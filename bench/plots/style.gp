# style: what the plots of a report share; the lines before it name the peers and count the rows of data.
# Inks are of a middle tone and read on white and on black; lines that only guide are see-through. Ratios
# are drawn from 0.4 to 40 in every report, so that two of them can be compared; what lies outside is drawn
# at the border.
ink = "#7d7d7d"
rule = "#70808080"
faint = "#9c808080"
array hue[8] = ["#0a6fb5", "#d1690e", "#12946f", "#b5649f", \
                "#8a7a1f", "#4aa3d8", "#94523c", "#666699"]
least = 0.4
most = 40
ticks = '("≤0.4" 0.4, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10, 20, "≥40" 40)'
clamp(r) = r < least ? least : r > most ? most : r
peer(p) = word(peers, p)
set encoding utf8
set datafile separator "\t"
set key autotitle columnheader textcolor rgb ink samplen 1
set border lc rgb ink lw 0.7
set tics textcolor rgb ink scale 0.4 nomirror
set grid lc rgb faint lw 0.5
