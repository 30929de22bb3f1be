#include "sheet.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Pixels. A cell has a caption above it; it is as large as the picture, but has room for words and weights.
 */
enum { COLUMNS = 4, ROWS = 2, GAP = 12, CAPTION = 20, LEAST_W = 240, LEAST_H = 160 };
enum { GLYPH_W = 5, GLYPH_H = 7, DOT = 2, LETTER = (GLYPH_W + 1) * DOT };
enum { SQUARE = 9, BLOCK = 3 * SQUARE, STEP_W = BLOCK + 8, STEP_H = BLOCK + 14 };

enum { SHADES = 48 }; /* of a colour; with more, files are larger but look no better */

struct color {
    float rgb[3];
};

static const struct color ink = {{232, 230, 224}}, paper = {{26, 28, 34}};
static const struct color orange = {{255, 176, 64}}, blue = {{72, 156, 255}}, none = {{10, 11, 14}};

/* ---- letters ---- */

/* Rows of five dots from the top, the left one worth 16. */
static const struct glyph {
    char letter, rows[GLYPH_H];
} glyphs[] = {
    {'-', {0, 0, 0, 31, 0, 0, 0}},       {'1', {4, 12, 4, 4, 4, 4, 14}},
    {'2', {14, 17, 1, 2, 4, 8, 31}},     {'3', {14, 17, 1, 6, 1, 17, 14}},
    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'A', {14, 17, 17, 31, 17, 17, 17}},
    {'B', {30, 17, 17, 30, 17, 17, 30}}, {'C', {14, 17, 16, 16, 16, 17, 14}},
    {'D', {30, 17, 17, 17, 17, 17, 30}}, {'E', {31, 16, 16, 30, 16, 16, 31}},
    {'F', {31, 16, 16, 30, 16, 16, 16}}, {'G', {14, 17, 16, 23, 17, 17, 15}},
    {'H', {17, 17, 17, 31, 17, 17, 17}}, {'I', {14, 4, 4, 4, 4, 4, 14}},
    {'K', {17, 18, 20, 24, 20, 18, 17}}, {'L', {16, 16, 16, 16, 16, 16, 31}},
    {'M', {17, 27, 21, 21, 17, 17, 17}}, {'N', {17, 25, 21, 21, 19, 17, 17}},
    {'O', {14, 17, 17, 17, 17, 17, 14}}, {'P', {30, 17, 17, 30, 16, 16, 16}},
    {'R', {30, 17, 17, 30, 20, 18, 17}}, {'S', {15, 16, 16, 14, 1, 1, 30}},
    {'T', {31, 4, 4, 4, 4, 4, 4}},       {'U', {17, 17, 17, 17, 17, 17, 14}},
    {'V', {17, 17, 17, 17, 17, 10, 4}},  {'W', {17, 17, 17, 21, 21, 21, 10}},
    {'X', {17, 17, 10, 4, 10, 17, 17}},  {'Y', {17, 17, 10, 4, 4, 4, 4}},
    {'Z', {31, 1, 2, 4, 8, 16, 31}},
};

static void rectangle(struct picture *sheet, int left, int top, int w, int h, struct color color)
{
    for (int y = top; y < top + h; y++)
        for (int i = 0; i < 3 * w; i++)
            sheet->rgb[3 * (y * sheet->w + left) + i] = (unsigned char)color.rgb[i % 3];
}

static void letter_draw(struct picture *sheet, int left, int top, char letter, struct color color)
{
    for (size_t i = 0; i < sizeof glyphs / sizeof *glyphs; i++)
        for (int y = 0; y < GLYPH_H && glyphs[i].letter == letter; y++)
            for (int x = 0; x < GLYPH_W; x++)
                if (glyphs[i].rows[y] >> (GLYPH_W - 1 - x) & 1)
                    rectangle(sheet, left + x * DOT, top + y * DOT, DOT, DOT, color);
}

static void text_draw(struct picture *sheet, int left, int top, const char *text, struct color color)
{
    for (; *text; text++, left += LETTER) letter_draw(sheet, left, top, *text, color);
}

/* ---- cells ---- */

static struct color shade(struct color from, struct color to, float t)
{
    for (int i = 0; i < 3; i++) from.rgb[i] += (to.rgb[i] - from.rgb[i]) * t;
    return from;
}

