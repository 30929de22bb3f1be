#include "toom.h"

#include <string.h>

/* Points beside 0 and infinity come in pairs +-p, so that a sum over even powers and one over odd powers
 * serve both. Of those for 6 products the error is a third of what 1 and 2 give, and all are exact. */
static const double points_4[] = {1}, points_6[] = {0.75, 1.5}, points_8[] = {0.5, 1, 2};

static const double *points_of(int alpha) { return alpha == 4 ? points_4 : alpha == 6 ? points_6 : points_8; }

static int pairs_of(const struct toom *t) { return (t->alpha - 2) / 2; }

/* Product j of the finite ones. */
static double point(const struct toom *t, int j)
{
    double p = j ? points_of(t->alpha)[(j - 1) / 2] : 0;
    return j % 2 || !j ? p : -p;
}

/* Coefficients, lowest first, of the product of (x - p) over all finite points but number `but`. */
static void product_of_points(const struct toom *t, int but, double *c)
{
    memset(c, 0, TOOM_ALPHA * sizeof *c);
    c[0] = 1;
    for (int j = 0; j < t->alpha - 1; j++) {
        if (j == but) continue;
        for (int i = t->alpha - 1; i >= 0; i--) c[i] = (i ? c[i - 1] : 0) - point(t, j) * c[i];
    }
}

static void fill_point(struct toom *t, int j)
{
    double power = 1, n = 1, p = point(t, j);
    for (int l = 0; l < t->alpha - 1; l++)
        if (l != j) n *= p - point(t, l);
    for (int i = 0; i < t->m || i < t->r; i++, power *= p) {
        if (i < t->m) t->output[i][j] = power;
        if (i < t->r) t->weight[j][i] = power / n;
    }
    product_of_points(t, j, t->input[j]);
}

bool toom_of(int m, int r, struct toom *made)
{
    struct toom t = {.m = m, .r = r, .alpha = m + r - 1};
    if (m < 1 || r < 1 || r > TOOM_TAPS) return false;
    if (t.alpha == 1) {
        t.weight[0][0] = t.input[0][0] = t.output[0][0] = 1;
    } else {
        if ((t.alpha != 4 && t.alpha != 6 && t.alpha != 8) || m % 2) return false;
        for (int j = 0; j < t.alpha - 1; j++) fill_point(&t, j);
        product_of_points(&t, -1, t.input[t.alpha - 1]);
        t.output[m - 1][t.alpha - 1] = t.weight[t.alpha - 1][r - 1] = 1;
    }
    *made = t;
    return true;
}

/* ---- groups: of inputs 0, each pair, infinity; of outputs the even and the odd ---- */

int toom_input_groups(const struct toom *t) { return t->alpha == 1 ? 1 : pairs_of(t) + 2; }
int toom_output_groups(const struct toom *t) { return t->m == 1 ? 1 : 2; }

struct toom_group toom_input_group(const struct toom *t, int group)
{
    if (!group) return (struct toom_group){1, {0}};
    if (group == pairs_of(t) + 1) return (struct toom_group){1, {t->alpha - 1}};
    return (struct toom_group){2, {2 * group - 1, 2 * group}};
}

struct toom_group toom_output_group(const struct toom *t, int group)
{
    struct toom_group g = {0};
    for (int i = group; i < t->m; i += 2) g.at[g.count++] = i;
    return g;
}

bool toom_input_reads(const struct toom *t, int group, int i)
{
    return t->input[toom_input_group(t, group).at[0]][i] != 0;
}

bool toom_output_reads(const struct toom *t, int group, int i)
{
    struct toom_group g = toom_output_group(t, group);
    for (int k = 0; k < g.count; k++)
        if (t->output[g.at[k]][i] != 0) return true;
    return false;
}

/* ---- emission, or only counting where there is no emit ---- */

struct sums {
    struct emit *e; /* NULL: count */
    struct toom_work work;
};

