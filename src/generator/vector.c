/* Floats, vectors and tails of the emission vocabulary. Every load and store says its alignment. */
#include "emit.h"

#include <assert.h>
#include <string.h>

enum { F32_BYTES = 4, MAX_TABLE = 64 };

static value call(struct emit *e, const char *name, LLVMTypeRef *over, size_t n_over, value *args, unsigned n)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    value f = LLVMGetIntrinsicDeclaration(e->module, id, over, n_over);
    return LLVMBuildCall2(e->b, LLVMIntrinsicGetType(e->context, id, over, n_over), f, args, n, "");
}

static value load_as(struct emit *e, LLVMTypeRef type, value p, unsigned align)
{
    value v = LLVMBuildLoad2(e->b, type, p, "");
    LLVMSetAlignment(v, align);
    e->loads++;
    return v;
}

value zero(struct emit *e) { return LLVMConstNull(e->vec); }
value load(struct emit *e, value p) { return load_as(e, e->vec, p, F32_BYTES); }
value load_aligned(struct emit *e, value p) { return load_as(e, e->vec, p, F32_BYTES * (unsigned)e->lanes); }
value load_scalar(struct emit *e, value p) { return load_as(e, e->f32, p, F32_BYTES); }

static value splat_of(struct emit *e, LLVMTypeRef type, value scalar)
{
    value none = LLVMGetPoison(type), v = LLVMBuildInsertElement(e->b, none, scalar, k(e, 0), "");
    LLVMTypeRef index = LLVMVectorType(e->i32, (unsigned)e->lanes);
    return LLVMBuildShuffleVector(e->b, v, none, LLVMConstNull(index), "");
}

value load_splat(struct emit *e, value p) { return splat_of(e, e->vec, load_scalar(e, p)); }

value splat_constant(struct emit *e, float v)
{
    value lane[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) lane[i] = LLVMConstReal(e->f32, (double)v);
    return LLVMConstVector(lane, (unsigned)e->lanes);
}

/* ---- f64 ---- */

value table_double(struct emit *e, const double *v, int n)
{
    value constant[MAX_TABLE];
    LLVMTypeRef type = LLVMDoubleTypeInContext(e->context);
    assert(n <= MAX_TABLE);
    for (int i = 0; i < n; i++) constant[i] = LLVMConstReal(type, v[i]);
    value table = LLVMAddGlobal(e->module, LLVMArrayType2(type, (uint64_t)n), "table");
    LLVMSetInitializer(table, LLVMConstArray2(type, constant, (uint64_t)n));
    LLVMSetGlobalConstant(table, true);
    LLVMSetLinkage(table, LLVMPrivateLinkage);
    return table;
}

static LLVMTypeRef doubles(struct emit *e)
{
    return LLVMVectorType(LLVMDoubleTypeInContext(e->context), (unsigned)e->lanes);
}

value widen(struct emit *e, value v) { return LLVMBuildFPExt(e->b, v, doubles(e), ""); }
value load_double(struct emit *e, value p) { return load_as(e, doubles(e), p, F32_BYTES); }

value load_splat_double(struct emit *e, value p)
{
    return splat_of(e, doubles(e), load_as(e, LLVMDoubleTypeInContext(e->context), p, F32_BYTES));
}

value narrow(struct emit *e, value v) { return LLVMBuildFPTrunc(e->b, v, e->vec, ""); }

/* ---- more of f32 ---- */

void store(struct emit *e, value v, value p)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, p), F32_BYTES);
    e->stores++;
}

void store_scalar(struct emit *e, value v, value p) { store(e, v, p); }

void prefetch(struct emit *e, value p, bool write)
{
    enum { NEAREST = 3, L2 = 2, DATA = 1 };
    value args[] = {p, LLVMConstInt(e->i32, write, 0), LLVMConstInt(e->i32, write ? NEAREST : L2, 0),
                    LLVMConstInt(e->i32, DATA, 0)};
    call(e, "llvm.prefetch", &e->ptr, 1, args, 4);
}

value vadd(struct emit *e, value x, value y) { return LLVMBuildFAdd(e->b, x, y, ""); }
value vsub(struct emit *e, value x, value y) { return LLVMBuildFSub(e->b, x, y, ""); }
value vmul(struct emit *e, value x, value y) { return LLVMBuildFMul(e->b, x, y, ""); }

value vmuladd(struct emit *e, value x, value y, value z)
{
    if (!e->cpu->fma) return vadd(e, LLVMBuildFMul(e->b, x, y, ""), z);
    return LLVMBuildCall2(e->b, e->fma_type, e->fma_function, (value[]){x, y, z}, 3, "");
}

value vfma(struct emit *e, value x, value y, value z)
{
    e->fmas++;
    return vmuladd(e, x, y, z);
}

value vrelu(struct emit *e, value v)
{
    value none = LLVMConstNull(LLVMTypeOf(v));
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOLT, v, none, ""), none, v, "");
}

