/* Draws the picture that feature_maps is shown on: a house in the evening sun. The same on every machine:
 * there is nothing in it but +, -, *, / and square roots, which are exact to the last bit. */
#include "picture.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { W = 240, H = 160, SUB = 3 /* samples of a pixel, each way */ };

struct color {
    double r, g, b;
};

static struct color mix(struct color a, struct color b, double t)
{
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return (struct color){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

static struct color scale(struct color c, double t) { return mix((struct color){0, 0, 0}, c, t); }

/* From 0 to 1 where x goes from a to b. */
static double ramp(double a, double b, double x)
{
    double t = (x - a) / (b - a);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return t * t * (3 - 2 * t);
}

static bool inside(double x, double y, double left, double top, double right, double bottom)
{
    return x >= left && x < right && y >= top && y < bottom;
}

/* ---- noise ---- */

static double lattice(int64_t x, int64_t y)
{
    uint64_t h = (uint64_t)x * 0x9e3779b97f4a7c15u ^ (uint64_t)y * 0xc2b2ae3d27d4eb4fu;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    return (double)(h >> 40) / (1 << 24);
}

/* Smooth between the points of a lattice. */
static double noise(double x, double y)
{
    double u = floor(x), v = floor(y), s = ramp(0, 1, x - u), t = ramp(0, 1, y - v);
    int64_t i = (int64_t)u, j = (int64_t)v;
    double top = lattice(i, j) + (lattice(i + 1, j) - lattice(i, j)) * s;
    double bottom = lattice(i, j + 1) + (lattice(i + 1, j + 1) - lattice(i, j + 1)) * s;
    return top + (bottom - top) * t;
}

/* Ever finer noise; 0 to 1. */
static double clouded(double x, double y)
{
    return (8 * noise(x, y) + 4 * noise(2 * x + 7, 2 * y + 3) + 2 * noise(4 * x + 1, 4 * y + 9) +
            noise(8 * x + 5, 8 * y + 2)) /
           15;
}

/* ---- what is seen, from back to front: each changes the colour at a point; y goes down from 0 to 1 ---- */

static const double sun_x = 1.16, sun_y = 0.33;

static void sky(double x, double y, struct color *c)
{
    double dx = x - sun_x, dy = y - sun_y, d = sqrt(dx * dx + dy * dy);
    *c = mix((struct color){52, 98, 178}, (struct color){156, 196, 226}, y / 0.36);
    *c = mix(*c, (struct color){255, 216, 168}, ramp(0.2, 0.6, y));
    double cloud = ramp(0.5, 0.72, clouded(x * 2.6 + 3, y * 9)) * ramp(0.5, 0.2, y);
    *c = mix(*c, (struct color){255, 246, 236}, 0.9 * cloud);
    *c = mix(*c, (struct color){255, 222, 150}, 0.9 / (1 + 40 * d * d));
    *c = mix(*c, (struct color){255, 250, 214}, ramp(0.066, 0.06, d));
}

static double ridge(double x)
{
    double n = clouded(x * 2.4 + 11, 4.5);
    return 0.52 - 0.36 * (1 - fabs(2 * n - 1)) * n;
}

static void mountains(double x, double y, struct color *c)
{
    double top = ridge(x);
    if (y < top) return;
    double light = ramp(-0.5, 0.5, (ridge(x + 0.012) - top) / 0.012 + 1.6 * (clouded(x * 14, y * 20) - 0.5));
    struct color rock = mix((struct color){186, 150, 150}, (struct color){74, 84, 124}, light);
    struct color snow = mix((struct color){255, 240, 226}, (struct color){160, 176, 216}, light);
    *c = mix(rock, snow, ramp(0.36, 0.32, y + 0.05 * noise(x * 40, y * 40)));
    *c = mix(*c, (struct color){236, 206, 180}, ramp(0.3, 0.62, y));
}

/* One row of hills: its height, and its colours in the light and in the shade. */
static void hill(double x, double y, double height, double seed, struct color light, struct color shade,
                 struct color *c)
{
    double top = height - 0.12 * noise(x * 1.7 + seed, seed) - 0.012 * noise(x * 30, seed);
    if (y < top) return;
    *c = mix(light, shade, 1.5 * clouded(x * 16 + seed, y * 40) - 0.55 + 1.1 * (y - top));
}

static void hills(double x, double y, struct color *c)
{
    hill(x, y, 0.62, 2.5, (struct color){150, 164, 122}, (struct color){86, 118, 102}, c);
    hill(x, y, 0.72, 5.2, (struct color){152, 170, 84}, (struct color){64, 102, 62}, c);
    hill(x, y, 0.83, 8.9, (struct color){172, 182, 78}, (struct color){60, 104, 44}, c);
}

static void path(double x, double y, struct color *c)
{
    double t = (y - 0.8) / 0.2, middle = 0.565 + 0.12 * t * t, half = 0.022 + 0.07 * t;
    if (t < 0) return;
    double edge = fabs(x - middle) - half + 0.02 * (noise(x * 60, y * 60) - 0.5);
    struct color sand =
        mix((struct color){214, 186, 140}, (struct color){164, 130, 92}, noise(x * 90, y * 120));
    *c = mix(*c, sand, ramp(0.006, -0.006, edge));
}

static void window(double x, double y, double left, double top, struct color *c)
{
    if (!inside(x, y, left, top, left + 0.075, top + 0.085)) return;
    double u = (x - left) / 0.075, v = (y - top) / 0.085;
    bool frame = u < 0.14 || u > 0.86 || v < 0.12 || v > 0.88 || fabs(u - 0.5) < 0.06 || fabs(v - 0.5) < 0.05;
    *c = frame ? (struct color){250, 246, 238}
               : mix((struct color){255, 214, 120}, (struct color){64, 76, 104}, u + v - 0.3);
}

static void house(double x, double y, struct color *c)
{
    const double left = 0.38, right = 0.75, eaves = 0.6, foot = 0.81, peak = 0.43;
    if (inside(x, y, 0.63, 0.4, 0.68, 0.56)) *c = (struct color){140, 74, 60}; /* the chimney */
    if (inside(x, y, left, eaves, right, foot)) {
        double plank = (y - eaves) / 0.021;
        *c = mix((struct color){226, 212, 188}, (struct color){250, 234, 204}, (x - left) / (right - left));
        *c = scale(*c, plank - floor(plank) < 0.2 ? 0.82 : 1);
        *c = scale(*c, 0.72 + 0.28 * ramp(0, 0.04, y - eaves));
    }
    window(x, y, 0.415, 0.66, c);
    window(x, y, 0.64, 0.66, c);
    if (inside(x, y, 0.535, 0.66, 0.595, foot)) *c = (struct color){54, 92, 110};
    if (inside(x, y, 0.583, 0.73, 0.589, 0.742)) *c = (struct color){240, 214, 120};
    double slope = (y - peak) / (eaves + 0.015 - peak), inset = 0.13 * (1 - slope);
    if (slope >= 0 && slope < 1 && x > left - 0.035 + inset && x < right + 0.035 - inset) {
        double row = slope * 9, column = x * 34 + (floor(row / 2) * 2 == floor(row) ? 0.5 : 0);
        double shade = row - floor(row) < 0.25 || column - floor(column) < 0.14
                           ? 0.74
                           : 0.94 + 0.06 * noise(x * 80, y * 80);
        *c = scale((struct color){206, 84, 58}, shade);
    }
}

static void tree(double x, double y, struct color *c)
{
    const double middle = 0.17, crown = 0.5;
    if (fabs(x - middle) < 0.012 + 0.03 * ramp(0.76, 0.86, y) && y > crown && y < 0.86)
        *c = mix((struct color){120, 84, 58}, (struct color){62, 44, 38},
                 noise(x * 120, y * 14) + 10 * (middle - x));
    double dx = (x - middle) / 0.15, dy = (y - crown) / 0.2, r = sqrt(dx * dx + dy * dy);
    if (r + 0.5 * (clouded(x * 12, y * 12) - 0.5) > 0.9) return;
    double light = 0.5 + 0.45 * dx - 0.35 * dy + 1.5 * (clouded(x * 26 + 4, y * 26) - 0.5);
    *c = mix((struct color){30, 62, 40}, (struct color){186, 182, 70}, light);
}

static void fence(double x, double y, struct color *c)
{
    double post = x * 16, across = post - floor(post);
    bool gate = x > 0.457 && x < 0.75,
         rail = inside(x, y, -1, 0.885, 2, 0.897) || inside(x, y, -1, 0.925, 2, 0.937);
    bool upright = across < 0.3 && y > 0.865 + 0.05 * fabs(across - 0.15) && y < 0.97;
    if (gate || (!rail && !upright)) return;
    *c = scale((struct color){255, 248, 236}, upright ? 1 - 0.4 * ramp(0.18, 0.3, across) : 0.86);
}

typedef void layer(double x, double y, struct color *c);

static layer *const layers[] = {sky, mountains, hills, path, house, tree, fence};

static void pixel_draw(int px, int py, unsigned char *rgb)
{
    struct color sum = {0, 0, 0}, c;
    for (int i = 0; i < SUB * SUB; i++) {
        double x = (px + (i % SUB + 0.5) / SUB) / H, y = (py + ((double)(i / SUB) + 0.5) / SUB) / H;
        for (size_t k = 0; k < sizeof layers / sizeof *layers; k++) layers[k](x, y, &c);
        sum = (struct color){sum.r + c.r, sum.g + c.g, sum.b + c.b};
    }
    rgb[0] = (unsigned char)(sum.r / (SUB * SUB) + 0.5);
    rgb[1] = (unsigned char)(sum.g / (SUB * SUB) + 0.5);
    rgb[2] = (unsigned char)(sum.b / (SUB * SUB) + 0.5);
}

int main(int argc, char **argv)
{
    struct picture picture;
    if (argc != 2) return fputs("usage: scene OUT.png\n", stderr), 2;
    if (!picture_make(&picture, W, H)) return 2;
    for (int i = 0; i < W * H; i++) pixel_draw(i % W, i / W, picture.rgb + 3 * i);
    bool written = picture_write(&picture, argv[1]);
    picture_free(&picture);
    return written ? 0 : 2;
}
