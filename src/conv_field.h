/* conv_field: what a row of the table of fields is, and the ways of writing a field. Private to the
 * files of conv: the table is in conv_text.c, the forms in conv_form.c and conv_post.c. */
#ifndef KILN_SRC_CONV_FIELD_H
#define KILN_SRC_CONV_FIELD_H

#include "conv.h"
#include "text.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The name of a value of an enum. Of two names for one value the first is printed. */
struct choice {
    const char *name;
    int value;
};

/* The index of the first choice of a value, or -1. */
int choice_of(const struct choice *choices, size_t count, int value);

struct form;

/* From how many spatial dimensions on a field is printed though it has its default. */
enum { SHOWN_ALWAYS = 1, SHOWN_2D, SHOWN_3D, SHOWN_NEVER };

/* The sides of src that a field pads: two fields that pad one side contradict each other. */
enum { FRONT = 1, BACK = 2, TOP = 4, BOTTOM = 8, LEFT = 16, RIGHT = 32, EVERY_SIDE = 63 };

struct field {
    const char *name;
    const struct form *form;
    const char *help;
    size_t at, opposite;     /* members of struct kiln_conv; opposite: of the padding on the other side */
    int64_t standard, least; /* the default; below least there is none */
    int shown;
    unsigned pads;
    const char *prefix; /* what stands before a choice */
    const struct choice *choices;
    size_t count;
};

/* What has been read so far. */
struct reading {
    struct kiln_conv c;
    uint64_t seen; /* a bit per row */
    struct kiln_error *error;
};

/* A way of writing fields. Functions that a form has no use for are NULL. */
struct form {
    bool (*takes)(const struct field *f, struct word w, struct word *value);
    enum kiln_status (*read)(struct reading *r, const struct field *f, struct word value);
    void (*finish)(struct reading *r); /* when all words are read */
    void (*store)(struct kiln_conv *c, const struct field *f, int64_t value);
    void (*put)(struct text *t, const struct field *f, const struct kiln_conv *c);
    enum kiln_status (*check)(const struct field *f, const struct kiln_conv *c, struct kiln_error *error);
    void (*usage)(struct text *t, const struct field *f);
    bool many; /* may be given more than once */
};

/* Columns of a usage line before its help. */
enum { USAGE_WIDTH = 14 };

extern const struct form form_number; /* ic64 */
extern const struct form form_both;   /* ph1: padding on both sides */
extern const struct form form_side;   /* pt1: padding on one */
extern const struct form form_same;   /* pad=same */
extern const struct form form_choice; /* nhwc, mode=reflect */
extern const struct form form_types;  /* f32, u8s8u8 */
extern const struct form form_posts;  /* +relu, +clip(0,6) */

/* How the i-th post-op is written, such as "+clip(0,6)"; NULL: there is none. */
const char *post_example(size_t i);

/* How many of the arguments a and b a post-op has; the others mean nothing. */
int post_args(enum kiln_post_kind kind);

/* Each field of c in the range that it has by itself: numbers not below their least value, enums
 * known, arguments of post-ops finite. INVALID names the field, its value and what is allowed. */
enum kiln_status fields_check(const struct kiln_conv *c, struct kiln_error *error);

#endif
