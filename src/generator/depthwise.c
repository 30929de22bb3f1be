/* depthwise: one input channel for each group. nhwc: vectors of channels; nchw: vectors along rows.
 * Each loaded vector of src feeds up to kw taps, which stay in registers where they fit. */
#include "depthwise.h"

#include "algo.h"
#include "machine.h"
#include "post.h"
#include "taps.h"

#include <assert.h>

/* Taps of a row are unrolled: beyond this many they outnumber all registers. Emission walks over every
 * pixel between the first tap and the last: strides and dilations beyond any use would take it forever. */
enum { MAX_KERNEL = 31, MAX_STEP = 1024 };

/* With longer strides most of what lies between the pixels of a tile is never read. */
enum { MAX_PREFETCH_STEP = 2 };

/* Rows of tiles: of the same taps, or of any. */
static int rows_of(const struct plan *p, const struct span *h, struct seg rows[MAX_SEGS])
{
    const struct span any = {h->out, h->out, 1, 1, 1, 0};
    if (p->edge != EDGE_BOUNDS) return axis_split(h, (int)p->oh, 1, EDGE_STATIC, rows);
    int n = axis_split(&any, (int)p->oh, 1, EDGE_STATIC, rows);
    for (int i = 0; i < n; i++) rows[i].same = false;
    return n;
}

bool depthwise_of(const struct plan *p, struct depthwise *made)
{
    struct depthwise d = {.p = p, .g = geometry_of(&p->conv), .multiplier = p->conv.oc / p->conv.g};
    bool px = p->by == BY_PX;
    d.vecs = px ? p->conv.oc : p->conv.oc / p->vec;
    d.tail = px ? 0 : (int)(p->conv.oc % p->vec);
    d.n_cols = axis_split(&d.g.w, (int)p->ow, px ? (int)p->vec : 1, EDGE_STATIC, d.cols);
    if (p->unroll == UNROLL_KH) d.n_rows = rows_of(p, &d.g.h, d.rows);
    if (!d.n_cols || (p->unroll == UNROLL_KH && !d.n_rows)) return false;
    *made = d;
    return true;
}

int64_t depthwise_row_tasks(const struct depthwise *d)
{
    return d->n_rows ? segs_tiles(d->rows, d->n_rows) : d->g.h.out;
}

int64_t depthwise_tasks(const struct depthwise *d, bool tail)
{
    int64_t rows = d->g.n * depthwise_row_tasks(d);
    if (tail) return d->tail ? rows : 0;
    return rows * (d->p->by == BY_PX ? d->vecs : ceil_div(d->vecs, d->p->oc));
}

bool depthwise_holds(const struct depthwise *d, int64_t accumulators, int64_t taps)
{
    const struct plan *p = d->p;
    int64_t spare = 2 + !p->cpu.fma + (p->by == BY_PX && d->g.w.stride == 2 ? 3 : 0);
    return accumulators + taps + spare <= p->cpu.registers;
}

bool depthwise_feeds(const struct depthwise *d, const struct seg *r, int i, int64_t kh)
{
    return axis_where(&d->g.h, r, i, kh, kh + 1) != WHERE_OUTSIDE;
}

/* Whether the pixels of a channel's row follow each other, in src and dst. */
static bool rows_contiguous(const struct kiln_conv *c)
{
    return c->layout == KILN_LAYOUT_NCHW || (c->ic == 1 && c->oc == 1);
}

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    int64_t multiplier = c->oc / c->g;
    if (c->ic != c->g) return "it needs one input channel per group";
    if (c->kw > MAX_KERNEL || c->kh > MAX_KERNEL) return "it needs kernels of at most 31x31";
    if (c->sh > MAX_STEP || c->sw > MAX_STEP || c->dh > MAX_STEP || c->dw > MAX_STEP)
        return "it needs strides and dilations of at most 1024";
    if (rows_contiguous(c) && c->sw > 2) return "along rows it needs sw of 1 or 2";
    if (rows_contiguous(c) && c->accuracy == KILN_ACCURACY_STRICT && (c->pl || c->pr))
        return "along rows it multiplies padding by weights, which under strict must not meet NaN or Inf";
    if (!rows_contiguous(c) && (multiplier > 4 || 4 % multiplier))
        return "in nhwc it needs oc / g of 1, 2 or 4, which divide a vector";
    return NULL;
}

