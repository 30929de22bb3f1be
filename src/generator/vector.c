/* Floats, vectors and tails of the emission vocabulary. Every load and store says its alignment. */
#include "emit.h"

#include <assert.h>
#include <string.h>

enum { F32_BYTES = 4, MAX_LANES = 64 };

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

value load_splat(struct emit *e, value p)
{
    value none = LLVMGetPoison(e->vec);
    value v = LLVMBuildInsertElement(e->b, none, load_scalar(e, p), k(e, 0), "");
    LLVMTypeRef index = LLVMVectorType(e->i32, (unsigned)e->lanes);
    return LLVMBuildShuffleVector(e->b, v, none, LLVMConstNull(index), "");
}

value splat_constant(struct emit *e, float v)
{
    value lane[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) lane[i] = LLVMConstReal(e->f32, (double)v);
    return LLVMConstVector(lane, (unsigned)e->lanes);
}

void store(struct emit *e, value v, value p)
{
    LLVMSetAlignment(LLVMBuildStore(e->b, v, p), F32_BYTES);
    e->stores++;
}

void store_scalar(struct emit *e, value v, value p) { store(e, v, p); }

value vadd(struct emit *e, value x, value y) { return LLVMBuildFAdd(e->b, x, y, ""); }

value vfma(struct emit *e, value x, value y, value z)
{
    e->fmas++;
    if (!e->cpu->fma) return vadd(e, LLVMBuildFMul(e->b, x, y, ""), z);
    return LLVMBuildCall2(e->b, e->fma_type, e->fma_function, (value[]){x, y, z}, 3, "");
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
    if (!e->cpu->masks) return load_scalars(e, p, mask);
    LLVMTypeRef over[] = {e->vec, e->ptr};
    value args[] = {p, LLVMConstInt(e->i32, F32_BYTES, 0), mask_vector(e, mask), zero(e)};
    e->loads++;
    return call(e, "llvm.masked.load", over, 2, args, 4);
}

void store_lanes(struct emit *e, value v, value p, lanes_mask mask)
{
    mask &= first_lanes(e->lanes);
    if (mask == first_lanes(e->lanes)) {
        store(e, v, p);
    } else if (e->cpu->masks) {
        LLVMTypeRef over[] = {e->vec, e->ptr};
        value args[] = {v, p, LLVMConstInt(e->i32, F32_BYTES, 0), mask_vector(e, mask)};
        e->stores++;
        call(e, "llvm.masked.store", over, 2, args, 4);
    } else {
        for (int i = 0; i < e->lanes; i++)
            if (mask >> i & 1) store(e, LLVMBuildExtractElement(e->b, v, k(e, i), ""), plus(e, p, i));
    }
}

/* log2(lanes) perfect shuffles: each interleaves the first half of the vectors with the second. */
void transpose(struct emit *e, value *v, int n)
{
    int lanes = e->lanes, half = lanes / 2, lo[MAX_LANES], hi[MAX_LANES];
    for (int j = 0; j < half; j++) {
        lo[2 * j] = j, lo[2 * j + 1] = lanes + j;
        hi[2 * j] = half + j, hi[2 * j + 1] = lanes + half + j;
    }
    for (int i = n; i < lanes; i++) v[i] = LLVMGetPoison(e->vec);
    for (int step = 1; step < lanes; step *= 2) {
        value to[MAX_LANES];
        for (int i = 0; i < half; i++) {
            to[2 * i] = shuffle(e, v[i], v[i + half], lo, lanes);
            to[2 * i + 1] = shuffle(e, v[i], v[i + half], hi, lanes);
        }
        memcpy(v, to, (size_t)lanes * sizeof *v);
    }
}
