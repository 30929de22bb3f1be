/* Any bytes as the text of a convolution: refused with a sentence, or a convolution whose canonical
 * text reads back as itself. For libFuzzer:
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Iinclude -Isrc tests/fuzz/fuzz_conv.c \
 *       src/status.c src/text.c src/conv*.c src/benchdnn.c -lm -o fuzz_conv
 *   mkdir corpus && grep -hv '^#' tests/cases/text_*.txt | sed 's|=>.*||' | split -l1 -a3 - corpus/
 *   ./fuzz_conv -max_total_time=1800 corpus
 *
 * tests/test_conv_text.c replays the same lines, cut short and with letters changed. */
#include "conv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void must(bool holds)
{
    if (!holds) abort();
}

static void round_trip(const struct kiln_conv *c)
{
    char text[KILN_TEXT_MAX], again[KILN_TEXT_MAX];
    struct kiln_conv back;
    must(conv_check(c, NULL) == KILN_STATUS_OK);
    must(conv_print(c, text, sizeof text) < sizeof text);
    must(conv_parse(&back, text, NULL) == KILN_STATUS_OK);
    must(conv_equal(c, &back));
    must(conv_print(&back, again, sizeof again) < sizeof again && strcmp(text, again) == 0);
    must(conv_od(c) > 0 && conv_oh(c) > 0 && conv_ow(c) > 0);
    must(conv_src_count(c) > 0 && conv_weights_count(c) > 0 && conv_dst_count(c) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char *text = malloc(count + 1); /* of its own, so that a sanitizer sees any byte read behind it */
    if (!text) return 0;
    if (count > 0) memcpy(text, bytes, count);
    text[count] = 0;
    struct kiln_conv c;
    struct kiln_error error = {0};
    enum kiln_status status = conv_parse(&c, text, &error);
    if (status == KILN_STATUS_OK)
        round_trip(&c);
    else
        must(error.status == status && error.text[0] != 0 && memchr(error.text, 0, sizeof error.text));
    free(text);
    return 0;
}
