/* Emits winograd's transforms. Both ways tiles are met by strips of a row; in nchw pixels of a strip pass
 * through a transposition on their way from or to vectors of channels. */
#include "winograd_tiles.h"

#include "taps.h"

/* A strip of the block: tiles [lo, hi) of one row of tiles. */
struct strip {
    value lo, hi, slot;  /* slot: of tile `lo`, in the block */
    value image, oh, ow; /* of the first output of tile `lo` */
};

typedef void strip_body(struct emit *e, const struct winograd *w, const struct strip *s, void *user);

static struct strip strip_at(struct emit *e, const struct winograd *w, const struct winograd_job *job,
                             value row, value lo, value hi)
{
    const struct winograd_axis *h = &w->h, *v = &w->w;
    value phase_w = rem(e, row, v->phases), rest = quo(e, row, v->phases);
    value tile_h = rem(e, rest, h->tiles);
    rest = quo(e, rest, h->tiles);
    value phase_h = rem(e, rest, h->phases);
    return (struct strip){
        .lo = lo,
        .hi = hi,
        .slot = sub(e, add(e, mul(e, row, w->per_row), lo), job->begin),
        .image = quo(e, rest, h->phases),
        .oh = add(e, phase_h, mul(e, tile_h, h->f.m * h->span.dilation)),
        .ow = add(e, phase_w, mul(e, lo, v->f.m * v->span.dilation)),
    };
}

static void strips(struct emit *e, const struct winograd *w, const struct winograd_job *job, strip_body *body,
                   void *user)
{
    value last = quo(e, add(e, job->end, k(e, w->per_row - 1)), w->per_row);
    FROM (row, quo(e, job->begin, w->per_row), last) {
        value before = mul(e, row.i, w->per_row);
        value lo = most(e, k(e, 0), sub(e, job->begin, before));
        value hi = least(e, k(e, w->per_row), sub(e, job->end, before));
        FROM (strip, quo(e, lo, w->strip), quo(e, add(e, hi, k(e, w->strip - 1)), w->strip)) {
            value from = mul(e, strip.i, w->strip);
            struct strip s =
                strip_at(e, w, job, row.i, most(e, lo, from), least(e, hi, add(e, from, k(e, w->strip))));
            body(e, w, &s, user);
        }
    }
}

/* Walks from base, `step` at a time: the pointer of this turn of a loop. */
static value walk(struct emit *e, struct slot s, int64_t step)
{
    value p = opaque(e, get(e, s));
    set(e, s, plus(e, p, step));
    return p;
}

/* ---- src to the stage: rows of pixels of one vector of channels, zeros outside ---- */

struct staging {
    value src;           /* of the strip's first pixel and channel; may lie outside */
    value ih, iw, count; /* of that pixel; pixels of a row */
    value channel;       /* the first of the vector */
    value stage;
};

static void fill_zeros(struct emit *e, const struct winograd *w, value to, value lo, value hi)
{
    FROM (gap, lo, hi) store(e, zero(e), at(e, to, mul(e, gap.i, w->p->vec)));
}

static void stage_channels(struct emit *e, const struct winograd *w, const struct staging *s)
{
    const struct span *h = &w->h.span, *v = &w->w.span;
    int64_t vec = w->p->vec;
    value lo, hi, mask = NULL;
    if (w->g.ic % vec) mask = lanes_between(e, k(e, 0), sub(e, k(e, w->g.ic), s->channel));
    inside_bounds(e, v->in, v->dilation, s->count, s->iw, &lo, &hi);
    FOR (row, w->h.f.alpha) {
        value in = below(e, add(e, s->ih, mul(e, row.i, h->dilation)), h->in);
        value end = choose(e, in, hi, k(e, 0)), begin = least(e, lo, end);
        value to = at(e, s->stage, mul(e, row.i, w->columns * vec));
        value from = add(e, mul(e, row.i, h->dilation * w->g.x.h), mul(e, begin, v->dilation * w->g.x.w));
        struct slot x = slot(e, "x", at(e, s->src, from));
        struct slot y = slot(e, "y", at(e, to, mul(e, begin, vec)));
        fill_zeros(e, w, to, k(e, 0), begin);
        FROM (pixel, begin, end) {
            value p = load_masked(e, walk(e, x, v->dilation * w->g.x.w), mask);
            store(e, p, walk(e, y, vec));
        }
        fill_zeros(e, w, to, end, s->count);
    }
}

