/* The pictures of explain's page: what the registers hold, and the plan below the machine's roofs. */
#include "explain_page.h"

#include <math.h>

/* ---- registers ---- */

/* What "27 of 32: 12 x 2 of acc, 1 of x, 2 of w, 1 besides" says. */
struct registers {
    int used, all, rows, columns, left, top, rest;
    char left_name[8], top_name[8];
};

static bool registers_read(const char *line, struct registers *r)
{
    *r = (struct registers){0};
    int got = sscanf(line, "%d of %d: %d x %d of acc, %d of %7[a-z], %d of %7[a-z], %d besides", &r->used,
                     &r->all, &r->rows, &r->columns, &r->left, r->left_name, &r->top, r->top_name, &r->rest);
    return got >= 8 && r->rows > 0 && r->columns > 0 && r->rows * r->columns <= r->all;
}

enum {
    GAP = 3,
    CELL_HIGH = 13,
    CELL_WIDE = 34,                        /* at most */
    PICTURE_WIDE = 420,                    /* of which the tile has what its factors leave */
    FILE_COLUMNS = 16,                     /* the register file, above the tile */
    LEFT_X = 30,                           /* one factor, left of the tile */
    TILE_X = LEFT_X + CELL_WIDE + 3 * GAP, /* the tile */
};

/* Cells of one row or column: those held, and places of those that come in their turn. */
static void put_cell(FILE *file, bool held, const char *kind, int x, int y, int wide)
{
    fprintf(file, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"2\"/>",
            held ? kind : "free", x, y, wide, CELL_HIGH);
}

static void put_file(FILE *file, const struct registers *r)
{
    const struct {
        const char *kind;
        int count;
    } uses[] = {{"acc", r->rows * r->columns}, {"left", r->left}, {"top", r->top}, {"rest", r->rest}};
    int use = 0, before = 0;
    for (int i = 0; i < r->all; i++) {
        while (use < 4 && i >= before + uses[use].count) before += uses[use++].count;
        put_cell(file, use < 4, use < 4 ? uses[use].kind : "",
                 i % FILE_COLUMNS * (PICTURE_WIDE / FILE_COLUMNS), i / FILE_COLUMNS * (CELL_HIGH + GAP),
                 PICTURE_WIDE / FILE_COLUMNS - GAP);
    }
}

static void put_label(FILE *file, int x, int y, const char *name)
{
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", x - 2 * GAP, y + CELL_HIGH - 2,
            name);
}

/* The tile at height y, between its factors. */
static void put_tile(FILE *file, const struct registers *r, int y)
{
    int room = (PICTURE_WIDE - TILE_X) / r->columns - GAP, wide = room < CELL_WIDE ? room : CELL_WIDE;
    int below = y + CELL_HIGH + 3 * GAP;
    put_label(file, TILE_X, y, r->top_name);
    put_label(file, LEFT_X, below, r->left_name);
    for (int j = 0; j < r->columns; j++)
        put_cell(file, j < r->top, "top", TILE_X + j * (wide + GAP), y, wide);
    for (int i = 0; i < r->rows; i++) {
        int at = below + i * (CELL_HIGH + GAP);
        put_cell(file, i < r->left, "left", LEFT_X, at, CELL_WIDE);
        for (int j = 0; j < r->columns; j++) put_cell(file, true, "acc", TILE_X + j * (wide + GAP), at, wide);
    }
}

