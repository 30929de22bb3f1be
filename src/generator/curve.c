/* Owns the polynomials. Each was fitted by iteratively reweighted least squares (Lawson's), so that the
 * largest relative error of the function made of it, told behind each, is near the least there can be. */
#include "curve.h"

enum { TERMS_MOST = 9 };

/* Coefficients, of the lowest power first. */
struct polynomial {
    int terms;
    double c[TERMS_MOST];
};

static value constant_like(struct emit *e, double v) { return splat_constant(e, (float)v); }

/* By Horner's rule. */
static value polynomial(struct emit *e, const struct polynomial *p, value x)
{
    value v = constant_like(e, p->c[p->terms - 1]);
    for (int i = p->terms - 2; i >= 0; i--) v = vmuladd(e, v, x, constant_like(e, p->c[i]));
    return v;
}

static value divided(struct emit *e, value x, value y) { return LLVMBuildFDiv(e->b, x, y, ""); }
static value negated(struct emit *e, value v) { return LLVMBuildFNeg(e->b, v, ""); }

static value is_below(struct emit *e, value v, double bound)
{
    return LLVMBuildFCmp(e->b, LLVMRealOLT, v, constant_like(e, bound), "");
}

static value magnitude(struct emit *e, value v)
{
    return LLVMBuildSelect(e->b, is_below(e, v, 0), negated(e, v), v, "");
}

/* ---- exp ---- */

/* exp(r) = 1 + r + r^2 p(r) for |r| <= ln(2) / 2: 1.3e-7. */
static const struct polynomial exp_part = {
    4, {0.4999914625637196, 0.16666458592593283, 0.041898361313119276, 0.00837451722292454}};

/* exp(v) = 2^n exp(v - n ln(2)), n the nearest integer to v / ln(2): what adding 1.5 * 2^23 leaves in the low
 * bits of a float, which become the exponent of 2^n. Beyond what f32 holds it is infinite, or next to
 * nothing. */
static value vexp(struct emit *e, value v)
{
    const double log2_e = 1.4426950408889634, rounder = 12582912; /* 1.5 * 2^23 */
    const double ln2_high = 0.693145751953125;                    /* 13 bits: products with n are exact */
    const double ln2_low = 1.42860682030941723e-6;
    const float least = -87.3F, most = 89; /* 2^-126 and 2^128, which is infinity */
    enum { MANTISSA_BITS = 23, EXPONENT_OF_1 = 127 << MANTISSA_BITS };
    LLVMTypeRef bits = LLVMVectorType(e->i32, (unsigned)e->lanes);

    v = vclip(e, v, least, most);
    value shifted = vmuladd(e, v, constant_like(e, log2_e), constant_like(e, rounder));
    value n = vsub(e, shifted, constant_like(e, rounder));
    value r = vmuladd(e, n, constant_like(e, -ln2_high), v);
    r = vmuladd(e, n, constant_like(e, -ln2_low), r);
    value curved = vmuladd(e, vmul(e, r, r), polynomial(e, &exp_part, r), r);

    value power = LLVMBuildBitCast(e->b, shifted, bits, ""), one = constant_like(e, 1), by[MAX_LANES];
    for (int i = 0; i < e->lanes; i++) by[i] = LLVMConstInt(e->i32, MANTISSA_BITS, 0);
    power = LLVMBuildShl(e->b, power, LLVMConstVector(by, (unsigned)e->lanes), "");
    power = LLVMBuildAdd(e->b, power, LLVMConstBitCast(one, bits), "");
    power = LLVMBuildBitCast(e->b, power, e->vec, "");
    return vmul(e, vadd(e, one, curved), power);
}

/* ---- what is made of it ---- */

static value one_and_exp(struct emit *e, value v) { return vadd(e, constant_like(e, 1), vexp(e, v)); }

value vsigmoid(struct emit *e, value v)
{
    return divided(e, constant_like(e, 1), one_and_exp(e, negated(e, v)));
}
value vsilu(struct emit *e, value v) { return divided(e, v, one_and_exp(e, negated(e, v))); }

/* tanh(v) = v (1 + u p(u)), u = v^2, for |v| < 0.55: 3.9e-8. Elsewhere 1 - 2 / (1 + exp(2 |v|)), with v's
 * sign.
 */
static const struct polynomial tanh_part = {
    4, {-0.3333295748715633, 0.13320941723580293, -0.052684134230489864, 0.016458743105964155}};

value vtanh(struct emit *e, value v)
{
    value u = vmul(e, v, v), size = magnitude(e, v);
    value near = vmul(e, v, vmuladd(e, u, polynomial(e, &tanh_part, u), constant_like(e, 1)));
    value part = divided(e, constant_like(e, 2), one_and_exp(e, vadd(e, size, size)));
    value far = vsub(e, constant_like(e, 1), part);
    far = LLVMBuildSelect(e->b, is_below(e, v, 0), negated(e, far), far, "");
    return LLVMBuildSelect(e->b, is_below(e, size, 0.55), near, far, "");
}

/* exp(a^2) erfc(a) = t p(t), t = 1 / (1 + a / 2), for a from 0 to 10: 4.3e-8; from there on erfc is 0 in f32.
 */
static const struct polynomial erfc_part = {
    9,
    {0.28208641682066177, 0.28237532800455356, 0.243103613627239, 0.20268748327437752, -0.026627161890792995,
     0.2780693787904296, -0.48720186426835305, 0.28457591881107086, -0.059069156047598735}};

/* v times the part of a normal distribution below v, which is erfc(-v / sqrt(2)) / 2. */
value vgelu(struct emit *e, value v)
{
    const double sqrt_half = 0.7071067811865476;
    value a = vmul(e, magnitude(e, v), constant_like(e, sqrt_half));
    value t = divided(e, constant_like(e, 1), vmuladd(e, a, constant_like(e, 0.5), constant_like(e, 1)));
    value tail = vmul(e, vmul(e, t, polynomial(e, &erfc_part, t)), vexp(e, negated(e, vmul(e, a, a))));
    tail = vmul(e, tail, constant_like(e, 0.5));
    value part = LLVMBuildSelect(e->b, is_below(e, v, 0), tail, vsub(e, constant_like(e, 1), tail), "");
    return vmul(e, v, part);
}

/* ---- without it ---- */

value vleaky(struct emit *e, value v, float a)
{
    return LLVMBuildSelect(e->b, is_below(e, v, 0), vmul(e, v, splat_constant(e, a)), v, "");
}

value vhardswish(struct emit *e, value v)
{
    value part = vclip(e, vadd(e, v, constant_like(e, 3)), 0, 6);
    return vmul(e, v, vmul(e, part, constant_like(e, 1.0 / 6))); /* which is at most 1 */
}
