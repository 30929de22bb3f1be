/* `kiln explain --html`: a page that says what the text says, needs nothing else, and is sound XML. */
#include "shell.h"

static char folder[] = "/tmp/kiln-page-XXXXXX";

static void enter(void) { folder_enter(folder); }
static void leave(void) { folder_leave(folder); }
TestSuite(page, .init = enter, .fini = leave);

static char *file_text(const char *name)
{
    char *text = NULL;
    size_t room = 0;
    FILE *f = fopen(name, "r");
    cr_assert(f && getdelim(&text, &room, '\0', f) > 0, "%s", name);
    fclose(f);
    return text;
}

/* ---- soundness ---- */

enum { DEPTH = 64 };

/* The tags that are open, innermost last. */
struct open {
    const char *tags[DEPTH];
    int count;
};

/* Reads a tag behind its '<'; NULL: it has no end, or closes what is not open. */
static const char *tag_read(const char *at, struct open *open)
{
    const char *end = at;
    for (bool quoted = false; *end && (quoted || *end != '>'); end++) quoted ^= *end == '"';
    if (!*end || open->count == DEPTH) return NULL;
    if (*at == '/') {
        size_t name = strcspn(at + 1, ">");
        if (!open->count || strncmp(open->tags[--open->count], at + 1, name)) return NULL;
    } else if (end[-1] != '/' && *at != '!') {
        open->tags[open->count++] = at;
    }
    return end + 1;
}

/* Where a page is no sound XML, or NULL. */
static const char *fault_of(const char *page)
{
    struct open open = {.count = 0};
    for (const char *at = page, *next; *at; at = next) {
        next = at + 1;
        if (*at == '>' || (*at == '&' && at[strcspn(at, "; <")] != ';')) return at;
        if (*at == '<' && !(next = tag_read(at + 1, &open))) return at;
    }
    return open.count ? open.tags[open.count - 1] : NULL;
}

static void expect_sound(const char *page)
{
    const char *fault = fault_of(page);
    cr_expect(!fault, "not sound here: %.60s", fault);
}

Test(page, faults_are_found)
{
    static const char *const pages[] = {"<p>", "<p><b></p></b>", "</p>", "<p a=\">", "a & b", "a > b"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) cr_expect(fault_of(pages[i]), "%s", pages[i]);
    cr_expect(!fault_of("<!DOCTYPE html>\n<p a=\">\"><br/>&lt;</p>"));
}

/* ---- what it says ---- */

/* All that has a digit. */
static void expect_numbers(const char *text, const char *page)
{
    char *words = strdup(text);
    for (char *rest = words, *word; (word = strsep(&rest, " \n,;:|()"));)
        if (strpbrk(word, "0123456789"))
            cr_expect(strstr(page, word), "no '%s' in the page of\n%s", word, text);
    free(words);
}

static int count_of(const char *page, const char *part)
{
    int count = 0;
    for (; (page = strstr(page, part)); page += strlen(part)) count++;
    return count;
}

/* Each accumulator stands in the register file and in the tile. */
static void expect_pictures(const char *text, const char *page)
{
    int used, all, rows, columns;
    const char *line = strstr(text, "registers ");
    cr_assert(line && sscanf(line, "registers %d of %d: %d x %d", &used, &all, &rows, &columns) == 4, "%s",
              text);
    cr_expect_eq(count_of(page, "<rect class=\"acc\""), 2 * rows * columns, "%s", text);
    cr_expect_eq(count_of(page, "class=\"roof\""), 5 - (strstr(text, "L2 24, L3 24") != NULL), "%s", text);
    cr_expect_eq(count_of(page, "class=\"point\""), 1, "%s", text);
}

static void expect_alone(const char *page)
{
    static const char *const others[] = {
        "<script", "<link", "<img", "src=", "href=", "url(", "@import", "http"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_expect(!strstr(page, others[i]), "the page has '%s'", others[i]);
}

Test(page, says_what_the_text_says)
{
    static const char *const asked[] = {
        "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc +bias +relu",
        "conv ic64 ih56 iw56 oc64 kh3 kw3 ph1 pw1 f32 nhwc strict +bias",
        "conv n2 ic512 ih13 iw13 oc500 kh3 kw3 ph1 pw1 f32 nchw --isa avx2",
        "conv ic256 ih14 iw14 oc1000 kh1 kw1 f32 nhwc +add",
        "conv g32 ic32 ih28 iw28 oc32 kh3 kw3 ph1 pw1 f32 nchw --target aarch64",
        "conv g96 ic96 ih28 iw28 oc96 kh3 kw3 ph1 pw1 'nhwc' '+clip(0,6)' --isa sse2",
        "conv ic320 ih64 iw64 oc4 kh3 kw3 ph1 pw1 f32 nhwc",
        "conv ic16 ih112 iw112 oc90 kh1 kw1 f32 nchw",
        "conv ic80 iw1500 oc384 kw3 pw1 f32 nhwc --isa sse2",
        "conv ic3 ih4 iw5 oc5 kh3 kw3 ph1 pw1 f32 nhwc --schedule 'direct ow=5 oh=2 unroll=all'",
        "conv ic1 iw1 oc1 kw1 f32 nhwc",
        "conv n1000000 ic4096 ih4096 iw4096 oc4096 kh3 kw3 f32 nhwc strict --target aarch64",
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        char line[512];
        snprintf(line, sizeof line, "kiln explain %s >text && kiln explain %s --html >page", asked[i],
                 asked[i]);
        cr_assert_eq(shell(line), 0, "%s: %s", asked[i], wrote);
        char *text = file_text("text"), *page = file_text("page");
        expect_sound(page);
        expect_numbers(text, page);
        expect_pictures(text, page);
        expect_alone(page);
        free(text), free(page);
    }
}

Test(page, escapes_what_is_not_its_own)
{
    file_put("wisdom", "conv n1 ic8 iw16 oc8 kw3 f32 nhwc | direct ow=4 | sse2 # 5 us <script>&\"x\"\n");
    cr_assert_eq(
        shell("KILN_WISDOM=wisdom kiln explain conv ic8 iw16 oc8 kw3 f32 nhwc --isa sse2 --html -o page"), 0);
    char *page = file_text("page");
    expect_sound(page);
    cr_expect(strstr(page, "5 us &lt;script&gt;&amp;&quot;x&quot;"), "%s", page);
    free(page);
}

Test(page, files_appear_whole_or_not_at_all)
{
    static const struct expected cases[] = {
        {"kiln explain conv ic1 iw4 oc1 kw2 --html -o a.html && head -c 9 a.html", 0, "<!DOCTYPE"},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html -o - | head -c 9", 0, "<!DOCTYPE"},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html -o nowhere/a.html", 2, "cannot write nowhere/a.html: "},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html -o /dev/full", 2, "cannot write /dev/full: "},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html >/dev/full", 2, "cannot write standard output: "},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html -o ''", 2, "is empty"},
        {"echo old >b.html; kiln explain conv ic1 iw4 oc1 kw9 --html -o b.html; cat b.html", 0, "old"},
        {"kiln explain conv ic1 iw4 oc1 kw2 -o c.html", 2, "-o names the file of --html"},
        {"kiln explain conv ic1 iw4 oc1 kw2 --html --at 0,0,0 -o c.html", 2, "without --at"},
        {"kiln explain conv ic1 iw4 oc1 kw2 --at 0,0,0 -o c.html", 2, "and -o, without --at"},
        {"ls", 0, "a.html\nb.html\n"},
        {"ls | wc -l", 0, "2\n"},
    };
    EXPECT(cases);
}