static const char *check(const struct plan *p)
{
    struct depthwise d;
    bool px = p->by == BY_PX;
    if (p->by == BY_IC || px != rows_contiguous(&p->conv))
        return "by must be px where the pixels of a row follow each other, else oc";
    if (p->prefetch && (px || p->conv.sh > MAX_PREFETCH_STEP || p->conv.sw > MAX_PREFETCH_STEP))
        return "prefetch=rows needs by=oc and strides of 1 or 2";
    if (p->unroll != UNROLL_KW && p->unroll != UNROLL_KH) return "unroll must be kw or kh";
    if (p->oh > 1 && p->unroll != UNROLL_KH) return "oh > 1 needs unroll=kh";
    if (p->edge == EDGE_ZERO) return "edge must be static or bounds";
    if (p->edge == EDGE_BOUNDS && p->unroll != UNROLL_KH) return "edge=bounds needs unroll=kh";
    if (p->ow * p->oh + 2 + !p->cpu.fma + (px && p->conv.sw == 2) > p->cpu.registers)
        return "ow * oh accumulators, a tap and a vector of src exceed the vector registers";
    if (!depthwise_of(p, &d)) return "more than 32 static variants of one axis";
    return NULL;
}

/* ---- the model ---- */

/* What one tile executes, and the FMAs of its code. */
struct work {
    double fmas, loads, rows;
    int64_t code;
};

/* Taps of all pixels, or vectors of them, of one accumulator row. */
static int64_t column_taps(const struct depthwise *d, const struct seg *c, int width)
{
    const struct span *w = &d->g.w;
    int vec = (int)d->p->vec;
    int64_t taps = 0;
    for (int i = 0; i < width; i++)
        for (int64_t kw = 0; kw < w->kernel; kw++)
            if (d->p->by == BY_PX)
                taps += pixels_inside(w, c, i * vec * w->stride + kw * w->dilation, vec);
            else
                taps += axis_where(w, c, i, kw, kw + 1) != WHERE_OUTSIDE;
    return taps;
}

static int64_t row_taps(const struct depthwise *d, const struct seg *r)
{
    int64_t taps = 0;
    for (int i = 0; i < r->n; i++)
        for (int64_t kh = 0; kh < d->g.h.kernel; kh++) taps += depthwise_feeds(d, r, i, kh);
    return taps;
}

/* Loads of taps: of the kernel once, of a row of it once for each row of src, or for each FMA. */
static double tap_loads(const struct depthwise *d, int n_rows, int64_t accumulators, double row_taps,
                        double fmas)
{
    int64_t kh = d->g.h.kernel, kw = d->g.w.kernel, most = n_rows < kh ? n_rows : kh;
    if (n_rows > 1 && depthwise_holds(d, accumulators, kh * kw)) return (double)(kh * kw);
    return depthwise_holds(d, accumulators, most * kw) ? row_taps * (double)kw : fmas;
}

static struct work tile_work(const struct depthwise *d, const struct seg *r, const struct seg *c, int n_rows,
                             int width)
{
    const struct span *h = &d->g.h, *w = &d->g.w;
    bool px = d->p->by == BY_PX;
    int64_t columns = column_taps(d, c, width), unrolled = r ? row_taps(d, r) : 1;
    double share = r && (d->p->edge == EDGE_STATIC || r->count == 1) ? 1 : axis_share(h);
    double taps = share * (double)(r ? unrolled : h->kernel);
    struct work k = {.fmas = taps * (double)columns, .code = unrolled * columns};
    k.rows = r ? share * (double)((n_rows - 1) * h->stride + (h->kernel - 1) * h->dilation + 1) : taps;
    if (k.rows > taps) k.rows = taps;
    double of_a_row = px ? 1.5 * (double)(width * w->kernel * w->stride) /* half of them cross lines */
                         : (double)((width - 1) * w->stride + w->kernel);
    k.loads = k.rows * of_a_row + tap_loads(d, n_rows, n_rows * width, taps, k.fmas);
    return k;
}

/* Lines that one tile brings into L1, where its rows do not stay there until those below want them. */
static double tile_lines(const struct depthwise *d, const struct work *k, double outs, int width)
{
    const struct plan *p = d->p;
    double row = 4.0 * (double)(p->vec * p->oc) * (double)d->g.w.in;
    bool stay = p->by == BY_PX || home_of(&p->cpu, row * (double)d->g.h.kernel) == HOME_L1;
    return stay ? 0 : k->rows * (double)(width * d->g.w.stride) + outs;
}