/* A channel that is there: the lanes of those behind the last are never read. */
static value channel_offset(struct emit *e, const struct winograd *w, value channel, int64_t i)
{
    value c = k(e, i);
    if (w->g.ic % w->p->vec) c = least(e, c, sub(e, k(e, w->g.ic - 1), channel));
    return mul(e, c, w->g.x.c);
}

static void stage_planes(struct emit *e, const struct winograd *w, const struct staging *s)
{
    const struct span *h = &w->h.span, *v = &w->w.span;
    int64_t vec = w->p->vec;
    value rows[MAX_LANES];
    FOR (row, w->h.f.alpha) {
        value in = below(e, add(e, s->ih, mul(e, row.i, h->dilation)), h->in);
        value end = choose(e, in, k(e, v->in), k(e, 0));
        value from = at(e, s->src, mul(e, row.i, h->dilation * w->g.x.h));
        value to = at(e, s->stage, mul(e, row.i, w->columns * vec));
        FROM (run, k(e, 0), quo(e, add(e, s->count, k(e, vec - 1)), vec)) {
            value pixel = mul(e, run.i, vec), iw = add(e, s->iw, pixel);
            value mask = lanes_between(e, sub(e, k(e, 0), iw), sub(e, end, iw));
            value x = opaque(e, at(e, from, pixel)), y = opaque(e, at(e, to, mul(e, pixel, vec)));
            for (int c = 0; c < vec; c++)
                rows[c] = load_masked(e, at(e, x, channel_offset(e, w, s->channel, c)), mask);
            transpose(e, rows, (int)vec);
            for (int i = 0; i < vec; i++) store(e, rows[i], plus(e, y, i * vec));
        }
    }
}

/* ---- the stage to v ---- */

static void input_tile(struct emit *e, const struct winograd *w, value stage, value v)
{
    const struct toom *h = &w->h.f, *f = &w->w.f;
    int64_t vec = w->p->vec;
    value in[TOOM_ALPHA], out[2], part[2][TOOM_ALPHA];
    for (int gh = 0; gh < toom_input_groups(h); gh++) {
        struct toom_group rows = toom_input_group(h, gh);
        for (int c = 0; c < f->alpha; c++) {
            for (int r = 0; r < h->alpha; r++)
                in[r] =
                    toom_input_reads(h, gh, r) ? load(e, plus(e, stage, (r * w->columns + c) * vec)) : NULL;
            toom_input(e, h, gh, in, out);
            for (int i = 0; i < rows.count; i++) part[i][c] = out[i];
        }
        for (int i = 0; i < rows.count; i++)
            for (int gw = 0; gw < toom_input_groups(f); gw++) {
                struct toom_group columns = toom_input_group(f, gw);
                toom_input(e, f, gw, part[i], out);
                for (int j = 0; j < columns.count; j++)
                    store(e, out[j], plus(e, v, (rows.at[i] * f->alpha + columns.at[j]) * w->v_step));
            }
    }
}

