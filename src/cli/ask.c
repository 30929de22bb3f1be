/* Owns the parsing of arguments and the writing of help, both from a command's table of flags. */
#include "ask.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags of one command at most, --help included. */
enum { FLAGS_MAX = 40 };
/* What getopt returns for flag i: above every character. */
enum { FLAG_BASE = UCHAR_MAX + 1 };

void plain_put(FILE *file, const char *text, int width)
{
    int put = 0;
    for (const char *c = text; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        put += fprintf(file, byte < ' ' || byte == 0x7f ? "\\x%02x" : "%c", byte);
    }
    fprintf(file, "%*s", put < width ? width - put : 0, "");
}

int complain(const char *format, ...)
{
    va_list list;
    char *sentence;
    va_start(list, format);
    if (vasprintf(&sentence, format, list) < 0) sentence = NULL;
    va_end(list);
    fputs("kiln: ", stderr);
    plain_put(stderr, sentence ? sentence : "no memory for a message", 0);
    fputc('\n', stderr);
    free(sentence);
    return EXIT_USAGE;
}

void threads_fewer(int asked, int had)
{
    complain("%d threads are asked for; as many run as processors that this process may use, %d", asked, had);
}

int exit_of(enum kiln_status status)
{
    static const int exits[] = {
        [KILN_STATUS_OK] = EXIT_GOOD,       [KILN_STATUS_INVALID] = EXIT_USAGE,
        [KILN_STATUS_SYSTEM] = EXIT_USAGE,  [KILN_STATUS_UNSUPPORTED] = EXIT_GOOD,
        [KILN_STATUS_MEMORY] = EXIT_FAILED, [KILN_STATUS_INTERNAL] = EXIT_FAILED,
    };
    return exits[status];
}

int exit_worse(int a, int b) { return a > b ? a : b; }

void sink_file(void *user, const char *bytes, size_t count) { fwrite(bytes, 1, count, user); }

void sink_nothing(void *user, const char *bytes, size_t count) { (void)user, (void)bytes, (void)count; }

/* ---- what flags store ---- */

static void *field(void *into, const struct flag *flag) { return (char *)into + flag->offset; }

bool flag_text(void *into, const struct flag *flag, const char *value)
{
    *(const char **)field(into, flag) = value;
    return true;
}

bool flag_number(void *into, const struct flag *flag, const char *value)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || number < flag->low || number > flag->high)
        return complain("--%s is '%s'; it must be a number from %lld to %lld", flag->name, value,
                        (long long)flag->low, (long long)flag->high),
               false;
    *(int *)field(into, flag) = (int)number;
    return true;
}

bool flag_choice(void *into, const struct flag *flag, const char *value)
{
    (void)value;
    int *chosen = field(into, flag);
    if (*chosen && *chosen != flag->low)
        return complain("--%s excludes the other one given; ask for one thing at a time", flag->name), false;
    *chosen = (int)flag->low;
    return true;
}

bool flag_true(void *into, const struct flag *flag, const char *value)
{
    (void)value;
    *(bool *)field(into, flag) = true;
    return true;
}

bool flag_file(void *into, const struct flag *flag, const char *value)
{
    return lines_read(field(into, flag), value);
}

/* ---- help ---- */

static const char *dashes(const struct flag *flag) { return strlen(flag->name) == 1 ? "-" : "--"; }

static void print_option(const struct flag *flag)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s%s", dashes(flag), flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    printf("  %-18s  ", name);
    for (const char *line = flag->help; line;) {
        size_t length = strcspn(line, "\n");
        printf("%.*s\n", (int)length, line);
        line = line[length] ? line + length + 1 : NULL;
        if (line) printf("%22s", "");
    }
}

static int help(const struct page *page)
{
    printf("NAME\n  kiln %s - %s\n\nUSAGE\n  kiln %s %s\n\n%s\nOPTIONS\n", page->name, page->brief,
           page->name, page->usage, page->about);
    for (size_t i = 0; i < page->count; i++) print_option(&page->flags[i]);
    static const struct flag self = {"help", NULL, "print this; also -h"};
    print_option(&self);
    puts("\nEXIT STATUS\n"
         "  0  success; what is skipped, since Kiln does not do it, is no failure\n"
         "  1  a check ran and failed, or there was no memory to run it\n"
         "  2  bad usage or bad input, in arguments, in files or in the environment (KILN_...)");
    return EXIT_GOOD;
}

/* ---- arguments ---- */

/* The words of the CONV being read, joined by blanks. */
struct joined {
    char text[4 * KILN_TEXT_MAX];
    size_t length;
};

static bool joined_finish(struct joined *j, struct lines *lines)
{
    bool good = j->length == 0 || lines_add(lines, j->text, NULL);
    j->length = 0;
    return good;
}

/* A word opens a CONV of its own, unless the one being read began with the single word "conv". */
static bool joined_add(struct joined *j, const char *word, struct lines *lines)
{
    bool starts = strcmp(word, "conv") == 0 || strncmp(word, "conv ", 5) == 0;
    bool open = j->length > 0 && strncmp(j->text, "conv", 4) == 0;
    if ((starts || !open) && !joined_finish(j, lines)) return false;
    size_t room = sizeof j->text - j->length;
    int put = snprintf(j->text + j->length, room, "%s%s", j->length ? " " : "", word);
    if ((size_t)put >= room) return complain("the convolution '%.60s...' is too long", j->text), false;
    j->length += (size_t)put;
    bool whole = j->length > 4 && strchr(word, ' ');
    return whole ? joined_finish(j, lines) : true;
}