value vclip(struct emit *e, value v, float lo, float hi)
{
    value l = splat_constant(e, lo), h = splat_constant(e, hi);
    v = LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOLT, v, l, ""), l, v, "");
    return LLVMBuildSelect(e->b, LLVMBuildFCmp(e->b, LLVMRealOGT, v, h, ""), h, v, "");
}

value shuffle(struct emit *e, value x, value y, const int *lanes, int n)
{
    value index[MAX_LANES];
    assert(n <= MAX_LANES);
    for (int i = 0; i < n; i++) index[i] = LLVMConstInt(e->i32, (unsigned long long)lanes[i], 0);
    return LLVMBuildShuffleVector(e->b, x, y, LLVMConstVector(index, (unsigned)n), "");
}

/* ---- tails ---- */

lanes_mask first_lanes(int n) { return n >= MAX_LANES ? ~(lanes_mask)0 : ((lanes_mask)1 << n) - 1; }

static value mask_vector(struct emit *e, lanes_mask mask)
{
    value lane[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) lane[i] = LLVMConstInt(e->i1, mask >> i & 1, 0);
    return LLVMConstVector(lane, (unsigned)e->lanes);
}

static value load_scalars(struct emit *e, value p, lanes_mask mask)
{
    value v = zero(e);
    for (int i = 0; i < e->lanes; i++)
        if (mask >> i & 1) v = LLVMBuildInsertElement(e->b, v, load_scalar(e, plus(e, p, i)), k(e, i), "");
    return v;
}

value load_lanes(struct emit *e, value p, lanes_mask mask)
{
    mask &= first_lanes(e->lanes);
    if (!mask) return zero(e);
    if (mask == first_lanes(e->lanes)) return load(e, p);
    return e->cpu->masks ? load_masked(e, p, mask_vector(e, mask)) : load_scalars(e, p, mask);
}

void store_lanes(struct emit *e, value v, value p, lanes_mask mask)
{
    mask &= first_lanes(e->lanes);
    if (mask == first_lanes(e->lanes)) {
        store(e, v, p);
    } else if (e->cpu->masks) {
        store_masked(e, v, p, mask_vector(e, mask));
    } else {
        for (int i = 0; i < e->lanes; i++)
            if (mask >> i & 1) store(e, LLVMBuildExtractElement(e->b, v, k(e, i), ""), plus(e, p, i));
    }
}

static value splat_index(struct emit *e, value v)
{
    LLVMTypeRef type = LLVMVectorType(e->i32, (unsigned)e->lanes);
    v = LLVMBuildTrunc(e->b, v, e->i32, "");
    v = LLVMBuildInsertElement(e->b, LLVMGetPoison(type), v, k(e, 0), "");
    return LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(type), LLVMConstNull(type), "");
}

/* Bounds beyond any vector are brought near before they are cut to 32 bits. */
value lanes_between(struct emit *e, value lo, value hi)
{
    value lane[MAX_LANES];
    if (known(lo) && known(hi) && constant(lo) <= 0 && constant(hi) >= e->lanes) return NULL;
    for (int i = 0; i < e->lanes; i++) lane[i] = LLVMConstInt(e->i32, (unsigned long long)i, 0);
    value lanes = LLVMConstVector(lane, (unsigned)e->lanes), from = most(e, lo, k(e, 0));
    value to = most(e, least(e, hi, k(e, e->lanes)), k(e, 0));
    from = least(e, from, k(e, e->lanes));
    return LLVMBuildAnd(e->b, LLVMBuildICmp(e->b, LLVMIntUGE, lanes, splat_index(e, from), ""),
                        LLVMBuildICmp(e->b, LLVMIntULT, lanes, splat_index(e, to), ""), "");
}

value load_masked(struct emit *e, value p, value mask)
{
    if (!mask) return load(e, p);
    LLVMTypeRef over[] = {e->vec, e->ptr};
    value args[] = {p, LLVMConstInt(e->i32, F32_BYTES, 0), mask, zero(e)};
    e->loads++;
    return call(e, "llvm.masked.load", over, 2, args, 4);
}

void store_masked(struct emit *e, value v, value p, value mask)
{
    if (!mask) {
        store(e, v, p);
        return;
    }
    LLVMTypeRef over[] = {e->vec, e->ptr};
    value args[] = {v, p, LLVMConstInt(e->i32, F32_BYTES, 0), mask};
    e->stores++;
    call(e, "llvm.masked.store", over, 2, args, 4);
}

/* ---- transposition, by shuffles that are single instructions: within 128-bit blocks of four lanes, then
 * of whole blocks ---- */

enum { BLOCK = 4, MAX_BLOCKS = MAX_LANES / BLOCK };

/* In each block: units of `unit` lanes from the low or the high half of x's and y's block, in turns. */
static value unpack(struct emit *e, value x, value y, int unit, bool high)
{
    int lanes[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) {
        int within = i % BLOCK, turn = within / unit;
        lanes[i] = i / BLOCK * BLOCK + (high ? BLOCK / 2 : 0) + turn / 2 * unit + within % unit;
        if (turn % 2) lanes[i] += e->lanes;
    }
    return shuffle(e, x, y, lanes, e->lanes);
}