static void input_strip(struct emit *e, const struct winograd *w, const struct strip *s, void *user)
{
    const struct winograd_job *job = user;
    int64_t vec = w->p->vec, m = w->w.f.m;
    value tiles = sub(e, s->hi, s->lo);
    struct staging to = {.ih = sub(e, s->oh, k(e, w->h.span.pad)), .iw = sub(e, s->ow, k(e, w->w.span.pad))};
    to.count = add(e, mul(e, tiles, m), k(e, w->w.f.alpha - m));
    to.stage = plus(e, job->scratch, w->stage);
    value pixel = add(e, mul(e, to.ih, w->g.x.h), mul(e, to.iw, w->g.x.w));
    pixel = add(e, pixel, mul(e, s->image, w->g.x.n));
    value v = at(e, job->scratch, add(e, k(e, w->v), mul(e, s->slot, vec)));
    FOR (ic, w->ic_vecs) {
        to.channel = mul(e, ic.i, vec);
        to.src = at(e, job->src, add(e, pixel, mul(e, to.channel, w->g.x.c)));
        if (w->g.x.c == 1)
            stage_channels(e, w, &to);
        else
            stage_planes(e, w, &to);
        struct slot x = slot(e, "stage", to.stage);
        struct slot y = slot(e, "v", at(e, v, mul(e, ic.i, w->block * vec)));
        FROM (tile, k(e, 0), tiles) input_tile(e, w, walk(e, x, m * vec), walk(e, y, vec));
    }
}

void winograd_inputs(struct emit *e, const struct winograd *w, const struct winograd_job *job)
{
    strips(e, w, job, input_strip, (void *)job);
}

/* ---- sums to dst ---- */

/* One vector of output channels of one strip. */
struct outputs {
    const struct winograd_job *job;
    const struct winograd_blocks *b;
    value channels;       /* from the vector's first to the block's last */
    value dst, add, bias; /* of the strip's first pixel and the vector's first channel */
    value bias_vector;    /* nhwc: loaded */
    value mask;           /* nhwc: of the channels */
};

typedef void pixel_out(struct emit *e, const struct winograd *w, void *user, int row, int column, value v);

/* One row of outputs. Its first column comes last: see below. */
static void output_columns(struct emit *e, const struct winograd *w, int row, const value *in, pixel_out *out,
                           void *user)
{
    const struct toom *f = &w->w.f;
    value some[TOOM_ALPHA], first = NULL;
    for (int g = 0; g < toom_output_groups(f); g++) {
        struct toom_group columns = toom_output_group(f, g);
        toom_output(e, f, g, in, some);
        for (int j = 0; j < columns.count; j++)
            if (columns.at[j])
                out(e, w, user, row, columns.at[j], some[j]);
            else
                first = some[j];
    }
    out(e, w, user, row, 0, first);
}

static void output_tile(struct emit *e, const struct winograd *w, value sums, pixel_out *out, void *user)
{
    const struct toom *h = &w->h.f, *f = &w->w.f;
    value in[TOOM_ALPHA], some[TOOM_ALPHA], part[TOOM_ALPHA][TOOM_ALPHA];
    for (int g = 0; g < toom_output_groups(h); g++) {
        struct toom_group rows = toom_output_group(h, g);
        for (int c = 0; c < f->alpha; c++) {
            for (int r = 0; r < h->alpha; r++)
                in[r] = toom_output_reads(h, g, r) ? load(e, plus(e, sums, (r * f->alpha + c) * w->sums_step))
                                                   : NULL;
            toom_output(e, h, g, in, some);
            for (int i = 0; i < rows.count; i++) part[i][c] = some[i];
        }
        for (int i = 0; i < rows.count; i++) output_columns(e, w, rows.at[i], part[i], out, user);
    }
}

/* nhwc: where the pixels of one tile go. Rows outside dst go where nobody reads; columns outside to the
 * first of their row, which is stored last, and is read for the sum before. */
struct pixels {
    const struct outputs *o;
    value offset;                                           /* of the tile's first pixel, from the strip's */
    value trash, row_in[TOOM_ALPHA], column_in[TOOM_ALPHA]; /* NULL: known to be inside */
    value right[TOOM_ALPHA];                                /* from the first column */
    int row;                                                /* the one being stored; -1: none yet */
    value dst, add, first_added;                            /* its first column */
};