static void tile_cost(const struct depthwise *d, const struct seg *r, const struct seg *c, double tiles,
                      struct cost *cost)
{
    const struct plan *p = d->p;
    const struct cpu *cpu = &p->cpu;
    enum { ROW_ASKED = 6 }; /* cycles to ask whether a row exists: between two, nothing is reordered */
    bool px = p->by == BY_PX;
    int width = px ? (int)ceil_div(c->n, p->vec) : c->n, n_rows = r ? r->n : 1;
    struct work k = tile_work(d, r, c, n_rows, width);
    double outs = width * n_rows;
    double fma = k.fmas / rate(cpu, cpu->fma_per_cycle, p->vec), latency = k.fmas / outs * FMA_LATENCY;
    double load = (k.loads + tile_lines(d, &k, outs, width)) / rate(cpu, cpu->load_per_cycle, p->vec);
    double asked = p->prefetch ? outs * (double)(1 + d->g.h.stride * d->g.w.stride) : 0;
    double issue = (k.fmas + k.loads + asked + 4 * k.rows) / ISSUE_WIDTH;
    cost->fma += tiles * fma, cost->loads += tiles * load, cost->issue += tiles * issue;
    cost->latency += tiles * latency;
    cost->cycles += tiles * together((const double[]){fma, load, issue, latency}, 4);
    double asked_rows = r && p->edge == EDGE_BOUNDS ? ROW_ASKED * k.rows : 0;
    cost->overhead +=
        tiles * (TILE_OVERHEAD / 5.0 + k.rows / 2 + asked_rows + outs * (1 + post_cost(&p->conv)) / 4 +
                 (px && c->n % p->vec && !cpu->masks ? 20.0 : 0));
    cost->fmas += k.code * (1 + (d->tail > 0 && d->vecs > 0));
}

/* ---- memory ---- */

/* Rows of src that one row of tiles reads. */
static double rows_seen(const struct depthwise *d)
{
    const struct span *h = &d->g.h;
    return (double)((d->p->oh - 1) * h->stride + (h->kernel - 1) * h->dilation + 1);
}

/* How often src is read from beyond L2: its rows that two rows of tiles read, twice, unless all that a
 * row of tiles touches stays there. */
static double src_reads(const struct depthwise *d)
{
    const struct plan *p = d->p;
    double row = 4.0 * (double)(p->vec * p->oc), fresh = (double)(p->oh * d->g.h.stride);
    double touched = row * (rows_seen(d) * (double)d->g.w.in + (double)p->oh * (double)d->g.w.out);
    return 2 * touched > (double)p->cpu.l2 && rows_seen(d) > fresh ? rows_seen(d) / fresh : 1;
}

/* How many times slower than one long stream the lines of a tile come. Those of neighbouring pixels lie
 * apart, and the wider the tile, the less of a stream they are to the hardware; rows are streams of their
 * own, of which it follows several at once but not any number. Channels of a pixel that are left for
 * later are a gap. */
static double disorder(const struct depthwise *d)
{
    enum { STREAMS = 14, WIDEST = 8 };
    const struct plan *p = d->p;
    double wide = (double)(p->ow < WIDEST ? p->ow : WIDEST) - 1, streams = rows_seen(d) + (double)p->oh;
    double order = 1 + 0.15 * wide + 0.25 / (double)p->oh;
    if (streams > STREAMS) order *= streams / STREAMS;
    return d->vecs > p->oc ? 1.3 * order : order;
}

static bool beyond_l3(const struct depthwise *d)
{
    return home_of(&d->p->cpu, src_bytes(&d->p->conv) + dst_bytes(&d->p->conv)) == HOME_MEMORY;
}

static double memory_cycles(const struct depthwise *d)
{
    const struct plan *p = d->p;
    double src = src_bytes(&p->conv), dst = dst_bytes(&p->conv), flow = stream_rate(&p->cpu, src + dst);
    if (p->by == BY_PX || !beyond_l2(&p->cpu, src + dst)) return (src + dst) / flow;
    double cycles = (src * src_reads(d) + dst) / flow * disorder(d);
    if (!beyond_l3(d)) return cycles / 1.5; /* L3 gives more to several streams than to one */
    return p->prefetch ? 0.85 * cycles : cycles;
}

static struct cost cost(const struct plan *p)
{
    struct depthwise d;
    bool fits = depthwise_of(p, &d);
    assert(fits);
    (void)fits;
    struct cost c = {.registers = (int)(p->ow * p->oh + 2 + !p->cpu.fma),
                     .tile = {(int)p->oh, (int)p->ow, {"x", 1}, {"w", 1}}};
    double channels = (double)(d.g.n * (d.vecs + (d.tail > 0)));
    for (const struct seg *s = d.cols; s < d.cols + d.n_cols; s++) {
        if (!d.n_rows) tile_cost(&d, NULL, s, channels * (double)(d.g.h.out * s->count), &c);
        for (int r = 0; r < d.n_rows; r++)
            tile_cost(&d, &d.rows[r], s, channels * (double)(d.rows[r].count * s->count), &c);
    }
    c.tile_fmas = p->ow * p->oh * d.g.w.kernel * (p->unroll == UNROLL_KH ? d.g.h.kernel : 1);
    c.tile_loads = (p->ow - 1) * d.g.w.stride + d.g.w.kernel;
    c.memory = memory_cycles(&d);
    c.cycles = overlapped(c.cycles + c.overhead, c.memory);
    return c;
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct depthwise d;
    depthwise_of(p, &d);
    int64_t lanes = p->by == BY_PX ? 1 : p->vec;
    return (struct plan_sizes){
        .packed = (d.vecs + (d.tail > 0)) * lanes * d.g.h.kernel * d.g.w.kernel,
        .tasks = depthwise_tasks(&d, false) + depthwise_tasks(&d, true),
    };
}