static void getopt_table(const struct page *page, struct option *options, char *letters)
{
    *letters++ = '-'; /* words are handed out in their place among the options */
    *letters++ = ':'; /* a missing argument is told from an unknown option */
    *letters++ = 'h';
    for (size_t i = 0; i < page->count; i++) {
        const struct flag *flag = &page->flags[i];
        options[i] = (struct option){flag->name, flag->value ? required_argument : no_argument, NULL,
                                     FLAG_BASE + (int)i};
        if (strlen(flag->name) > 1) continue;
        *letters++ = flag->name[0];
        if (flag->value) *letters++ = ':';
    }
    options[page->count] = (struct option){"help", no_argument, NULL, 'h'};
    *letters = '\0';
}

static const struct flag *flag_of(const struct page *page, int code)
{
    if (code >= FLAG_BASE) return &page->flags[code - FLAG_BASE];
    for (size_t i = 0; i < page->count; i++)
        if (page->flags[i].name[0] == code && page->flags[i].name[1] == '\0') return &page->flags[i];
    return NULL;
}

/* What getopt found wrong; `word` is the argument that it read last. */
static bool option_complain(const struct page *page, int code, const char *word)
{
    const struct flag *flag = flag_of(page, optopt);
    if (code == ':')
        complain("option '%s' requires an argument", word);
    else if (optopt == 0)
        complain("unrecognized option '%s', or more than one begins so", word);
    else if (flag || optopt == 'h')
        complain("option '--%s' doesn't allow an argument", flag ? flag->name : "help");
    else
        complain("invalid option -- '%c'", optopt);
    fprintf(stderr, "`kiln %s --help` lists the options\n", page->name);
    return false;
}

/* What is being read: the words of a CONV, and which options there were. */
struct taking {
    const struct page *page;
    struct common *into;
    struct joined joined;
    bool seen[FLAGS_MAX];
};

static bool word_take(struct taking *t, const char *word)
{
    if (t->page->most == 0)
        return complain("%s takes no arguments but options; here is '%.60s'", t->page->name, word), false;
    return joined_add(&t->joined, word, &t->into->convs);
}

static bool flag_take(struct taking *t, const struct flag *flag, const char *value)
{
    bool *seen = &t->seen[flag - t->page->flags];
    if (*seen && flag->value && !flag->many)
        return complain("%s%s is given twice, and only one can count", dashes(flag), flag->name), false;
    *seen = true;
    return joined_finish(&t->joined, &t->into->convs) && flag->set(t->into, flag, value);
}

static bool arguments(const struct page *page, int argc, char **argv, struct common *into, bool *helped)
{
    struct option options[FLAGS_MAX] = {0};
    char letters[2 * FLAGS_MAX];
    struct taking t = {.page = page, .into = into};
    getopt_table(page, options, letters);
    opterr = 0; /* it would print bytes as they are */
    int code;
    while ((code = getopt_long(argc, argv, letters, options, NULL)) != -1) {
        *helped = code == 'h';
        if (*helped) return help(page), true;
        const struct flag *flag = flag_of(page, code);
        if (!flag && code != 1) return option_complain(page, code, argv[optind - 1]);
        if (!(flag ? flag_take(&t, flag, optarg) : word_take(&t, optarg))) return false;
    }
    for (; optind < argc; optind++)
        if (!word_take(&t, argv[optind])) return false;
    return joined_finish(&t.joined, &into->convs);
}

int ask(const struct page *page, int argc, char **argv, struct common *into)
{
    bool helped = false;
    if (!arguments(page, argc, argv, into, &helped)) return lines_free(&into->convs), EXIT_USAGE;
    if (helped) return lines_free(&into->convs), EXIT_GOOD;
    int count = (int)into->convs.count;
    if (count <= page->most) return ASK_GO_ON;
    lines_free(&into->convs);
    return complain("%s takes one convolution, not %d; quote each as one argument", page->name, count);
}

int ask_one(const struct page *page, int argc, char **argv, struct common *into)
{
    int status = ask(page, argc, argv, into);
    if (status != ASK_GO_ON || into->convs.count == 1) return status;
    return complain("%s needs a convolution; `kiln %s --help` shows how", page->name, page->name);
}

/* ---- what the library is told ---- */

void ask_config(const struct common *common, struct kiln_config *config)
{
    *config = (struct kiln_config){.size = sizeof *config,
                                   .threads = common->threads,
                                   .cache = common->cold ? KILN_CACHE_OFF : KILN_CACHE_DEFAULT};
}

void ask_options(const struct common *common, const struct line *line, struct kiln_options *options)
{
    *options = (struct kiln_options){.size = sizeof *options,
                                     .isa = common->isa ? common->isa
                                            : line      ? line->machine
                                                        : NULL,
                                     .target = common->target,
                                     .schedule = common->schedule ? common->schedule
                                                 : line           ? line->schedule
                                                                  : NULL,
                                     .code_budget = common->budget};
}

struct kiln *ask_kiln(const struct common *common)
{
    struct kiln_config config;
    struct kiln_error error;
    struct kiln *k;
    ask_config(common, &config);
    if (kiln_create(&k, &config, &error) == KILN_STATUS_OK) return k;
    return complain("%s", error.text), NULL;
}

struct kiln_plan *ask_plan(struct kiln *k, const struct common *common, const struct line *line)
{
    struct kiln_options options;
    struct kiln_error error;
    struct kiln_plan *plan;
    ask_options(common, line, &options);
    if (kiln_compile(k, &line->conv, &options, &plan, &error) == KILN_STATUS_OK) return plan;
    return complain("%s", error.text), NULL;
}