/* A number, 1 at most, either way. */
static struct color signed_color(float v)
{
    v = rintf(v * SHADES) / SHADES;
    return v < 0 ? shade(none, blue, v < -1 ? 1 : -v) : shade(none, orange, v > 1 ? 1 : v);
}

static struct color gray(float v)
{
    v = v < 0 ? 0 : v > 1 ? 255 : rintf(v * SHADES) * (255.0f / SHADES);
    return (struct color){{v, v, v}};
}

/* The corner below the caption of cell i, which is written. Cells go row by row. */
struct corner {
    int x, y;
};

static struct corner cell_begin(struct picture *sheet, int i, const char *caption)
{
    int w = (sheet->w - GAP) / COLUMNS, h = (sheet->h - GAP) / ROWS;
    struct corner at = {GAP + i % COLUMNS * w, GAP + i / COLUMNS * h};
    text_draw(sheet, at.x, at.y, caption, ink);
    at.y += CAPTION;
    return at;
}

static void map_draw(struct picture *sheet, struct corner at, const struct picture *picture, const float *map,
                     const struct kernel *kernel)
{
    for (int i = 0; i < picture->w * picture->h; i++) {
        float v = map[i * KERNELS] / kernel->unit / 255;
        rectangle(sheet, at.x + i % picture->w, at.y + i / picture->w, 1, 1,
                  kernel->both ? signed_color(v) : gray(v));
    }
}

/* A weight beside the largest of its kernel; small ones are lifted, to be seen. */
static struct color weight_color(const struct kernel *kernel, int channel, int tap)
{
    float most = 0, weight = kernel->channels[channel] * kernel->taps[tap];
    for (int i = 0; i < CHANNELS * TAPS; i++)
        most = fmaxf(most, fabsf(kernel->channels[i / TAPS] * kernel->taps[i % TAPS]));
    return signed_color(copysignf(sqrtf(fabsf(weight) / most), weight));
}

/* A column for each kernel, a row for each channel: six kernels are 18 squares of 3x3 weights. */
static void kernels_draw(struct picture *sheet, struct corner at, const struct kernel kernels[KERNELS])
{
    static const struct color colors[CHANNELS] = {{{255, 96, 88}}, {{96, 220, 104}}, {{104, 152, 255}}};
    for (int k = 0; k < KERNELS; k++) {
        int x = at.x + 2 * LETTER + k * STEP_W, y = at.y + CAPTION;
        text_draw(sheet, x + (BLOCK - LETTER) / 2, at.y, (char[]){(char)('1' + k), 0}, ink);
        for (int i = 0; i < CHANNELS * TAPS; i++) {
            int channel = i / TAPS, tap = i % TAPS;
            rectangle(sheet, x + tap % 3 * SQUARE, y + channel * STEP_H + tap / 3 * SQUARE, SQUARE - 1,
                      SQUARE - 1, weight_color(&kernels[k], channel, tap));
        }
    }
    for (int i = 0; i < CHANNELS; i++)
        text_draw(sheet, at.x, at.y + CAPTION + i * STEP_H + (BLOCK - GLYPH_H * DOT) / 2,
                  (char[]){"RGB"[i], 0}, colors[i]);
}

bool sheet_make(struct picture *sheet, const struct picture *picture, const float *maps,
                const struct kernel kernels[KERNELS])
{
    int w = picture->w > LEAST_W ? picture->w : LEAST_W, h = picture->h > LEAST_H ? picture->h : LEAST_H;
    char caption[32];
    if (!picture_make(sheet, GAP + COLUMNS * (w + GAP), GAP + ROWS * (h + CAPTION + GAP))) return false;
    rectangle(sheet, 0, 0, sheet->w, sheet->h, paper);
    struct corner at = cell_begin(sheet, 0, "3 CHANNELS IN");
    for (int y = 0; y < picture->h; y++)
        memcpy(sheet->rgb + 3 * ((at.y + y) * sheet->w + at.x), picture->rgb + 3 * y * picture->w,
               3 * (size_t)picture->w);
    kernels_draw(sheet, cell_begin(sheet, COLUMNS, "6 KERNELS OF 3X3X3"), kernels);
    for (int k = 0; k < KERNELS; k++) {
        snprintf(caption, sizeof caption, "%d %s", k + 1, kernels[k].name);
        at = cell_begin(sheet, k < 3 ? 1 + k : 2 + k, caption); /* the first column is not theirs */
        map_draw(sheet, at, picture, maps + k, &kernels[k]);
    }
    return true;
}