/* sum + c * x; sum NULL: c * x. */
static value term(struct sums *s, value sum, double c, value x)
{
    bool unit = c == 1 || c == -1;
    if (!sum && c == 1) return x;
    s->work.muls += !sum, s->work.adds += sum && unit, s->work.fmas += sum && !unit;
    if (!s->e) return x;
    if (!sum) return vmul(s->e, x, splat_constant(s->e, (float)c));
    if (!unit) return vfma(s->e, x, splat_constant(s->e, (float)c), sum);
    return c > 0 ? vadd(s->e, sum, x) : vsub(s->e, sum, x);
}

/* The terms of every other degree from `top` down, over c[top]. */
static value every_other(struct sums *s, const double *c, const value *in, int top)
{
    value sum = NULL;
    for (int i = top; i >= 0; i -= 2)
        if (c[i] != 0) sum = term(s, sum, c[i] / c[top], in[i]);
    return sum;
}

static void input_group(struct sums *s, const struct toom *t, int group, const value *in, value *out)
{
    struct toom_group g = toom_input_group(t, group);
    const double *c = t->input[g.at[0]];
    int top = t->alpha - 1;
    while (c[top] == 0) top--;
    out[0] = every_other(s, c, in, top);
    if (g.count == 1) return;
    value odd = every_other(s, c, in, top - 1), even = out[0];
    out[0] = term(s, even, c[top - 1], odd);
    out[1] = term(s, even, -c[top - 1], odd);
}

static void output_group(struct sums *s, const struct toom *t, int group, const value *in, value *out)
{
    struct toom_group g = toom_output_group(t, group);
    value pair[TOOM_ALPHA];
    for (int l = 0; l < pairs_of(t); l++) pair[l] = term(s, in[2 * l + 1], group ? -1 : 1, in[2 * l + 2]);
    for (int k = 0; k < g.count; k++) {
        const double *c = t->output[g.at[k]];
        value sum = c[0] != 0 ? in[0] : NULL;
        for (int l = 0; l < pairs_of(t); l++) sum = term(s, sum, c[2 * l + 1], pair[l]);
        if (t->alpha > 1 && c[t->alpha - 1] != 0) sum = term(s, sum, 1, in[t->alpha - 1]);
        out[k] = sum;
    }
}

void toom_input(struct emit *e, const struct toom *t, int group, const value *in, value *out)
{
    struct sums s = {.e = e};
    input_group(&s, t, group, in, out);
}

void toom_output(struct emit *e, const struct toom *t, int group, const value *in, value *out)
{
    struct sums s = {.e = e};
    output_group(&s, t, group, in, out);
}

value toom_weights(struct emit *e, const struct toom *t)
{
    double all[TOOM_ALPHA * TOOM_TAPS];
    for (int j = 0; j < t->alpha; j++)
        for (int i = 0; i < t->r; i++) all[j * t->r + i] = t->weight[j][i];
    return table_double(e, all, t->alpha * t->r);
}

value toom_weight(struct emit *e, const struct toom *t, value weights, value j, const value *in)
{
    value row = at(e, weights, mul(e, j, t->r * 2)), sum = NULL;
    for (int i = 0; i < t->r; i++) {
        value v = vmul(e, in[i], load_splat_double(e, plus(e, row, i * 2)));
        sum = sum ? vadd(e, sum, v) : v;
    }
    return sum;
}

/* Any values but NULL do for counting. */
static void counted(value *in, const struct toom *t)
{
    for (int i = 0; i < t->alpha; i++) in[i] = (value)in;
}

struct toom_work toom_input_work(const struct toom *t)
{
    struct sums s = {0};
    value in[TOOM_ALPHA], out[TOOM_ALPHA];
    counted(in, t);
    for (int g = 0; g < toom_input_groups(t); g++) {
        input_group(&s, t, g, in, out);
        for (int i = 0; i < t->alpha; i++) s.work.reads += toom_input_reads(t, g, i);
    }
    return s.work;
}

struct toom_work toom_output_work(const struct toom *t)
{
    struct sums s = {0};
    value in[TOOM_ALPHA], out[TOOM_ALPHA];
    counted(in, t);
    for (int g = 0; g < toom_output_groups(t); g++) {
        output_group(&s, t, g, in, out);
        for (int i = 0; i < t->alpha; i++) s.work.reads += toom_output_reads(t, g, i);
    }
    return s.work;
}