/* Which outputs of a tile that begins at `first` exist. The first of a run that is not interleaved does. */
static void ends_inside(struct emit *e, const struct winograd_axis *a, value first, value *in)
{
    for (int i = a->phases == 1; i < a->f.m && !a->whole; i++)
        in[i] = below(e, add(e, first, k(e, i * a->span.dilation)), a->span.out);
}

static struct pixels pixels_at(struct emit *e, const struct winograd *w, const struct strip *s,
                               const struct outputs *o, value right)
{
    struct pixels p = {.o = o, .row = -1, .trash = plus(e, o->job->scratch, w->trash)};
    p.offset = mul(e, right, w->g.y.w);
    ends_inside(e, &w->h, s->oh, p.row_in);
    ends_inside(e, &w->w, add(e, s->ow, right), p.column_in);
    for (int i = 0; i < w->w.f.m; i++) {
        p.right[i] = k(e, i * w->w.span.dilation * w->g.y.w);
        if (p.column_in[i]) p.right[i] = choose(e, p.column_in[i], p.right[i], k(e, 0));
    }
    return p;
}

static value row_at(struct emit *e, const struct winograd *w, const struct pixels *p, value base)
{
    value here = plus(e, at(e, base, p->offset), p->row * w->h.span.dilation * w->g.y.h);
    if (p->row_in[p->row]) here = choose(e, p->row_in[p->row], here, p->trash);
    return p->column_in[0] ? choose(e, p->column_in[0], here, p->trash) : here;
}

static void row_begin(struct emit *e, const struct winograd *w, struct pixels *p, int row)
{
    const struct outputs *o = p->o;
    p->row = row;
    p->dst = opaque(e, row_at(e, w, p, o->dst)); /* or LLVM loads the next rows ahead, and spills */
    if (!o->add) return;
    p->add = row_at(e, w, p, o->add);
    p->first_added = load_masked(e, p->add, o->mask);
}

static void pixel_channels(struct emit *e, const struct winograd *w, void *user, int row, int column, value v)
{
    struct pixels *p = user;
    const struct outputs *o = p->o;
    value with = NULL;
    if (row != p->row) row_begin(e, w, p, row);
    if (o->add) with = column ? load_masked(e, at(e, p->add, p->right[column]), o->mask) : p->first_added;
    v = post_apply(e, &w->p->conv, v, o->bias_vector, with);
    store_masked(e, v, at(e, p->dst, p->right[column]), o->mask);
}

static void output_channels(struct emit *e, const struct winograd *w, const struct strip *s,
                            struct outputs *o, value sums)
{
    int64_t step = w->w.f.m * w->w.span.dilation;
    struct slot from = slot(e, "sums", sums);
    o->mask = o->b->last < w->p->vec ? lanes_between(e, k(e, 0), o->channels) : NULL;
    o->bias_vector = o->bias ? load_masked(e, o->bias, o->mask) : NULL;
    FROM (tile, k(e, 0), sub(e, s->hi, s->lo)) {
        struct pixels p = pixels_at(e, w, s, o, opaque(e, mul(e, tile.i, step)));
        output_tile(e, w, walk(e, from, o->b->vecs * w->p->vec), pixel_channels, &p);
    }
}

/* nchw: pixels are collected as rows of vectors of channels, */
static void pixel_collect(struct emit *e, const struct winograd *w, void *user, int row, int column, value v)
{
    store(e, v, plus(e, *(value *)user, (row * w->columns + column) * w->p->vec));
}