/* ---- proposals ---- */

/* The most that LLVM keeps in registers, beside a tap, a vector of src and what masks and sums need. */
static int64_t accumulators(const struct plan *p) { return p->cpu.registers - 4 - !p->cpu.fma; }

/* What comes from beyond L3 is asked for ahead as well. */
static void offer_prefetches(struct plan p, algo_offer *offer, void *user)
{
    struct depthwise d;
    offer(user, &p);
    if (p.by == BY_PX || !depthwise_of(&p, &d) || !beyond_l3(&d)) return;
    p.prefetch = PREFETCH_ROWS;
    offer(user, &p);
}

static void offer_heights(struct plan p, algo_offer *offer, void *user)
{
    static const int64_t heights[] = {1, 2, 3, 4, 7, 14};
    const struct geometry g = geometry_of(&p.conv);
    const bool bounds = !axis_inside(&g.h);
    p.oh = 1, p.unroll = UNROLL_KW;
    offer_prefetches(p, offer, user);
    p.unroll = UNROLL_KH;
    for (size_t i = 0; i < sizeof heights / sizeof *heights; i++) {
        p.oh = heights[i], p.edge = EDGE_STATIC;
        if (p.ow * p.oh > accumulators(&p)) break;
        offer_prefetches(p, offer, user);
        if (bounds && p.oh > 1) p.edge = EDGE_BOUNDS, offer_prefetches(p, offer, user);
    }
}

static void offer_widths(struct plan p, int64_t out, int64_t most, algo_offer *offer, void *user)
{
    int64_t last = 0;
    for (int64_t ow = most < out ? most : out; ow >= 1; ow--) {
        int64_t even = ceil_div(out, ceil_div(out, ow));
        if (even == last) continue;
        last = p.ow = even;
        offer_heights(p, offer, user);
    }
}

static void propose(const struct plan *asked, algo_offer *offer, void *user)
{
    static const int64_t blocks[] = {1, 2, 4, 8, 32};
    struct geometry g = geometry_of(&asked->conv);
    struct plan p = *asked;
    bool px = rows_contiguous(&p.conv);
    p.by = px ? BY_PX : BY_OC, p.oc = 1;
    for (p.vec = p.cpu.lanes; p.vec >= 4; p.vec /= 2) {
        int64_t vecs = px ? 1 : p.conv.oc / p.vec;
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
            p.oc = blocks[i];
            offer_widths(p, px ? ceil_div(g.w.out, p.vec) : g.w.out, accumulators(&p), offer, user);
            if (p.oc >= vecs) break;
        }
        if ((px ? g.w.out : p.conv.oc) > p.vec / 2) break; /* narrower vectors would only be more of them */
    }
}

static void nest(const struct plan *p, struct text *t)
{
    struct depthwise d;
    depthwise_of(p, &d);
    bool px = p->by == BY_PX;
    if (px)
        text_put(t, "  for oc in %lld, n in %lld, oh in %lld by %lld, ow in %lld by %lld vectors of %lld\n",
                 (long long)d.vecs, (long long)d.g.n, (long long)d.g.h.out, (long long)p->oh,
                 (long long)d.g.w.out, (long long)p->ow, (long long)p->vec);
    else
        text_put(t,
                 "  for c in %lld vectors of %lld by %lld%s, n in %lld, oh in %lld by %lld, ow in %lld by "
                 "%lld, c\n",
                 (long long)d.vecs, (long long)p->vec, (long long)p->oc, d.tail ? " and a tail" : "",
                 (long long)d.g.n, (long long)d.g.h.out, (long long)p->oh, (long long)d.g.w.out,
                 (long long)p->ow);
    text_put(t, "    acc[%lld][%lld] = 0\n", (long long)p->oh, (long long)p->ow);
    text_put(t, "    for kh in %lld, kw in %lld; unrolled: %s\n", (long long)d.g.h.kernel,
             (long long)d.g.w.kernel, p->unroll == UNROLL_KH ? "kh, kw" : "kw");
    text_put(t, "      acc[i][j] += x * w[kh][kw]\n    dst = post-ops(acc)\n");
}

const struct algo algo_depthwise = {
    .name = "depthwise",
    .summary = "one input channel per group: vectors of channels in nhwc, along rows in nchw",
    .exact = true,
    .knobs = "by vec ow oh oc unroll edge prefetch",
    .applicable = applicable,
    .geometry = geometry_of,
    .check = check,
    .propose = propose,
    .cost = cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = depthwise_run,
    .emit_pack = depthwise_pack,
};
