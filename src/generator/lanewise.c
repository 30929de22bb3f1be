/* lanewise: few channels, in a group or of outputs. Vectors of src times vectors of weights, lane by lane;
 * what belongs to one output is brought together at the end. */
#include "lanewise.h"

#include <assert.h>

enum {
    MAX_KERNEL = 31,  /* in one direction: beyond it code outgrows what unrolled taps gain */
    MAX_OUTPUTS = 32, /* of one group, by=ic: of more, whole vectors are hardly ever less work */
    LEAST_INPUTS = 4, /* of one group, by=ic: of fewer, no vector is filled */
};

/* ---- what a plan means ---- */

static struct geometry geometry(const struct kiln_conv *c)
{
    return geometry_flattens(c) ? geometry_flat(c) : geometry_of(c);
}

static int64_t group_of(const struct kiln_conv *c) { return c->ic / c->g; }

static void blocks_of(struct lanewise *l)
{
    const struct plan *p = l->p;
    const struct kiln_conv *c = &p->conv;
    l->sums = (int)group_of(c), l->pixels = 1, l->chunks = 1;
    l->blocks = ceil_div(c->oc, p->vec), l->pass = p->oc < l->blocks ? p->oc : l->blocks;
    l->out_tail = (int)(c->oc % p->vec);
    if (p->by == BY_PX) l->pixels = (int)(p->vec / c->oc), l->out_tail = 0;
    if (p->by == BY_IC) {
        l->sums = (int)p->oc;
        l->blocks = c->oc / p->oc, l->pass = l->blocks / c->g, l->out_tail = 0;
        l->chunks = ceil_div(group_of(c), p->vec), l->in_tail = (int)(group_of(c) % p->vec);
    }
    l->passes = ceil_div(l->blocks, l->pass);
}

bool lanewise_of(const struct plan *p, struct lanewise *made)
{
    struct lanewise l = {.p = p, .g = geometry(&p->conv)};
    blocks_of(&l);
    l.floats = l.g.h.kernel * l.chunks * l.g.w.kernel * l.sums * p->vec;
    l.n_cols = axis_split(&l.g.w, (int)p->ow, l.pixels, EDGE_STATIC, l.cols);
    if (p->unroll == UNROLL_KH) l.n_rows = axis_split(&l.g.h, (int)p->oh, 1, EDGE_STATIC, l.rows);
    if (!l.n_cols || (p->unroll == UNROLL_KH && !l.n_rows)) return false;
    l.cuts = p->chunk ? ceil_div(segs_tiles(l.cols, l.n_cols), p->chunk) : 1;
    *made = l;
    return true;
}

int64_t lanewise_row_tasks(const struct lanewise *l) { return l->n_rows ? 1 : l->g.h.out; }

int lanewise_width(const struct lanewise *l, const struct seg *c) { return (int)ceil_div(c->n, l->pixels); }

int lanewise_registers(const struct plan *p, int64_t vectors, int64_t sums)
{
    return (int)(vectors * sums + (vectors < sums ? vectors : sums) + 1 + !p->cpu.fma);
}

lanes_mask lanewise_inside(const struct lanewise *l, const struct seg *c, int i, int64_t kw)
{
    const struct span *a = &l->g.w;
    int of_a_pixel = (int)l->p->vec / l->pixels;
    int64_t first = (c->first + (int64_t)i * l->pixels) * a->stride - a->pad + kw * a->dilation;
    int64_t last = first + (c->count - 1) * c->n * a->stride;
    lanes_mask mask = 0;
    for (int q = 0; q < l->pixels; q++)
        if (first + q >= 0 && last + q < a->in) mask |= first_lanes(of_a_pixel) << (q * of_a_pixel);
    return mask;
}

/* ---- which convs, which plans ---- */

static bool power_of_two(int64_t n) { return (n & (n - 1)) == 0; }

/* What keeps the lanes from being channels of groups, as by=oc and by=px have them. */
static const char *not_groups(const struct kiln_conv *c)
{
    int64_t n = group_of(c);
    if (n != c->oc / c->g || n < 2 || n > 16 || !power_of_two(n))
        return "by=oc and by=px need groups of 2, 4, 8 or 16 inputs and as many outputs";
    return NULL;
}