/* and transposed: `count` of one row of the strip, a vector of them at a time. */
static void output_row(struct emit *e, const struct winograd *w, const struct outputs *o, value row,
                       value count)
{
    int64_t vec = w->p->vec;
    value down = mul(e, row, w->h.span.dilation * w->g.y.h), rows[MAX_LANES];
    value from = at(e, o->job->scratch, add(e, k(e, w->outputs), mul(e, row, w->columns * vec)));
    FROM (run, k(e, 0), quo(e, add(e, count, k(e, vec - 1)), vec)) {
        value pixel = mul(e, run.i, vec), left = sub(e, count, pixel), to = add(e, down, pixel);
        value x = opaque(e, at(e, from, mul(e, pixel, vec))), dst = opaque(e, at(e, o->dst, to));
        value with = o->add ? opaque(e, at(e, o->add, to)) : NULL;
        for (int i = 0; i < vec; i++) rows[i] = load(e, plus(e, x, i * vec));
        transpose(e, rows, (int)vec);
        for (int c = 0; c < vec; c++) {
            value channel = k(e, c), n = left;
            if (o->b->last < vec) {
                n = choose(e, LLVMBuildICmp(e->b, LLVMIntSLT, channel, o->channels, ""), left, k(e, 0));
                channel = least(e, channel, sub(e, o->channels, k(e, 1)));
            }
            value mask = lanes_between(e, k(e, 0), n);
            value bias = o->bias ? load_splat(e, at(e, o->bias, channel)) : NULL;
            value add = with ? load_masked(e, plus(e, with, c * w->g.y.c), mask) : NULL;
            value v = post_apply(e, &w->p->conv, rows[c], bias, add);
            store_masked(e, v, plus(e, dst, c * w->g.y.c), mask);
        }
    }
}

static void output_planes(struct emit *e, const struct winograd *w, const struct strip *s, struct outputs *o,
                          value sums)
{
    const struct span *h = &w->h.span, *v = &w->w.span;
    struct slot from = slot(e, "sums", sums);
    struct slot to = slot(e, "pixels", plus(e, o->job->scratch, w->outputs));
    value tiles = sub(e, s->hi, s->lo);
    FROM (tile, k(e, 0), tiles) {
        value pixels = walk(e, to, w->w.f.m * w->p->vec);
        output_tile(e, w, walk(e, from, o->b->vecs * w->p->vec), pixel_collect, &pixels);
    }
    value left = most(e, k(e, 0), sub(e, k(e, h->out), s->oh));
    value rows = quo(e, add(e, left, k(e, h->dilation - 1)), h->dilation);
    value count = least(e, mul(e, tiles, w->w.f.m), sub(e, k(e, v->out), s->ow));
    FROM (row, k(e, 0), least(e, k(e, w->h.f.m), rows)) output_row(e, w, o, row.i, count);
}

static void output_strip(struct emit *e, const struct winograd *w, const struct strip *s, void *user)
{
    struct outputs o = *(struct outputs *)user;
    const struct winograd_job *job = o.job;
    int64_t vec = w->p->vec, width = o.b->vecs * vec, have = width - vec + o.b->last;
    value pixel = add(e, mul(e, s->oh, w->g.y.h), mul(e, s->ow, w->g.y.w));
    pixel = add(e, pixel, mul(e, s->image, w->g.y.n));
    value sums = at(e, job->scratch, add(e, k(e, w->sums), mul(e, s->slot, width)));
    FOR (j, o.b->vecs) {
        value channel = mul(e, j.i, vec), to = add(e, pixel, mul(e, channel, w->g.y.c));
        o.channels = sub(e, k(e, have), channel);
        o.dst = at(e, job->dst, to);
        o.add = job->post.add ? at(e, job->post.add, to) : NULL;
        o.bias = job->post.bias ? at(e, job->post.bias, channel) : NULL;
        if (w->g.y.c == 1)
            output_channels(e, w, s, &o, at(e, sums, channel));
        else
            output_planes(e, w, s, &o, at(e, sums, channel));
    }
}

void winograd_outputs(struct emit *e, const struct winograd *w, const struct winograd_blocks *b,
                      const struct winograd_job *job)
{
    struct outputs o = {.job = job, .b = b};
    strips(e, w, job, output_strip, &o);
}
