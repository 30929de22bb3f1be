/* bench_data: the report's data as tables of text, tab-separated, with a line of names: for gnuplot and for
 * whoever wants to go on from there. NaN: not measured. */
#include "bench_dir.h"
#include "fill.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

/* "3×3", "3×5". */
static int put_pair(char *to, size_t room, int64_t h, int64_t w)
{
    return snprintf(to, room, "%lld×%lld", (long long)h, (long long)w);
}

void shape_name(const struct kiln_conv *c, char *name, size_t room)
{
    char kernel[48], image[48], rest[128] = "";
    bool flat = c->ih == 1 && c->kh == 1;
    const struct {
        const char *sign;
        int64_t value, usual;
    } extras[] = {{"n", c->n, 1}, {"g", c->g, 1}, {"s", c->sw, 1}, {"d", c->dw, 1}};
    put_pair(kernel, sizeof kernel, c->kh, c->kw);
    put_pair(image, sizeof image, c->ih, c->iw);
    if (flat) snprintf(kernel, sizeof kernel, "%lld", (long long)c->kw);
    if (flat) snprintf(image, sizeof image, "%lld", (long long)c->iw);
    size_t at = 0;
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (extras[i].value != extras[i].usual)
            at += (size_t)snprintf(rest + at, sizeof rest - at, " %s%lld", extras[i].sign,
                                   (long long)extras[i].value);
    snprintf(name, room, "%lld→%lld %s @%s%s", (long long)c->ic, (long long)c->oc, kernel, image, rest);
}

void family_name(const char *path, char *name, size_t room)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(name, room, "%s", base);
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = 0;
    for (char *c = name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == '"') *c = ' '; /* what a table or gnuplot would read */
}

/* What the plots tell apart by colour. */
static const char *kind_of(const struct kiln_conv *c)
{
    if (conv_work(c) < 2e6) return "small";
    if (c->g > 1) return c->ic == c->g ? "depthwise" : "grouped";
    return c->kh * c->kw == 1 ? "1×1" : "dense";
}

/* ---- ranks ---- */

size_t ranked_count(const struct findings *f)
{
    size_t count = 0;
    for (size_t i = 0; i < f->count; i++)
        for (size_t j = 0; j < f->families[i].count; j++)
            count += f->families[i].results[j].status == KILN_STATUS_OK;
    return count;
}

static double ratio_of(const struct result *r)
{
    double best = result_best(r, NULL);
    return best > 0 ? best / r->us : INFINITY;
}

static int compare_ranked(const void *a, const void *b)
{
    double x = ratio_of(((const struct ranked *)a)->result), y = ratio_of(((const struct ranked *)b)->result);
    return (x > y) - (x < y);
}

void ranked_make(struct ranked *ranked, const struct findings *f)
{
    size_t count = 0;
    for (const struct family *family = f->families; family < f->families + f->count; family++)
        for (const struct result *r = family->results; r < family->results + family->count; r++)
            if (r->status == KILN_STATUS_OK) ranked[count++] = (struct ranked){r, family};
    qsort(ranked, count, sizeof *ranked, compare_ranked);
}

/* ---- tables ---- */

/* Bytes of src, weights, dst and what +add reads, each once. */
static double bytes_once(const struct kiln_conv *c)
{
    double src = (double)c->n * (double)c->ic * (double)c->id * (double)c->ih * (double)c->iw;
    double weights = (double)c->oc * (double)conv_products(c), dst = (double)conv_outputs(c);
    for (int i = 0; i < c->post_count; i++)
        if (c->post[i].kind == KILN_POST_ADD) src += dst;
    return 4 * (src + weights + dst);
}

static double or_nan(double value) { return value > 0 && isfinite(value) ? value : NAN; }

static void shape_row(FILE *file, const struct ranked *at, const struct peers *peers)
{
    const struct result *r = at->result;
    struct kiln_conv conv;
    char family[64], name[128];
    if (kiln_conv_parse(&conv, r->text, NULL) != KILN_STATUS_OK) return;
    family_name(at->family->name, family, sizeof family);
    shape_name(&conv, name, sizeof name);
    double work = conv_work(&conv), best = result_best(r, NULL);
    fprintf(file, "%s\t%s\t%s\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g", family, name, kind_of(&conv),
            work * 1e-6, work / bytes_once(&conv), r->us, r->gflops, r->peak_all_gflops,
            or_nan(work / best * 1e-3), or_nan(best / r->us));
    for (int p = 0; p < peers->count; p++)
        fprintf(file, "\t%.6g", or_nan(result_best(r, peers->at[p]->name) / r->us));
    fprintf(file, "\t%s\n", r->text);
}

bool shapes_write(FILE *file, const void *arg)
{
    const struct findings *f = arg;
    const struct peers *peers = &f->setup->peers;
    size_t count = ranked_count(f);
    struct ranked *ranked = calloc(count + 1, sizeof *ranked);
    if (!ranked) return false;
    ranked_make(ranked, f);
    fputs("family\tname\tkind\tmflop\tintensity\tus\tgflops\tpeak_gflops\tpeer_gflops\tratio", file);
    for (int p = 0; p < peers->count; p++) fprintf(file, "\t%s", peers->at[p]->name);
    fputs("\tconv\n", file);
    for (size_t i = 0; i < count; i++) shape_row(file, &ranked[i], peers);
    free(ranked);
    return true;
}

static void family_row(FILE *file, const char *name, const struct total *t, const struct peers *peers)
{
    char family[64];
    family_name(name, family, sizeof family);
    fprintf(file, "%s\t%zu", family, t->convs);
    for (int p = 0; p < peers->count; p++) {
        const struct tally *tally = &t->peers[p];
        fprintf(file, "\t%.6g\t%.6g\t%.6g", or_nan(tally_mean(tally)), or_nan(tally->least),
                or_nan(tally->most));
    }
    fputc('\n', file);
}

bool families_write(FILE *file, const void *arg)
{
    const struct findings *f = arg;
    const struct peers *peers = &f->setup->peers;
    struct total total;
    fputs("family\tconvs", file);
    for (int p = 0; p < peers->count; p++) {
        const char *name = peers->at[p]->name;
        fprintf(file, "\t%s\t%s_least\t%s_most", name, name, name);
    }
    fputc('\n', file);
    for (size_t i = 0; i < f->count; i++) {
        if (!total_make(&total, &f->families[i], 1, peers)) return false;
        family_row(file, f->families[i].name, &total, peers);
    }
    if (!total_make(&total, f->families, f->count, peers)) return false;
    if (f->count > 1) family_row(file, "all", &total, peers);
    return true;
}
