/* Compiles cases for AArch64 on any machine, and leaves their images as FOLDER/NUMBER.image for the
 * runner: for a conv each algorithm's best schedule and a random one, for a plan line that plan.
 *
 *   compile FOLDER FILE...        files are named from the root of the sources */
#include "harness.h"

#include "conv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BUDGET = 800, MACHINE_PART = 2 };

struct output {
    const char *folder, *file; /* where to; what is being read */
    int line, images, faults;
};

static void complain(struct output *o, const char *why)
{
    fprintf(stderr, "%s:%d: %s\n", o->file, o->line, why);
    o->faults++;
}

static void save(struct output *o, const struct plan *p)
{
    char path[4096];
    struct kiln_error error;
    struct image *image;
    if (plan_image(p, &image, &error)) {
        complain(o, error.text);
        return;
    }
    snprintf(path, sizeof path, "%s/%04d.image", o->folder, o->images++);
    FILE *f = fopen(path, "wb");
    bool fine = f && fwrite(image, image->bytes, 1, f) == 1;
    if (f) fine &= !fclose(f);
    if (!fine) complain(o, strerror(errno));
    free(image);
}

static void save_algo(struct output *o, const struct contender *c)
{
    char text[KILN_TEXT_MAX];
    struct plan p = c->best;
    plan_print(&p, text, sizeof text);
    struct random r = random_from(text);
    save(o, &p);
    if (plan_shake(&p, &r)) save(o, &p);
}

static void save_conv(struct output *o, const struct plan *p)
{
    struct choice choice;
    struct kiln_error error;
    if (planner_choose(p, &(struct limits){.fmas = BUDGET}, &choice, &error)) {
        complain(o, error.text);
        return;
    }
    for (int i = 0; i < algo_count; i++)
        if (choice.contenders[i].has_best) save_algo(o, &choice.contenders[i]);
}

static void save_line(struct output *o, const char *text, struct plan p)
{
    struct words machine;
    struct kiln_error error;
    const char *schedule = strchr(text, '|');
    if (words_part(text, MACHINE_PART, &machine)) return; /* for one of another architecture */
    if (conv_parse(&p.conv, text, &error) || (schedule && plan_parse(&p, schedule + 1, &error)))
        complain(o, error.text);
    else if (schedule)
        save(o, &p);
    else
        save_conv(o, &p);
}

static void save_file(struct output *o, const char *file)
{
    struct lines lines = lines_read(file);
    struct plan p = {0};
    o->file = file;
    cpu_target(&p.cpu, "aarch64", NULL, NULL);
    for (size_t i = 0; i < lines.count; i++) {
        o->line = lines.line[i].number;
        save_line(o, lines.line[i].text, p);
    }
    lines_free(&lines);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s FOLDER FILE...\n", argv[0]);
        return 2;
    }
    struct output o = {.folder = argv[1]};
    if (mkdir(o.folder, 0777) && errno != EEXIST) {
        perror(o.folder);
        return 2;
    }
    for (int i = 2; i < argc; i++) save_file(&o, argv[i]);
    printf("%d images, %d faults\n", o.images, o.faults);
    return o.faults || !o.images;
}