void draw_registers(FILE *file, const struct explained *e)
{
    struct registers r;
    if (!registers_read(explained_fact(e, "registers"), &r)) return;
    int file_high = (r.all + FILE_COLUMNS - 1) / FILE_COLUMNS * (CELL_HIGH + GAP), tile_y = file_high + 18;
    int high = tile_y + (r.rows + 1) * (CELL_HIGH + GAP) + 3 * GAP;
    fprintf(file,
            "<section><h2>registers</h2><p class=\"legend\">%d of %d: <b class=\"acc\"></b>%d x %d of acc "
            "<b class=\"left\"></b>%d of %s <b class=\"top\"></b>%d of %s",
            r.used, r.all, r.rows, r.columns, r.left, r.left_name, r.top, r.top_name);
    if (r.rest) fprintf(file, " <b class=\"rest\"></b>%d besides", r.rest);
    fprintf(file,
            "</p>\n<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
            "aria-label=\"registers\">\n",
            PICTURE_WIDE, high, PICTURE_WIDE, high);
    put_file(file, &r);
    put_tile(file, &r, tile_y);
    fputs("</svg></section>\n", file);
}

/* ---- roofline ---- */

/* In flop, bytes and cycles of one core. */
struct roofs {
    double peak, l1, l2, l3, memory; /* flop a cycle; bytes a cycle */
    double intensity, rate;          /* the plan's flop for each byte, and flop a cycle */
};

static bool roofs_read(const struct explained *e, struct roofs *r)
{
    return sscanf(explained_fact(e, "machine"),
                  "%lf flop a cycle; bytes a cycle: L1 %lf, L2 %lf, L3 %lf, memory %lf", &r->peak, &r->l1,
                  &r->l2, &r->l3, &r->memory) == 5 &&
           sscanf(explained_fact(e, "work"), "%*s flop, %*s bytes, %lf", &r->intensity) == 1 &&
           sscanf(explained_fact(e, "estimate"), "%*s cycles, %*d %% of peak, %lf", &r->rate) == 1;
}

/* Where the logarithms lie: both axes have OCTAVE pixels to a factor of two, so that bandwidths are
 * diagonals. */
struct axes {
    int x0, x1, y0, y1; /* the first and last power of two */
};
enum { OCTAVE = 32, AXIS_X = 60 /* as wide as 0.000122 */, AXIS_Y = 26, AXIS_LEAST = 13 };
static const double LEAST = 1e-9; /* of what has a logarithm */

static double x_of(const struct axes *a, double v)
{
    return AXIS_X + (log2(fmax(v, LEAST)) - a->x0) * OCTAVE;
}
static double y_of(const struct axes *a, double v)
{
    return AXIS_Y + (a->y1 - log2(fmax(v, LEAST))) * OCTAVE;
}

/* Room for the ridges of all roofs, for the plan, and for the words right of it. */
static struct axes axes_of(const struct roofs *r)
{
    double x = log2(fmax(r->intensity, LEAST)), y = log2(fmax(r->rate, LEAST)), peak = log2(r->peak);
    struct axes a = {.x0 = (int)floor(fmin(x - 1, log2(r->peak / r->l1) - 3)),
                     .y0 = (int)floor(fmin(y - 1, peak - 5))};
    a.x1 = (int)fmax(ceil(fmax(x + 5, log2(r->peak / r->memory) + 2)), a.x0 + AXIS_LEAST);
    a.y1 = (int)ceil(fmax(peak, y) + 0.6);
    return a;
}

static void put_line(FILE *file, const char *kind, double x0, double y0, double x1, double y1)
{
    fprintf(file, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", kind, x0, y0, x1,
            y1);
}

