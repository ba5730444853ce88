// Warps, colours and morphology of training samples. Plain C: a sample costs a few milliseconds.
//
// Called by: Sources/Distill/Data, from its background threads. Nothing here allocates or keeps
// state. Pictures are rows of pixels without padding; positions count from the first pixel's centre.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Where an output pixel comes from: with p = (x, y) + displacement(x, y), the source position is
/// (m[0]·p.x + m[1]·p.y + m[2], m[3]·p.x + m[4]·p.y + m[5]). Beyond the border the source is
/// mirrored without repeating its edge.
typedef struct {
  double m[6];
  /// (cells + 1)² pairs (dx, dy) at every `step` pixels, bilinear in between; NULL for none.
  const float *displacement;
  int cells, step;
} vos_warp;

/// Bilinear; in, out: RGB bytes.
void vos_warp_rgb(const uint8_t *in, int width, int height, const vos_warp *warp, int out_width,
                  int out_height, uint8_t *out);
/// Nearest; each label goes through `table` (256 entries).
void vos_warp_labels(const uint8_t *in, int width, int height, const uint8_t *table,
                     const vos_warp *warp, int out_width, int out_height, uint8_t *out);
/// Bilinear, `planes` planes of floats, each [height][width].
void vos_warp_planes(const float *in, int planes, int width, int height, const vos_warp *warp,
                     int out_width, int out_height, float *out);

/// out = (v - 127.5) / 127.5 with v = the colour after brightness (a factor), contrast (a factor
/// about the picture's mean) and saturation (a factor about the pixel's mean), clamped to 0…255.
void vos_color(const uint8_t *in, size_t pixels, float brightness, float contrast,
               float saturation, float *out);

/// Area average of RGB bytes to a size that is not larger.
void vos_shrink_rgb(const uint8_t *in, int width, int height, int out_width, int out_height,
                    uint8_t *out);

/// Largest (`dilate` != 0) or smallest value within `radius` rows and columns, in place. `scratch`:
/// max(width, height) floats.
void vos_morphology(float *plane, int width, int height, int radius, int dilate, float *scratch);

/// in blended over out: out = out·(1 - a) + in·a, a = the mask (0 or 1) after a 3×3 Gaussian
/// (1-2-1), zero beyond the border.
void vos_paste_rgb(const uint8_t *in, const uint8_t *mask, int width, int height, uint8_t *out);