/* Every other block of x, from its first or second on, then of y. */
static value every_other(struct emit *e, value x, value y, bool odd)
{
    int lanes[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) {
        int block = 2 * (i / BLOCK) + odd; /* of x and y in a row */
        lanes[i] = block * BLOCK + i % BLOCK;
    }
    return shuffle(e, x, y, lanes, e->lanes);
}

/* Four rows: block b of the new v[i] is lane i of block b of each of the four. */
static void transpose_blocks(struct emit *e, value v[BLOCK])
{
    value lo[] = {unpack(e, v[0], v[1], 1, false), unpack(e, v[2], v[3], 1, false)};
    value hi[] = {unpack(e, v[0], v[1], 1, true), unpack(e, v[2], v[3], 1, true)};
    v[0] = unpack(e, lo[0], lo[1], 2, false), v[1] = unpack(e, lo[0], lo[1], 2, true);
    v[2] = unpack(e, hi[0], hi[1], 2, false), v[3] = unpack(e, hi[0], hi[1], 2, true);
}

/* n rows of n blocks, transposed as a matrix of blocks. */
static void transpose_of_blocks(struct emit *e, value *rows, int n)
{
    value even[MAX_BLOCKS] = {0}, odd[MAX_BLOCKS] = {0};
    if (n == 1) return;
    for (int i = 0; i < n / 2; i++) {
        even[i] = every_other(e, rows[2 * i], rows[2 * i + 1], false);
        odd[i] = every_other(e, rows[2 * i], rows[2 * i + 1], true);
    }
    if (n == 2) {
        rows[0] = even[0], rows[1] = odd[0];
        return;
    }
    rows[0] = every_other(e, even[0], even[1], false), rows[2] = every_other(e, even[0], even[1], true);
    rows[1] = every_other(e, odd[0], odd[1], false), rows[3] = every_other(e, odd[0], odd[1], true);
}

/* v, but no pass sees how it was made: instruction selection would search each network of shuffles for
 * something better, which takes longer than all the rest. What does not exist stays so: sealed, it would be
 * kept in registers across the loops that the accumulators need them for. */
static value sealed(struct emit *e, value v)
{
    if (LLVMIsPoison(v)) return v;
    const char *constraint = e->cpu->arch == ARCH_X86_64 ? "=v,0" : "=w,0";
    LLVMTypeRef type = LLVMFunctionType(e->vec, &e->vec, 1, 0);
    value seal =
        LLVMGetInlineAsm(type, "", 0, constraint, strlen(constraint), 0, 0, LLVMInlineAsmDialectATT, 0);
    return LLVMBuildCall2(e->b, type, seal, &v, 1, "");
}

void transpose(struct emit *e, value *v, int n)
{
    int blocks = e->lanes / BLOCK;
    assert(blocks <= 4);
    for (int i = n; i < e->lanes; i++) v[i] = LLVMGetPoison(e->vec);
    for (int b = 0; b < blocks; b++) transpose_blocks(e, v + b * BLOCK);
    for (int i = 0; blocks > 1 && i < e->lanes; i++) v[i] = sealed(e, v[i]);
    for (int i = 0; i < BLOCK; i++) {
        value rows[MAX_BLOCKS] = {0};
        for (int b = 0; b < blocks; b++) rows[b] = v[b * BLOCK + i];
        transpose_of_blocks(e, rows, blocks);
        for (int b = 0; b < blocks; b++) v[b * BLOCK + i] = rows[b];
    }
}

/* ---- sums of lanes, in as few steps as there are levels of halves: every vector becomes half of one ---- */

/* In each block: every other lane of x's block, from its first or second on, then of y's. */
static value every_other_lane(struct emit *e, value x, value y, bool odd)
{
    int lanes[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) {
        int within = 2 * (i % BLOCK) + odd; /* of x's block and y's in a row */
        lanes[i] = i / BLOCK * BLOCK + within % BLOCK + within / BLOCK * e->lanes;
    }
    return shuffle(e, x, y, lanes, e->lanes);
}

typedef value halves(struct emit *e, value x, value y, bool odd);

/* n vectors, a power of two, `step` apart, as one; NULL where there is none. */
static value sum_of_halves(struct emit *e, value *v, int n, int step, halves *half)
{
    if (n == 1) return v[0];
    /* Merging neighbours first leaves them in the order of their lanes. */
    for (int i = 0; i < n / 2; i++) {
        value x = v[2 * i * step], y = v[(2 * i + 1) * step];
        if (x) x = vadd(e, half(e, x, y ? y : x, false), half(e, x, y ? y : x, true));
        v[i * step] = x;
    }
    return sum_of_halves(e, v, n / 2, step, half);
}

void lane_sums(struct emit *e, value *v, int n)
{
    int blocks = e->lanes / BLOCK;
    for (int i = n; i < e->lanes; i++) v[i] = NULL;
    for (int i = 0; i < BLOCK; i++) v[i] = sum_of_halves(e, v + i, blocks, BLOCK, every_other);
    v[0] = sum_of_halves(e, v, BLOCK, 1, every_other_lane);
}