static void put_axes(FILE *file, const struct axes *a)
{
    double left = x_of(a, exp2(a->x0)), right = x_of(a, exp2(a->x1)), top = y_of(a, exp2(a->y1)),
           bottom = y_of(a, exp2(a->y0));
    for (int i = a->x0; i <= a->x1; i++) {
        double x = x_of(a, exp2(i));
        put_line(file, "grid", x, top, x, bottom);
        if (i % 2 == 0)
            fprintf(file, "<text class=\"faint\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g</text>\n", x,
                    bottom + 16, exp2(i));
    }
    for (int i = a->y0; i <= a->y1; i++) {
        double y = y_of(a, exp2(i));
        put_line(file, "grid", left, y, right, y);
        fprintf(file, "<text class=\"faint\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                left - 5, y + 4, exp2(i));
    }
    fprintf(file,
            "<text class=\"faint\" x=\"0\" y=\"12\">flop a cycle</text>\n"
            "<text class=\"faint\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">flop for each byte of src, "
            "weights and "
            "dst</text>\n",
            right, bottom + 32);
}

/* A bandwidth's diagonal, from where it enters the picture to where it meets the peak, and its name along it:
 * at its beginning, or where `below` at its end. */
static void put_bandwidth(FILE *file, const struct axes *a, double peak, double bytes, const char *name,
                          bool below)
{
    double from = fmax(exp2(a->x0), exp2(a->y0) / bytes), to = peak / bytes;
    double at = below ? to : from, x = x_of(a, at) + (below ? 2 : 4),
           y = y_of(a, at * bytes) + (below ? 16 : -13);
    put_line(file, "roof", x_of(a, from), y_of(a, from * bytes), x_of(a, to), y_of(a, peak));
    fprintf(file,
            "<text class=\"halo\" transform=\"translate(%.1f %.1f) rotate(-45)\" text-anchor=\"%s\">%s %g "
            "bytes</text>\n",
            x, y, below ? "end" : "start", name, bytes);
}

static void put_roofs(FILE *file, const struct axes *a, const struct roofs *r)
{
    static const double near = 1.6; /* the ratio of two lines that leave no room for a name between them */
    bool same = r->l2 == r->l3;
    const struct {
        const char *name;
        double bytes;
    } lines[] = {
        {"L1", r->l1}, {same ? NULL : "L2", r->l2}, {same ? "L2, L3" : "L3", r->l3}, {"memory", r->memory}};
    double right = x_of(a, exp2(a->x1)), peak = y_of(a, r->peak), above = INFINITY;
    put_line(file, "roof", x_of(a, r->peak / r->l1), peak, right, peak);
    for (int i = 0; i < 4; i++) {
        if (!lines[i].name) continue;
        put_bandwidth(file, a, r->peak, lines[i].bytes, lines[i].name, above / lines[i].bytes < near);
        above = lines[i].bytes;
    }
    fprintf(file, "<text class=\"halo\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">FMA peak %g</text>\n",
            right - 4, peak - 5, r->peak);
}

/* The words are off the peak's line: above it what is above. */
static void put_point(FILE *file, const struct axes *a, const struct roofs *r)
{
    double x = x_of(a, r->intensity), y = y_of(a, r->rate), words = r->rate > r->peak ? -18 : 18;
    put_line(file, "guide", x, y, x, y_of(a, exp2(a->y0)));
    fprintf(file, "<circle class=\"point\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x, y);
    fprintf(file,
            "<text class=\"halo\" x=\"%.1f\" y=\"%.1f\">this plan: %.2f<tspan class=\"faint\" x=\"%.1f\" "
            "dy=\"13\">at %.2f flop/byte</tspan></text>\n",
            x + 9, y + words, r->rate, x + 9, r->intensity);
}

void draw_roofline(FILE *file, const struct explained *e)
{
    struct roofs r;
    if (!roofs_read(e, &r) || r.peak <= 0 || fmin(r.l1, r.memory) <= 0) return;
    struct axes a = axes_of(&r);
    int wide = AXIS_X + (a.x1 - a.x0) * OCTAVE + 18, high = AXIS_Y + (a.y1 - a.y0) * OCTAVE + 36;
    fputs("<section><h2>roofline</h2><p>All of it is an estimate: what the planner believes of one core with "
          "warm "
          "caches, in cycles. Nothing was measured. Flops are those of the plain sum: Winograd, which needs "
          "fewer, may pass the peak.</p>\n",
          file);
    fprintf(file,
            "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"roofline\">\n",
            wide, high, wide, high);
    put_axes(file, &a);
    put_roofs(file, &a, &r);
    put_point(file, &a, &r);
    fputs("</svg></section>\n", file);
}