static const char *not_pixels(const struct kiln_conv *c)
{
    if (not_groups(c)) return not_groups(c);
    if (c->oc > 16 || !power_of_two(c->oc)) return "by=px needs 2, 4, 8 or 16 channels in all";
    if (c->sw != 1) return "by=px needs sw of 1";
    if (c->accuracy == KILN_ACCURACY_STRICT && (c->pl || c->pr))
        return "by=px multiplies padding by weights, which under strict must not meet NaN or Inf";
    return NULL;
}

static const char *not_inputs(const struct kiln_conv *c)
{
    if (c->oc / c->g > MAX_OUTPUTS || group_of(c) < LEAST_INPUTS)
        return "by=ic needs groups of at most 32 outputs and at least 4 inputs";
    return NULL;
}

static const char *applicable(const struct kiln_conv *c, const struct cpu *cpu)
{
    (void)cpu;
    if (c->layout != KILN_LAYOUT_NHWC) return "it needs the channels of a pixel to follow each other: nhwc";
    if (c->kw > MAX_KERNEL || c->kh > MAX_KERNEL) return "it needs kernels of at most 31x31";
    if (not_groups(c) && not_inputs(c))
        return "it needs groups of 2, 4, 8 or 16 inputs and as many outputs, or of at most 32 outputs and "
               "at least 4 inputs";
    return NULL;
}

/* What keeps the conv from being done by p->by, in vectors of p->vec, with p->oc. */
static const char *check_lanes(const struct plan *p)
{
    const struct kiln_conv *c = &p->conv;
    const char *why = p->by == BY_IC ? not_inputs(c) : p->by == BY_PX ? not_pixels(c) : not_groups(c);
    if (why) return why;
    if (p->by == BY_IC && (c->oc / c->g % p->oc || p->oc > p->vec))
        return "with by=ic, oc must divide the output channels of a group and be at most vec";
    if (p->by == BY_IC && ceil_div(group_of(c), p->vec) * c->kh * c->kw > LONG_SUM)
        return "with by=ic, a lane would sum up more than 6144 terms";
    if (p->by == BY_OC && p->vec < group_of(c)) return "with by=oc, vec must be at least a group's channels";
    if (p->by == BY_PX && p->vec < c->oc) return "with by=px, vec must be at least all channels";
    return NULL;
}

static const char *check(const struct plan *p)
{
    struct lanewise l;
    const char *why = check_lanes(p);
    if (why) return why;
    if (p->unroll != UNROLL_KW && p->unroll != UNROLL_KH) return "unroll must be kw or kh";
    if (p->oh > 1 && p->unroll != UNROLL_KH) return "oh > 1 needs unroll=kh";
    int64_t sums = p->by == BY_IC ? p->oc : group_of(&p->conv);
    if (lanewise_registers(p, p->ow * p->oh, sums) > p->cpu.registers)
        return "ow * oh vectors of accumulators, and what feeds them, exceed the vector registers";
    if (!lanewise_of(p, &l)) return "more than 32 static variants of one axis";
    return NULL;
}

static struct plan_sizes sizes(const struct plan *p)
{
    struct lanewise l;
    bool fits = lanewise_of(p, &l);
    assert(fits);
    (void)fits;
    return (struct plan_sizes){
        .packed = l.blocks * l.floats,
        .tasks = l.passes * l.g.n * lanewise_row_tasks(&l) * l.cuts,
    };
}

/* ---- proposals ---- */

struct offering {
    algo_offer *offer;
    void *user;
    struct geometry g;
    int64_t sums, passes;
    int64_t out; /* vectors of a row's outputs */
};

static void offer_heights(struct plan p, const struct offering *o)
{
    static const int64_t heights[] = {1, 2, 3, 4, 7};
    p.oh = 1, p.unroll = UNROLL_KW;
    p.chunk = chunk_of(o->passes * o->g.n * o->g.h.out, ceil_div(o->out, p.ow));
    o->offer(o->user, &p);
    if (o->g.h.kernel == 1) return;
    p.unroll = UNROLL_KH;
    p.chunk = chunk_of(o->passes * o->g.n, ceil_div(o->out, p.ow));
    for (size_t i = 0; i < sizeof heights / sizeof *heights; i++) {
        p.oh = heights[i];
        if (p.oh == 1 || p.oh <= o->g.h.out) o->offer(o->user, &p);
    }
}

