/* conv: what is asked. The text form, the checks and the derived sizes of one convolution; knows
 * nothing of machines and algorithms. */
#ifndef KILN_SRC_CONV_H
#define KILN_SRC_CONV_H

#include "kiln.h"

/* The bodies of kiln_conv_init, _parse, _print and _check; kiln.h documents them. */
void conv_init(struct kiln_conv *c);
enum kiln_status conv_parse(struct kiln_conv *c, const char *text, struct kiln_error *error);
size_t conv_print(const struct kiln_conv *c, char *text, size_t room);
enum kiln_status conv_check(const struct kiln_conv *c, struct kiln_error *error);

/* Writes one line of help per field of the text form, from the table that parses it. */
size_t conv_help(char *text, size_t room);

/* One spatial dimension of a convolution: 0 depth, 1 height, 2 width. */
enum { AXES = 3 };
struct axis {
    int64_t in, kernel, stride, dilation, low, high; /* low, high: padding before and behind */
};
struct axis conv_axis(const struct kiln_conv *c, int i);
void conv_set_axis(struct kiln_conv *c, int i, struct axis axis);

/* Below, c has passed conv_check, which makes every result exact. */
bool conv_equal(const struct kiln_conv *a, const struct kiln_conv *b); /* the same canonical text */
/* An equal one, of which every byte follows from that text: to hash, and to compare with memcmp. */
void conv_canonical(struct kiln_conv *to, const struct kiln_conv *from);
int conv_dims(const struct kiln_conv *c); /* 1, 2 or 3 spatial dimensions */
int64_t conv_od(const struct kiln_conv *c);
int64_t conv_oh(const struct kiln_conv *c);
int64_t conv_ow(const struct kiln_conv *c);
int64_t conv_src_count(const struct kiln_conv *c);     /* n * ic * id * ih * iw */
int64_t conv_weights_count(const struct kiln_conv *c); /* oc * ic/g * kd * kh * kw */
int64_t conv_dst_count(const struct kiln_conv *c);     /* n * oc * od * oh * ow */
double conv_flops(const struct kiln_conv *c);          /* 2 per product, padding counted */
bool conv_has(const struct kiln_conv *c, enum kiln_post_kind kind);

size_t type_bytes(enum kiln_type type);
const char *type_name(enum kiln_type type);
const char *post_name(enum kiln_post_kind kind); /* "bias", without the '+' */
const char *mode_name(enum kiln_mode mode);

#endif