/* Tiles that split the row into as equal parts as those of any other width. LLVM wants one register of
 * 16 to spare. */
static void offer_widths(struct plan p, const struct offering *o)
{
    int64_t last = 0, spare = p.cpu.registers <= 16;
    int64_t most = o->out < p.cpu.registers ? o->out : p.cpu.registers; /* one each at least */
    for (int64_t ow = most; ow >= 1; ow--) {
        if (lanewise_registers(&p, ow, o->sums) + spare > p.cpu.registers) continue;
        int64_t even = ceil_div(o->out, ceil_div(o->out, ow));
        if (even == last) continue;
        last = p.ow = even;
        offer_heights(p, o);
    }
}

/* By channels, or by pixels, whose channels are one block. */
static void offer_groups(struct plan p, enum by by, struct offering *o)
{
    static const int64_t passes[] = {1, 2, 4, 8, 32};
    int64_t blocks = ceil_div(p.conv.oc, p.vec), pixels = by == BY_PX ? p.vec / p.conv.oc : 1;
    o->sums = group_of(&p.conv), o->out = ceil_div(o->g.w.out, pixels), p.by = by;
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        p.oc = passes[i], o->passes = ceil_div(blocks, p.oc);
        offer_widths(p, o);
        if (p.oc >= blocks) break;
    }
}

static void offer_inputs(struct plan p, struct offering *o)
{
    o->passes = p.conv.g, o->out = o->g.w.out, p.by = BY_IC;
    for (p.oc = p.vec; p.oc >= 1; p.oc--) {
        if (o->g.oc % p.oc) continue;
        o->sums = p.oc;
        offer_widths(p, o);
    }
}

static void propose(const struct plan *asked, algo_offer *offer, void *user)
{
    const struct kiln_conv *c = &asked->conv;
    struct offering o = {.offer = offer, .user = user, .g = geometry(c)};
    struct plan p = *asked;
    for (p.vec = p.cpu.lanes; p.vec >= 4; p.vec /= 2) {
        bool grouped = !not_groups(c) && p.vec >= group_of(c), filled = c->oc > p.vec / 2;
        if (grouped) offer_groups(p, BY_OC, &o);
        if (!not_pixels(c) && p.vec > c->oc) offer_groups(p, BY_PX, &o), filled = true;
        if (!not_inputs(c)) offer_inputs(p, &o), filled &= group_of(c) > p.vec / 2;
        if (filled && (grouped || not_groups(c))) break; /* narrower vectors would only be more of them */
    }
}

/* ---- how it reads ---- */

static void nest(const struct plan *p, struct text *t)
{
    static const char *const lanes[] = {"channels", "pixels", "input channels"};
    static const char *const ends[] = {"rotated into place and added", "rotated into place and added",
                                       "each the sum of its lanes"};
    struct lanewise l;
    lanewise_of(p, &l);
    text_put(t, "  for pass in %lld, n in %lld, oh in %lld by %lld, ow in %lld by %lld, block in %lld\n",
             (long long)l.passes, (long long)l.g.n, (long long)l.g.h.out, (long long)p->oh,
             (long long)l.g.w.out, (long long)(p->ow * l.pixels), (long long)l.pass);
    text_put(t, "    acc[%lld][%d] = 0\n", (long long)(p->oh * p->ow), l.sums);
    text_put(t, "    for kh in %lld, chunk in %lld vectors of %lld %s, kw in %lld; unrolled: %s\n",
             (long long)l.g.h.kernel, (long long)l.chunks, (long long)p->vec, lanes[p->by],
             (long long)l.g.w.kernel, p->unroll == UNROLL_KH ? "kh, kw" : "kw");
    text_put(t, "      acc[i][j] += x[i] * w[j]\n    dst = post-ops(acc), %s\n", ends[p->by]);
}

const struct algo algo_lanewise = {
    .name = "lanewise",
    .summary = "few channels: vectors of src times vectors of weights, brought together at the end",
    .exact = true,
    .knobs = "by vec ow oh oc unroll chunk",
    .applicable = applicable,
    .geometry = geometry,
    .check = check,
    .propose = propose,
    .cost = lanewise_cost,
    .sizes = sizes,
    .nest = nest,
    .emit_run = lanewise_run,
    .emit_pack = lanewise_pack,
};
